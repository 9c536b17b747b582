"""aspect_ratio: "W:H"."""

import re

from app.api.bfl.schemas.fields import Inputs, Ratio
from app.api.bfl.size import MAX_RATIO
from app.core.errors import InvalidRequest

_RATIO = re.compile(r"\s*(\d{1,5}(?:\.\d{1,5})?)\s*:\s*(\d{1,5}(?:\.\d{1,5})?)\s*", re.ASCII)
_LIMIT = "from 21:9 to 9:21"


def asked_ratio(body: Inputs) -> float | None:
    """Width to height, None where a body has no such field or leaves it empty. Raises InvalidRequest."""
    if not isinstance(body, Ratio) or not body.aspect_ratio:
        return None
    found = _RATIO.fullmatch(body.aspect_ratio)
    width, height = (float(side) for side in found.groups()) if found else (0.0, 0.0)
    if not width or not height:
        raise InvalidRequest('aspect_ratio must be "W:H"', field="aspect_ratio", value=body.aspect_ratio, limit=_LIMIT)
    if max(width / height, height / width) > MAX_RATIO * (1 + 1e-9):
        raise InvalidRequest(
            f"aspect_ratio must be {_LIMIT}", field="aspect_ratio", value=body.aspect_ratio, limit=_LIMIT
        )
    return width / height
