"""Whole runs on a fake network against stored results of Diffusers 0.42.1, over the grids that its schedulers make."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from models.samplers import curves, registry
from models.samplers import spacing as spacings
from models.samplers.grids import End, Ratios, TrainingSteps
from models.samplers.noise_schedule import NoiseSchedule
from models.samplers.plan import advance, begin
from models.samplers.points import CLEAN, Flow, Point
from models.samplers.prediction import Prediction, denoised
from models.samplers.sampler import Sampler
from models.samplers.schedule import Schedule, flow_schedule, through
from models.samplers.schedules import FlowSchedule, flow_times

SD, ZERO_SNR = NoiseSchedule(), NoiseSchedule(zero_terminal_snr=True)
BASE = (torch.arange(768.0) / 768).reshape(3, 8, 8, 4).permute(3, 0, 1, 2)
LEADING, LINSPACE, TRAILING = (
    Ratios(spacings.SD_LEADING, has_unit_noise=True),
    Ratios(spacings.linspace),
    Ratios(spacings.trailing),
)
OPEN = Ratios(spacings.open_linspace, has_unit_noise=True)
KARRAS = Ratios(spacings.linspace, curves.karras, told=round, has_unit_noise=True)
DISTILLED = TrainingSteps(spacings.distilled)
STRIDES = TrainingSteps(spacings.SD_LEADING, End.LEAST_NOISE, has_fixed_stride=True)


def result(sampler: Sampler, schedule: Schedule, start: Tensor, prediction: Prediction) -> list[float]:
    factor = 1000 if prediction is Prediction.FLOW else 1
    state = begin(start, torch.Generator().manual_seed(7))
    for evaluation in sampler.plan(schedule):
        x = state.latents
        output = 0.3 * x + 0.2 * torch.sin(3 * x) + 0.0003 * factor * evaluation.at.time
        state = advance(evaluation, state, denoised(prediction, evaluation.at, x, output))
    x = state.latents.flatten()
    return [float(value) for value in (x.abs().sum(), x.mean(), x[0], x[1], x[300], x[767])]


def close(found: list[float], expected: tuple[float, ...]) -> None:
    assert found[0] == pytest.approx(expected[0], rel=2e-6)
    assert found[1:] == pytest.approx(expected[1:], abs=3e-5)


@pytest.mark.parametrize(
    ("sampler", "grid", "num_steps", "expected"),
    [
        (registry.EULER, LEADING, 10, (609.6667, 0.596314, -0.49144, -0.48113, 0.16104, 2.85808)),
        (registry.EULER, TRAILING, 10, (873.5189, 0.629701, -1.38359, -1.35166, 0.02969, 4.12484)),
        (
            registry.EULER,
            Ratios(spacings.linspace, curves.karras),
            10,
            (902.3617, 0.629949, -1.37302, -1.34371, 0.00644, 4.23678),
        ),
        (registry.EULER_ANCESTRAL, LEADING, 10, (1342.0357, -0.261853, -2.49859, 1.80493, -1.67466, 1.23786)),
        (registry.HEUN, LINSPACE, 6, (752.3993, 0.911624, -0.32522, -0.31245, 0.2292, 4.00923)),
        (registry.LMS, LINSPACE, 10, (823.9654, 0.695728, -1.13736, -1.10166, 0.08247, 4.05664)),
        (registry.DPM2, LINSPACE, 6, (760.8709, 0.887533, -0.33043, -0.32123, 0.19334, 3.96413)),
        (registry.DPM2_ANCESTRAL, LINSPACE, 6, (1185.7507, 0.639044, -2.08975, 1.85292, -0.54071, 2.00294)),
        (registry.DPMPP_2M, OPEN, 10, (796.7331, 0.768834, -0.79615, -0.76842, 0.10242, 4.01102)),
        (registry.DPMPP_2M, KARRAS, 10, (767.5795, 0.837864, -0.53452, -0.51571, 0.17033, 3.96358)),
        (registry.DPMPP_3M, KARRAS, 10, (830.9624, 0.703128, -1.01141, -0.98034, 0.08593, 3.95805)),
        (registry.DPMPP_2M_SDE, KARRAS, 10, (1919.1222, -0.557951, -3.31494, 2.58637, -2.09448, 0.03039)),
        (registry.UNIPC, OPEN, 10, (797.699, 0.777943, -0.73856, -0.71441, 0.10719, 3.98004)),
        (
            registry.DEIS,
            replace(OPEN, end=End.LEAST_NOISE),
            10,
            (820.108, 0.749849, -0.92676, -0.89604, 0.09156, 4.06729),
        ),
        (registry.DDIM, STRIDES, 10, (616.7587, 0.600824, -0.50147, -0.49105, 0.16524, 2.88611)),
        (registry.DDPM, TrainingSteps(spacings.leading), 10, (1341.3, -0.259344, -2.48885, 1.79585, -1.64843, 1.24539)),
        (registry.PLMS, STRIDES, 10, (617.6224, 0.694331, -0.31367, -0.30731, 0.24387, 2.86062)),
        (registry.LCM, DISTILLED, 4, (1700.0421, -1.347869, -6.1052, -0.24507, -2.50376, 3.12392)),
        (
            registry.TCD,
            replace(DISTILLED, end=End.LEAST_NOISE),
            4,
            (1681.0862, -0.76031, -6.18581, -0.45011, -1.92374, 4.46567),
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Sampler) else "",
)
def test_diffusion(sampler: Sampler, grid: Ratios | TrainingSteps, num_steps: int, expected: tuple[float, ...]) -> None:
    schedule = grid(SD, num_steps)
    close(result(sampler, schedule, schedule.initial(BASE), Prediction.EPSILON), expected)


def test_zero_terminal_snr() -> None:
    schedule = TRAILING(ZERO_SNR, 10)
    found = result(registry.EULER, schedule, schedule.initial(BASE), Prediction.V)
    close(found, (50.0813, 0.037157, -0.07119, -0.07024, 0.03921, 0.20424))


def told(times: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Schedule:
    """Diffusers' DPM-Solvers tell flow networks whole thousandths."""
    space = Flow()

    def point(time: float) -> Point:
        return replace(space.at_time(time), time=int(time * 1000) / 1000)

    return through(tuple(point(float(time)) for time in times), CLEAN, space)


def shifted(times: np.ndarray[tuple[int], np.dtype[np.float64]], shift: float) -> Schedule:
    return told(shift * times / (1 + (shift - 1) * times))


FROM_FLOWS = partial(flow_times, num_tokens=192, num_steps=8)
SHIFTED_BY_MU = flow_schedule(FROM_FLOWS(FlowSchedule(shift=math.exp(1.15))))


@pytest.mark.parametrize(
    ("sampler", "schedule", "expected"),
    [
        (registry.EULER, SHIFTED_BY_MU, (207.2312, -0.136261, -0.83806, -0.82445, -0.0606, 0.45151)),
        (
            registry.EULER,
            flow_schedule(FROM_FLOWS(FlowSchedule(shift=3.0))),
            (207.226, -0.135279, -0.83708, -0.82346, -0.05959, 0.45254),
        ),
        (registry.FLOW_LCM, SHIFTED_BY_MU, (218.7547, -0.106654, 0.60997, 0.22192, -0.15669, -0.7506)),
        (
            registry.HEUN,
            flow_schedule(torch.tensor([*np.linspace(1, 0.001, 6), 0])),
            (207.4922, -0.106676, -0.80419, -0.79078, -0.03043, 0.48282),
        ),
        (
            registry.DPMPP_2M,
            shifted(np.linspace(0.999, 0, 9)[:-1], 3),
            (206.0328, -0.122712, -0.82131, -0.80774, -0.0461, 0.46182),
        ),
        (
            registry.UNIPC,
            shifted(np.linspace(1, 0.001, 9)[:-1] - np.eye(8)[0] * 3e-6, 3),
            (205.8889, -0.121627, -0.81928, -0.80573, -0.0452, 0.46267),
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Sampler) else "",
)
def test_flow_matching(sampler: Sampler, schedule: Schedule, expected: tuple[float, ...]) -> None:
    close(result(sampler, schedule, 2 * BASE - 1, Prediction.FLOW), expected)
