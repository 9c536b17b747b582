"""What a row's guidance remembers from step to step: it travels with the row, behind its latents in the channels of every token.

Shape suffixes: L = tokens, C = channels.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from models.pipeline.conditions import Conditions
from models.samplers.guidance import Memory


class Remembering(NamedTuple):
    """A row's tensor in its parts.

    Attributes:
        state_LC: latents, or the state of a walk.
        memory: what each rule of its guidance remembers.
    """

    state_LC: Tensor
    memory: Memory = ()


def joined(state_LC: Tensor, conditions: Conditions, memory: Memory) -> Tensor:
    """One tensor of all of it. What is not remembered yet is 0, which says the same."""
    guidance, walk = conditions.guidance, conditions.walk
    if not guidance.num_memories:
        return state_LC
    nothing_LC = torch.zeros_like(state_LC if walk is None else state_LC[:, : walk.channels])
    kept = [one for rule, one in zip(guidance.rules, memory, strict=True) if rule.remembers]
    return torch.cat([state_LC, *(nothing_LC if one is None else one.to(state_LC) for one in kept)], dim=-1)


def parted(row_LC: Tensor, conditions: Conditions, step: int) -> Remembering:
    """The other way round, before a step: before the first one nothing is remembered."""
    number, walk = conditions.guidance.num_memories, conditions.walk
    if not number or not step:
        return Remembering(row_LC)
    channels = row_LC.shape[1] // (1 + number) if walk is None else walk.channels
    state_LC, *kept = row_LC.split_with_sizes([row_LC.shape[1] - number * channels, *[channels] * number], dim=-1)
    left = iter(kept)
    return Remembering(state_LC, tuple(next(left) if rule.remembers else None for rule in conditions.guidance.rules))
