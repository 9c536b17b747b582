"""Learnt words in a worker: found beside the networks, registered, used by the rows that name them, and by no other."""

import numpy as np
import pytest
import torch

from models.checkpoints.embedding_folder import write_embedding
from models.errors import UnsupportedInput
from models.pipeline.reading import Reading
from models.pipeline.request import DrawRequest
from tests.fixtures.tiny_sd import tiny_sd_folder
from tests.fixtures.tiny_text import TEXT_SIZE
from workers.engine.conditioning import PromptCache
from workers.engine.engine import Engine
from workers.engine.events import EngineEvent, Finished
from workers.engine.row import Request
from workers.engine.scheduler import Scheduler
from workers.networks import LoadedNetworks, load_networks

CPU = torch.device("cpu")
LONG = "a red apple on a blue background, " * 12


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedNetworks:
    root = tmp_path_factory.mktemp("models")
    tiny_sd_folder(root / "sd")
    for name, trigger, vector in (("mine", "<cat>", 2.0), ("yours", "<cat>", -2.0)):
        (root / name).mkdir()
        write_embedding(root / name, trigger, (torch.linspace(-vector, vector, TEXT_SIZE)[None],))
    return load_networks([root], CPU, torch.float32)


def asked(prompt: str, *embeddings: str, **more: object) -> DrawRequest:
    return DrawRequest(prompt, 7, 64, 64, 2, 5.0, embeddings=embeddings, **more)  # pyright: ignore[reportArgumentType] (fields by name)


def together(loaded: LoadedNetworks, *requests: DrawRequest) -> list[np.ndarray]:
    """All of them through one engine, in company."""
    events: list[EngineEvent] = []
    engine = Engine(loaded.networks, Scheduler(), events.append, prompts=PromptCache(1 << 24))
    for index, draw in enumerate(requests):
        engine.admit(Request((str(index), 1), "sd", draw, 0, 0.0, 1e9, 1.0))
    while not engine.is_idle:
        engine.step(0.0)
    done = {event.key[0]: event.image_HWC for event in events if isinstance(event, Finished)}
    return [done[str(index)].astype(int) for index in range(len(requests))]


def test_they_are_registered_like_networks(loaded: LoadedNetworks) -> None:
    assert set(loaded.revisions) == {"sd", "mine", "yours"}
    assert loaded.revisions["mine"] != loaded.revisions["yours"]


def test_rows_with_other_words_of_one_trigger_other_lengths_and_syntaxes_are_drawn_as_if_alone(
    loaded: LoadedNetworks,
) -> None:
    requests = (
        asked("a <cat> apple", "mine"),
        asked("a <cat> apple", "yours"),
        asked("a <cat> apple"),
        asked("a <cat> apple", clip_skip=1),
        asked(LONG + "<cat>", "mine", prompt_syntax="a1111", negative_prompt="(blue)"),
    )
    company = together(loaded, *requests)
    for request, found in zip(requests, company, strict=True):
        (alone,) = together(loaded, request)
        assert np.abs(found - alone).max() <= 1
    assert all(np.abs(company[0] - other).max() >= 16 for other in company[1:])


def test_a_word_that_is_not_here_is_refused_before_the_row_begins(loaded: LoadedNetworks) -> None:
    with pytest.raises(UnsupportedInput, match="there is no embedding 'gone'"):
        loaded.networks["sd"].run_of(asked("a <cat>", "gone"))
    with pytest.raises(UnsupportedInput, match="clip_skip: 2 is given"):
        loaded.networks["sd"].run_of(asked("a <cat>", clip_skip=2))
    with pytest.raises(UnsupportedInput, match="the weight of 'a' is 12"):
        loaded.networks["sd"].run_of(asked("(a:12)", prompt_syntax="a1111"))


def test_rows_that_use_no_words_share_their_features_whatever_the_worker_holds(loaded: LoadedNetworks) -> None:
    network = loaded.networks["sd"]
    plain, named = network.encode("a <cat>", 77, Reading()), network.encode("a <cat>", 77, Reading("a1111"))
    assert torch.equal(plain.tokens_LC, named.tokens_LC)
