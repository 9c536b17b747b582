"""The gateway's table of samplers says what the samplers themselves say: names, pairs, lists, shares of noise, numbers of steps."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import pytest

from app.api.bfl.schemas.bodies import body_of
from app.api.bfl.translate.sampling import LEAST_SIGMA, MOST_SIGMA, TRAINING_STEPS, sampling_of
from app.core import samplers as table
from app.core.catalog import Catalog, Resolved
from app.core.catalog_row import StepLimits
from app.core.errors import InvalidRequest
from app.core.samplers import Trajectory
from models.errors import UnsupportedSampler
from models.samplers import asked
from models.samplers.asked import Asked
from models.samplers.layout import Layout
from models.samplers.methods import FLOW_METHODS, SD_METHODS, SDXL_METHODS, Methods, from_pure_noise
from models.samplers.names import AUTOMATIC, SAMPLER_NAMES, SCHEDULE_NAMES
from models.samplers.noise_schedule import NoiseSchedule
from models.samplers.prediction import Prediction
from models.samplers.schedules import FlowSchedule
from models.samplers.trajectories import DiffusionTrajectory, FlowTrajectory
from models.samplers.trajectories import Trajectory as Walked

METHODS: Mapping[Trajectory, Methods[Any]] = {
    "flow": FLOW_METHODS,
    "diffusion": SD_METHODS,
    "diffusion_from_pure_noise": from_pure_noise(SD_METHODS),
}
LAYOUT = Layout("leading", steps_offset=1)
WALKED: Mapping[Trajectory, Walked] = {
    "flow": FlowTrajectory(FlowSchedule(shift=3.0)),
    "diffusion": DiffusionTrajectory(NoiseSchedule(), LAYOUT, Prediction.EPSILON, SD_METHODS),
    "diffusion_from_pure_noise": DiffusionTrajectory(
        NoiseSchedule(zero_terminal_snr=True), Layout("trailing"), Prediction.V, from_pure_noise(SD_METHODS)
    ),
}
MODEL: Mapping[Trajectory, str] = {"flow": "flux-dev", "diffusion": "sdxl", "diffusion_from_pure_noise": "sdxl"}
TRAJECTORIES: tuple[Trajectory, ...] = get_args(Trajectory)
NAMES = [None, *SAMPLER_NAMES, "warp"]
SCHEDULES = [None, *SCHEDULE_NAMES, AUTOMATIC, "warp"]
FEW = (1, 2, 50, 51, 100)
LISTS: list[dict[str, Any]] = [{}, {"eta": 0.5}, {"sigmas": (1.0, 0.25)}, {"timesteps": (999, 20)}]


def test_names_are_the_same() -> None:
    assert {name: row.names for name, row in table.SAMPLERS.items()} == dict(SAMPLER_NAMES)
    assert dict(table.SCHEDULES) == dict(SCHEDULE_NAMES)
    assert table.AUTOMATIC == AUTOMATIC
    assert (LEAST_SIGMA, MOST_SIGMA["diffusion"]) == (asked.LEAST_SIGMA, asked.MOST_SIGMA)
    assert NoiseSchedule().num_train_steps == TRAINING_STEPS


@pytest.mark.parametrize("trajectory", TRAJECTORIES)
def test_what_fits_is_the_same(trajectory: Trajectory) -> None:
    methods = METHODS[trajectory]
    assert set(table.fitting(trajectory)) == set(methods)
    for name, method in methods.items():
        row = table.SAMPLERS[name]
        assert set(row.schedules(trajectory)) == set(method.schedules), name
        assert row.takes("eta", trajectory) == (method.sampler.eta is not None), name
        assert row.takes("sigmas", trajectory) == method.takes_sigmas, name
        assert row.takes("timesteps", trajectory) == method.takes_timesteps, name
        assert row.per_step == method.sampler.per_step, name
    assert {name: set(one.schedules) for name, one in SDXL_METHODS.items()} == {
        name: set(one.schedules) for name, one in SD_METHODS.items()
    }


def accepted(trajectory: Trajectory, steps: int, said: dict[str, Any]) -> dict[str, Any] | None:
    """What the gateway hands on, or None where it refuses."""
    row = Catalog().by_name(MODEL[trajectory])
    limits = StepLimits(default=steps, min=1, max=1000)
    row = replace(row, trajectory=trajectory, steps=limits)
    number = {} if "sigmas" in said or "timesteps" in said else {"steps": steps}
    body = body_of(row).model_validate({"prompt": "x"} | number | said)
    try:
        return dict(sampling_of(body, Resolved(row, row)))
    except InvalidRequest:
        return None


def is_walked(trajectory: Trajectory, asked: Asked, steps: int) -> bool:
    try:
        picked = WALKED[trajectory].picked(asked, 64, steps)
        if picked is not None:
            picked[0].plan(picked[1])
    except UnsupportedSampler:
        return False
    return True


def check(trajectory: Trajectory, steps: int, said: dict[str, Any]) -> None:
    handed = accepted(trajectory, steps, said)
    walks = is_walked(trajectory, Asked(**said), len(said.get("sigmas") or said.get("timesteps") or range(steps)))
    if handed is None:
        # A schedule alone that Euler's method does not walk could be that of a folder's own sampler, which the gateway does not know.
        assert not walks, (trajectory, steps, said)
        return
    assert walks, (trajectory, steps, said)
    number = handed.pop("steps")
    assert is_walked(trajectory, Asked(**handed), number)


@pytest.mark.parametrize("trajectory", TRAJECTORIES)
def test_the_gateway_refuses_what_the_network_would(trajectory: Trajectory) -> None:
    for sampler in NAMES:
        for schedule in ("karras", "lcm"):
            check(trajectory, 4, {"sampler": sampler, "schedule": schedule})
        for more in LISTS:
            check(trajectory, 2, {"sampler": sampler, "schedule": None} | more)
    for schedule in SCHEDULES:
        check(trajectory, 4, {"sampler": None, "schedule": schedule})
    for sampler in ("lcm", "tcd", "euler"):
        for steps in (50, 51):
            check(trajectory, steps, {"sampler": sampler, "schedule": None})


@pytest.mark.prove
@pytest.mark.parametrize("trajectory", TRAJECTORIES)
def test_every_number_of_steps_that_the_gateway_takes_is_walked(trajectory: Trajectory) -> None:
    for sampler in NAMES:
        for schedule in SCHEDULES:
            for steps in FEW:
                check(trajectory, steps, {"sampler": sampler, "schedule": schedule})
        for more in LISTS:
            for schedule in SCHEDULES:
                check(trajectory, 2, {"sampler": sampler, "schedule": schedule} | more)


def test_evaluations_are_those_of_the_plans() -> None:
    for name, method in SD_METHODS.items():
        walked = WALKED["diffusion"].picked(Asked(sampler=name), 64, 7)
        assert walked is not None
        found = len(walked[0].plan(walked[1]))
        assert found - (name == "plms") == table.evaluations(name, 7), method
