"""Schedules against published values, Diffusers, and what every schedule must be."""

from typing import Any, cast

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

from models.errors import UnsupportedInput
from models.samplers.schedules import FlowSchedule, LinearMu, empirical_mu, first_step, flow_times, noised

FLUX2 = FlowSchedule(use_dynamic_shifting=True)
FLUX1 = FlowSchedule(use_dynamic_shifting=True, mu=LinearMu())


@pytest.mark.parametrize(
    ("num_tokens", "mus"),
    [
        (1024, (2.030690, 1.859177, 1.701956)),
        (2304, (2.139227, 1.980954, 1.835871)),
        (4096, (2.291180, 2.151443, 2.023351)),
        (4080, (2.289823, 2.149921, 2.021677)),
        (9216, (2.016659, 2.016659, 2.016659)),
        (16384, (3.229986, 3.229986, 3.229986)),
    ],
)
def test_the_empirical_shift_has_its_published_values(num_tokens: int, mus: tuple[float, ...]) -> None:
    for num_steps, mu in zip((4, 28, 50), mus, strict=True):
        assert empirical_mu(num_tokens, num_steps) == pytest.approx(mu, abs=1e-6)


def test_the_shift_drops_just_above_one_megapixel() -> None:
    assert empirical_mu(65 * 65, 4) == pytest.approx(2.30, abs=0.01)
    assert empirical_mu(66 * 66, 4) == pytest.approx(1.19, abs=0.01)


def test_klein_at_1024_has_its_published_times() -> None:
    expected = torch.tensor([1, 0.967384, 0.908144, 0.7672, 0])
    torch.testing.assert_close(flow_times(FLUX2, 4096, 4), expected, atol=1e-6, rtol=0)


def test_dev_at_1024_has_its_published_times() -> None:
    times = flow_times(FLUX2, 4096, 50)
    torch.testing.assert_close(times[:4], torch.tensor([1, 0.997309, 0.994521, 0.991632]), atol=1e-6, rtol=0)
    torch.testing.assert_close(times[-4:], torch.tensor([0.325593, 0.239631, 0.133719, 0]), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("num_tokens", "mu"),
    [(256, 0.5), (1024, 0.63), (2304, 0.846667), (4096, 1.15), (4080, 1.147292), (9216, 2.016667), (16384, 3.23)],
)
def test_flux1s_shift_is_a_line_through_two_sizes(num_tokens: int, mu: float) -> None:
    assert LinearMu()(num_tokens, 4) == LinearMu()(num_tokens, 50) == pytest.approx(mu, abs=1e-6)


def test_flux1_has_its_published_times() -> None:
    schnell = flow_times(FlowSchedule(), 4096, 4)
    torch.testing.assert_close(schnell, torch.tensor([1, 0.75, 0.5, 0.25, 0]), atol=1e-6, rtol=0)
    few = flow_times(FLUX1, 4096, 4)
    torch.testing.assert_close(few, torch.tensor([1, 0.904531, 0.759511, 0.512844, 0]), atol=1e-6, rtol=0)
    many = flow_times(FLUX1, 4096, 28)
    torch.testing.assert_close(many[1:4], torch.tensor([0.988409, 0.976222, 0.963394]), atol=1e-6, rtol=0)
    torch.testing.assert_close(many[-3:], torch.tensor([0.195455, 0.104721, 0]), atol=1e-6, rtol=0)


def test_a_static_shift_is_applied_once() -> None:
    """Diffusers' scheduler, left to make its own times, shifts their ends before it shifts them all: 1, 0.857692, 0.602151, 0.008929."""
    times = flow_times(FlowSchedule(shift=3.0), 4096, 4)
    torch.testing.assert_close(times, torch.tensor([1, 0.9, 0.75, 0.5, 0]), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("strength", "first"), [(1.0, 0), (0.99, 0), (0.75, 2), (0.6, 3), (0.5, 4), (0.125, 7), (0.01, 7)]
)
def test_a_picture_enters_where_strength_says_and_at_the_last_step_at_the_latest(strength: float, first: int) -> None:
    assert first_step(8, strength) == first


@pytest.mark.parametrize("strength", [0.0, -0.5, 1.01])
def test_a_strength_outside_its_range_is_refused(strength: float) -> None:
    with pytest.raises(UnsupportedInput, match="is not above 0 and at most 1"):
        first_step(8, strength)


def test_a_picture_is_noise_at_time_one_and_itself_at_time_zero() -> None:
    clean, noise = torch.randn(3, 4), torch.randn(3, 4)
    assert torch.equal(noised(clean, noise, 1.0), noise)
    assert torch.equal(noised(clean, noise, 0.0), clean)
    torch.testing.assert_close(noised(clean, noise, 0.25), 0.75 * clean + 0.25 * noise)


@pytest.mark.parametrize(
    "schedule",
    [
        FLUX2,
        FlowSchedule(),
        FlowSchedule(shift=3.0),
        FlowSchedule(use_dynamic_shifting=True, time_shift_type="linear"),
        FlowSchedule(shift=2.0, shift_terminal=0.1),
    ],
)
@pytest.mark.parametrize("num_steps", [2, 4, 7, 28])
def test_times_equal_diffusers_to_the_last_bit(schedule: FlowSchedule, num_steps: int) -> None:
    oracle: Any = cast(Any, FlowMatchEulerDiscreteScheduler)(
        shift=schedule.shift,
        use_dynamic_shifting=schedule.use_dynamic_shifting,
        time_shift_type=schedule.time_shift_type,
        shift_terminal=schedule.shift_terminal,
    )
    oracle.set_timesteps(sigmas=np.linspace(1.0, 1 / num_steps, num_steps), mu=empirical_mu(1024, num_steps))
    times = flow_times(schedule, 1024, num_steps)
    assert torch.equal(times, oracle.sigmas)
    assert times.dtype is torch.float32


@pytest.mark.parametrize("num_steps", [1, 2, 50])
@pytest.mark.parametrize("num_tokens", [16, 1024, 4300, 4301, 16384])
def test_times_fall_from_one_to_zero(num_tokens: int, num_steps: int) -> None:
    times = flow_times(FLUX2, num_tokens, num_steps)
    assert len(times) == num_steps + 1
    assert times[0] == 1
    assert times[-1] == 0
    assert (times.diff() < 0).all()


def test_a_schedule_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="num_steps is 0"):
        flow_times(FLUX2, 1024, 0)
