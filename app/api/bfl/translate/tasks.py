"""What is to be done with the pictures of a request: strength, mask, margins, edges, image prompt."""

from collections.abc import Sequence
from typing import Any

from app.api.bfl.schemas.fields import ImageToImage, Inputs
from app.api.bfl.schemas.tools import CannyInputs, ExpandInputs, FillInputs
from app.api.bfl.translate.controls import used_controls
from app.api.bfl.translate.image_prompts import used_image_prompt_strength, used_image_prompter
from app.api.bfl.translate.limits import within
from app.api.bfl.translate.pictures import pictures_for
from app.core.catalog import Resolved
from app.core.errors import InvalidRequest
from app.core.inputs.kept import Sent
from app.core.spec import CannyThresholds, Margins

MAX_MARGIN = 2048
MAX_THRESHOLD = 500
LOW_THRESHOLD, HIGH_THRESHOLD = 50, 200


def task_of(body: Inputs, pictures: Sequence[Sent], model: Resolved) -> dict[str, Any]:
    """The fields of the spec that say it. Raises InvalidRequest for a setting without the picture that it is for."""
    return {
        "strength": _strength(body, pictures),
        "mask_from_alpha": _mask_is_alpha(body, pictures),
        "margins": _margins(body),
        "canny": _canny(body, pictures),
        "image_prompter": used_image_prompter(body, pictures, model),
        "controls": used_controls(body, model),
        "image_prompt_strength": used_image_prompt_strength(body, pictures),
    }


def _strength(body: Inputs, pictures: Sequence[Sent]) -> float | None:
    if not isinstance(body, ImageToImage) or body.strength is None:
        return None
    if not pictures_for(pictures, "image"):
        message = "strength says how much of a picture goes: send image, or a mask"
        raise InvalidRequest(message, field="strength", value=body.strength, limit="beside image or mask")
    if body.strength <= 0:
        raise InvalidRequest(
            "strength must be above 0, to 1", field="strength", value=body.strength, limit="above 0, to 1"
        )
    return within("strength", body.strength, 0, 1)


def _mask_is_alpha(body: Inputs, pictures: Sequence[Sent]) -> bool:
    if not isinstance(body, FillInputs) or pictures_for(pictures, "mask"):
        return False
    if not pictures_for(pictures, "image")[0].picture.header.has_alpha:
        message = (
            "mask: nothing says what to draw: send a mask, white where to draw, or an image that is transparent there"
        )
        raise InvalidRequest(message, field="mask", limit="a mask, or an image with an alpha channel")
    return True


def _margins(body: Inputs) -> Margins | None:
    if not isinstance(body, ExpandInputs):
        return None
    sides = {"top": body.top, "bottom": body.bottom, "left": body.left, "right": body.right}
    pixels = {field: int(within(field, margin or 0, 0, MAX_MARGIN)) for field, margin in sides.items()}
    if not any(pixels.values()):
        raise InvalidRequest(
            "top, bottom, left and right are all 0: there is nothing to draw", field="top", value=0, limit="1"
        )
    return Margins(**pixels)


def _canny(body: Inputs, pictures: Sequence[Sent]) -> CannyThresholds | None:
    if not isinstance(body, CannyInputs) or not pictures_for(pictures, "control_source"):
        return None
    low = _threshold("canny_low_threshold", body.canny_low_threshold, LOW_THRESHOLD)
    high = _threshold("canny_high_threshold", body.canny_high_threshold, HIGH_THRESHOLD)
    if low > high:
        message = "canny_low_threshold must not be above canny_high_threshold"
        raise InvalidRequest(message, field="canny_low_threshold", value=low, limit=f"0 to {high}")
    return CannyThresholds(low=low, high=high)


def _threshold(field: str, sent: int | None, default: int) -> int:
    return int(within(field, default if sent is None else sent, 0, MAX_THRESHOLD))
