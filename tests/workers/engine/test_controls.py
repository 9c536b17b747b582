"""ControlNets in the engine: rows with and without, with one and with two, each as if it ran alone; loaded once, and nothing stays."""

import gc
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from models.errors import UnsupportedInput
from models.pipeline.controls import ControlNetwork
from models.pipeline.drawing import draw
from models.pipeline.loading import load_components, load_control
from models.pipeline.request import Control, PictureInputs
from tests.fixtures.tiny_controls import tiny_control_folder
from tests.fixtures.tiny_sd import tiny_sd_folder
from tests.models.pipeline.parity import SEES, picture
from tests.workers.engine.fake_network import request
from workers.engine.conditioning import PromptCache
from workers.engine.engine import Engine
from workers.engine.events import EngineEvent, Finished
from workers.engine.lazy_part import LazyPart, weight_bytes
from workers.engine.row import Denoising, Request
from workers.engine.scheduler import Scheduler
from workers.networks import LoadedNetworks, load_networks

CPU, SEEDS = torch.device("cpu"), {"canny": 11, "depth": 12}
EDGES, DEPTH = picture(64, 64, 1), picture(64, 64, 2)
CANNY, DEEP = Control("canny", EDGES), Control("depth", DEPTH, 0.7, 0.0, 0.6)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("networks")
    tiny_sd_folder(root / "tiny")
    for name, seed in SEEDS.items():
        tiny_control_folder(root / name, "sd15", seed=seed)
    return root


def asked(name: str, *controls: Control, seed: int = 7, num_steps: int = 3, guidance: float = 5.0) -> Request:
    row = request(name, network="tiny", seed=seed, num_steps=num_steps, guidance=guidance)
    inputs, beside = PictureInputs(controls=controls), tuple(dict.fromkeys(control.network for control in controls))
    return replace(row, draw=replace(row.draw, inputs=inputs), beside=beside)


ROWS = [
    asked("plain"),
    asked("one", CANNY),
    asked("two", DEEP, CANNY, num_steps=5),
    asked("other", Control("depth", EDGES, 1.5, 0.5), seed=8),
    asked("unguided", CANNY, guidance=1.0),
]


def run(found: LoadedNetworks, *rows: Request, together: int = 8) -> dict[str, np.ndarray]:
    events: list[EngineEvent] = []
    engine = Engine(
        found.networks,
        Scheduler(max_rows=together),
        events.append,
        prompts=PromptCache(1 << 20),
        residency=found.residency,
    )
    for row in rows:
        engine.admit(row)
    while not engine.is_idle:
        engine.step(now_s=0.0)
    pictures = {event.key[0]: event.image_HWC for event in events if isinstance(event, Finished)}
    assert pictures.keys() == {row.key[0] for row in rows}, events
    return pictures


def in_one_step(found: LoadedNetworks, *rows: Request) -> dict[str, np.ndarray]:
    """All rows in every step, for as long as each lasts."""
    network = found.networks["tiny"]
    starts = {row.key[0]: network.start(row.draw, network.encode) for row in rows}
    begun = {name: Denoising(start.latents_LC, start.conditions) for name, start in starts.items()}
    while going := [row for row in begun.values() if row.step < row.conditions.num_steps]:
        for row, latents_LC in zip(going, network.advance(going), strict=True):
            row.latents_LC, row.step = latents_LC, row.step + 1
    return {name: network.decode(row.latents_LC, 64, 64) for name, row in begun.items()}


def test_rows_in_company_are_drawn_as_if_alone(root: Path) -> None:
    """In one step: rows without a control, with one, with two, the same network with other pictures, with and without guidance."""
    found, components = load_networks((root,), CPU, None), load_components(root / "tiny")
    controls = {name: load_control(root / name) for name in SEEDS}
    alone = {row.key[0]: np.asarray(draw(components, row.draw, controls=controls)).astype(int) for row in ROWS}
    for name in ("one", "two"):
        assert np.abs(alone[name] - alone["plain"]).max() >= SEES
    for pictures in (in_one_step(found, *ROWS), run(found, *ROWS)):
        for name, expected in alone.items():
            assert np.abs(pictures[name] - expected).max() <= 1


def test_every_network_is_loaded_once_and_no_request_leaves_anything(root: Path) -> None:
    """Switching between controls: weights come with the first row that names them, and then the memory that is held stays the same."""
    whole = load_networks((root,), CPU, None)
    bytes_of_all = sum(
        weight_bytes(part)
        for part in (load_components(root / "tiny", "meta"), *(load_control(root / name, "meta") for name in SEEDS))
    )
    found = load_networks((root,), CPU, None, bytes_of_all)
    assert found.residency.loaded == ("tiny",)
    assert found.revisions == whole.revisions
    run(found, ROWS[2])
    assert set(found.residency.loaded) == {"tiny", *SEEDS}
    controls = cast("dict[str, LazyPart[ControlNetwork]]", found.controls)
    kept, held = {name: part.current for name, part in controls.items()}, tensor_bytes()
    for row in (ROWS[1], ROWS[3], ROWS[0], ROWS[1]):
        run(found, row, together=1)
    assert tensor_bytes() == held
    assert {name: part.current for name, part in controls.items()} == kept


def tensor_bytes() -> int:
    """Of all tensors that anything refers to."""
    gc.collect()
    tensors = (found for found in gc.get_objects() if issubclass(type(found), torch.Tensor))
    return sum(found.numel() * found.element_size() for found in tensors)


@pytest.mark.prove
def test_where_memory_is_short_controls_take_turns_and_none_goes_that_runs(root: Path) -> None:
    one = max(weight_bytes(load_control(root / name, "meta")) for name in SEEDS)
    budget_bytes = weight_bytes(load_components(root / "tiny", "meta")) + one
    found = load_networks((root,), CPU, None, budget_bytes)
    engine_rows = [ROWS[1], ROWS[3], ROWS[0]]
    pictures = run(found, *engine_rows)
    expected = run(load_networks((root,), CPU, None), *engine_rows)
    for name, image in pictures.items():
        assert np.abs(image.astype(int) - expected[name]).max() <= 1
    with pytest.raises(UnsupportedInput, match="tiny, depth, canny do not fit in this worker's memory together"):
        run(found, ROWS[2])


def test_a_control_that_is_not_here_is_refused_before_anything_runs(root: Path) -> None:
    with pytest.raises(UnsupportedInput, match="there is no ControlNet 'pose' beside this network"):
        run(load_networks((root,), CPU, None), asked("pose", Control("pose", EDGES)))
