"""Every sampler's whole run, over what a folder's file asks for, against Diffusers' scheduler of the same name in float64."""

import inspect
from dataclasses import replace
from typing import Any, cast

import diffusers
import pytest
import torch

from models.samplers import registry
from models.samplers.curves import beta, exponential, karras
from models.samplers.grids import End
from models.samplers.layout import Layout, SpacingName
from models.samplers.noise_schedule import NoiseSchedule
from models.samplers.plan import advance, begin
from models.samplers.prediction import Prediction, denoised
from models.samplers.sampler import Sampler

SCHEDULERS: dict[str, tuple[str, dict[str, object]]] = {
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "dpm2": ("KDPM2DiscreteScheduler", {}),
    "dpm2_a": ("KDPM2AncestralDiscreteScheduler", {}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {}),
    "dpmpp_2m_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "dpmpp_2m_sde_heun": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++", "solver_type": "heun"},
    ),
    "dpmpp_3m": ("DPMSolverMultistepScheduler", {"solver_order": 3}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "ddim": ("DDIMScheduler", {"clip_sample": False}),
    "plms": ("PNDMScheduler", {"skip_prk_steps": True}),
    "ddpm": ("DDPMScheduler", {"clip_sample": False}),
    "lcm": ("LCMScheduler", {}),
    "tcd": ("TCDScheduler", {}),
}
SAMPLERS = [sampler for sampler in registry.SAMPLERS if sampler.name in SCHEDULERS]
CURVES = {"use_karras_sigmas": karras, "use_exponential_sigmas": exponential, "use_beta_sigmas": beta}
CURVED = ("euler", "heun", "lms", "dpm2", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_3m", "unipc", "deis")
SLOW = ("dpm2", "dpm2_a")
"""Diffusers' take half a second to be made."""
SD = NoiseSchedule()
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # numpy, of Diffusers' KDPM2


def scheduler(name: str, layout: Layout, prediction: Prediction, *, zero_snr: bool = False) -> Any:
    class_name, own = SCHEDULERS[name]
    made: Any = getattr(diffusers, class_name)
    curve = {field: layout.curve is curve for field, curve in CURVES.items()}
    config = {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "timestep_spacing": layout.spacing,
        "steps_offset": layout.steps_offset,
        "final_sigmas_type": layout.end.value,
        "set_alpha_to_one": layout.has_alpha_to_one,
        "prediction_type": prediction.value,
        "rescale_betas_zero_snr": zero_snr,
        **curve,
        **own,
    }
    known = inspect.signature(made.__init__).parameters
    return made(**{field: value for field, value in config.items() if field in known})


def network(x: torch.Tensor, time: float) -> torch.Tensor:
    return 0.9 * x - 0.1 * torch.sin(3 * x) + 0.0001 * time


def theirs(oracle: Any, noise: torch.Tensor, num_steps: int, first: int = 0) -> torch.Tensor:
    """The last of `num_steps` steps, from `first` on. Noise stands for what a run from a picture begins with too."""
    oracle.set_timesteps(num_steps)
    left = oracle.timesteps[first * oracle.order :]
    x, generator = noise * oracle.init_noise_sigma, torch.Generator().manual_seed(7)
    if first:
        getattr(oracle, "set_begin_index", int)(first * oracle.order)
        x = oracle.add_noise(torch.ones_like(noise), noise, left[:1])
    takes = inspect.signature(oracle.step).parameters
    for time in left:
        output = network(oracle.scale_model_input(x, time).double(), float(time))
        kwargs = {"generator": generator} if "generator" in takes else {}
        x = oracle.step(output, time, x, **kwargs).prev_sample
    return x


def ours(
    sampler: Sampler,
    layout: Layout,
    training: NoiseSchedule,
    noise: torch.Tensor,
    steps: int,
    kind: Prediction,
    first: int = 0,
) -> torch.Tensor:
    schedule = layout.grid(sampler)(training, steps)
    dtype = torch.float32 if sampler.draws_float32 else noise.dtype
    plan = sampler.plan(schedule.later(first))
    start = plan[0].at.noised(torch.ones_like(noise), noise) if first else schedule.initial(noise)
    state = begin(start, torch.Generator().manual_seed(7), dtype)
    for evaluation in plan:
        output = network(state.latents, evaluation.at.time)
        state = advance(evaluation, state, denoised(kind, evaluation.at, state.latents, output))
    return state.latents


def noise() -> torch.Tensor:
    return torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize(
    ("sampler", "spacing"),
    [
        (sampler, spacing)
        for sampler in SAMPLERS
        for spacing in ("linspace", "leading", "trailing")
        if spacing == "leading" or sampler.name not in SLOW
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_spacings(sampler: Sampler, spacing: str) -> None:
    layout = Layout(cast(SpacingName, spacing), steps_offset=1, has_alpha_to_one=False)
    expected = theirs(scheduler(sampler.name, layout, Prediction.EPSILON), noise(), 7)
    torch.testing.assert_close(
        ours(sampler, layout, SD, noise(), 7, Prediction.EPSILON), expected, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("curve", [karras, exponential, beta])
@pytest.mark.parametrize("sampler", [one for one in SAMPLERS if one.name in CURVED], ids=lambda one: one.name)
def test_curves(sampler: Sampler, curve: Any) -> None:
    layout = Layout("leading", steps_offset=1, curve=curve)
    expected = theirs(scheduler(sampler.name, layout, Prediction.EPSILON), noise(), 6)
    torch.testing.assert_close(
        ours(sampler, layout, SD, noise(), 6, Prediction.EPSILON), expected, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(
    "sampler",
    [one for one in SAMPLERS if one.name in ("euler", "euler_a", "dpmpp_2m", "unipc", "ddim", "ddpm", "lcm")],
    ids=lambda one: one.name,
)
def test_v_prediction_with_zero_terminal_snr(sampler: Sampler) -> None:
    layout, training = Layout("trailing"), replace(SD, zero_terminal_snr=True)
    oracle = scheduler(sampler.name, layout, Prediction.V, zero_snr=True)
    expected = theirs(oracle, noise(), 5)
    torch.testing.assert_close(
        ours(sampler, layout, training, noise(), 5, Prediction.V), expected, atol=1e-5, rtol=1e-5
    )


def test_a_run_that_ends_with_the_least_noise() -> None:
    layout = Layout("linspace", end=End.LEAST_NOISE)
    expected = theirs(scheduler("dpmpp_2m", layout, Prediction.EPSILON), noise(), 16)
    found = ours(registry.DPMPP_2M, layout, SD, noise(), 16, Prediction.EPSILON)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "sampler", [one for one in SAMPLERS if one.name not in ("tcd", "lcm")], ids=lambda one: one.name
)
def test_runs_from_a_picture(sampler: Sampler) -> None:
    """Also where Diffusers' LMS and PNDM weigh slopes that a run from a picture does not have, or begin a step early."""
    layout = Layout("leading", steps_offset=1)
    for first in (12,) if sampler.name not in ("lms", "plms") else (1, 2, 5, 12, 15, 16):
        expected = theirs(scheduler(sampler.name, layout, Prediction.EPSILON), noise(), 17, first=first)
        found = ours(sampler, layout, SD, noise(), 17, Prediction.EPSILON, first=first)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
