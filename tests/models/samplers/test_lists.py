"""Steps that a request lists: as Diffusers' schedulers walk them, where they take lists."""

from typing import Any

import pytest
import torch

from models.errors import UnsupportedSampler
from models.samplers.asked import Asked
from models.samplers.layout import Layout
from models.samplers.methods import SD_METHODS
from models.samplers.noise_schedule import NoiseSchedule
from models.samplers.plan import advance, begin
from models.samplers.prediction import Prediction, denoised
from models.samplers.registry import PLMS
from models.samplers.schedules import FlowSchedule, flow_times
from models.samplers.trajectories import DiffusionTrajectory, FlowTrajectory
from tests.models.samplers.test_layout import network, noise, scheduler

LAYOUTS = {"leading": Layout("leading", steps_offset=1), "linspace": Layout("linspace")}
TIMESTEPS, SIGMAS = (999, 700, 431, 207, 20), (14.0, 5.5, 2.1, 0.7, 0.1)


def ours(asked: Asked, layout: Layout, num_steps: int) -> torch.Tensor:
    trajectory = DiffusionTrajectory(NoiseSchedule(), layout, Prediction.EPSILON, SD_METHODS)
    picked = trajectory.picked(asked, 64, num_steps)
    assert picked is not None
    sampler, schedule = picked
    dtype = torch.float32 if sampler.draws_float32 else torch.float64
    state = begin(schedule.initial(noise()), torch.Generator().manual_seed(7), dtype)
    for evaluation in sampler.plan(schedule):
        output = network(state.latents, evaluation.at.time)
        state = advance(evaluation, state, denoised(Prediction.EPSILON, evaluation.at, state.latents, output))
    return state.latents


def theirs(sampler: str, layout: Layout, **lists: Any) -> torch.Tensor:
    oracle = scheduler(sampler, layout, Prediction.EPSILON)
    oracle.set_timesteps(**lists)
    x = noise() * oracle.init_noise_sigma
    takes: dict[str, Any] = {} if sampler in ("heun", "dpmpp_2m") else {"generator": torch.Generator().manual_seed(7)}
    for time in oracle.timesteps:
        x = oracle.step(network(oracle.scale_model_input(x, time).double(), float(time)), time, x, **takes).prev_sample
    return x


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m", "ddpm", "lcm", "tcd"])
def test_listed_training_steps_are_walked_as_diffusers_walks_them(sampler: str, layout: str) -> None:
    steps = {"lcm": (999, 759, 499, 259), "tcd": (999, 759, 499, 259)}.get(sampler, TIMESTEPS)
    more = {"original_inference_steps": 50} if sampler in ("lcm", "tcd") else {}
    expected = theirs(sampler, LAYOUTS[layout], timesteps=list(steps), **more)
    found = ours(Asked(sampler=sampler, timesteps=steps), LAYOUTS[layout], len(steps))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_listed_levels_are_walked_as_diffusers_walks_them(layout: str) -> None:
    expected = theirs("euler", LAYOUTS[layout], sigmas=[*SIGMAS, 0.0])
    torch.testing.assert_close(ours(Asked(sigmas=SIGMAS), LAYOUTS[layout], 5), expected, atol=1e-5, rtol=1e-5)


def test_times_of_flow_matching_are_shifted_once() -> None:
    """As the pipelines of Diffusers shift those that they are given."""
    schedule = FlowSchedule(shift=3.0)
    picked = FlowTrajectory(schedule).picked(Asked(sigmas=(1.0, 0.5)), 64, 2)
    assert picked is not None
    assert [point.time for point in picked[1].points] == pytest.approx([1.0, 0.75])
    assert flow_times(schedule, 64, 2, (1.0, 0.5)).tolist() == pytest.approx([1.0, 0.75, 0.0])


def test_a_schedule_alone_goes_with_euler_where_the_folders_sampler_does_not_walk_it() -> None:
    trajectory = DiffusionTrajectory(NoiseSchedule(), LAYOUTS["leading"], Prediction.EPSILON, SD_METHODS, PLMS)
    for asked, expected in ((Asked(schedule="trailing"), "plms"), (Asked(schedule="karras"), "euler")):
        picked = trajectory.picked(asked, 64, 4)
        assert picked is not None
        assert picked[0].name == expected


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Asked(sigmas=(1.0, 2.0)), "sigmas do not fall"),
        (Asked(sigmas=(5000.0, 2.0)), "at most 4096"),
        (Asked(sigmas=(float("nan"), 2.0)), "sigmas do not fall"),
        (Asked(timesteps=(1000, 2)), "at most 999"),
        (Asked(timesteps=(9, 5, 2)), "3 are listed, for 2 steps"),
        (Asked(sampler="plms", timesteps=(9, 2)), "timesteps do not fit sampler plms; these take them: euler"),
        (Asked(sampler="tcd", sigmas=(9.0, 2.0)), "sigmas do not fit sampler tcd"),
        (Asked(sampler="DPM++ 2M Karras", sigmas=(9.0, 2.0)), "names a schedule already"),
        (Asked(schedule="karras", sigmas=(9.0, 2.0)), "sigmas: schedule says already"),
        (Asked(eta=0.5), "eta: euler has no share"),
        (Asked(sampler="ddim", eta=1.5), r"eta 1.5 is not in \[0, 1\]"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: Asked, message: str) -> None:
    with pytest.raises(UnsupportedSampler, match=message):
        DiffusionTrajectory(NoiseSchedule(), LAYOUTS["leading"], Prediction.EPSILON, SD_METHODS).picked(asked, 64, 2)
