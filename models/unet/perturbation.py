"""Perturbed self-attention of a UNet: which blocks it may be asked for in, and which rows of a forward want it where.

Blocks go by the names of Diffusers' modules, "down_blocks.2", "mid_block", "up_blocks.1.attentions.0", or by those of its
`pag_applied_layers`, "down.block_2", "mid", "up.block_1.attentions_0".
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from models.errors import UnsupportedInput
from models.unet.unet import Unet

_WAYS = {"down": "down_blocks", "mid": "mid_block", "up": "up_blocks"}


def module_name(block: str) -> str:
    """The name of the modules that a block's name stands for: "up.block_1.attentions_0" is "up_blocks.1.attentions.0"."""
    way, _, rest = block.partition(".")
    numbered = re.sub(r"(block|attentions|transformer_blocks)_(\d+)", r"\1.\2", rest, flags=re.ASCII)
    if way == "mid":
        numbered = numbered.removeprefix("block.0").lstrip(
            "."
        )  # the middle has one block, which its modules do not count
    return ".".join(part for part in (_WAYS.get(way, way), numbered.removeprefix("block.")) if part)


def places_of(unet: Unet, blocks: Sequence[str]) -> frozenset[int]:
    """The self-attentions in the named blocks.

    Raises:
        UnsupportedInput: a block without any; says which have some.
    """
    found: set[int] = set()
    for block in blocks:
        wanted = module_name(block) + "."
        places = {attention.place for name, attention in unet.self_attentions() if name.startswith(wanted)}
        if not places:
            attending = ", ".join(_blocks_of(name for name, _ in unet.self_attentions()))
            raise UnsupportedInput(f"pag_layers: no self-attention in {block!r}; there is some in: {attending}")
        found |= places
    return frozenset(found)


def _blocks_of(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name.partition(".transformer_blocks.")[0] for name in names))


def perturbed_rows(places: Sequence[frozenset[int]], device: torch.device) -> Mapping[int, Tensor]:
    """For each place, the rows that are perturbed there.

    Args:
        places: of each row of a forward.
        device: of the forward.
    """
    rows: dict[int, list[int]] = {}
    for row, own in enumerate(places):
        for place in own:
            rows.setdefault(place, []).append(row)
    return {place: torch.tensor(of_place, device=device) for place, of_place in rows.items()}
