"""Weight files: which files hold a component, reading tensors without copying them, and writing them whole or not at all.

safetensors only. Names and configuration belong to keymap and config.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, cast

import safetensors
import safetensors.torch
from torch import Tensor

from models.checkpoints.config import read_object
from models.errors import MalformedFile, MissingComponent, UnsafeFormat

UNSAFE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
FINGERPRINTED_SUFFIXES = (".safetensors", ".json", ".jinja", ".txt", ".model")


class _Slice(Protocol):
    def get_shape(self) -> list[int]: ...


class _Reader(Protocol):
    """The part of safetensors.safe_open that is used here; the library's own annotations are incomplete."""

    def keys(self) -> Iterable[str]: ...
    def get_slice(self, name: str) -> _Slice: ...
    def get_tensor(self, name: str) -> Tensor: ...


class TensorFiles:
    """The tensors of one component, memory-mapped, by name; a tensor is read when it is asked for."""

    def __init__(self, where: Path, files: Mapping[str, Path]) -> None:
        self.where = where
        self._files = files
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
            return cls(folder, dict.fromkeys(_names(whole), whole))
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
        if path.suffix in UNSAFE_SUFFIXES:
            raise UnsafeFormat(f"{path} holds its weights as a pickle; only safetensors are read")
        if not path.is_file():
            raise MissingComponent(f"{path} is not there")
        return cls(path, dict.fromkeys(_names(path), path))

    def names(self) -> list[str]:
        """Names of all tensors."""
        return sorted(self._files)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, from the file's header."""
        return tuple(self._file_of(name).get_slice(name).get_shape())

    def read(self, name: str) -> Tensor:
        """The tensor, on the CPU, backed by the file where possible: never write to it."""
        return self._file_of(name).get_tensor(name)

    def _file_of(self, name: str) -> _Reader:
        path = self._files[name]
        if path not in self._open:
            self._open[path] = _opened(path)
        return self._open[path]


def _opened(path: Path) -> _Reader:
    try:
        return cast(_Reader, safetensors.safe_open(str(path), framework="pt", device="cpu"))
    except (safetensors.SafetensorError, OSError) as error:
        raise MalformedFile(f"{path} cannot be read as safetensors: {error}") from error


def _names(path: Path) -> list[str]:
    return list(_opened(path).keys())


def _sharded(index: Path) -> dict[str, Path]:
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise MalformedFile(f"{index} has no weight_map")
    claimed: dict[str, Path] = {}
    for name, shard in cast(dict[str, object], weight_map).items():
        if (
            not isinstance(shard, str)
            or Path(shard).name != shard
            or "\\" in shard
            or not shard.endswith(".safetensors")
        ):
            raise MalformedFile(f"{index} names {shard!r} for {name}; a shard is a safetensors file in the same folder")
        claimed[name] = index.parent / shard
    _check_shards(index, claimed)
    return claimed


def _check_shards(index: Path, claimed: Mapping[str, Path]) -> None:
    """Every tensor is in exactly the shard that the index says, and no shard holds more."""
    held: dict[str, Path] = {}
    for shard in sorted(set(claimed.values())):
        if not shard.is_file():
            raise MissingComponent(f"{index} names {shard.name}, which is not there")
        for name in _names(shard):
            if name in held:
                raise MalformedFile(f"{name} is in {held[name].name} and again in {shard.name}")
            held[name] = shard
    astray = sorted(name for name in held.keys() | claimed.keys() if held.get(name) != claimed.get(name))
    if astray:
        raise MalformedFile(f"{index} and its shards disagree about {', '.join(astray[:5])}")


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


def fingerprint(folder: Path) -> str:
    """First 16 hex digits of a sha256 over names and contents of all files that decide what a folder draws."""
    digest = hashlib.sha256()
    for path in _fingerprinted(folder):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()[:16]


def _fingerprinted(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in FINGERPRINTED_SUFFIXES)
