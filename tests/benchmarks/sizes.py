"""The two sizes that every benchmark of networks runs: what bounds them differs, and so does what helps.

T is bound by the dispatch of operations, as small pictures are on a GPU; M by its products, as large pictures are.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline
from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline

from models.pipeline.components import Components
from models.pipeline.loading import load_components
from tests.fixtures.tiny_models import HIDDEN_SIZE, OUT_LAYERS, tiny_flux1_folder, tiny_klein_folder
from tests.fixtures.tiny_text import TEXT_SIZE, Oracle

PIXELS_A_TOKEN = 16


@dataclass(frozen=True)
class Size:
    """A network and what is asked of it.

    Attributes:
        name: in tables.
        head_dim: channels of an attention head.
        num_heads: attention heads.
        num_double: double blocks.
        num_single: single blocks.
        side: pixels; 16 x 16 of them are a token.
        text_length: text tokens.
        num_steps: denoise steps of a picture.
    """

    name: str
    head_dim: int
    num_heads: int
    num_double: int
    num_single: int
    side: int
    text_length: int
    num_steps: int

    @property
    def image_tokens(self) -> int:
        """Tokens of a picture."""
        return (self.side // PIXELS_A_TOKEN) ** 2


T = Size("T", head_dim=16, num_heads=4, num_double=2, num_single=4, side=128, text_length=32, num_steps=8)
M = Size("M", head_dim=64, num_heads=6, num_double=3, num_single=6, side=256, text_length=64, num_steps=4)
SIZES = {size.name: size for size in (T, M)}
FAMILIES = ("FLUX.1", "FLUX.2")


@dataclass(frozen=True, eq=False)
class Both:
    """One folder in Diffusers and here."""

    size: Size
    family: str
    oracle: Oracle
    ours: Components


def both(root: Path, size: Size, family: str, dtype: torch.dtype) -> Both:
    """Write a random folder of this size under root, if it is not there, and load it in both."""
    folder = root / f"{family}-{size.name}"
    if not folder.exists():
        _write(folder, size, family)
    pipeline = FluxPipeline if family == "FLUX.1" else Flux2KleinPipeline
    oracle = cast(Oracle, pipeline).from_pretrained(folder, torch_dtype=dtype)
    oracle.set_progress_bar_config(disable=True)
    return Both(size, family, oracle, load_components(folder, dtype=dtype))


def _write(folder: Path, size: Size, family: str) -> None:
    """The tiny folder of the family, with a transformer of this size."""
    sizes = {
        "num_layers": size.num_double,
        "num_single_layers": size.num_single,
        "attention_head_dim": size.head_dim,
        "num_attention_heads": size.num_heads,
        "in_channels": 16,
    }
    quarter = size.head_dim // 4
    torch.manual_seed(0)
    if family == "FLUX.1":
        tiny_flux1_folder(folder)
        transformer = cast(Oracle, FluxTransformer2DModel)(
            **sizes,
            joint_attention_dim=TEXT_SIZE,
            pooled_projection_dim=TEXT_SIZE,
            guidance_embeds=True,
            axes_dims_rope=(quarter, 3 * quarter // 2, 3 * quarter // 2),
        )
    else:
        tiny_klein_folder(folder, distilled=True)
        transformer = cast(Oracle, Flux2Transformer2DModel)(
            **sizes,
            joint_attention_dim=len(OUT_LAYERS) * HIDDEN_SIZE,
            axes_dims_rope=(quarter,) * 4,
            guidance_embeds=False,
        )
    transformer.save_pretrained(folder / "transformer")
