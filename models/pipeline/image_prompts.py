"""Pictures in the place of words: what reads them for a network, and FLUX.1 Redux, whose tokens follow those of the prompt.

IP-Adapters, whose tokens stand apart from the prompt's, are in models.pipeline.image_adapters.

Shape suffixes: B = 1, L = tokens, C = channels, H, W = rows and columns of pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.errors import UnsupportedInput
from models.pipeline.components import Components, TextFeatures
from models.pipeline.request import DrawRequest
from models.vision.redux import ReduxEmbedder
from models.vision.siglip import SiglipEncoder, SiglipPreprocessor


class Prompts(NamedTuple):
    """Features of the prompt, and of the negative prompt when the guidance has one."""

    text: TextFeatures
    negative: TextFeatures | None


class ImagePrompter(Protocol):
    """Networks that read pictures for another one. Immutable: requests share them."""

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

    def fits(self, components: Components) -> bool:
        """Whether a network reads what these make of pictures. Weights are not looked at."""
        ...

    def prompted(self, prompts: Prompts, images: Sequence[Image.Image], strength: float) -> Prompts:
        """Add pictures to prompts.

        Args:
            prompts: of a network that they fit.
            images: at least one.
            strength: weight of what is seen in them, 0 to 1.
        """
        ...


Prompters = Mapping[str, ImagePrompter]
"""By name."""
NO_PROMPTERS: Prompters = {}


def prompter_of(components: Components, request: DrawRequest, prompters: Prompters) -> ImagePrompter | None:
    """What reads the picture prompts of a request: the one that it names, or the network's own; None when it has no such picture.

    Raises:
        UnsupportedInput: it is not there, or belongs to another network.
    """
    if not request.inputs.image_prompts:
        return None
    name = request.image_prompter or components.spec.image_prompter
    if name is None:
        raise UnsupportedInput(f"image_prompter: say which adapter reads the pictures for {components.spec.name}")
    prompter = prompters.get(name)
    if prompter is None:
        raise UnsupportedInput(f"image_prompt: there is no {name!r} beside this network")
    if not prompter.fits(components):
        raise UnsupportedInput(f"image_prompter: {name} does not fit {components.spec.name}")
    return prompter


@dataclass(frozen=True, eq=False)
class ReduxPrompter:
    """A FLUX.1 Redux folder, loaded.

    Attributes:
        encoder: sees a picture.
        preprocessing: brings it to the encoder's pixels.
        embedder: turns what the encoder sees into tokens of a prompt.
        revision: changes when any file of the folder does.
        device: where the networks live.
        dtype: in which they run.
    """

    encoder: SiglipEncoder
    preprocessing: SiglipPreprocessor
    embedder: ReduxEmbedder
    revision: str
    device: torch.device
    dtype: torch.dtype

    def fits(self, components: Components) -> bool:
        return components.spec.image_prompter is not None

    def prompted(self, prompts: Prompts, images: Sequence[Image.Image], strength: float) -> Prompts:
        """Several pictures are summed, each with the whole prompt, as Diffusers' FluxPriorReduxPipeline does."""
        text = prompts.text
        prompts_BLC = torch.stack([torch.cat([text.tokens_LC, strength * self.tokens(image)]) for image in images])
        pooled_C = text.pooled_C
        if pooled_C is not None:
            pooled_C = pooled_C[None].expand(len(images), -1).sum(0)
        return Prompts(TextFeatures(prompts_BLC.sum(0), pooled_C), prompts.negative)

    @torch.no_grad()
    def tokens(self, image: Image.Image) -> Tensor:
        """Return a picture's tokens, L x C."""
        pixels_BCHW = self.preprocessing([np.asarray(image.convert("RGB"))]).to(self.device, self.dtype)
        tokens_BLC: Tensor = self.embedder(self.encoder(pixels_BCHW))
        return tokens_BLC[0]
