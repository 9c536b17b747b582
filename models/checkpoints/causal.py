"""What the loaders of causal language models share: they read as many layers as the features need and leave the rest in the file."""

import re
from collections.abc import Callable
from pathlib import Path

from models.errors import MalformedConfig


def unread_rule(folder: Path, depth: int, last_layer: int, prefix: str) -> Callable[[str], bool]:
    """Which tensors of a file are left alone when layers above last_layer are cut off, and with them the final norm.

    Args:
        folder: named in the error.
        depth: layers that the network has.
        last_layer: the last that is read, counted as in transformers' hidden_states.
        prefix: of the language model's names in the file.

    Raises:
        MalformedConfig: the network has too few layers.
    """
    if last_layer > depth:
        raise MalformedConfig(f"{folder} has {depth} layers; the features need layer {last_layer}")
    layer_name = re.compile(rf"{re.escape(prefix)}layers\.(\d+)\.")

    def is_unread(name: str) -> bool:
        layer = layer_name.match(name)
        is_above = layer is not None and last_layer <= int(layer[1]) < depth
        return is_above or (last_layer < depth and name == f"{prefix}norm.weight")

    return is_unread
