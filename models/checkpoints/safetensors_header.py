"""A safetensors file's header, checked before any library maps the file: files come from strangers.

The format: 8 bytes with the header's length (little-endian), the header (a JSON object: name -> dtype, shape, data_offsets), and the
tensors' bytes, one after the other without gaps. Every rule of it is checked from the header and the file's size alone.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import NoReturn, cast

from models.checkpoints.config import without_duplicates
from models.errors import MalformedFile

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 16 * 2**20
"""Sixteen times what the largest published networks have; the reference implementation allows 100 MB, which takes seconds to parse."""
MAX_RANK = 8
METADATA = "__metadata__"
BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
    "C64": 64,
}
"""Of one number, by the name of its type; types narrower than a byte are not read here."""
FLOATING = frozenset(name for name in BITS if name.startswith(("F", "BF")))


@dataclass(frozen=True)
class TensorInfo:
    """What the header says of one tensor.

    Attributes:
        dtype: one of BITS.
        shape: sizes of its dimensions.
        begin: first byte, counted from the end of the header.
        end: one after the last.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def num_bytes(self) -> int:
        return self.end - self.begin


def read_header(path: Path) -> dict[str, TensorInfo]:
    """Read and check a file's header; nothing else of the file is read.

    Returns:
        What is in the file, by name, in the header's order.

    Raises:
        MalformedFile: a rule of the format is broken; the message says which and, where one is to blame, by which tensor.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - LENGTH_BYTES):
                raise _bad_length(path, size, length)
            text = file.read(length)
    except OSError as error:
        raise MalformedFile(f"{path} cannot be read as safetensors: {error.strerror}") from error
    tensors = _parsed(path, text)
    _check_layout(path, tensors, size - LENGTH_BYTES - length)
    return tensors


def _bad_length(path: Path, size: int, length: int) -> MalformedFile:
    if size < LENGTH_BYTES + 2:
        return _refusal(path, f"its {size} bytes hold no header")
    if length > MAX_HEADER_BYTES:
        return _refusal(path, f"its header is said to have {length} bytes; at most {MAX_HEADER_BYTES} are read")
    return _refusal(path, f"its header is said to have {length} bytes, the file has {size}")


class _Objects:
    """Refuses what no header holds while it is being parsed, before it takes memory."""

    def __init__(self) -> None:
        self._seen_metadata = False

    def made(self, pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
        """One JSON object; the innermost come first. Only one of them, the metadata, holds texts alone."""
        found = without_duplicates(pairs)
        if all(isinstance(value, str) for value in found.values()):
            if self._seen_metadata:
                raise ValueError("an object that describes no tensor")
            self._seen_metadata = True
        return found


def _parsed(path: Path, text: bytes) -> dict[str, TensorInfo]:
    try:
        header: object = json.loads(
            text.decode("utf-8"), object_pairs_hook=_Objects().made, parse_constant=_refuse_number
        )
    except UnicodeDecodeError as error:
        raise _refusal(path, "its header is no UTF-8") from error
    except RecursionError:
        raise _refusal(path, "its header is nested too deeply") from None
    except ValueError as error:
        raise _refusal(path, f"its header is no JSON of a header: {error}") from error
    if not isinstance(header, dict):
        raise _refusal(path, "its header is no JSON object")
    entries = cast(dict[str, object], header)
    metadata = entries.pop(METADATA, {})
    texts = cast(dict[str, object], metadata).values() if isinstance(metadata, dict) else (metadata,)
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in texts):
        raise _refusal(path, f"{METADATA} holds more than texts")
    return {name: _tensor(path, name, entry) for name, entry in entries.items()}


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _tensor(path: Path, name: str, entry: object) -> TensorInfo:
    fields = cast(dict[str, object], entry) if isinstance(entry, dict) else {}
    if fields.keys() != {"dtype", "shape", "data_offsets"}:
        raise _refusal(path, f"{name[:200]} has other fields than dtype, shape and data_offsets")
    dtype, shape, offsets = fields["dtype"], _sizes(fields["shape"]), _sizes(fields["data_offsets"])
    if not isinstance(dtype, str) or dtype not in BITS:
        raise _refusal(path, f"{name[:200]} has the unknown dtype {str(dtype)[:40]!r}")
    if shape is None or len(shape) > MAX_RANK:
        raise _refusal(path, f"{name[:200]} has no shape of at most {MAX_RANK} sizes")
    if offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _refusal(path, f"{name[:200]} has no data_offsets [begin, end]")
    info = TensorInfo(dtype, shape, *offsets)
    if prod(shape) * BITS[dtype] // 8 != info.num_bytes:
        raise _refusal(
            path, f"{name[:200]} has {info.num_bytes} bytes, which is not {dtype} of shape {list(shape)}"[:400]
        )
    return info


def _sizes(value: object) -> tuple[int, ...] | None:
    """A list of whole numbers that fit in 63 bits, or None."""
    items = cast(list[object], value) if isinstance(value, list) else [None]
    numbers = tuple(
        item for item in items if isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 2**63
    )
    return numbers if len(numbers) == len(items) else None


def _check_layout(path: Path, tensors: dict[str, TensorInfo], num_bytes: int) -> None:
    """The tensors' bytes follow one another without gaps or overlaps, up to the end of the file."""
    position = 0
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if info.end > num_bytes:
            raise _refusal(path, f"{name[:200]} ends at byte {info.end} of {num_bytes}: the file is cut short")
        if info.begin != position:
            problem = "overlaps another tensor" if info.begin < position else "comes after a gap"
            raise _refusal(path, f"{name[:200]} {problem}: it begins at byte {info.begin}, not {position}")
        position = info.end
    if position != num_bytes:
        raise _refusal(path, f"{num_bytes - position} bytes after the last tensor belong to none")


def _refusal(path: Path, reason: str) -> MalformedFile:
    return MalformedFile(f"{path} cannot be read as safetensors: {reason}")
