"""Another sampler, schedule, share of noise or guidance is a value of the request: it loads nothing, and nothing of it stays."""

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from models.pipeline.components import Components
from models.pipeline.conditions import start
from models.pipeline.denoising import StepInput, advance
from models.pipeline.guiding import Guiding
from models.pipeline.loading import load_components
from models.pipeline.request import request_for
from models.pipeline.sd import SdComponents
from models.samplers.methods import SD_METHODS
from tests.fixtures.tiny_sd import tiny_sd_folder
from tests.models.pipeline.parity import PROMPT

ASKED: list[dict[str, Any]] = [
    *({"sampler": name} for name in SD_METHODS),
    *({"schedule": name} for name in ("karras", "ays", "beta", "trailing")),
    {"sampler": "euler_a", "eta": 0.5},
    {"sigmas": (9.0, 1.0)},
    {"timesteps": (999, 10)},
    {"guidance": 1.0},
    {"guidance": 9.0},
    {"guiding": Guiding("apg", momentum=-0.5)},
    {"guiding": Guiding("cfg_zero_star", rescale=0.5, zero_steps=1)},
    {"guiding": Guiding(pag_scale=3.0, end=0.5)},
]


@pytest.fixture
def nothing_else() -> Iterator[None]:
    """Objects from before are left out of sight: there are many, and they do not matter."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def living() -> tuple[int, int]:
    """Tensors that exist, and their bytes."""
    gc.collect()
    tensors = [one for one in gc.get_objects() if issubclass(type(one), torch.Tensor)]
    return len(tensors), sum(one.numel() * one.element_size() for one in tensors)


@torch.no_grad()
def switched(components: Components) -> None:
    """One row after another, as the engine runs them."""
    text, negative = components.encode_text(PROMPT, 77), components.encode_text("", 77)
    for number, asked in enumerate(ASKED):
        fields = {"seed": number, "num_steps": 2, "width": 32, "height": 32, "guidance": 5.0} | asked
        request = request_for(components.defaults, PROMPT, **fields)
        begun = start(components, request, text, negative if request.guidance > 1 else None)
        latents_LC = begun.latents_LC
        for step in range(begun.conditions.num_steps):
            (latents_LC,) = advance(components, [StepInput(latents_LC, begun.conditions, step)])
        assert latents_LC.isfinite().all()


@pytest.mark.usefixtures("nothing_else")
def test_switching_loads_nothing_and_keeps_nothing(tmp_path: Path) -> None:
    folder = tiny_sd_folder(tmp_path / "sd")
    components = load_components(folder)
    assert isinstance(components, SdComponents)
    shutil.rmtree(folder)  # from here on there is nothing to load
    weights = {name: (value.data_ptr(), value.sum().item()) for name, value in components.unet.state_dict().items()}
    before = living()
    switched(components)
    after_one = living()
    switched(components)
    assert living() == after_one
    # What the noise of training is, is worked out once for the network, whatever samplers there are.
    assert after_one[1] - before[1] <= 3 * 8 * components.trajectory.training.num_train_steps
    assert weights == {
        name: (value.data_ptr(), value.sum().item()) for name, value in components.unet.state_dict().items()
    }
