"""The pictures that flux-nano learns from: fetched as packages, found by name, cut out of their transparent margins.

Fluent Emoji (3D) by Microsoft, MIT, from npm's @lobehub/fluent-emoji-3d; names from unicode-emoji-json, MIT.
"""

import hashlib
import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from PIL import Image

from models.training.errors import DataError


@dataclass(frozen=True)
class Package:
    """An npm package of one version, known by the digest of its archive."""

    name: str
    version: str
    archive: str
    sha256: str


PICTURES = Package(
    "@lobehub/fluent-emoji-3d",
    "1.1.0",
    "lobehub-fluent-emoji-3d-1.1.0.tgz",
    "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
)
NAMES = Package(
    "unicode-emoji-json",
    "0.9.0",
    "unicode-emoji-json-0.9.0.tgz",
    "ae7efacb55533385bf8767d613dbd36c71226669759d95919a6e9059f5e4c401",
)
VARIATION_SELECTOR = "fe0f"


def fetch(cache: Path) -> None:
    """Bring the packages into `cache` with `npm pack`, unless they are there, and unpack them.

    Raises:
        DataError: npm is missing or failed, or an archive is not the one that is known.
    """
    cache.mkdir(parents=True, exist_ok=True)
    for package in (PICTURES, NAMES):
        archive = cache / package.archive
        if not archive.exists():
            _pack(package, cache)
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != package.sha256:
            raise DataError(f"{archive} has sha256 {digest}, not {package.sha256}")
        target = cache / archive.stem
        if not target.is_dir():
            with tarfile.open(archive) as tar:
                tar.extractall(target, filter="data")


def _pack(package: Package, cache: Path) -> None:
    try:
        subprocess.run(["npm", "pack", f"{package.name}@{package.version}"], cwd=cache, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise DataError(f"npm could not fetch {package.name} {package.version}: {error}") from error


def load_pictures(cache: Path, names: tuple[str, ...]) -> dict[str, Image.Image]:
    """Read the pictures of some names as RGBA, cropped to what is visible.

    Args:
        cache: where fetch has put the packages.
        names: of unicode-emoji-json.

    Raises:
        DataError: a name has no picture.
    """
    emoji_of = _emoji_by_name(cache)
    files = {path.stem: path for path in (cache / Path(PICTURES.archive).stem).rglob("*.webp")}
    return {name: _cut_out(_find(name, emoji_of, files)) for name in names}


def _emoji_by_name(cache: Path) -> dict[str, str]:
    path = cache / Path(NAMES.archive).stem / "package" / "data-by-emoji.json"
    described = cast(dict[str, dict[str, str]], json.loads(path.read_text(encoding="utf-8")))
    return {fields["name"]: emoji for emoji, fields in described.items()}


def _find(name: str, emoji_of: dict[str, str], files: dict[str, Path]) -> Path:
    if name not in emoji_of:
        raise DataError(f"{name!r} is no name of {NAMES.name} {NAMES.version}")
    points = [f"{ord(character):x}" for character in emoji_of[name]]
    for key in ("-".join(points), "-".join(point for point in points if point != VARIATION_SELECTOR)):
        if key in files:
            return files[key]
    raise DataError(f"{name!r} has no picture in {PICTURES.name} {PICTURES.version}")


def _cut_out(path: Path) -> Image.Image:
    with Image.open(path) as file:
        picture = file.convert("RGBA")
    return picture.crop(picture.getchannel("A").getbbox())
