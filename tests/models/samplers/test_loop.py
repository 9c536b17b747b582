"""The loop against stored results on a fake field, and its reports."""

import math

import pytest
import torch
from torch import Tensor

from models.samplers.loop import sample
from models.samplers.schedules import FlowSchedule, flow_times


def field(x: Tensor, t_B: Tensor) -> Tensor:
    return 0.3 * x + 0.2 * torch.sin(3 * x) + 0.0003 * 1000 * t_B[:, None, None]


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        (math.exp(1.15), [207.2312, -0.136261, -0.83806, -0.82445, -0.0606, 0.45151]),
        (3.0, [207.226, -0.135279, -0.83708, -0.82346, -0.05959, 0.45254]),
    ],
)
def test_the_stored_results_come_out(shift: float, expected: list[float]) -> None:
    base = (torch.arange(768.0) / 768).reshape(3, 8, 8, 4).permute(3, 0, 1, 2)
    out = sample(field, (2 * base - 1).flatten(2), flow_times(FlowSchedule(shift=shift), 192, 8)).flatten()
    found = [out.abs().sum(), out.mean(), out[0], out[1], out[300], out[767]]
    torch.testing.assert_close(torch.stack(found), torch.tensor(expected), atol=2e-4, rtol=1e-6)


def test_every_step_is_reported() -> None:
    done: list[int] = []
    sample(field, torch.zeros(1, 2, 2), torch.tensor([1.0, 0.5, 0.25, 0.0]), done.append)
    assert done == [1, 2, 3]
