"""Files that are recognised and refused by name: networks that are not served, and weights in formats that are not read."""

import re
from dataclasses import dataclass

from models.checkpoints.shapes import Shapes
from models.errors import UnservedCheckpoint


@dataclass(frozen=True)
class Unserved:
    """A kind of file that is refused.

    Attributes:
        mark: a name that only such files hold.
        what: describes a file that does.
    """

    mark: re.Pattern[str]
    what: str


UNSERVED = (
    Unserved(
        re.compile(
            r"(^|\.)scaled_fp8$|\.(weight_scale(_2)?|scale_weight|input_scale|absmax|quant_map|qweight|qzeros)$"
        ),
        "quantised with separate scales; not read here, use the file in bfloat16",
    ),
    Unserved(
        re.compile(r"^(controlnet_x_embedder|controlnet_blocks\.0)\."),
        "a ControlNet of FLUX.1, whose file alone does not tell all sizes; give the folder that has its config.json",
    ),
    Unserved(re.compile(r"(^|\.)distilled_guidance_layer\."), "Chroma's transformer; not served"),
    Unserved(re.compile(r"(^|\.)joint_blocks\.0\.|^pos_embed\.proj\.weight$"), "SD 3's transformer; not served"),
    Unserved(re.compile(r"^(vision_model\.)?embeddings\.class_embedding$"), "CLIP's vision encoder; not served"),
)


def refuse_unserved(held: Shapes) -> None:
    """Refuse a file of a kind that is known and not served.

    Raises:
        UnservedCheckpoint: it is one; the message says which.
    """
    for kind in UNSERVED:
        if held.any_name(kind.mark) is not None:
            raise UnservedCheckpoint(f"{held.where} is {kind.what}")
