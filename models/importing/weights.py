"""Weight files as they are found: safetensors or pickles, whole, in shards or under a variant's name; and as they are written."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from models.checkpoints.files import UNSAFE_SUFFIXES, TensorFiles, shards_of
from models.checkpoints.keymap import Entry, Table, applied
from models.checkpoints.streamed import DTYPES, Planned
from models.errors import DtypeMismatch, MissingComponent
from models.importing.errors import ImportRefused
from models.importing.pickles import converted

SAFE_SUFFIX = ".safetensors"
INDEX_SUFFIX = ".index.json"
SHARD = re.compile(r"-\d{5}-of-\d{5}$")


def found_files(folder: Path, stem: str) -> list[Path] | None:
    """The files that hold a component exactly as it is served: `stem`.safetensors, or shards with their index; else None.

    Raises:
        MalformedConfig, MalformedFile: the index is hostile.
    """
    whole, index = folder / f"{stem}{SAFE_SUFFIX}", folder / f"{stem}{SAFE_SUFFIX}{INDEX_SUFFIX}"
    if whole.is_file():
        return [whole]
    if index.is_file():
        return [index, *sorted(set(shards_of(index).values()))]
    return None


def other_files(folder: Path) -> list[Path]:
    """The files that hold a component in another way: one variant in safetensors, else pickles.

    Raises:
        MissingComponent: there are no weights.
        ImportRefused: there are several sets of them.
    """
    for suffixes in ((SAFE_SUFFIX,), UNSAFE_SUFFIXES):
        paths = sorted(path for path in folder.iterdir() if path.suffix in suffixes and path.is_file())
        sets = {SHARD.sub("", path.stem) for path in paths}
        if len(sets) > 1:
            raise ImportRefused(
                f"{folder} holds several sets of weights ({', '.join(sorted(sets)[:5])}); give one file"
            )
        if paths:
            return _indexed(folder, paths)
    raise MissingComponent(f"{folder} holds no weights")


def _indexed(folder: Path, paths: list[Path]) -> list[Path]:
    """All shards, once it is sure that none that the index names is missing."""
    for index in sorted(folder.glob(f"*{INDEX_SUFFIX}")):
        absent = sorted(set(shards_of(index, paths[0].suffix).values()) - set(paths)) if len(paths) > 1 else []
        if absent:
            raise MissingComponent(f"{index} names {absent[0].name}, which is not there")
    return paths


def single_file(source: Path) -> Path:
    """The one file of weights that a path stands for: the file itself, or the only one in a folder."""
    if source.is_file():
        return source
    if not source.is_dir():
        raise MissingComponent(f"{source} is not there")
    paths = other_files(source)
    if len(paths) > 1:
        raise ImportRefused(f"{source} holds shards without the configuration that they belong to")
    return paths[0]


def safe_files(paths: Sequence[Path], scratch: Path, begin: Callable[[str, int | None], None]) -> list[Path]:
    """The same files, with a safetensors file in `scratch` in the place of every pickle.

    Raises:
        UnsafeFormat: a pickle is refused.
    """
    return [_safe(path, scratch, begin) for path in paths]


def _safe(path: Path, scratch: Path, begin: Callable[[str, int | None], None]) -> Path:
    if path.suffix not in UNSAFE_SUFFIXES:
        return path
    scratch.mkdir(exist_ok=True)
    out = scratch / f"{sha256(str(path.absolute()).encode()).hexdigest()}{SAFE_SUFFIX}"
    if not out.exists():  # a checkpoint that holds several components is asked for each of them
        begin(f"reading the pickle {path.name} in a process of its own", path.stat().st_size)
        converted(path.absolute(), out)
    return out


def kept(files: TensorFiles, rename: Callable[[str], str] = str) -> list[Planned]:
    """All tensors, under the same names or new ones, as they are; only those in 8 bits become bfloat16."""
    return [Planned(rename(name), *written(files, name)) for name in files.names()]


def mapped(files: TensorFiles, source: Table, target: Table, native: Mapping[str, Tensor]) -> list[Planned]:
    """A network's tensors on their way from one file's names, by way of ours, to another's.

    Args:
        files: what is read.
        source: how its tensors become the network's parameters.
        target: the same for the file that is written.
        native: the network's parameters, on the meta device.
    """
    reads = {entry.native: entry for entry in applied(source, native)}
    return [
        planned
        for entry in applied(target, native)
        for planned in _parts(files, reads[entry.native], entry, native[entry.native])
    ]


def _parts(files: TensorFiles, source: Entry, target: Entry, parameter: Tensor) -> Iterator[Planned]:
    dtype = _dtype(files, source.foreign[0])

    @lru_cache(maxsize=1)
    def parts() -> tuple[Tensor, ...]:
        read = [files.read(name).to(dtype) for name in source.foreign]
        return target.row.to_foreign(source.row.to_native(read))

    # Written one after the other: the first makes all of them, the last lets go of them.
    last = len(target.foreign) - 1
    for number, (name, meta) in enumerate(zip(target.foreign, target.row.to_foreign(parameter), strict=True)):

        def read(number: int = number) -> Tensor:
            part = parts()[number]
            if number == last:
                parts.cache_clear()
            return part

        yield Planned(name, dtype, tuple(meta.shape), read)


def written(files: TensorFiles, name: str) -> tuple[torch.dtype, tuple[int, ...], Callable[[], Tensor]]:
    """Type, shape and numbers with which a tensor is written."""
    dtype = _dtype(files, name)
    return dtype, files.shape(name), lambda: files.read(name).to(dtype)


def _dtype(files: TensorFiles, name: str) -> torch.dtype:
    dtype = DTYPES.get(files.dtype(name))
    if dtype is None:
        raise DtypeMismatch(files.where, "types that are not read", [f"{name} is {files.dtype(name)}"])
    return torch.bfloat16 if dtype.is_floating_point and dtype.itemsize == 1 else dtype


def has_bytes(files: TensorFiles) -> bool:
    """Whether weights are in floating-point types of 8 bits, which networks do not compute in as they are."""
    return any(files.dtype(name).startswith("F8") for name in files.names())
