"""IP-Adapters in the engine: rows with and without pictures, through one adapter and another, each as if it ran alone; loaded once."""

import gc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import UnsupportedInput
from models.pipeline.drawing import draw
from models.pipeline.loading import load_adapter_prompter, load_components
from models.pipeline.request import PictureInputs
from models.pipeline.sd import SdComponents
from tests.fixtures.tiny_image_adapters import Projection, tiny_adapter_folder
from tests.fixtures.tiny_sd import tiny_sd_folder
from tests.models.pipeline.parity import SEES, picture
from tests.workers.engine.fake_network import request
from tests.workers.engine.test_controls import in_one_step, run
from workers.engine.lazy_part import weight_bytes
from workers.engine.row import Request
from workers.networks import load_networks

CPU = torch.device("cpu")
SEEN, OTHER = picture(48, 40, 1), picture(64, 64, 2)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("networks")
    components = load_components(tiny_sd_folder(root / "tiny"))
    assert isinstance(components, SdComponents)
    projections: tuple[Projection, ...] = ("base", "plus")
    for projection in projections:
        tiny_adapter_folder(root / projection, projection, components.unet.params, seed=1)
    return root


def asked(
    name: str, prompter: str | None = None, *images: Image.Image, strength: float = 1.0, guidance: float = 5.0
) -> Request:
    row = request(name, network="tiny", seed=7, num_steps=3, guidance=guidance)
    inputs = PictureInputs(image_prompts=images)
    seen = replace(row.draw, inputs=inputs, image_prompter=prompter, image_prompt_strength=strength)
    return replace(row, draw=seen, beside=() if prompter is None else (prompter,))


ROWS = [
    asked("plain"),
    asked("base", "base", SEEN),
    asked("another", "base", OTHER, strength=0.5),
    asked("plus", "plus", SEEN, OTHER, strength=0.8),
    asked("unguided", "plus", OTHER, guidance=1.0),
]


def test_rows_in_company_are_drawn_as_if_alone(root: Path) -> None:
    """In one step: without a picture, with one and two, of other strengths, through two adapters, with and without guidance."""
    found, components = load_networks((root,), CPU, None), load_components(root / "tiny")
    prompters = {name: load_adapter_prompter(root / name) for name in ("base", "plus")}
    alone = {row.key[0]: np.asarray(draw(components, row.draw, prompters)).astype(int) for row in ROWS}
    for name in ("base", "another", "plus"):
        assert np.abs(alone[name] - alone["plain"]).max() >= SEES
    for pictures in (in_one_step(found, *ROWS), run(found, *ROWS)):
        for name, expected in alone.items():
            assert np.abs(pictures[name] - expected).max() <= 1


def test_every_adapter_is_loaded_once_and_no_request_leaves_anything(root: Path) -> None:
    """Switching between pictures and adapters: weights come with the first row that names them; then the memory held stays the same."""
    whole = load_networks((root,), CPU, None)
    parts = [load_adapter_prompter(root / name, "meta") for name in ("base", "plus")]
    bytes_of_all = sum(weight_bytes(part) for part in (load_components(root / "tiny", "meta"), *parts))
    found = load_networks((root,), CPU, None, bytes_of_all)
    assert found.residency.loaded == ("tiny",)
    assert found.revisions == whole.revisions
    run(found, ROWS[3], ROWS[1])
    assert set(found.residency.loaded) == {"tiny", "base", "plus"}
    kept, held = [part.current for part in found.beside.parts], tensor_bytes()
    for row in (ROWS[1], ROWS[4], ROWS[0], ROWS[2]):
        run(found, row)
    assert tensor_bytes() == held
    assert [part.current for part in found.beside.parts] == kept


def tensor_bytes() -> int:
    """Of all tensors that anything refers to."""
    gc.collect()
    tensors = (found for found in gc.get_objects() if issubclass(type(found), torch.Tensor))
    return sum(found.numel() * found.element_size() for found in tensors)


def test_an_adapter_that_is_not_here_is_refused_before_anything_runs(root: Path) -> None:
    with pytest.raises(UnsupportedInput, match="image_prompt: there is no 'face' beside this network"):
        run(load_networks((root,), CPU, None), asked("face", "face", SEEN))
