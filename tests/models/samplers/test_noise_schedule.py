"""The noise of training against published values and Diffusers."""

import math
from typing import Any, cast

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from models.samplers.noise_schedule import Betas, NoiseSchedule
from models.samplers.points import CLEAN, Flow

SD = NoiseSchedule()


def test_stable_diffusion_has_its_published_noise() -> None:
    assert SD.alpha_bars[0] == pytest.approx(0.9991499781608582, abs=1e-7)
    assert SD.alpha_bars[999] == pytest.approx(0.00466009508818388, abs=1e-8)
    assert SD.ratios[[0, 999]] == pytest.approx([0.029167533, 14.614646912], rel=1e-6)


@pytest.mark.parametrize("zero_snr", [False, True])
@pytest.mark.parametrize("betas", [Betas.LINEAR, Betas.SCALED_LINEAR, Betas.COSINE])
def test_training_noise_equals_diffusers(betas: Betas, zero_snr: bool) -> None:
    oracle = cast(Any, DDIMScheduler)(
        beta_schedule=betas.value, beta_start=1e-4, beta_end=0.02, rescale_betas_zero_snr=zero_snr
    )
    ours = NoiseSchedule(betas, 1e-4, 0.02, zero_terminal_snr=zero_snr)
    np.testing.assert_allclose(ours.alpha_bars, oracle.alphas_cumprod.numpy(), rtol=2e-5, atol=1e-9)


def test_the_root_of_a_line() -> None:
    ours = NoiseSchedule(Betas.SQRT, 1e-4, 9e-4, num_train_steps=3)
    betas = [0.01, math.sqrt(5e-4), 0.03]
    assert ours.alpha_bars == pytest.approx(np.cumprod(1 - np.array(betas)), rel=1e-6)


def test_zero_terminal_snr_ends_with_nothing_and_begins_as_before() -> None:
    ours = NoiseSchedule(zero_terminal_snr=True)
    assert ours.alpha_bars[999] == 0
    assert ours.alpha_bars[0] == pytest.approx(SD.alpha_bars[0], rel=1e-6)
    assert (ours.at_time(999).alpha, ours.at_time(999).sigma) == (0, 1)
    assert ours.at_time(999).ratio == math.inf
    assert ours.ratios[999] == pytest.approx(4096, rel=1e-6)


@pytest.mark.parametrize("time", [0, 1, 500, 999])
def test_a_point_is_the_same_by_time_ratio_and_log_snr(time: int) -> None:
    point = SD.at_time(time)
    for other in (SD.at_ratio(point.ratio), SD.at_log_snr(point.log_snr)):
        assert (other.alpha, other.sigma) == pytest.approx((point.alpha, point.sigma), rel=1e-6)
        assert other.time == pytest.approx(time, abs=1e-3)
    assert point.alpha**2 + point.sigma**2 == pytest.approx(1)


def test_times_lie_between_those_of_training() -> None:
    middle = math.sqrt(SD.ratios[10] * SD.ratios[11])
    assert SD.time_of(middle) == pytest.approx(10.5, abs=1e-3)
    assert SD.time_of(1e9) == pytest.approx(999, abs=1e-3)
    assert SD.time_of(0.0) == 0
    assert SD.ratio_at(10.5) == pytest.approx((SD.ratios[10] + SD.ratios[11]) / 2)


@pytest.mark.parametrize("time", [0.1, 0.5, 0.9])
def test_flow_matching_has_its_own_points(time: float) -> None:
    point = Flow().at_time(time)
    assert (point.alpha, point.sigma, point.ratio) == (1 - time, time, time)
    assert Flow().at_log_snr(point.log_snr).sigma == pytest.approx(time)
    assert Flow().at_ratio(time) == point


def test_the_ends_have_infinite_log_snr() -> None:
    assert CLEAN.log_snr == math.inf
    assert Flow().at_time(1.0).log_snr == -math.inf
    clean, noise = torch.ones(2), torch.full((2,), 3.0)
    assert torch.equal(CLEAN.noised(clean, noise), clean)
    assert torch.equal(Flow().at_time(1.0).noised(clean, noise), noise)
