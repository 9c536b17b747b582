"""Files that are recognised and refused by name: networks that are not served, and weights in formats that are not read."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from models.checkpoints.shapes import Shapes
from models.errors import UnservedCheckpoint

UNET_MARKS = (
    "model.diffusion_model.input_blocks.0.0.weight",
    "input_blocks.0.0.weight",
    "down_blocks.0.resnets.0.time_emb_proj.weight",
)
UNET_INPUTS = ("model.diffusion_model.input_blocks.0.0.weight", "input_blocks.0.0.weight", "conv_in.weight")
CROSS_ATTENTION = re.compile(r"(^|\.)attn2\.to_k\.weight$")
UNET_FAMILIES = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "SDXL", 1280: "SDXL's refiner"}
UNET_TASKS = {9: ", for inpainting", 8: ", for instructions"}


@dataclass(frozen=True)
class Unserved:
    """A kind of file that is refused.

    Attributes:
        mark: a name that only such files hold.
        what: describes a file that does.
    """

    mark: re.Pattern[str]
    what: Callable[[Shapes], str]


def _unet(held: Shapes) -> str:
    key = held.any_name(CROSS_ATTENTION)
    family = UNET_FAMILIES.get(held.of(key, 2)[1]) if key is not None else None
    conv_in = next((name for name in UNET_INPUTS if held.has(name)), None)
    task = UNET_TASKS.get(held.of(conv_in, 4)[1], "") if conv_in is not None else ""
    return f"a UNet of {family or 'an unknown family'}{task}; not served yet"


def _always(text: str) -> Callable[[Shapes], str]:
    return lambda held: text


UNSERVED = (
    Unserved(
        re.compile(
            r"(^|\.)scaled_fp8$|\.(weight_scale(_2)?|scale_weight|input_scale|absmax|quant_map|qweight|qzeros)$"
        ),
        _always("quantised with separate scales; not read here, use the file in bfloat16"),
    ),
    Unserved(re.compile("|".join(f"^{re.escape(mark)}$" for mark in UNET_MARKS)), _unet),
    Unserved(re.compile(r"^(controlnet_x_embedder|controlnet_blocks\.0)\."), _always("a ControlNet; not served")),
    Unserved(re.compile(r"(^|\.)distilled_guidance_layer\."), _always("Chroma's transformer; not served")),
    Unserved(
        re.compile(r"(^|\.)joint_blocks\.0\.|^pos_embed\.proj\.weight$"), _always("SD 3's transformer; not served")
    ),
    Unserved(
        re.compile(r"^(vision_model\.)?embeddings\.class_embedding$"), _always("CLIP's vision encoder; not served")
    ),
)


def refuse_unserved(held: Shapes) -> None:
    """Refuse a file of a kind that is known and not served.

    Raises:
        UnservedCheckpoint: it is one; the message says which.
    """
    for kind in UNSERVED:
        if held.any_name(kind.mark) is not None:
            raise UnservedCheckpoint(f"{held.where} is {kind.what(held)}")
