"""SigLIP's vision encoder: transformers' network without its pooling head, and the preprocessing that belongs to it.

Shape suffixes: B = pictures, C = channels, H, W = pixels, L = patches.
"""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from transformers import SiglipVisionConfig, SiglipVisionModel
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from models.errors import MalformedConfig, MissingComponent
from models.images import to_image


class _Output(Protocol):
    last_hidden_state: Tensor


class _Processor(Protocol):
    """The part of transformers' image processors that is used here."""

    size: dict[str, int]

    def preprocess(
        self, images: list[Image.Image], *, do_resize: bool, do_convert_rgb: bool, return_tensors: str
    ) -> dict[str, Tensor]: ...


class _Kind(Protocol):
    def from_pretrained(self, folder: str, *, local_files_only: bool) -> _Processor: ...


class SiglipEncoder(nn.Module):
    """The vision half of SigLIP. Zhai et al. 2023, arXiv:2303.15343."""

    def __init__(self, config: SiglipVisionConfig) -> None:
        super().__init__()
        self.config = deepcopy(config)
        self.config.vision_use_head = False
        self.config._attn_implementation = "sdpa"  # pyright: ignore[reportPrivateUsage] (transformers has no public setter)
        self.model = SiglipVisionModel(self.config)

    @property
    def num_features(self) -> int:
        """Channels of a patch."""
        return self.config.hidden_size

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """Return the states of all patches after the final norm: B x L x C.

        Args:
            pixels_BCHW: what SiglipPreprocessor makes of pictures, in the network's dtype.
        """
        return cast(_Output, self.model(pixel_values=pixels_BCHW)).last_hidden_state

    def number_positions(self, device: torch.device) -> None:
        """Recompute what no file holds; a network built on the meta device needs it."""
        positions = torch.arange(self.model.embeddings.position_embedding.num_embeddings, device=device)
        self.model.embeddings.position_ids = nn.Buffer(positions[None], persistent=False)


class SiglipPreprocessor:
    """Resizes, rescales and normalises as preprocessor_config.json says.

    It runs on Pillow even where torchvision is installed, whose resizing differs by up to two levels of 255 in
    one pixel of fifty.
    """

    def __init__(self, folder: Path) -> None:
        """Read the folder of a SiglipImageProcessor.

        Raises:
            MissingComponent: the folder holds no preprocessor_config.json.
            MalformedConfig: it is broken.
        """
        if not (folder / "preprocessor_config.json").is_file():
            raise MissingComponent(f"{folder} holds no preprocessor_config.json")
        try:
            self._processor = cast(_Kind, SiglipImageProcessorPil).from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MalformedConfig(f"{folder / 'preprocessor_config.json'} is no image processor: {error}") from error

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Return the pixels that SiglipEncoder reads: B x C x H x W, float32.

        Args:
            pictures: RGB, height x width x 3, of any size each.
        """
        images = [to_image(pixels_HWC) for pixels_HWC in pictures]
        return self._processor.preprocess(images, do_resize=True, do_convert_rgb=True, return_tensors="pt")[
            "pixel_values"
        ]
