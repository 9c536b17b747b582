"""What would change the picture or the delivery and is not built: refused by name, never left out silently."""

import re

from app.api.bfl.schemas.fields import Inputs
from app.api.bfl.translate.limits import within
from app.core.errors import InvalidRequest

MAX_SAFETY_TOLERANCE = 6
"""FLUX.2's routes go to 5, but several clients send 6 to every route: it is taken as 5."""

_PICTURE = re.compile(
    r"input_images?(_\d+|_blob_path)?|images?|image_prompt(_\d+)?|image_url|controls|control_image|preprocessed_image|mask"
)


def refuse_what_is_not_served(body: Inputs) -> None:
    """Raises InvalidRequest for the first such field."""
    known = body.pictures()
    for field, value in body:
        if value and field not in known and field not in body.nested and _PICTURE.fullmatch(field):
            taken = ", ".join(known) or "none"
            message = f"{field}: this route has no such picture; its pictures: {taken}"
            raise InvalidRequest(message, field=field, value=value, limit="absent, null or empty")
    if getattr(body, "transparent_bg", False):
        message = "transparent_bg: this server does not remove backgrounds yet"
        raise InvalidRequest(message, field="transparent_bg", value=True, limit="false")
    within("safety_tolerance", body.safety_tolerance or 0, 0, MAX_SAFETY_TOLERANCE)
