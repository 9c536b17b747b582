"""Learnt words (textual inversion) of this worker: read once when it starts, a few kilobytes each, never changed."""

from collections.abc import Mapping
from pathlib import Path

import structlog
import torch

from models.checkpoints.embedding_folder import load_embedding
from models.errors import ModelError
from models.text.inversion import Embedding

MAX_BYTES = 256 * 2**20
"""Of all of them; a thousand of SDXL's with eight vectors each take a quarter."""

log = structlog.stdlib.get_logger()


def load_embeddings(
    folders: Mapping[str, Path], device: torch.device, max_bytes: int = MAX_BYTES
) -> dict[str, Embedding]:
    """Read all that can be read, in the order of their names, as far as there is room; the others are logged and left out.

    Args:
        folders: by name.
        device: where they shall live.
        max_bytes: of all vectors together.
    """
    held: dict[str, Embedding] = {}
    left_bytes = max_bytes
    for name, folder in folders.items():
        try:
            embedding = load_embedding(folder, device)
        except ModelError as error:
            log.error("embedding left out", embedding=name, folder=str(folder), error=str(error))
            continue
        num_bytes = sum(vectors_NC.nbytes for vectors_NC in embedding.vectors)
        if num_bytes > left_bytes:
            log.error("embedding left out", embedding=name, error=f"all embeddings may have {max_bytes} bytes")
            continue
        held[name], left_bytes = embedding, left_bytes - num_bytes
    log.info("embeddings loaded", number=len(held), num_bytes=max_bytes - left_bytes)
    return held
