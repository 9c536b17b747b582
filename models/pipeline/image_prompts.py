"""Pictures in the place of words: FLUX.1 Redux, whose tokens follow those of the prompt.

Shape suffixes: B = 1, L = tokens, C = channels, H, W = rows and columns of pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.errors import UnsupportedInput
from models.pipeline.components import TextFeatures
from models.vision.redux import ReduxEmbedder
from models.vision.siglip import SiglipEncoder, SiglipPreprocessor


@dataclass(frozen=True, eq=False)
class ImagePrompter:
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

    @torch.no_grad()
    def tokens(self, image: Image.Image) -> Tensor:
        """Return a picture's tokens, L x C."""
        pixels_BCHW = self.preprocessing([np.asarray(image.convert("RGB"))]).to(self.device, self.dtype)
        tokens_BLC: Tensor = self.embedder(self.encoder(pixels_BCHW))
        return tokens_BLC[0]


def with_image_prompts(
    text: TextFeatures, images: Sequence[Image.Image], prompter: ImagePrompter | None, strength: float = 1.0
) -> TextFeatures:
    """Add pictures to a prompt. Several are summed, each with the whole prompt, as Diffusers' FluxPriorReduxPipeline does.

    Args:
        text: features of the prompt.
        images: pictures.
        prompter: reads them.
        strength: weight of their tokens; 1 is Diffusers'.

    Raises:
        UnsupportedInput: there is nothing that reads pictures.
    """
    if not images:
        return text
    if prompter is None:
        raise UnsupportedInput("image_prompt: no FLUX.1 Redux is installed beside this network")
    prompts_BLC = torch.stack([torch.cat([text.tokens_LC, strength * prompter.tokens(image)]) for image in images])
    pooled_C = text.pooled_C
    if pooled_C is not None:
        pooled_C = pooled_C[None].expand(len(images), -1).sum(0)
    return TextFeatures(prompts_BLC.sum(0), pooled_C)
