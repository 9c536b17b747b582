"""ControlNets of a body into those of the spec: known, of the family of the network that runs, within their limits."""

from app.api.bfl.schemas.controls import ControlInput, ControlledInputs
from app.api.bfl.schemas.fields import Inputs
from app.api.bfl.translate.limits import within
from app.core.catalog import Resolved
from app.core.control_rows import ControlKind
from app.core.errors import InvalidRequest
from app.core.spec import Control

MAX_SCALE = 2.0


def used_controls(body: Inputs, model: Resolved) -> tuple[Control, ...]:
    """The ControlNets of a request. Raises InvalidRequest for the first that cannot be followed."""
    given = body.controls if isinstance(body, ControlledInputs) else None
    return tuple(_used(f"controls.{index}", control, model) for index, control in enumerate(given or ()))


def _used(field: str, sent: ControlInput, model: Resolved) -> Control:
    check_beside(f"{field}.network", sent.network, model, "ControlNet")
    if not sent.image:
        message = f"{field}.image: {sent.network} follows a picture, and there is none"
        raise InvalidRequest(message, field=f"{field}.image", value=sent.image, limit="a picture")
    start = within(f"{field}.start", 0.0 if sent.start is None else sent.start, 0, 1)
    end = within(f"{field}.end", 1.0 if sent.end is None else sent.end, 0, 1)
    if start >= end:
        message = f"{field}.start must be below {field}.end"
        raise InvalidRequest(message, field=f"{field}.start", value=start, limit=f"below {end:g}")
    scale = within(f"{field}.scale", 1.0 if sent.scale is None else sent.scale, 0, MAX_SCALE)
    return Control(network=sent.network, scale=scale, start=start, end=end, mode=_used_mode(field, sent, model))


def _used_mode(field: str, sent: ControlInput, model: Resolved) -> int | None:
    """The kind of picture, exactly where the network tells kinds apart, or is the operator's own and might."""
    most = model.controls[sent.network].num_modes
    if most is None and sent.mode is not None:
        message = f"{field}.mode: {sent.network} tells no kinds of pictures apart"
        raise InvalidRequest(message, field=f"{field}.mode", value=sent.mode, limit="absent or null")
    if most is not None and sent.mode is None:
        message = f"{field}.mode: {sent.network} has to be told what the picture shows"
        raise InvalidRequest(message, field=f"{field}.mode", value=None, limit=f"0 to {most - 1}")
    return None if most is None or sent.mode is None else int(within(f"{field}.mode", sent.mode, 0, most - 1))


def check_beside(field: str, name: str, model: Resolved, kind: ControlKind) -> None:
    """Raise InvalidRequest for a name that is none of this kind, or of one that goes with other networks; it lists those that fit."""
    fitting = ", ".join(model.beside(kind)) or "none"
    found = model.controls.get(name)
    if found is None or not found.is_a(kind):
        message = f"{field}: there is no {kind} {name!r}; for {model.runs.name} there are: {fitting}"
        raise InvalidRequest(message, field=field, value=name, limit=fitting)
    if found.family != model.runs.takes.control_family:
        message = f"{field}: {name} steers {found.family}, not {model.runs.name}; for that there are: {fitting}"
        raise InvalidRequest(message, field=field, value=name, limit=fitting)
