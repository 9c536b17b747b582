"""Single-head attention over the positions of a feature map, in memory that does not grow with their square.

At 512 channels a head there is no flash kernel, so all scores of the queries at hand exist at once. Queries do not
depend on each other: a chunk of them at a time gives the same result.

Shape suffixes: B = pictures, S = positions, C = channels.
"""

import torch
from torch import Tensor
from torch.nn import functional

MAX_SCORES = 2**28
"""Scores held at once: all 16,384 x 16,384 of a 1024 x 1024 picture at 1/8 resolution, 1 GiB in float32."""


def single_head_attention(q_BSC: Tensor, k_BSC: Tensor, v_BSC: Tensor, max_scores: int = MAX_SCORES) -> Tensor:
    """Scaled dot-product attention of one head.

    Args:
        q_BSC: queries.
        k_BSC: keys.
        v_BSC: values.
        max_scores: how many scores may exist at once, at least B * S; up to B * S * S <= max_scores all queries are
            taken in one call, which rounds as Diffusers does.

    Returns:
        Each query's mean of the values, B S C.
    """
    rows, positions, _ = q_BSC.shape
    at_once = max(1, max_scores // (rows * positions))
    firsts = range(0, positions, at_once)
    parts = [_attend(q_BSC[:, first : first + at_once], k_BSC, v_BSC) for first in firsts]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _attend(q_BSC: Tensor, k_BSC: Tensor, v_BSC: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(q_BSC[:, None], k_BSC[:, None], v_BSC[:, None])[:, 0]
