"""The engine on a tiny Stable Diffusion: rows of any samplers in one step, each with noise of its own seed."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from models.pipeline.components import Components
from models.pipeline.drawing import draw
from models.pipeline.loading import load_components
from models.samplers.methods import SD_METHODS
from tests.fixtures.tiny_sd import tiny_sd_folder
from tests.workers.engine.fake_network import request as asked_for
from workers.engine.conditioning import PromptCache
from workers.engine.engine import Engine
from workers.engine.events import EngineEvent, Finished
from workers.engine.network import PipelineNetwork
from workers.engine.row import Denoising, Request
from workers.engine.scheduler import Scheduler

SIDE, SEES = 32, 16
STOCHASTIC = sorted(name for name, method in SD_METHODS.items() if method.sampler.eta or name == "lcm")


class Together(Scheduler):
    """Packs whatever may be packed."""

    def _pays(self, delay_s: float, alone_s: float, num_before: int, num_after: int) -> bool:
        return True


class Counting(PipelineNetwork):
    """Remembers how many rows its steps had."""

    sizes: Counter[int]

    def advance(self, rows: Sequence[Denoising]) -> list[Tensor]:
        self.sizes[len(rows)] += 1
        return super().advance(rows)


def pictures(components: Components, asked: Sequence[Request]) -> tuple[dict[str, np.ndarray], Counter[int]]:
    """What an engine draws when all of them are there from the start, and the sizes of its steps."""
    events: list[EngineEvent] = []
    network = Counting("sd", components)
    network.sizes = Counter()
    engine = Engine({"sd": network}, Together(max_rows=8, window=32), events.append, prompts=PromptCache(1 << 20))
    for one in asked:
        engine.admit(one)
    while not engine.is_idle:
        engine.step(now_s=0.0)
    return {event.key[0]: event.image_HWC for event in events if isinstance(event, Finished)}, network.sizes


def row(name: str, sampler: str | None, seed: int, steps: int, eta: float | None = None) -> Request:
    return asked_for(
        name, network="sd", sampler=sampler, seed=seed, num_steps=steps, guidance=5.0, eta=eta, width=SIDE, height=SIDE
    )


@pytest.fixture(scope="module")
def components(tmp_path_factory: pytest.TempPathFactory) -> Components:
    return load_components(tiny_sd_folder(tmp_path_factory.mktemp("sd") / "sd"), dtype=torch.float32)


def test_noise_of_a_row_is_its_own_in_any_company(components: Components) -> None:
    """All samplers that draw noise, beside others of other steps and beside the same with another seed."""
    asked = [row(name, name, 100 + place, 2 + place % 4) for place, name in enumerate(STOCHASTIC)]
    asked += [row("other seed", STOCHASTIC[0], 7, 2), row("exact", "heun", 1, 3), row("eta", "ddim", 5, 4, eta=0.7)]
    forward, sizes = pictures(components, asked)
    assert max(sizes) > 4
    backward, _ = pictures(components, list(reversed(asked)))
    assert set(forward) == {one.key[0] for one in asked}
    for one in asked:
        alone = np.asarray(draw(components, one.draw)).astype(int)
        for company in (forward, backward):
            assert np.abs(company[one.key[0]].astype(int) - alone).max() <= 1, one.key
    assert np.abs(forward["other seed"].astype(int) - forward[STOCHASTIC[0]]).max() >= SEES
