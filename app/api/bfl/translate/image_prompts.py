"""Pictures as prompts: what reads them, and how much they count."""

from collections.abc import Sequence

from app.api.bfl.schemas.fields import Inputs
from app.api.bfl.schemas.flux1 import ImagePromptStrength, UltraInputs
from app.api.bfl.schemas.image_prompts import ImagePromptInputs
from app.api.bfl.translate.controls import check_beside
from app.api.bfl.translate.limits import within
from app.api.bfl.translate.pictures import pictures_for
from app.core.catalog import Resolved
from app.core.errors import InvalidRequest
from app.core.inputs.kept import Sent


def used_image_prompter(body: Inputs, pictures: Sequence[Sent], model: Resolved) -> str | None:
    """The network that reads the picture prompts; None without any.

    Raises:
        InvalidRequest: the one that is named is not known, goes with other networks, or has nothing to read.
    """
    named = body.image_prompter if isinstance(body, ImagePromptInputs) else None
    if named:
        check_beside("image_prompter", named, model, "image adapter")
    if pictures_for(pictures, "image_prompt"):
        return named or model.runs.takes.image_prompter
    if named:
        message = f"image_prompter: {named} reads a picture, and there is none: send image_prompt"
        raise InvalidRequest(message, field="image_prompter", value=named, limit="beside image_prompt")
    return None


def used_image_prompt_strength(body: Inputs, pictures: Sequence[Sent]) -> float:
    """How much picture prompts count. Raises InvalidRequest for a strength out of bounds."""
    takes_strength = isinstance(body, ImagePromptStrength | UltraInputs | ImagePromptInputs)
    if not takes_strength or not pictures_for(pictures, "image_prompt"):
        return 1.0
    default: float = type(body).model_fields["image_prompt_strength"].default
    sent = body.image_prompt_strength
    return within("image_prompt_strength", default if sent is None else sent, 0, 1)
