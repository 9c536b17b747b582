"""The step that all samplers share: rows are their own, and running one again changes nothing."""

import pytest
import torch

from models.errors import UnsupportedSampler
from models.samplers.grids import Ratios
from models.samplers.noise_schedule import NoiseSchedule
from models.samplers.plan import DENOISED, LATENTS, NOISE, Evaluation, advance, begin, carried
from models.samplers.registry import DDIM, EULER, EULER_ANCESTRAL
from models.samplers.spacing import linspace
from tests.models.samplers.gaussian import ideal, states

SCHEDULE = Ratios(linspace)(NoiseSchedule(), 6)
AT = SCHEDULE.points[0]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_step_is_the_weighted_sum_that_it_says() -> None:
    latents, denoised = torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])
    first = Evaluation(AT, 0, latents=LATENTS * 2 - DENOISED, carries=(DENOISED, LATENTS + DENOISED))
    state = advance(first, begin(latents, generator(0)), denoised)
    assert state.latents.tolist() == [-8, -16]
    assert [part.tolist() for part in state.carried] == [[10, 20], [11, 22]]
    second = Evaluation(AT, 0, latents=carried(0) / 2 + 3 * carried(1))
    assert advance(second, state, denoised).latents.tolist() == [38, 76]


def test_a_step_run_again_draws_the_same_noise() -> None:
    drawing = Evaluation(AT, 0, latents=NOISE)
    state = begin(torch.zeros(4), generator(5))
    once = advance(drawing, state, torch.zeros(4))
    again = advance(drawing, state, torch.zeros(4))
    assert torch.equal(once.latents, again.latents)
    expected = torch.randn(8, generator=generator(5))[:4]
    torch.testing.assert_close(once.latents, expected)
    assert not torch.equal(advance(drawing, once, torch.zeros(4)).latents, once.latents)


def test_reading_a_generator_does_not_advance_it() -> None:
    ours, untouched = generator(3), generator(3)
    state = begin(torch.zeros(4), ours)
    advance(Evaluation(AT, 0, latents=NOISE), state, torch.zeros(4))
    assert torch.equal(torch.randn(4, generator=ours), torch.randn(4, generator=untouched))


def test_latents_keep_their_dtype_and_sums_do_not_round() -> None:
    evaluation = Evaluation(AT, 0, latents=LATENTS + DENOISED, carries=(LATENTS,))
    state = advance(evaluation, begin(torch.ones(2).bfloat16(), generator(0)), torch.ones(2).bfloat16())
    assert state.latents.dtype is torch.bfloat16
    assert state.carried[0].dtype is torch.float32


def test_rows_of_different_samplers_and_lengths_take_turns() -> None:
    plans = [
        sampler.plan(Ratios(linspace)(NoiseSchedule(), steps)) for sampler, steps in ((EULER, 3), (EULER_ANCESTRAL, 7))
    ]
    starts = [torch.randn(8, generator=generator(seed)).double() for seed in (1, 2)]
    alone = [states(plan, start, seed)[-1] for plan, start, seed in zip(plans, starts, (1, 2), strict=True)]
    rows = [begin(start, generator(seed), start.dtype) for start, seed in zip(starts, (1, 2), strict=True)]
    for turn in range(7):
        for row, plan in enumerate(plans):
            if turn < len(plan):
                seen = ideal(plan[turn].at, rows[row].latents)
                rows[row] = advance(plan[turn], rows[row], seen)
    assert all(torch.equal(one.latents, other.latents) for one, other in zip(alone, rows, strict=True))


@pytest.mark.parametrize("eta", [-0.1, 1.1])
def test_an_eta_outside_its_range_is_refused(eta: float) -> None:
    with pytest.raises(UnsupportedSampler, match="is not in"):
        DDIM.plan(SCHEDULE, eta)


def test_an_eta_for_a_method_without_one_is_refused() -> None:
    with pytest.raises(UnsupportedSampler, match="euler has no share"):
        EULER.plan(SCHEDULE, 0.5)
