"""Where Diffusers' schedulers are wrong, and ours are not."""

from dataclasses import replace
from functools import partial
from typing import Any, cast

import pytest
import torch
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from torch import Tensor

from models.samplers import registry
from models.samplers.curves import karras
from models.samplers.dpmpp import second_phi, third_phi
from models.samplers.grids import End
from models.samplers.layout import Layout
from models.samplers.noise_schedule import NoiseSchedule
from models.samplers.plan import advance, begin
from models.samplers.prediction import Prediction, denoised
from models.samplers.sampler import Sampler
from models.samplers.unipc import unipc

SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
NOISE = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def theirs(oracle: Any, num_steps: int) -> Tensor:
    oracle.set_timesteps(num_steps)
    x, generator = NOISE, torch.Generator().manual_seed(7)
    for time in oracle.timesteps:
        kwargs = {"generator": generator} if "algorithm_type" in oracle.config else {}
        x = oracle.step((0.9 * x).double(), time, x, **kwargs).prev_sample
    return x


def ours(sampler: Sampler, layout: Layout, num_steps: int) -> Tensor:
    schedule = layout.grid(sampler)(NoiseSchedule(), num_steps)
    state = begin(schedule.initial(NOISE), torch.Generator().manual_seed(7))
    for evaluation in sampler.plan(schedule):
        seen = denoised(Prediction.EPSILON, evaluation.at, state.latents, 0.9 * state.latents)
        state = advance(evaluation, state, seen)
    return state.latents


def multistep(**fields: object) -> Any:
    return cast(Any, DPMSolverMultistepScheduler)(**SD, **fields)


def test_the_curvature_of_3m_sde_enters_with_the_right_sign() -> None:
    """Its weight vanishes with the step; Diffusers' goes to -1. Order 2, without it, is the same in both, and ours nears that with the
    square of the step, Diffusers' only with the step."""
    assert third_phi(1e-3) == pytest.approx(1e-3 / 6, rel=1e-2)
    layout, right, wrong = Layout("linspace", curve=karras), list[float](), list[float]()
    sde = {"algorithm_type": "sde-dpmsolver++", "solver_type": "heun", "use_karras_sigmas": True}
    for steps in (20, 40):
        second = ours(registry.DPMPP_2M_SDE_HEUN, layout, steps)
        torch.testing.assert_close(second, theirs(multistep(**sde), steps), atol=1e-5, rtol=1e-5)
        right.append(float((ours(registry.DPMPP_3M_SDE, layout, steps) - second).abs().max()))
        wrong.append(float((theirs(multistep(**sde, solver_order=3), steps) - second).abs().max()))
    assert right[0] > 4 * right[1]
    assert wrong[0] < 2.5 * wrong[1]
    assert wrong[1] > 2 * right[1]


@pytest.mark.parametrize("second", ["midpoint", "heun"])
@pytest.mark.parametrize("order", [2, 3])
def test_a_level_that_is_repeated_at_the_end_is_no_step(order: int, second: str) -> None:
    """Karras levels already end at the least noise of training; where a folder ends there too, Diffusers divides 0 by 0."""
    layout = Layout("linspace", curve=karras, end=End.LEAST_NOISE)
    made = partial(registry.DPMPP_2M.evaluations, order=order)
    sampler = replace(registry.DPMPP_2M, evaluations=made if second == "midpoint" else partial(made, second=second_phi))
    oracle = multistep(solver_order=order, solver_type=second, use_karras_sigmas=True, final_sigmas_type="sigma_min")
    found, expected = ours(sampler, layout, 16), theirs(oracle, 16)
    assert found.isfinite().all()
    if expected.isfinite().all():
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    else:
        assert (order, second) != (2, "midpoint")


def test_the_other_scale_of_unipc_ends_at_the_picture() -> None:
    """`bh1` multiplies an infinite step by a sum of nothing in Diffusers."""
    oracle = cast(Any, UniPCMultistepScheduler)(**SD, solver_type="bh1", solver_order=3)
    assert theirs(oracle, 8).isnan().all()
    sampler = replace(registry.UNIPC, evaluations=partial(unipc, order=3, is_bh1=True))
    found, usual = ours(sampler, Layout("linspace"), 8), ours(registry.UNIPC, Layout("linspace"), 8)
    torch.testing.assert_close(found, usual, atol=0.05, rtol=0.05)
