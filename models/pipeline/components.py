"""Components: the loaded networks of one folder, as the stages see them, whatever the family.

Shape suffixes: B = 1, L = tokens, C = channels, A = position axes, H, W = rows and columns of pixels.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from models.flow.transformer import PackedRow, RowConstants
from models.samplers.schedules import FlowSchedule
from models.specs import GenerationDefaults, ModelSpec


class TextFeatures(NamedTuple):
    """A prompt as a transformer reads it.

    Attributes:
        tokens_LC: features of its tokens, padding included.
        pooled_C: features of the whole prompt, where the family has them.
    """

    tokens_LC: Tensor
    pooled_C: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return self.tokens_LC.nbytes + (0 if self.pooled_C is None else self.pooled_C.nbytes)


class Components(Protocol):
    """Everything that turns prompts into pictures. Immutable: requests share it."""

    @property
    def spec(self) -> ModelSpec:
        """What is known of the network."""
        ...

    @property
    def schedule(self) -> FlowSchedule:
        """How times are shifted."""
        ...

    @property
    def defaults(self) -> GenerationDefaults:
        """What a request that leaves something out gets."""
        ...

    @property
    def revision(self) -> str:
        """Changes when any file of the folder does."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the networks live."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """In which they run."""
        ...

    @property
    def pixels_per_position(self) -> int:
        """Side in pixels of the square that one token stands for."""
        ...

    def encode_text(self, text: str, max_length: int) -> TextFeatures:
        """Turn a prompt into features, independent of any other."""
        ...

    def encode_picture(self, image_BCHW: Tensor, generator: torch.Generator | None) -> Tensor:
        """Turn pixels in [-1, 1] into tokens, L x C; drawn from the posterior by `generator` in families that do so, else its mean."""
        ...

    def noise(self, rows: int, columns: int, generator: torch.Generator) -> Tensor:
        """Draw the initial latents of a picture, L x C, as Diffusers draws them."""
        ...

    def mask_channels(self, mask_BCHW: Tensor) -> Tensor:
        """Every pixel of a mask, side by side, L x C: what a network that fills sees beside the latents."""
        ...

    def mask_weights(self, mask_BCHW: Tensor, rows: int, columns: int) -> Tensor:
        """How far each latent is drawn anew under a mask, L x 1 or L x C, in [0, 1]."""
        ...

    def image_ids(self, rows: int, columns: int) -> Tensor:
        """Positions of the tokens of the picture that is drawn, L x A."""
        ...

    def reference_ids(self, index: int, rows: int, columns: int) -> Tensor:
        """Positions of the tokens of the reference with this index, from 0, L x A."""
        ...

    def constants(self, text: TextFeatures, ids_LA: Tensor, times: Tensor, guidance: float) -> RowConstants:
        """Compute what the network knows of a row, or of one branch of its guidance, before it sees latents.

        Args:
            text: features of the prompt.
            ids_LA: positions of the picture's tokens, then of the references'.
            times: every time that it will be asked about, float32 on the CPU.
            guidance: strength that the network reads, where it reads one.
        """
        ...

    def velocities(self, rows: Sequence[PackedRow]) -> list[Tensor]:
        """Predict dx/dt of every token of every row, in the networks' dtype, in one forward."""
        ...

    def decode(self, latents_LC: Tensor, rows: int, columns: int) -> Tensor:
        """Turn latents at time 0 into pixels, C x H x W."""
        ...
