"""Writing safetensors tensor by tensor: as much memory as one tensor takes, however large the file, and shards when it grows large.

The tensors' bytes begin at a multiple of 64, so that those of a real network can be used where they lie in the mapped file.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from models.checkpoints.config import write_object
from models.checkpoints.loading import report
from models.checkpoints.safetensors_header import LENGTH_BYTES

SHARD_BYTES = 2 * 2**30
ALIGNMENT = 64
DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}
"""Types by the names that safetensors give them; others belong to no network."""
NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class Planned:
    """A tensor that is to be written: everything about it but its numbers, and where these come from."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    read: Callable[[], Tensor]

    @property
    def num_bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def write_streamed(path: Path, planned: Sequence[Planned]) -> None:
    """Write one safetensors file.

    Args:
        path: the file, which is not there yet.
        planned: its tensors, in any order; each is read once.
    """
    # Wide types first, as the format's reference implementation does: no number lies across its alignment.
    ordered = sorted(planned, key=lambda one: -one.dtype.itemsize)
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    for one in ordered:
        end = position + one.num_bytes
        entries[one.name] = {"dtype": NAMES[one.dtype], "shape": list(one.shape), "data_offsets": [position, end]}
        position = end
    header = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-(LENGTH_BYTES + len(header)) % ALIGNMENT)
    with path.open("xb") as file:
        file.write(len(header).to_bytes(LENGTH_BYTES, "little") + header)
        for one in ordered:
            file.write(_raw(one).numpy().data)
            report(one.num_bytes)


def _raw(one: Planned) -> Tensor:
    tensor = one.read()
    assert (tensor.dtype, tuple(tensor.shape)) == (one.dtype, one.shape), f"{one.name} is not as planned"
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)


def write_component(folder: Path, stem: str, planned: Sequence[Planned], shard_bytes: int = SHARD_BYTES) -> None:
    """Write `stem`.safetensors, or shards of at most shard_bytes (one tensor may be larger) and their index.

    Args:
        folder: a component's folder.
        stem: name of the file without its ending, such as "diffusion_pytorch_model".
        planned: the tensors.
        shard_bytes: size that a file's tensors may reach together.
    """
    shards = _shards(planned, shard_bytes)
    folder.mkdir(parents=True, exist_ok=True)
    if len(shards) == 1:
        write_streamed(folder / f"{stem}.safetensors", shards[0])
        return
    weight_map: dict[str, object] = {}
    for number, shard in enumerate(shards, 1):
        name = f"{stem}-{number:05}-of-{len(shards):05}.safetensors"
        write_streamed(folder / name, shard)
        weight_map |= {one.name: name for one in shard}
    total = sum(one.num_bytes for one in planned)
    write_object(
        folder / f"{stem}.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map}
    )


def _shards(planned: Sequence[Planned], shard_bytes: int) -> list[list[Planned]]:
    shards: list[list[Planned]] = [[]]
    held = 0
    for one in planned:
        if shards[-1] and held + one.num_bytes > shard_bytes:
            shards.append([])
            held = 0
        shards[-1].append(one)
        held += one.num_bytes
    return shards
