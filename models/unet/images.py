"""Pictures that rows look at while they share a UNet's forward, each through an adapter of its own.

Shape suffixes: S = image tokens, C = channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.unet.attention import ImageRows


@dataclass(frozen=True, eq=False)
class UnetImages:
    """What one row, or one branch of its guidance, sees of its pictures. Nothing writes to it.

    Attributes:
        keys_values: for each cross-attention, in the order of UnetParams.cross_attention_channels: keys and values of the image tokens
            side by side, S x 2 C.
        scales: weight of what is seen at each step; the row looks away where that is 0.
    """

    keys_values: tuple[Tensor, ...]
    scales: tuple[float, ...]

    @property
    def nbytes(self) -> int:
        """Memory of the row's own that it takes."""
        return sum(kv_SC.nbytes for kv_SC in self.keys_values)

    @property
    def num_tokens(self) -> int:
        """Image tokens of all pictures together."""
        return len(self.keys_values[0])


def image_rows(
    images: Sequence[UnetImages | None], steps: Sequence[int], device: torch.device
) -> tuple[ImageRows, ...]:
    """Bring together the rows that look at equally many tokens at their steps.

    Args:
        images: of each row of a forward.
        steps: at which each row stands.
        device: of the forward.
    """
    groups: dict[int, list[tuple[int, float, UnetImages]]] = {}
    for row, (one, step) in enumerate(zip(images, steps, strict=True)):
        if one is not None and one.scales[step]:
            groups.setdefault(one.num_tokens, []).append((row, one.scales[step], one))
    return tuple(
        ImageRows(
            torch.tensor([row for row, _, _ in group], device=device),
            torch.tensor([scale for _, scale, _ in group], dtype=torch.float32, device=device)[:, None, None, None],
            [one.keys_values for _, _, one in group],
        )
        for group in groups.values()
    )
