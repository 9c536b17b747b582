"""The body as it is kept beside its task: what the caller said, without secrets, pictures by their digest alone."""

from collections.abc import Sequence
from typing import Any

from app.api.bfl.schemas.fields import Inputs
from app.core.inputs.kept import Sent

SECRET_FIELDS = frozenset({"webhook_secret"})


def kept_request(body: Inputs, pictures: Sequence[Sent]) -> dict[str, Any]:
    """Fields that the route knows and the caller sent."""
    shown = set(type(body).model_fields) - SECRET_FIELDS - body.pictures().keys()
    kept = body.model_dump(mode="json", include=shown, exclude=dict(body.nested), exclude_unset=True)
    digests = {one.field: {"sha256": one.picture.sha256, "bytes": one.picture.num_bytes} for one in pictures}
    return kept | digests
