"""SigLIP's vision encoder: transformers' network without its pooling head, and the preprocessing that belongs to it.

Shape suffixes: B = pictures, C = channels, H, W = pixels, L = patches.
"""

from copy import deepcopy
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from transformers import SiglipVisionConfig, SiglipVisionModel
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from models.vision.preprocessing import Kind, Preprocessor


class _Output(Protocol):
    last_hidden_state: Tensor


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


class SiglipPreprocessor(Preprocessor):
    """Resizes, rescales and normalises: transformers' SiglipImageProcessor."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, cast(Kind, SiglipImageProcessorPil))
