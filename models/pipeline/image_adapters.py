"""IP-Adapters beside a network: what they make of a request's pictures (Ye et al. 2023, arXiv:2308.06721).

Shape suffixes: B = pictures, S = image tokens, C = channels, H, W = rows and columns of pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.image_prompt.adapter import ImageAdapter
from models.pipeline.components import Components, ImageTokens, TextFeatures
from models.pipeline.image_prompts import Prompts
from models.vision.clip import ClipPreprocessor, ClipVisionEncoder


@dataclass(frozen=True, eq=False)
class AdapterPrompter:
    """The folder of an IP-Adapter, loaded.

    Attributes:
        adapter: turns what the encoder sees into tokens, and these into keys and values for the UNet.
        encoder: sees a picture.
        preprocessing: brings it to the encoder's pixels.
        revision: changes when any file of the folder does.
        device: where the networks live.
        dtype: in which they run.
    """

    adapter: ImageAdapter
    encoder: ClipVisionEncoder
    preprocessing: ClipPreprocessor
    revision: str
    device: torch.device
    dtype: torch.dtype

    def fits(self, components: Components) -> bool:
        return components.takes_adapter(self.adapter)

    @torch.no_grad()
    def prompted(self, prompts: Prompts, images: Sequence[Image.Image], strength: float) -> Prompts:
        """All pictures are looked at together; the negative prompt's branch looks at as many that show nothing, as in Diffusers."""
        pixels = [np.asarray(image.convert("RGB")) for image in images]
        pixels_BCHW = self.preprocessing(pixels).to(self.device, self.dtype)
        features: Tensor = self.encoder(pixels_BCHW)
        text = self._beside(prompts.text, features, strength)
        if prompts.negative is None:
            return Prompts(text, None)
        return Prompts(text, self._beside(prompts.negative, self._nothing(features, pixels_BCHW), strength))

    def _nothing(self, features: Tensor, pixels_BCHW: Tensor) -> Tensor:
        """What stands for pictures that show nothing: no features at all, or those of patches without any light."""
        if not self.adapter.reads_patches:
            return torch.zeros_like(features)
        return self.encoder(torch.zeros_like(pixels_BCHW[:1])).expand_as(features)

    def _beside(self, text: TextFeatures, features: Tensor, strength: float) -> TextFeatures:
        tokens_BSC: Tensor = self.adapter(features)
        return text._replace(images=ImageTokens(self.adapter, tokens_BSC.flatten(0, 1), strength))
