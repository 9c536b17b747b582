"""Pickled weights, read in a process of their own: python -m models.importing.pickles FILE OUT. A pickle is a program.

torch reads it with weights_only, an interpreter that knows how to rebuild tensors and nothing else; the process has little memory
and time; and whatever it reads is refused unless it is tensors in dicts. What comes out is a safetensors file.
"""

import pickle
import re
import resource
import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from models.checkpoints.streamed import NAMES, Planned, write_streamed
from models.errors import UnsafeFormat

SPARE_BYTES = 2 * 2**30
"""Of memory beyond what the process takes at first and twice the file."""
SPARE_S = 120.0
BYTES_PER_S = 20 * 2**20
"""Of a slow disk."""
WRAPPERS = ("state_dict", "string_to_param")
"""Dicts that stand for the whole: of training checkpoints, and of AUTOMATIC1111's learnt words."""
REFUSED = 3
"""Exit status of the process; Python itself ends with 1."""
UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    AttributeError,
    TypeError,
    AssertionError,
    ArithmeticError,
    MemoryError,
    OSError,
    struct.error,
    zipfile.BadZipFile,
)
"""What torch.load raises on files that are damaged or made up: its parser checks little before it uses it."""
FORBIDDEN = re.compile(r"GLOBAL ([\w.]+)")


def converted(path: Path, out: Path) -> None:
    """Turn a pickle into a safetensors file, in another process.

    Args:
        path: a file that torch.save wrote.
        out: the safetensors file, which is not there yet.

    Raises:
        UnsafeFormat: the file holds anything but tensors in dicts, is damaged, or takes too much memory or time.
    """
    command = [sys.executable, "-m", "models.importing.pickles", str(path), str(out)]
    limit_s = SPARE_S + path.stat().st_size / BYTES_PER_S
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False, errors="replace")
    except subprocess.TimeoutExpired:
        out.unlink(missing_ok=True)
        raise UnsafeFormat(f"{path} was not read within {limit_s:.0f} s") from None
    if ended.returncode != 0:
        out.unlink(missing_ok=True)
        said = ended.stderr.strip().splitlines()
        is_foreseen = ended.returncode == REFUSED and bool(said)
        raise UnsafeFormat(said[-1] if is_foreseen else f"{path} could not be read: {said[-1] if said else 'killed'}")


def main() -> int:
    """Convert the file named first into the one named second; a refusal is one line on the error stream."""
    path, out = Path(sys.argv[1]), Path(sys.argv[2])
    _limit_memory(SPARE_BYTES + 2 * path.stat().st_size)
    try:
        tensors = read_pickle(path)
    except UnsafeFormat as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    write_streamed(out, [_planned(name, tensor) for name, tensor in tensors.items()])
    return 0


def _limit_memory(more: int) -> None:
    """Let this process map so many bytes more than it does now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    limit = pages * resource.getpagesize() + more
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if pages and (hard == resource.RLIM_INFINITY or limit < hard):
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def read_pickle(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a pickle, by their names joined with dots; a dict named as in WRAPPERS in it stands for the whole.

    Raises:
        UnsafeFormat: as for converted.
    """
    is_zip = zipfile.is_zipfile(path)
    try:
        if is_zip:
            _check_archive(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about protocols of pickle: what can be read is checked below
            held: object = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except UNREADABLE as error:
        raise UnsafeFormat(f"{path} is refused: {_reason(error)}") from None
    if isinstance(held, Mapping):
        whole = cast(Mapping[object, object], held)
        held = next((whole[name] for name in WRAPPERS if name in whole), whole)
    if not isinstance(held, Mapping):
        raise UnsafeFormat(f"{path} is refused: it holds a {type(held).__name__}, not tensors by name")
    tensors = dict(_tensors(path, cast(Mapping[object, object], held)))
    if not tensors:
        raise UnsafeFormat(f"{path} is refused: it holds no tensors")
    if sum(tensor.numel() * tensor.itemsize for tensor in tensors.values()) > 2 * path.stat().st_size:
        raise UnsafeFormat(f"{path} is refused: its tensors are larger than what is stored of them")
    return tensors


def _check_archive(path: Path) -> None:
    """torch.save stores its records as they are, one beside the other; anything else is made up to grow when it is read."""
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise ValueError("its records are compressed")
    if sum(record.file_size for record in records) > path.stat().st_size:
        raise ValueError("its records overlap")


def _reason(error: BaseException) -> str:
    """What torch says takes a page, and advises to load the file anyway."""
    text = str(error)
    if isinstance(error, pickle.UnpicklingError) and (name := FORBIDDEN.search(text)):
        return f"it wants to call {name[1]}, and weights need no such thing"
    if isinstance(error, pickle.UnpicklingError):
        return "it holds something else than tensors in dicts"
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return f"it is no file of weights ({first[:200]})"


def _tensors(path: Path, held: Mapping[object, object]) -> Iterator[tuple[str, Tensor]]:
    """All tensors, dict by dict; one that is there twice could stand for millions."""
    waiting, seen = [("", held)], {id(held)}
    while waiting:
        prefix, entries = waiting.pop()
        for key, value in entries.items():
            name = f"{prefix}{key}"
            if not isinstance(key, str):
                raise UnsafeFormat(f"{path} is refused: {name[:200]} ends in a {type(key).__name__}, not a text")
            if not isinstance(value, Mapping):
                yield name, _plain(path, name, value)
                continue
            below = cast(Mapping[object, object], value)
            if id(below) in seen:
                raise UnsafeFormat(f"{path} is refused: {name[:200]} is there twice")
            seen.add(id(below))
            waiting.append((f"{name}.", below))


def _plain(path: Path, name: str, value: object) -> Tensor:
    """A tensor that is no more than its bytes in the file."""
    if not isinstance(value, Tensor):
        raise UnsafeFormat(f"{path} is refused: {name[:200]} is a {type(value).__name__}, not a tensor")
    if (
        value.layout is not torch.strided
        or value.is_quantized
        or value.device.type != "cpu"
        or value.dtype not in NAMES
    ):
        raise UnsafeFormat(f"{path} is refused: {name[:200]} is a tensor of an unusual kind ({value.dtype})")
    tensor = value.detach()
    num_bytes = tensor.numel() * tensor.itemsize
    if num_bytes > tensor.untyped_storage().nbytes() or num_bytes > path.stat().st_size:
        raise UnsafeFormat(f"{path} is refused: {name[:200]} is larger than what is stored of it")
    return tensor


def _planned(name: str, tensor: Tensor) -> Planned:
    return Planned(name, tensor.dtype, tuple(tensor.shape), lambda: tensor)


if __name__ == "__main__":
    sys.exit(main())
