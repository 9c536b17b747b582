"""How a request wants its steps taken: sampler, schedule, share of fresh noise, listed steps. What does not fit the network is refused."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypedDict

from app.api.bfl.schemas.fields import Inputs, Steps
from app.api.bfl.translate.limits import within
from app.core import samplers
from app.core.catalog import Resolved
from app.core.errors import InvalidRequest
from app.core.samplers import AUTOMATIC, SAMPLERS, SamplerRow, Trajectory, fitting

LEAST_SIGMA = 0.001
MOST_SIGMA: dict[Trajectory, float] = {"flow": 1.0, "diffusion": 4096.0, "diffusion_from_pure_noise": 4096.0}
TRAINING_STEPS = 1000


class Sampling(TypedDict):
    """Fields of a spec."""

    steps: int
    sampler: str | None
    schedule: str | None
    eta: float | None
    sigmas: tuple[float, ...] | None
    timesteps: tuple[int, ...] | None


def sampling_of(body: Inputs, model: Resolved) -> Sampling:
    """How the steps are taken, under our names. Raises InvalidRequest with the list of what would fit."""
    trajectory = model.runs.trajectory
    if not isinstance(body, Steps):
        return _sampling(model.runs.steps.default)
    sampler, fused = _sampler(body.sampler, trajectory)
    sigmas, timesteps = _sigmas(body.sigmas, trajectory), _timesteps(body.timesteps)
    schedule = _schedule(body.schedule, sampler, fused, trajectory)
    if schedule == AUTOMATIC and (sigmas or timesteps):
        schedule = None
    _check_one_way({"schedule": schedule, "sigmas": sigmas, "timesteps": timesteps})
    eta = None if body.eta is None else within("eta", body.eta, 0, 1)
    for field, value in (("eta", eta), ("sigmas", sigmas), ("timesteps", timesteps)):
        if value is not None:
            _check_taken(field, value, sampler, trajectory)
    steps = _steps(body, model, sigmas, timesteps)
    if sigmas is None and timesteps is None:
        _check_most_steps(steps, sampler, schedule, trajectory)
    return _sampling(steps, sampler, schedule, eta, sigmas, timesteps)


def _sampling(
    steps: int,
    sampler: str | None = None,
    schedule: str | None = None,
    eta: float | None = None,
    sigmas: tuple[float, ...] | None = None,
    timesteps: tuple[int, ...] | None = None,
) -> Sampling:
    return Sampling(steps=steps, sampler=sampler, schedule=schedule, eta=eta, sigmas=sigmas, timesteps=timesteps)


def _sampler(name: str | None, trajectory: Trajectory) -> tuple[str | None, str | None]:
    """Our name of the sampler, and of the schedule behind it."""
    if name is None or not name.strip():
        return None, None
    sampler, fused = samplers.parted(name)
    if sampler is None:
        raise _unfit("sampler", name, "is not known", fitting(trajectory))
    if not SAMPLERS[sampler].schedules(trajectory):
        raise _unfit("sampler", name, "does not fit this model", fitting(trajectory))
    if fused is not None and fused not in (fits := SAMPLERS[sampler].schedules(trajectory)):
        raise _unfit("sampler", name, f"has a schedule ({fused}) that does not fit {sampler} here", fits)
    return sampler, fused


def _schedule(name: str | None, sampler: str | None, fused: str | None, trajectory: Trajectory) -> str | None:
    if name is None or not name.strip():
        return fused
    fits = SAMPLERS[sampler or samplers.ALONE].schedules(trajectory)
    schedule = samplers.schedule_named(name)
    if schedule is None:
        raise _unfit("schedule", name, "is not known", fits)
    if fused is not None and schedule not in (fused, AUTOMATIC):
        raise _unfit("schedule", name, f"is not the one that the sampler's name says ({fused})", (fused,))
    if schedule == AUTOMATIC:
        return fused or (AUTOMATIC if sampler is not None else None)
    if schedule not in fits:
        to = f"sampler {sampler} here" if sampler is not None else "a model without a sampler that walks it"
        raise _unfit("schedule", name, f"does not fit {to}", fits)
    return schedule


def _sigmas(sent: Sequence[float] | None, trajectory: Trajectory) -> tuple[float, ...] | None:
    """Levels of noise; the 0 at which every run ends may stand at their end."""
    if not sent:
        return None
    levels = tuple(sent[:-1] if sent[-1] == 0 and len(sent) > 1 else sent)
    _check_falling("sigmas", levels, LEAST_SIGMA, MOST_SIGMA[trajectory])
    return levels


def _timesteps(sent: Sequence[int] | None) -> tuple[int, ...] | None:
    if not sent:
        return None
    _check_falling("timesteps", sent, 0, TRAINING_STEPS - 1)
    return tuple(sent)


def _check_falling(field: str, values: Sequence[float], least: float, most: float) -> None:
    """They are finite, each is less than the one before, and all lie within the bounds."""
    for value in values:
        if not (math.isfinite(value) and least <= value <= most):
            limit = f"{least:g} to {most:g}"
            raise InvalidRequest(f"{field}: each must be {limit}", field=field, value=value, limit=limit)
    for before, value in pairwise(values):
        if value >= before:
            message = f"{field} must fall: {value:g} follows {before:g}"
            raise InvalidRequest(message, field=field, value=value, limit=f"less than {before:g}")


def _check_one_way(said: dict[str, object]) -> None:
    """A schedule and a list, or two lists, lay the steps in two ways."""
    named = [field for field, value in said.items() if value is not None]
    if len(named) > 1:
        message = f"{named[1]}: {named[0]} says already how the steps are laid"
        raise InvalidRequest(message, field=named[1], limit=f"absent or null beside {named[0]}")


def _check_taken(field: str, value: float | tuple[float, ...], sampler: str | None, trajectory: Trajectory) -> None:
    """The sampler reads the field; without one Euler's method has to."""
    if SAMPLERS[sampler or samplers.ALONE].takes(field, trajectory):
        return
    fits = fitting(trajectory, field)
    of = f"sampler {sampler}" if sampler is not None else "a request that names no sampler"
    raise _unfit(field, value, f"means nothing to {of} here" if fits else "means nothing to this model", fits)


def _steps(body: Steps, model: Resolved, *lists: Sequence[float] | None) -> int:
    """Steps within the limits of the public name and of the network that runs, or as many as are listed."""
    runs, row = model.runs.steps, model.row.steps
    listed = next(((field, len(one)) for field, one in zip(("sigmas", "timesteps"), lists, strict=True) if one), None)
    if listed is not None:
        field, number = listed
        least, most = max(row.min, runs.min), min(row.max, runs.max)
        if not least <= number <= most:
            limit = f"{least} to {most} values"
            raise InvalidRequest(f"{field} must be {limit}", field=field, value=f"{number} values", limit=limit)
        if body.steps not in (None, number):
            message = f"steps: {field} lists {number}"
            raise InvalidRequest(message, field="steps", value=body.steps, limit=number)
        return number
    if body.steps is None:
        return runs.default
    sent = int(within("steps", body.steps, row.min, row.max))
    return min(max(sent, runs.min), runs.max)


def _check_most_steps(steps: int, sampler: str | None, schedule: str | None, trajectory: Trajectory) -> None:
    row: SamplerRow | None = None if sampler is None else SAMPLERS[sampler]
    own = None if row is None or trajectory == "flow" else row.own_schedule
    walked = own if schedule in (None, AUTOMATIC) else schedule
    most = samplers.MOST_STEPS.get(walked or "")
    if most is not None and steps > most:
        message = f"steps: schedule {walked} has at most {most}"
        raise InvalidRequest(message, field="steps", value=steps, limit=f"1 to {most} for schedule {walked}")


def _unfit(field: str, value: str | float | tuple[float, ...], why: str, fits: Iterable[str]) -> InvalidRequest:
    """A refusal that lists what would fit, under our names."""
    limit = ", ".join(fits) or "absent or null"
    said = f" {value[:80]!r}" if isinstance(value, str) else ""
    shown = f"{len(value)} values" if isinstance(value, tuple) else value
    return InvalidRequest(f"{field}{said} {why}; these fit: {limit}", field=field, value=shown, limit=limit)
