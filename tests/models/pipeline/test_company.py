"""Pictures drawn in company: rows of all sizes, steps, guidances, text lengths and inputs, one forward a step, each as if it ran alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.pipeline.components import Components
from models.pipeline.conditions import start
from models.pipeline.denoising import StepInput, advance
from models.pipeline.drawing import decode, encode_request
from models.pipeline.loading import load_components
from models.pipeline.request import DrawRequest, PictureInputs, request_for
from tests.fixtures.tiny_models import tiny_flux1_folder, tiny_klein_folder
from tests.models.pipeline.parity import OTHER_PROMPT, PROMPT, SEES, Pixels, largest, mask, ours, picture

Asked = dict[str, Any]

PLAIN: Asked = {"seed": 1, "num_steps": 4}
KLEIN: list[Asked] = [
    PLAIN,
    {"seed": 2, "width": 96, "height": 32, "guidance": 1.0, "num_steps": 2},
    {"seed": 3, "guidance": 6.0, "num_steps": 5, "max_sequence_length": 20},
    {"seed": 4, "inputs": PictureInputs(references=(picture(64, 80),)), "num_steps": 3},
    {"seed": 5, "inputs": PictureInputs(image=picture(64, 64), mask=mask(64, 64)), "num_steps": 4},
]
DEV: list[Asked] = [
    PLAIN,
    {"seed": 2, "width": 96, "height": 32, "guidance": 9.0, "num_steps": 2},
    {"seed": 3, "negative_prompt": OTHER_PROMPT, "true_cfg_scale": 4.0, "num_steps": 5},
    {"seed": 4, "max_sequence_length": 16, "num_steps": 3},
]
FILL: list[Asked] = [
    PLAIN | {"inputs": PictureInputs(image=picture(64, 64), mask=mask(64, 64))},
    {
        "seed": 2,
        "width": 96,
        "height": 64,
        "num_steps": 3,
        "inputs": PictureInputs(image=picture(96, 64), mask=mask(96, 64)),
    },
]
EQUAL: list[Asked] = [PLAIN, {"seed": 2, "num_steps": 3}, {"seed": 3, "guidance": 5.0, "num_steps": 5}]
FAMILIES = {"klein": KLEIN, "dev": DEV, "fill": FILL, "equal": EQUAL}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("company")
    klein = tiny_klein_folder(root / "klein")
    return {
        "klein": klein,
        "equal": klein,
        "dev": tiny_flux1_folder(root / "dev", seed=0, variant="dev"),
        "fill": tiny_flux1_folder(root / "fill", seed=2, variant="fill"),
    }


def drawn_together(components: Components, requests: Sequence[DrawRequest]) -> list[Pixels]:
    """Every request begins one step after the one before it and leaves when it is done."""
    rows: dict[int, StepInput] = {}
    pictures: dict[int, Pixels] = {}
    for turn in range(100):
        if turn < len(requests):
            first = start(components, requests[turn], *encode_request(components, requests[turn]))
            rows[turn] = StepInput(first.latents_LC, first.conditions, 0)
        if not rows:
            break
        latents = advance(components, list(rows.values()))
        for index, latents_LC in zip(list(rows), latents, strict=True):
            rows[index] = replace(rows[index], latents_LC=latents_LC, step=rows[index].step + 1)
            if rows[index].step == rows[index].conditions.num_steps:
                done, asked = rows.pop(index), requests[index]
                pictures[index] = decode(components, done.latents_LC, asked.width, asked.height).astype(np.int64)
    return [pictures[index] for index in range(len(requests))]


DTYPES = [
    pytest.param(torch.float32, id="float32"),
    pytest.param(
        torch.bfloat16, id="bfloat16", marks=pytest.mark.prove
    ),  # slow where the processor has no such products
]


def decibels(one: Pixels, other: Pixels) -> float:
    """Peak signal-to-noise ratio."""
    return float(10 * np.log10(255**2 / max(float(np.square(one - other).mean()), 1e-12)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_picture_is_the_same_in_any_company(folders: dict[str, Path], family: str, dtype: torch.dtype) -> None:
    components = load_components(folders[family], dtype=dtype)
    requests = [request_for(components.defaults, PROMPT, **asked) for asked in FAMILIES[family]]
    together = drawn_together(components, requests)
    for asked, in_company in zip(FAMILIES[family], together, strict=True):
        alone = ours(components, PROMPT, **asked)
        assert largest(ours(components, OTHER_PROMPT, **asked), alone) >= SEES
        if dtype is torch.float32:
            assert largest(in_company, alone) <= 1
        else:
            assert decibels(in_company, alone) >= 35


def test_a_row_that_runs_alone_is_the_same_to_the_last_bit(folders: dict[str, Path]) -> None:
    """Whatever its process drew before."""
    components = load_components(folders["klein"], dtype=torch.bfloat16)
    before = ours(components, PROMPT, **KLEIN[2])
    drawn_together(components, [request_for(components.defaults, PROMPT, **asked) for asked in KLEIN[:3]])
    assert np.array_equal(ours(components, PROMPT, **KLEIN[2]), before)
