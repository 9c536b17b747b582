"""An `input` of Replicate's into the body of a model's own route: whatever that route checks, refuses and prices holds here too."""

from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from app.api.bfl.schemas.bodies import body_of
from app.api.bfl.schemas.fields import Inputs
from app.api.replicate.schemas import OWNER, ModelPredictionBody, Outputs
from app.core.catalog import Catalog, Resolved
from app.core.errors import InvalidRequest, NotFound

_NAMES = {"num_inference_steps": "steps", "guidance_scale": "guidance"}
"""What many of Replicate's models call what ours call otherwise."""
_FORMATS = {"jpg": "jpeg"}


def model_of(version: str, catalog: Catalog) -> Resolved:
    """The model of a version: its public name, bare or behind its owner's. Raises NotFound."""
    owner, _, name = version.rpartition("/")
    if owner not in ("", OWNER):
        raise NotFound(f"there is no model of {owner!r} here, only of {OWNER!r}", field="version", value=version)
    return catalog.resolve(name.partition(":")[0])


def to_inputs(body: ModelPredictionBody, model: Resolved) -> tuple[Inputs, Outputs]:
    """The body of the model's own route, and what stands beside it.

    Raises:
        InvalidRequest: a setting is there twice, or a webhook is asked for.
        RequestValidationError: a field has the wrong type.
    """
    webhook = body.webhook or body.webhook_completed
    said = {**_named(body.input), **({} if webhook is None else {"webhook_url": webhook})}
    if said.get("webhook_url"):
        message = "webhook: this server does not send Replicate's webhooks yet; look at the prediction, or wait for it"
        raise InvalidRequest(message, field="webhook", value=said["webhook_url"], limit="absent, null or empty")
    try:
        return body_of(model.row).model_validate(said), Outputs.model_validate(body.input)
    except ValidationError as error:
        raise RequestValidationError(_in_input(error)) from None


def _in_input(error: ValidationError) -> list[dict[str, object]]:
    """What is wrong, each with its place in the body."""
    return [{**one, "loc": ("body", "input", *one["loc"])} for one in error.errors(include_url=False)]


def _named(sent: Mapping[str, Any]) -> dict[str, Any]:
    """The input under our names, without what the route would take for something of its own."""
    named: dict[str, Any] = {}
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
