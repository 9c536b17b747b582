"""Grids against published levels, and what every grid must be."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import beta as scipy_beta  # pyright: ignore[reportMissingTypeStubs] (has none)

from models.errors import UnsupportedSampler
from models.samplers import align_your_steps, curves
from models.samplers import spacing as spacings
from models.samplers.beta_distribution import quantile
from models.samplers.grids import Grid, Listed, Ratios, TrainingSteps
from models.samplers.methods import SD_METHODS
from models.samplers.noise_schedule import NoiseSchedule
from models.samplers.prediction import Prediction, check_prediction
from models.samplers.schedule import flow_schedule
from models.samplers.schedules import FlowSchedule, flow_times

SD = NoiseSchedule()
OPEN = spacings.open_linspace


@pytest.mark.parametrize(
    ("grid", "times", "ratios"),
    [
        (Ratios(spacings.SD_LEADING), (801, 601, 401, 201, 1), (5.13443, 2.29285, 1.16822, 0.57405, 0.04131)),
        (Ratios(spacings.trailing), (999, 799, 599, 399, 199), (14.61465, 5.08777, 2.27646, 1.16058, 0.56929)),
        (Ratios(spacings.linspace), (999, 749.25, 499.5, 249.75, 0), (14.61465, 4.08609, 1.61558, 0.69515, 0.02917)),
        (
            Ratios(spacings.SD_LEADING, curves.karras, spans_training=False),
            (801, 565.83, 248.593, 38.422, 1),
            (5.13443, 2.02481, 0.69215, 0.19469, 0.04131),
        ),
        (
            Ratios(spacings.linspace, curves.karras),
            (999, 785.954, 427.49, 58.891, 0),
            (14.61465, 4.79654, 1.27411, 0.24795, 0.02917),
        ),
        (
            Ratios(spacings.linspace, curves.exponential),
            (999, 680.667, 233.21, 20.002, 0),
            (14.61465, 3.08899, 0.6529, 0.138, 0.02917),
        ),
        (
            Ratios(spacings.linspace, curves.beta),
            (999, 966.495, 874.662, 634.552, 0),
            (14.61465, 12.05226, 7.32191, 2.59155, 0.02917),
        ),
        (Ratios(spacings.SD_OPEN_LEADING), (831, 665, 499, 333, 167), (5.90645, 2.90712, 1.61289, 0.93236, 0.4947)),
        (Ratios(OPEN), (999, 799, 599, 400, 200), (14.61465, 5.08777, 2.27646, 1.16439, 0.57167)),
        (
            Ratios(OPEN, curves.karras, told=round),
            (999, 786, 427, 59, 0),
            (14.61465, 4.79654, 1.27411, 0.24795, 0.02917),
        ),
    ],
)
def test_five_steps_have_their_published_levels(
    grid: Grid, times: tuple[float, ...], ratios: tuple[float, ...]
) -> None:
    schedule = grid(SD, 5)
    assert [point.time for point in schedule.points] == pytest.approx(times, abs=2e-3)
    assert [point.ratio for point in schedule.points] == pytest.approx(ratios, abs=1e-5)
    assert schedule.ends[-1].sigma == 0


def test_steps_of_a_distillation() -> None:
    assert [point.time for point in TrainingSteps(spacings.distilled)(SD, 4).points] == [999, 759, 499, 259]
    with pytest.raises(UnsupportedSampler, match="51 steps do not fit"):
        TrainingSteps(spacings.distilled)(SD, 51)


def test_a_fixed_stride_ends_steps_beside_the_next_ones() -> None:
    schedule = TrainingSteps(spacings.trailing, has_fixed_stride=True)(SD, 7)
    assert [round(point.time) for point in schedule.points[:3]] == [999, 856, 713]
    assert [round(point.time) for point in schedule.ends[:2]] == [857, 714]


def test_noise_begins_with_what_belongs_to_the_first_point() -> None:
    noise = torch.ones(3)
    leading, linspace = Ratios(spacings.SD_LEADING, has_unit_noise=True)(SD, 5), Ratios(spacings.linspace)(SD, 5)
    assert float(leading.initial(noise)[0]) / leading.points[0].alpha == pytest.approx(5.2309, abs=1e-4)
    assert float(linspace.initial(noise)[0]) / linspace.points[0].alpha == pytest.approx(14.61465, abs=1e-4)


def test_a_run_from_a_picture_takes_the_later_steps() -> None:
    schedule = Ratios(spacings.linspace)(SD, 5)
    later = schedule.later(3)
    assert later.points == schedule.points[3:]
    assert later.ends == schedule.ends[3:]
    assert later.later(1).skipped == tuple(schedule.steps[:4])
    assert later.num_asked == later.later(1).num_asked == 5
    clean, noise = torch.ones(2), torch.full((2,), 2.0)
    first = later.points[0]
    torch.testing.assert_close(first.noised(clean, noise), first.alpha * clean + first.sigma * noise)


def test_kl_optimal_levels() -> None:
    expected = [14.6146, 4.2324, 2.3937, 1.5971, 1.133, 0.8152, 0.5729, 0.3725, 0.1953, 0.0292]
    assert curves.kl_optimal(14.6146, 0.0292, 10) == pytest.approx(expected, abs=1e-4)


def test_align_your_steps_has_its_published_levels_and_others_between() -> None:
    published = align_your_steps.SDXL(SD, 10)
    expected = [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113]
    assert [point.ratio for point in published.points] == pytest.approx(expected, rel=1e-6)
    twice = align_your_steps.SDXL(SD, 20)
    assert [point.ratio for point in twice.points[::2]] == pytest.approx(expected, rel=1e-6)


def test_listed_levels_are_taken_as_they_are() -> None:
    assert [point.ratio for point in Listed((9.0, 3.0, 0.5))(SD, 3).points] == pytest.approx([9, 3, 0.5])


@pytest.mark.parametrize(
    "ratios", [(1.0, 2.0), (2.0, 2.0), (2.0, 0.0), (math.inf, 1.0), (math.nan, 1.0), (2.0, 1.0, 0.5)]
)
def test_listed_levels_that_are_no_way_down_are_refused(ratios: tuple[float, ...]) -> None:
    with pytest.raises(UnsupportedSampler, match="listed"):
        Listed(ratios)(SD, 2)


@pytest.mark.parametrize("shape", [0.6, 1.0, 2.5])
def test_quantiles_equal_scipys(shape: float) -> None:
    probabilities = np.linspace(0, 1, 61)
    expected = scipy_beta.ppf(probabilities, shape, shape)
    np.testing.assert_allclose(quantile(probabilities, shape), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (None, (1, 0.92665, 0.8257, 0.67799, 0.4412)),
        (curves.karras, (1, 0.8222, 0.67221, 0.54632, 0.4412)),
        (curves.exponential, (1, 0.815, 0.66423, 0.54135, 0.4412)),
        (curves.beta, (1, 0.90183, 0.7206, 0.53937, 0.4412)),
    ],
)
def test_flow_times_along_a_curve(curve: curves.Curve | None, expected: tuple[float, ...]) -> None:
    times = flow_times(FlowSchedule(shift=math.exp(1.15)), 256, 5)
    assert [point.time for point in flow_schedule(times, curve).points] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("num_steps", [1, 2, 9, 28, 60])
def test_every_schedule_falls_or_is_refused(num_steps: int) -> None:
    grids = {id(grid): grid for method in SD_METHODS.values() for grid in method.schedules.values()}
    for grid in grids.values():
        try:
            schedule = grid(SD, num_steps)
        except UnsupportedSampler:
            continue
        levels = [point.sigma for point in schedule.points]
        assert len(levels) == num_steps
        assert all(one > other for one, other in pairwise(levels))
        assert all(end.sigma < begin.sigma for begin, end in schedule.steps)


@pytest.mark.parametrize("num_steps", [0, 1001])
def test_as_many_steps_as_training_has_not_are_refused(num_steps: int) -> None:
    with pytest.raises(UnsupportedSampler, match="do not fit"):
        Ratios(spacings.simple)(SD, num_steps)


def test_noise_cannot_be_predicted_where_there_is_nothing_else() -> None:
    training = NoiseSchedule(zero_terminal_snr=True)
    check_prediction(Prediction.V, training)
    check_prediction(Prediction.EPSILON, SD)
    with pytest.raises(UnsupportedSampler, match="zero terminal SNR"):
        check_prediction(Prediction.EPSILON, training)
