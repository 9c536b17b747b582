"""Components: the loaded networks of one folder, as the stages see them, whatever the family.

Shape suffixes: B = 1, L = tokens, C = channels, A = position axes, H, W = rows and columns of pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from PIL import Image
from torch import Tensor

from models.control.controlnet import ControlNet
from models.control.flux1 import Flux1ControlNet
from models.flow.transformer import PackedRow, RowConstants
from models.image_prompt.adapter import ImageAdapter
from models.pipeline.reading import PLAINLY, Reading
from models.pipeline.request import SizeConditioning
from models.samplers.trajectories import Trajectory
from models.specs import GenerationDefaults, ModelSpec
from models.unet.rows import UnetConstants

AnyControlNet = ControlNet | Flux1ControlNet
Constants = RowConstants | UnetConstants
"""What a network knows of a row, or of one branch of its guidance, before it sees latents."""


@dataclass(frozen=True, eq=False)
class ImageTokens:
    """What an adapter makes of the pictures of a prompt.

    Attributes:
        adapter: the adapter. Rows may share it; it is not this row's.
        tokens_SC: tokens of all pictures, one after another.
        strength: weight of what is seen in them.
    """

    adapter: ImageAdapter
    tokens_SC: Tensor
    strength: float = 1.0


class TextFeatures(NamedTuple):
    """A prompt as a denoiser reads it.

    Attributes:
        tokens_LC: features of its tokens, padding included.
        pooled_C: features of the whole prompt, where the family has them.
        images: pictures that are looked at beside it, in families whose networks take adapters.
    """

    tokens_LC: Tensor
    pooled_C: Tensor | None = None
    images: ImageTokens | None = None

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return self.tokens_LC.nbytes + (0 if self.pooled_C is None else self.pooled_C.nbytes)

    def zeros(self) -> "TextFeatures":
        """Features of the same shape that say nothing."""
        pooled_C = None if self.pooled_C is None else torch.zeros_like(self.pooled_C)
        return TextFeatures(torch.zeros_like(self.tokens_LC), pooled_C)


@dataclass(frozen=True, eq=False)
class Steering:
    """A ControlNet at work on a row.

    Attributes:
        network: the network.
        hint: what it makes of the row's picture (Components.control_hint).
        scales: strength of what it adds at each step; it does not run where that is 0.
        text: the row's prompt, which Diffusers has FLUX.1's read beside the negative prompt too.
        mode: what the picture shows, for networks that tell kinds apart.
    """

    network: AnyControlNet
    hint: Tensor
    scales: tuple[float, ...]
    text: TextFeatures
    mode: int | None = None


@dataclass(frozen=True, eq=False)
class Branch:
    """A row before a step, or one branch of its guidance.

    Attributes:
        tokens_LC: latents and what stands beside them, then reference tokens.
        constants: of the branch.
        step: which of its times it stands at.
        time: that time.
    """

    tokens_LC: Tensor
    constants: Constants
    step: int
    time: float


def packed_rows(branches: Sequence[Branch]) -> list[PackedRow]:
    """The branches as transformers read them."""
    rows: list[PackedRow] = []
    for branch in branches:
        assert isinstance(branch.constants, RowConstants)
        rows.append(PackedRow(branch.tokens_LC, branch.constants, branch.step))
    return rows


class Components(Protocol):
    """Everything that turns prompts into pictures. Immutable: requests share it."""

    @property
    def spec(self) -> ModelSpec:
        """What is known of the network."""
        ...

    @property
    def trajectory(self) -> Trajectory:
        """The way from noise to picture, and its times."""
        ...

    @property
    def packs_branches(self) -> bool:
        """Whether the branches of a row's guidance go through the network together in every dtype, as Diffusers has it for this family."""
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

    def encode_text(self, text: str, max_length: int, reading: Reading = PLAINLY) -> TextFeatures:
        """Turn a prompt into features, independent of any other.

        Args:
            text: the prompt.
            max_length: tokens, padding included, where one number of them holds for every prompt.
            reading: how it is read; one that check_reading let pass.
        """
        ...

    def check_reading(self, reading: Reading) -> None:
        """Refuse a reading that the text encoders cannot do. Weights are not looked at.

        Raises:
            UnsupportedInput: names the field, the value and the limit.
        """
        ...

    def encode_picture(self, image_BCHW: Tensor, generator: torch.Generator | None) -> Tensor:
        """Turn pixels in [-1, 1] into tokens, L x C; drawn from the posterior by `generator` in families that do so, else its mean."""
        ...

    def noise(self, rows: int, columns: int, generator: torch.Generator, dtype: torch.dtype | None = None) -> Tensor:
        """Draw noise for the latents of a picture, L x C, as Diffusers draws it: in a dtype, or in the networks'."""
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

    def takes_adapter(self, adapter: ImageAdapter) -> bool:
        """Whether an image adapter fits the denoiser. Weights are not looked at."""
        ...

    def takes_control(self, network: AnyControlNet) -> bool:
        """Whether a ControlNet fits the denoiser. Weights are not looked at."""
        ...

    def control_hint(
        self, network: AnyControlNet, image: Image.Image, size: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        """What a ControlNet makes of a picture that is brought to this width and height."""
        ...

    def constants(
        self,
        text: TextFeatures,
        ids_LA: Tensor,
        times: Tensor,
        guidance: float,
        size: SizeConditioning,
        steering: Sequence[Steering] = (),
    ) -> Constants:
        """Compute what the network knows of a row, or of one branch of its guidance, before it sees latents.

        Args:
            text: features of the prompt.
            ids_LA: positions of the picture's tokens, then of the references'.
            times: every time that it will be asked about, as networks are told them: float32 on the CPU.
            guidance: strength that the network reads, where it reads one.
            size: what it is told of the picture's size, where it is told.
            steering: ControlNets beside it, which fit.
        """
        ...

    def perturbed(self, constants: Constants, blocks: Sequence[str]) -> Constants:
        """The same, while the self-attention of the named blocks looks nowhere but at itself.

        Raises:
            UnsupportedInput: a block that the network lacks; says which there are.
        """
        ...

    def outputs(self, rows: Sequence[Branch]) -> list[Tensor]:
        """What the network predicts for every token of every row, in its dtype, in as few forwards as their shapes allow."""
        ...

    def decode(self, latents_LC: Tensor, rows: int, columns: int) -> Tensor:
        """Turn latents at time 0 into pixels, C x H x W."""
        ...
