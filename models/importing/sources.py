"""Where an import's source is: a folder or file of this machine, or one that a hub hands out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.errors import MalformedFile
from models.importing.errors import ImportRefused

HUB_BLOBS = "blobs"


@dataclass(frozen=True)
class Origin:
    """A source on this machine.

    Attributes:
        path: the folder or file.
        revision: commit that it is of, when it came from a hub.
        sha256: of files whose content is known and was checked, by their real path.
    """

    path: Path
    revision: str | None = None
    sha256: Mapping[Path, str] = field(default_factory=dict[Path, str])


def local(source: str) -> Origin:
    """A folder or file of this machine.

    Raises:
        ImportRefused: it is not there.
    """
    path = Path(source).expanduser().absolute()
    if not path.exists():
        raise ImportRefused(f"{path} is not there; from a hub it would be hf:ORG/REPO")
    return Origin(path)


def refuse_escapes(folder: Path, components: Collection[str]) -> None:
    """Refuse links in a folder that lead to files elsewhere; a hub's cache, which links to blobs beside its snapshots, may.

    Raises:
        MalformedFile: there is one; it is named.
    """
    root = folder.resolve()
    allowed = [root]
    if root.parent.name == "snapshots":
        allowed.append(root.parent.parent / HUB_BLOBS)
    inside = [
        path for component in components if (folder / component).is_dir() for path in (folder / component).iterdir()
    ]
    for path in (*(folder.iterdir()), *inside):
        if not any(path.resolve().is_relative_to(place) for place in allowed):
            raise MalformedFile(f"{path} is a link out of its folder, to {path.resolve()}")
