"""The engine on a real, tiny network: the same picture as models.pipeline.drawing.draw, bit for bit alone, within the bound in company."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.errors import UnsupportedSize
from models.pipeline.components import Components
from models.pipeline.drawing import draw
from models.pipeline.loading import load_components
from models.vae.preview import SIDE
from tests.fixtures.tiny_models import tiny_klein_folder
from tests.workers.engine.fake_network import request as asked_for
from workers.engine.conditioning import PromptCache
from workers.engine.engine import Engine
from workers.engine.events import EngineEvent, Failed, Finished, Previewed
from workers.engine.network import PipelineNetwork
from workers.engine.row import Request
from workers.engine.scheduler import Scheduler


@pytest.fixture(
    scope="module",
    params=[torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.prove)],
    ids=["float32", "bfloat16"],
)
def components(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Components:
    return load_components(tiny_klein_folder(tmp_path_factory.mktemp("networks") / "tiny"), dtype=request.param)


def run(components: Components, *requests: Request) -> list[EngineEvent]:
    """All that an engine says while it runs these, two rows to a step where it may."""
    events: list[EngineEvent] = []
    networks = {"tiny": PipelineNetwork("tiny", components)}
    engine = Engine(networks, Scheduler(max_rows=2), events.append, prompts=PromptCache(1 << 20))
    for asked in requests:
        engine.admit(asked)
    while not engine.is_idle:
        engine.step(now_s=0.0)
    return events


def images(events: list[EngineEvent]) -> dict[str, np.ndarray]:
    return {event.key[0]: event.image_HWC for event in events if isinstance(event, Finished)}


def rendered(components: Components, asked: Request) -> np.ndarray:
    return np.asarray(draw(components, asked.draw))


ASKED = [
    asked_for("plain", network="tiny", guidance=1.0),
    asked_for("guided", "a rocket over the sea", network="tiny", guidance=3.0, seed=11, num_steps=3),
    asked_for(
        "wide", "one green sailboat", network="tiny", guidance=4.0, negative_prompt="mushrooms", width=96, height=48
    ),
    asked_for("again", "two white mushrooms", network="tiny", guidance=3.0, seed=2**63 - 1, num_steps=5),
]


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.key[0])
def test_a_row_alone_equals_render_bit_for_bit(components: Components, asked: Request) -> None:
    assert np.array_equal(images(run(components, asked))[asked.key[0]], rendered(components, asked))


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Decibels."""
    return 10 * np.log10(255**2 / max(np.mean((one.astype(float) - other) ** 2), 1e-9))


def test_rows_in_company_equal_render_within_the_bound_of_their_type(components: Components) -> None:
    pictures = images(run(components, *ASKED))
    assert len({picture.tobytes() for picture in pictures.values()}) == len(ASKED)
    for asked in ASKED:
        ours, expected = pictures[asked.key[0]].astype(int), rendered(components, asked)
        assert psnr(ours, expected) >= 35
        if components.dtype is torch.float32:
            assert np.abs(ours - expected).max() <= 1


def test_deterministic_rows_beside_others_equal_render_bit_for_bit(components: Components) -> None:
    pictures = images(run(components, *(replace(asked, is_deterministic=True) for asked in ASKED)))
    for asked in ASKED:
        assert np.array_equal(pictures[asked.key[0]], rendered(components, asked))


def test_the_prompt_the_negative_prompt_and_the_guidance_are_seen(components: Components) -> None:
    """Else equality would prove little: each of them moves the picture by at least 16 of 255 somewhere."""
    wide = ASKED[2]
    base = rendered(components, wide).astype(int)
    for changed in ({"prompt": "a red apple"}, {"negative_prompt": "a rocket"}, {"guidance": 2.0}, {"seed": 1}):
        other = images(run(components, replace(wide, draw=replace(wide.draw, **changed))))["wide"].astype(int)
        assert np.abs(other - base).max() >= 16, changed


def test_a_size_that_the_network_cannot_make_fails_alone(components: Components) -> None:
    events = run(components, ASKED[0], asked_for("odd", network="tiny", width=63))
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert isinstance(failed.error, UnsupportedSize)
    assert list(images(events)) == ["plain"]


@pytest.mark.parametrize("sampler", [None, "heun"])
def test_a_watched_row_shows_a_few_pixels_for_each_token_and_draws_the_same_picture(
    components: Components, sampler: str | None
) -> None:
    asked = replace(ASKED[2], draw=replace(ASKED[2].draw, sampler=sampler), previews=True)
    events = run(components, asked)
    (shown,) = [event.image_HWC for event in events if isinstance(event, Previewed)]
    tokens_a_side = (
        asked.draw.height // components.pixels_per_position,
        asked.draw.width // components.pixels_per_position,
    )
    assert shown.shape == (*(SIDE * side for side in tokens_a_side), 3)
    assert shown.std() > 0
    assert np.array_equal(images(events)["wide"], rendered(components, asked))
