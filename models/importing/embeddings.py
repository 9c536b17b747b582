"""Learnt words (textual inversion) as they are found: AUTOMATIC1111's files, Diffusers', and SDXL's with vectors for both encoders."""

from pathlib import Path

from torch import Tensor

from models.checkpoints.embedding_folder import FIRST, SECOND, check_vectors, is_trigger, write_embedding
from models.checkpoints.files import TensorFiles
from models.errors import MalformedFile
from models.importing.assembly import record
from models.importing.errors import ImportRefused
from models.importing.hub import SCHEME, fetched
from models.importing.progress import Stages
from models.importing.request import Request
from models.importing.sources import local
from models.importing.staging import published, refuse_occupied, staged
from models.importing.weights import safe_files, single_file

EMBEDDINGS = {"embedding-sd-1.5": (768,), "embedding-sdxl": (768, 1280)}
"""What a learnt word is --like: channels of its vectors for each text encoder of the family. app.core.embedding_rows has the same names."""
UNNAMED = ("emb_params", "*")
"""What AUTOMATIC1111's files call their vectors; Diffusers' files call them by their trigger."""
LEARNT_WITH = ("learned_embeds.safetensors", "learned_embeds.bin")
"""Diffusers' names of such a file."""


def is_embedding_like(request: Request) -> bool:
    """Whether a request is for a learnt word."""
    return request.like in EMBEDDINGS


def import_embedding(request: Request, stages: Stages) -> Path:
    """Make the folder of a learnt word.

    Returns:
        The folder that was made.

    Raises:
        ModelError: it cannot be done; nothing is left behind.
        OSError: a file cannot be read or written.
    """
    place = request.into / request.name
    refuse_occupied(place, replace=request.replace)
    if request.base is not None or request.swaps:
        raise ImportRefused(f"{request.name} is a learnt word: it has no base and no components")
    is_far = request.source.startswith(SCHEME)
    origin = fetched(request.source, (), request.hub, stages) if is_far else local(request.source)
    with staged(request.into, request.name) as folder:
        (file,) = safe_files([_file(origin.path)], folder.parent / "scratch", stages.begin)
        trigger, vectors = read_vectors(file, request.name)
        _check_widths(request, vectors)
        write_embedding(folder, trigger, vectors)
        stages.begin("hashing", sum(path.stat().st_size for path in folder.iterdir()))
        record(folder, request, origin)
        published(folder, place, replace=request.replace)
    return place


def read_vectors(file: Path, name: str) -> tuple[str, tuple[Tensor, ...]]:
    """The trigger and the vectors of a safetensors file; a file that says no trigger has the name.

    Raises:
        MalformedFile: it holds anything else.
    """
    files = TensorFiles.of_file(file)
    names = files.names()
    if set(names) == {FIRST, SECOND}:
        trigger, ordered = name, [FIRST, SECOND]
    elif len(names) == 1:
        trigger, ordered = name if names[0] in UNNAMED else names[0], names
    else:
        raise MalformedFile(
            f"{file} holds {len(names)} tensors ({', '.join(sorted(names)[:3])}); a learnt word is one, or {FIRST} and {SECOND}"
        )
    if not is_trigger(trigger):
        raise MalformedFile(f"{file}: {trigger[:80]!r} cannot be a trigger")
    read = [files.read(one) for one in ordered]
    vectors = tuple(tensor[None] if tensor.ndim == 1 else tensor for tensor in read)
    check_vectors(file, vectors)
    return trigger, vectors


def _file(path: Path) -> Path:
    named = [path / name for name in LEARNT_WITH if (path / name).is_file()]
    return named[0] if named else single_file(path)


def _check_widths(request: Request, vectors: tuple[Tensor, ...]) -> None:
    assert request.like is not None
    wanted, found = EMBEDDINGS[request.like], tuple(tensor.shape[1] for tensor in vectors)
    if found != wanted:
        said = " and ".join(map(str, found))
        fitting = next((name for name, widths in EMBEDDINGS.items() if widths == found), None)
        instead = f"; import it --like {fitting}" if fitting is not None else "; nothing here reads such vectors"
        raise ImportRefused(f"{request.source} has vectors of {said} channels: it is no {request.like}{instead}")
