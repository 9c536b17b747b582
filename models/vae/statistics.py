"""Group norm statistics of a whole picture, gathered from tiles, each of which holds a part of it.

Shape suffixes: B = pictures (one here), C = channels, H, W = rows and columns, G = groups of a norm.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.vae.blocks import Normalise


@dataclass(frozen=True)
class Moments:
    """Mean and variance of every group over some positions, and how many values of a group these were. All float32."""

    count: int
    mean_G: Tensor
    variance_G: Tensor

    def merged(self, other: "Moments") -> "Moments":
        """Mean and variance over both sets of positions (Chan, Golub, LeVeque 1979, eq. 2.1)."""
        count = self.count + other.count
        share = other.count / count
        delta_G = other.mean_G - self.mean_G
        variance_G = self.variance_G + (other.variance_G - self.variance_G) * share
        return Moments(count, self.mean_G + delta_G * share, variance_G + delta_G.square() * (share * (1 - share)))


Statistics = Mapping[nn.GroupNorm, Moments]


def moments_of(norm: nn.GroupNorm, x_1CHW: Tensor) -> Moments:
    """Mean and variance of every group, in float32 whatever the input's dtype; one group at a time, to save memory."""
    pairs = [torch.var_mean(group.float(), correction=0) for group in x_1CHW.chunk(norm.num_groups, dim=1)]
    variance_G, mean_G = (torch.stack(values) for values in zip(*pairs, strict=True))
    return Moments(x_1CHW.numel() // norm.num_groups, mean_G, variance_G)


def given(statistics: Statistics) -> Normalise:
    """Group norms with given statistics; a norm without any takes those of its own input."""

    def normalise(norm: nn.GroupNorm, x_1CHW: Tensor) -> Tensor:
        moments = statistics.get(norm)
        if moments is None:
            return norm(x_1CHW)
        # With given statistics a group norm is what batch norm is after training; the kernel computes in float32.
        mean_C, variance_C = (
            values_G.repeat_interleave(norm.num_channels // norm.num_groups)
            for values_G in (moments.mean_G, moments.variance_G)
        )
        weight_C, bias_C = norm.weight.float(), norm.bias.float()
        return functional.batch_norm(x_1CHW, mean_C, variance_C, weight_C, bias_C, training=False, eps=norm.eps)

    return normalise


class Gathered:
    """Statistics of a picture whose parts come one after the other."""

    def __init__(self) -> None:
        self._parts: defaultdict[nn.GroupNorm, list[Moments]] = defaultdict(list)

    def gathering(self, core: tuple[slice, slice], side_px: tuple[int, int], normalise: Normalise) -> Normalise:
        """Apply norms as `normalise` does, and remember the moments of their inputs inside a core.

        Args:
            core: rows and columns of the tile, in pixels, that no other tile contributes.
            side_px: height and width of the tile in pixels.
            normalise: how norms are applied.
        """

        def gather(norm: nn.GroupNorm, x_1CHW: Tensor) -> Tensor:
            rows, columns = (
                slice(part.start * positions // side, part.stop * positions // side)
                for part, side, positions in zip(core, side_px, x_1CHW.shape[2:], strict=True)
            )
            self._parts[norm].append(moments_of(norm, x_1CHW[:, :, rows, columns]))
            return normalise(norm, x_1CHW)

        return gather

    def statistics(self) -> Statistics:
        """What the parts amount to."""
        merged: dict[nn.GroupNorm, Moments] = {}
        for norm, (first, *others) in self._parts.items():
            for part in others:
                first = first.merged(part)
            merged[norm] = first
        return merged
