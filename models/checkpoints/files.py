"""Weight files: which files hold a component, reading tensors without copying them, and writing them whole or not at all.

safetensors only. Names and configuration belong to keymap and config.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import safetensors
import safetensors.torch
from torch import Tensor

from models.checkpoints.config import read_object
from models.checkpoints.safetensors_header import TensorInfo, read_header
from models.errors import MalformedFile, MissingComponent, UnsafeFormat

UNSAFE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


class _Reader(Protocol):
    """The part of safetensors.safe_open that is used here; the library's own annotations are incomplete."""

    def get_tensor(self, name: str) -> Tensor: ...


@dataclass(frozen=True)
class _Held:
    file: Path
    info: TensorInfo


class TensorFiles:
    """The tensors of one component, memory-mapped, by name; a tensor is read when it is asked for.

    Headers are checked when this is made, before the library that maps the files sees them.
    """

    def __init__(self, where: Path, held: Mapping[str, _Held]) -> None:
        self.where = where
        self._held = held
        self._open: dict[Path, _Reader] = {}

    @classmethod
    def of_component(cls, folder: Path, stem: str) -> "TensorFiles":
        """Find `stem`.safetensors, or the shards that `stem`.safetensors.index.json lists.

        Args:
            folder: a component's folder.
            stem: name of the file without its ending, such as "diffusion_pytorch_model".

        Raises:
            MissingComponent: there is no such file.
            UnsafeFormat: there are weights, but only as pickles.
            MalformedFile: the file is damaged, or the index contradicts the shards.
        """
        whole, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
        if whole.is_file() and index.is_file():
            raise MalformedFile(f"{folder} holds both {whole.name} and {index.name}; keep one of them")
        if whole.is_file():
            return cls(folder, _in_files([whole]))
        if index.is_file():
            return cls(folder, _sharded(index))
        pickles = sorted(path.name for path in folder.glob("*") if path.suffix in UNSAFE_SUFFIXES)
        if pickles:
            raise UnsafeFormat(f"{folder} holds its weights as {pickles[0]}; only safetensors are read")
        raise MissingComponent(f"{folder} holds no {whole.name} (nor {index.name})")

    @classmethod
    def of_file(cls, path: Path) -> "TensorFiles":
        """Take one file by itself, as checkpoints outside Diffusers' layout are.

        Raises:
            MissingComponent: there is no such file.
            UnsafeFormat: it is a pickle.
            MalformedFile: it is damaged.
        """
        return cls.of_files(path, [path])

    @classmethod
    def of_files(cls, where: Path, paths: Iterable[Path]) -> "TensorFiles":
        """Take several files together, without an index.

        Args:
            where: what to call them in errors.
            paths: the files; no tensor may be in two of them.

        Raises:
            MissingComponent, UnsafeFormat, MalformedFile: as for of_file.
        """
        paths = list(paths)
        for path in paths:
            if path.suffix in UNSAFE_SUFFIXES:
                raise UnsafeFormat(f"{path} holds its weights as a pickle; only safetensors are read")
            if not path.is_file():
                raise MissingComponent(f"{path} is not there")
        return cls(where, _in_files(paths))

    def names(self) -> list[str]:
        """Names of all tensors."""
        return sorted(self._held)

    def files(self) -> list[Path]:
        """The files, each once."""
        return sorted({held.file for held in self._held.values()})

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, from the file's header."""
        return self._held[name].info.shape

    def dtype(self, name: str) -> str:
        """Its type as safetensors write it, such as BF16, from the file's header."""
        return self._held[name].info.dtype

    def num_bytes(self, name: str) -> int:
        """Of a tensor in its file."""
        return self._held[name].info.num_bytes

    def read(self, name: str) -> Tensor:
        """The tensor, on the CPU, backed by the file where possible: never write to it."""
        path = self._held[name].file
        if path not in self._open:
            self._open[path] = _opened(path)
        return self._open[path].get_tensor(name)


def _opened(path: Path) -> _Reader:
    try:
        return cast(_Reader, safetensors.safe_open(str(path), framework="pt", device="cpu"))
    except (safetensors.SafetensorError, OSError) as error:
        raise MalformedFile(f"{path} cannot be read as safetensors: {error}") from error


def _in_files(paths: Iterable[Path]) -> dict[str, _Held]:
    """What the files hold; none of it twice."""
    found: dict[str, _Held] = {}
    for path in paths:
        for name, info in read_header(path).items():
            if name in found:
                raise MalformedFile(f"{name[:200]} is in {found[name].file.name} and again in {path.name}")
            found[name] = _Held(path, info)
    return found


def _sharded(index: Path) -> dict[str, _Held]:
    """What the shards of an index hold: every tensor in exactly the shard that the index says, and no more."""
    claimed = shards_of(index)
    for shard in sorted(set(claimed.values())):
        if not shard.is_file():
            raise MissingComponent(f"{index} names {shard.name}, which is not there")
    held = _in_files(sorted(set(claimed.values())))
    files = {name: one.file for name, one in held.items()}
    astray = sorted(name for name in files.keys() | claimed.keys() if files.get(name) != claimed.get(name))
    if astray:
        raise MalformedFile(f"{index} and its shards disagree about {', '.join(name[:200] for name in astray[:5])}")
    return held


def shards_of(index: Path, suffix: str = ".safetensors") -> dict[str, Path]:
    """Read an index: the shard of every tensor, in the index's own folder, whether it is there or not.

    Raises:
        MalformedConfig: it is no JSON object, or names a tensor twice.
        MalformedFile: it names something else than a file with this suffix in the same folder.
    """
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise MalformedFile(f"{index} has no weight_map")
    claimed: dict[str, Path] = {}
    for name, shard in cast(dict[str, object], weight_map).items():
        if not isinstance(shard, str) or not _is_plain(shard) or not shard.endswith(suffix):
            raise MalformedFile(
                f"{index} names {str(shard)[:200]!r} for {name[:200]}; "
                f"a shard is a {suffix.removeprefix('.')} file in the same folder"
            )
        claimed[name] = index.parent / shard
    return claimed


def _is_plain(name: str) -> bool:
    return Path(name).name == name and not any(character in name for character in "\\\0")


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file; a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    save = cast(
        Callable[[Mapping[str, Tensor], Path, dict[str, str]], None],
        safetensors.torch.save_file,  # pyright: ignore[reportUnknownMemberType] (PathLike without its argument)
    )
    save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial, {"format": "pt"})
    partial.replace(path)
