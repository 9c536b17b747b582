"""Configurations of transformers' networks, read by transformers itself."""

from pathlib import Path
from typing import TypeVar

from transformers import PreTrainedConfig

from models.checkpoints.config import Config
from models.errors import MalformedConfig

Read = TypeVar("Read", bound=PreTrainedConfig)


def read_network_config(folder: Path, kind: type[Read], *architectures: str) -> Read:
    """Read config.json of a folder that holds one of some architectures.

    Raises:
        MissingComponent: there is no config.json.
        MalformedConfig: it names another architecture, or is no such configuration.
    """
    path = folder / "config.json"
    if not set(architectures) & set(Config(path).texts("architectures")):
        raise MalformedConfig(f"{path} names no {' nor '.join(architectures)}")
    try:
        return kind.from_pretrained(  # pyright: ignore[reportUnknownMemberType] (PathLike without its argument)
            str(folder), local_files_only=True
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise MalformedConfig(f"{path} is no {kind.__name__}: {error}") from error
