"""The folder of an installed learnt word (textual inversion): an index that says its trigger, and its vectors."""

from pathlib import Path

import torch
from torch import Tensor

from models.checkpoints.config import Config, write_object
from models.checkpoints.files import TensorFiles, write_tensors
from models.checkpoints.folder import INDEX
from models.checkpoints.provenance import fingerprint
from models.errors import MalformedFile
from models.text.chunks import ROOM
from models.text.inversion import Embedding

EMBEDDING_PIPELINE = "TextualInversion"
"""The class in the index. Diffusers has none for a learnt word alone."""
FILE = "embedding.safetensors"
FIRST, SECOND = "clip_l", "clip_g"
"""Vectors for the first encoder of a family, and for the second where it has two."""
MAX_WIDTH = 4096
MAX_TRIGGER_CHARS = 64


def is_embedding_folder(path: Path) -> bool:
    """Whether a folder holds a learnt word, which draws nothing itself."""
    return Config(path / INDEX).text("_class_name", "") == EMBEDDING_PIPELINE


def load_embedding(path: Path, device: torch.device | str = "cpu") -> Embedding:
    """Read the folder of a learnt word.

    Raises:
        CheckpointError: something is missing, malformed, or does not fit; the message names the file.
    """
    index = Config(path / INDEX)
    index.require("_class_name", EMBEDDING_PIPELINE)
    trigger = index.text("trigger")
    if not is_trigger(trigger):
        raise index.refusal("trigger", f"1 to {MAX_TRIGGER_CHARS} characters without spaces around them")
    files = TensorFiles.of_file(path / FILE)
    names = [name for name in (FIRST, SECOND) if name in files.names()]
    if FIRST not in names or len(names) != len(files.names()):
        raise MalformedFile(f"{path / FILE} holds {', '.join(files.names()[:5])}, not {FIRST} alone or with {SECOND}")
    vectors = tuple(files.read(name).to(device) for name in names)
    check_vectors(path / FILE, vectors)
    return Embedding(trigger, fingerprint(path), vectors)


def write_embedding(folder: Path, trigger: str, vectors: tuple[Tensor, ...]) -> None:
    """Write such a folder; vectors are those that check_vectors lets pass."""
    write_object(folder / INDEX, {"_class_name": EMBEDDING_PIPELINE, "trigger": trigger})
    named = {name: tensor.contiguous() for name, tensor in zip((FIRST, SECOND), vectors, strict=False)}
    write_tensors(folder / FILE, named)


def is_trigger(text: str) -> bool:
    """Whether some text can stand for a learnt word in prompts."""
    return text.strip() == text and 0 < len(text) <= MAX_TRIGGER_CHARS and text.isprintable()


def check_vectors(where: Path, vectors: tuple[Tensor, ...]) -> None:
    """Refuse vectors that no prompt can hold.

    Args:
        where: named in messages.
        vectors: N x C for each encoder.

    Raises:
        MalformedFile: they are not N x C, too many or too wide, not floating-point or not finite, or not as many for each encoder.
    """
    for tensor in vectors:
        shape = "x".join(str(size) for size in tensor.shape)
        if tensor.ndim != 2 or not 1 <= tensor.shape[0] <= ROOM or not 1 <= tensor.shape[1] <= MAX_WIDTH:
            raise MalformedFile(f"{where}: vectors are 1 to {ROOM} of at most {MAX_WIDTH} channels; these are {shape}")
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise MalformedFile(f"{where}: vectors are finite floating-point numbers; some of these are not")
    if len({len(tensor) for tensor in vectors}) != 1:
        counts = " and ".join(str(len(tensor)) for tensor in vectors)
        raise MalformedFile(f"{where}: each encoder must have as many vectors; these have {counts}")
