"""hf:ORG/REPO[@REVISION][:FILE]: weights from a Hugging Face hub, at one commit, checked against the hashes that the hub gives.

huggingface_hub does the fetching and reads HF_ENDPOINT and HF_TOKEN itself; an interrupted download goes on where it was.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import httpx2
from huggingface_hub import (
    HfApi,
    snapshot_download,  # pyright: ignore[reportUnknownVariableType] (a dict and a tqdm without their arguments)
)
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from models.checkpoints.config import read_object
from models.checkpoints.files import UNSAFE_SUFFIXES
from models.checkpoints.folder import GENERATION, INDEX
from models.checkpoints.provenance import sha256_of
from models.errors import MalformedFile
from models.importing.components import SMALL_SUFFIXES, STEMS
from models.importing.errors import HubError
from models.importing.progress import Stages
from models.importing.sources import Origin

SCHEME, CONFIG = "hf:", "config.json"
REFERENCE = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^\s:]+))?(?::(?P<file>[^\s:]+))?")
NOTICE = re.compile(r"(LICENSE|LICENCE|NOTICE)[\w.-]*", re.IGNORECASE)
MAX_NAME = 255


@dataclass(frozen=True)
class Listed:
    """A file of a repository: its size in bytes, and its hash where the hub knows it."""

    size: int
    sha256: str | None


def fetched(
    reference: str, components: Collection[str], cache: Path, stages: Stages, beside: Collection[str] = ()
) -> Origin:
    """Fetch what is needed of a repository.

    Args:
        reference: hf:ORG/REPO, perhaps with @REVISION and :FILE.
        components: subfolders that are wanted of a pipeline's repository.
        cache: folder in which repositories are kept, by name and commit.
        stages: told of what goes on.
        beside: components that are fetched from beside a file, where they are there.

    Raises:
        HubError: the hub cannot be reached, or has no such thing, or does not give it to us; or it is not clear which file is meant.
        MalformedFile: a file is not the one that the hub announced.
    """
    match = REFERENCE.fullmatch(reference)
    if match is None:
        raise HubError(f"{reference} is no hf:ORG/REPO, hf:ORG/REPO@REVISION or hf:ORG/REPO@REVISION:FILE")
    repo, asked = match["repo"], match["revision"]
    stages.begin(f"asking the hub for {repo}", None)
    try:
        commit, listed = _listing(repo, asked)
        folder = cache / repo.replace("/", "--") / commit
        wanted = _wanted(reference, match["file"], repo, commit, listed, components, beside, folder)
        stages.begin(f"fetching {len(wanted)} files of {repo} at {commit[:12]}", None)
        _fetch(repo, commit, wanted, folder)
    except HfHubHTTPError as error:
        raise HubError(_reason(repo, asked, error)) from None
    except (httpx2.HTTPError, OSError) as error:
        raise HubError(f"{repo} could not be fetched: {_first_line(error)}; what is there is kept, try again") from None
    stages.begin("comparing with the hub's hashes", sum(listed[name].size for name in wanted))
    sha256 = _verified(folder, {name: listed[name] for name in wanted})
    return Origin(folder / match["file"] if match["file"] else _source(folder, wanted), commit, sha256)


def _listing(repo: str, revision: str | None) -> tuple[str, dict[str, Listed]]:
    info = HfApi().model_info(repo, revision=revision, files_metadata=True)
    if info.sha is None or re.fullmatch(r"[0-9a-f]{40}", info.sha) is None:
        raise HubError(f"the hub names no commit for {repo}")
    listed = {
        sibling.rfilename: Listed(sibling.size or 0, sibling.lfs.sha256 if sibling.lfs is not None else None)
        for sibling in info.siblings or ()
        if _is_plain(sibling.rfilename)
    }
    return info.sha, listed


def _is_plain(name: str) -> bool:
    """Whether a name leads to a file inside its folder, on any system, and is one for huggingface_hub's patterns."""
    parts = PurePosixPath(name).parts
    is_inside = ".." not in parts and not name.startswith("/")
    return is_inside and len(name) <= MAX_NAME and re.search(r"[\\:*?\[\]\x00-\x1f]", name) is None


def _wanted(
    reference: str,
    file: str | None,
    repo: str,
    commit: str,
    listed: Mapping[str, Listed],
    components: Collection[str],
    beside: Collection[str],
    folder: Path,
) -> list[str]:
    if file is not None:
        if file not in listed:
            raise HubError(f"{repo} has no file {file}")
        folder_of = PurePosixPath(file).parent
        return [file, *(name for component in sorted(beside) for name in _of(str(folder_of / component), listed))]
    if INDEX in listed:
        _fetch(repo, commit, [INDEX], folder)
        index = read_object(folder / INDEX)
        notes = [name for name in listed if name in (INDEX, GENERATION) or NOTICE.fullmatch(name)]
        parts = [name for component in sorted(components) if component in index for name in _of(component, listed)]
        return [*notes, *parts]
    if CONFIG in listed and (alone := _alone(listed)):
        return [CONFIG, *alone]
    for suffixes in ((".safetensors",), UNSAFE_SUFFIXES):
        files = [name for name in sorted(listed) if PurePosixPath(name).suffix in suffixes and "/" not in name]
        if len(files) > 1:
            raise HubError(
                f"{repo} has several files of weights; say {reference}:{files[0]}, or one of {', '.join(files[1:6])}"
            )
        if files:
            return files
    raise HubError(f"{repo} has neither {INDEX} nor a file of weights")


def _of(component: str, listed: Mapping[str, Listed]) -> list[str]:
    """The files of a component: its small ones, and one set of its weights."""
    names = [name for name in sorted(listed) if str(PurePosixPath(name).parent) == component]
    small = [name for name in names if PurePosixPath(name).suffix in SMALL_SUFFIXES]
    stem = STEMS.get(PurePosixPath(component).name)
    if stem is None:
        return small
    served = re.compile(rf"{re.escape(component)}/{stem}(-\d{{5}}-of-\d{{5}})?\.safetensors")
    sets = (
        [name for name in names if served.fullmatch(name)],
        [name for name in names if name.endswith(".safetensors")],
        [name for name in names if PurePosixPath(name).suffix in UNSAFE_SUFFIXES],
    )
    return small + next((found for found in sets if found), list[str]())


def _alone(listed: Mapping[str, Listed]) -> list[str]:
    """The weights of a repository that is one component of Diffusers': safetensors, whole or in shards with their index."""
    served = re.compile(r"diffusion_pytorch_model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")
    return [name for name in sorted(listed) if served.fullmatch(name)]


def _fetch(repo: str, commit: str, names: list[str], folder: Path) -> None:
    snapshot_download(repo, revision=commit, allow_patterns=names, local_dir=folder)


def _source(folder: Path, wanted: list[str]) -> Path:
    return folder if INDEX in wanted or CONFIG in wanted else folder / wanted[0]


def _verified(folder: Path, listed: Mapping[str, Listed]) -> dict[Path, str]:
    """Hash the files whose hash the hub has told."""
    found: dict[Path, str] = {}
    for name, file in listed.items():
        path = folder / name
        if file.sha256 is None:
            continue
        found[path.resolve()] = sha256_of(path)
        if found[path.resolve()] != file.sha256:
            path.unlink()
            raise MalformedFile(f"{path} is not the file that the hub announced (sha256 {file.sha256}); fetch it again")
    return found


def _reason(repo: str, revision: str | None, error: HfHubHTTPError) -> str:
    """In our words: the library's take a page."""
    if isinstance(error, GatedRepoError):
        return f"{repo} is gated: accept its licence on the hub's page, and set HF_TOKEN to a token that may read it"
    if isinstance(error, RevisionNotFoundError):
        return f"{repo} has no revision {revision}"
    if isinstance(error, RepositoryNotFoundError):
        return f"there is no {repo} on the hub, or it is private: HF_TOKEN needs a token that may read it"
    return f"the hub refused {repo} with status {error.response.status_code}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
