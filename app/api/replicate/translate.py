"""An `input` of Replicate's into the body of a model's own route: whatever that route checks, refuses and prices holds here too."""

from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from app.api.bfl.schemas.bodies import body_of
from app.api.bfl.schemas.fields import Inputs
from app.api.receivers import receiver_at
from app.api.replicate.schemas import OWNER, ModelPredictionBody, Outputs
from app.core.catalog import Catalog, Resolved
from app.core.config import EgressSettings
from app.core.errors import InvalidRequest, NotFound
from app.webhooks.outbox import Receiver

_NAMES = {"num_inference_steps": "steps", "guidance_scale": "guidance"}
"""What many of Replicate's models call what ours call otherwise."""
_FORMATS = {"jpg": "jpeg"}
COMPLETED = "completed"


def model_of(version: str, catalog: Catalog) -> Resolved:
    """The model of a version: its public name, bare or behind its owner's. Raises NotFound."""
    owner, _, name = version.rpartition("/")
    if owner not in ("", OWNER):
        raise NotFound(f"there is no model of {owner!r} here, only of {OWNER!r}", field="version", value=version)
    return catalog.resolve(name.partition(":")[0])


def to_inputs(body: ModelPredictionBody, model: Resolved) -> tuple[Inputs, Outputs]:
    """The body of the model's own route, and what stands beside it.

    Raises:
        InvalidRequest: a setting is there twice, or a webhook stands where it does not belong.
        RequestValidationError: a field has the wrong type.
    """
    try:
        return body_of(model.row).model_validate(_named(body.input)), Outputs.model_validate(body.input)
    except ValidationError as error:
        raise RequestValidationError(_in_input(error)) from None


def receiver_of(body: ModelPredictionBody, settings: EgressSettings, public_url: str) -> Receiver | None:
    """Who a request names. Raises InvalidRequest for an address that nothing could be sent to, and for events that are not told."""
    field = "webhook" if body.webhook else "webhook_completed"
    told = receiver_at(body.webhook or body.webhook_completed, None, settings, public_url, field)
    events = body.webhook_events_filter
    if told is not None and events and COMPLETED not in events:
        message = f"webhook_events_filter: this server tells of a prediction's end alone, {COMPLETED!r}"
        raise InvalidRequest(message, field="webhook_events_filter", value=str(events)[:200], limit=COMPLETED)
    return told


def _in_input(error: ValidationError) -> list[dict[str, object]]:
    """What is wrong, each with its place in the body."""
    return [{**one, "loc": ("body", "input", *one["loc"])} for one in error.errors(include_url=False)]


def _named(sent: Mapping[str, Any]) -> dict[str, Any]:
    """The input under our names, without what the route would take for something of its own."""
    named: dict[str, Any] = {}
    if sent.get("webhook_url"):
        message = "webhook_url: a prediction's webhook stands beside its input, under webhook"
        raise InvalidRequest(message, field="webhook_url", limit="absent, null or empty")
    for name, value in sent.items():
        ours = _NAMES.get(name, name)
        if ours in named:
            message = f"{name}: it says what another field has said"
            raise InvalidRequest(message, field=name, value=value, limit=f"either {name} or {ours}")
        if name not in Outputs.model_fields:
            named[ours] = value
    form = named.get("output_format")
    if isinstance(form, str):
        named["output_format"] = _FORMATS.get(form, form)
    return named
