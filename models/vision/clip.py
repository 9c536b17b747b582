"""CLIP's vision encoder: transformers' network, as far as IP-Adapters read it, and the preprocessing that belongs to it.

Shape suffixes: B = pictures, C = channels, H, W = pixels, P = patches and the class token.
"""

from copy import deepcopy
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from models.vision.preprocessing import Kind, Preprocessor


class _Output(Protocol):
    last_hidden_state: Tensor
    pooler_output: Tensor


class ClipVisionEncoder(nn.Module):
    """The vision half of a CLIP (Radford et al. 2021, arXiv:2103.00020, 2.4). It keeps only the layers that it is read through."""

    def __init__(self, config: CLIPVisionConfig, *, patches: bool) -> None:
        """Build the network.

        Args:
            config: its sizes, all layers counted.
            patches: whether the states of all patches before the last layer are read, and not the projected state of the whole picture.
        """
        super().__init__()
        self.config = deepcopy(config)
        self.config.num_hidden_layers -= int(patches)
        self.config._attn_implementation = "sdpa"  # pyright: ignore[reportPrivateUsage] (transformers has no public setter)
        self.model = CLIPVisionModel(self.config)
        self._patches = patches
        if patches:
            self.model.add_module("post_layernorm", nn.Identity())
            self.visual_projection = nn.Identity()
        else:
            self.visual_projection = nn.Linear(config.hidden_size, config.projection_dim, bias=False)

    @property
    def image_size(self) -> int:
        """Pixels of a side of what it reads."""
        return cast(int, self.config.image_size)

    @property
    def num_features(self) -> int:
        """Channels of what it returns."""
        return self.config.hidden_size if self._patches else self.config.projection_dim

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """Return the states of patches, B x P x C without a norm, or the features of whole pictures, B x C.

        Args:
            pixels_BCHW: what ClipPreprocessor makes of pictures, in the network's dtype.
        """
        output = cast(_Output, self.model(pixel_values=pixels_BCHW))
        return output.last_hidden_state if self._patches else self.visual_projection(output.pooler_output)

    def number_positions(self, device: torch.device) -> None:
        """Recompute what no file holds; a network built on the meta device needs it."""
        positions = torch.arange(self.model.embeddings.position_embedding.num_embeddings, device=device)
        self.model.embeddings.position_ids = nn.Buffer(positions[None], persistent=False)


class ClipPreprocessor(Preprocessor):
    """Brings the shorter side to size, cuts the middle, rescales and normalises: transformers' CLIPImageProcessor."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, cast(Kind, CLIPImageProcessorPil))
