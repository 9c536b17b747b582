"""Blocks of the UNets whose self-attention can be perturbed, by family: what a request may name in `pag_layers`.

Names are those of Diffusers' modules; those of its `pag_applied_layers` ("mid", "up.block_1.attentions_0") come to the same.
"""

import re
from collections.abc import Mapping

from app.core.control_rows import ControlFamily

_LEVELS: Mapping[ControlFamily, Mapping[str, Mapping[int, int]]] = {
    "sd-1.5": {"down_blocks": {0: 2, 1: 2, 2: 2}, "up_blocks": {1: 3, 2: 3, 3: 3}},
    "sdxl": {"down_blocks": {1: 2, 2: 2}, "up_blocks": {0: 3, 1: 3}},
}
"""Transformers of each level that has any."""
_NO_LEVELS: Mapping[str, Mapping[int, int]] = {}
_WAYS = {"down": "down_blocks", "mid": "mid_block", "up": "up_blocks"}


def attention_blocks(family: ControlFamily | None) -> frozenset[str]:
    """Every block of a family that attends, and what is made up of such; none for families without a UNet."""
    ways = _NO_LEVELS if family is None else _LEVELS.get(family, _NO_LEVELS)
    names = {"mid_block", "mid_block.attentions.0"} if ways else set[str]()
    for way, levels in ways.items():
        names.add(way)
        for level, transformers in levels.items():
            names.add(f"{way}.{level}")
            names |= {f"{way}.{level}.attentions.{index}" for index in range(transformers)}
    return frozenset(names)


def block_named(name: str) -> str:
    """A block's name as Diffusers' modules have it: "up.block_1.attentions_0" is "up_blocks.1.attentions.0"."""
    way, _, rest = name.strip().partition(".")
    numbered = re.sub(r"(block|attentions)_(\d+)", r"\1.\2", rest, flags=re.ASCII).removeprefix("block.")
    return ".".join(part for part in (_WAYS.get(way, way), numbered) if part)
