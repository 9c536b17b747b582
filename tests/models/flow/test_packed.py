"""Rows of any sizes in one forward: each as if it ran alone."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from models.flow.flux1 import Flux1, Flux1Params
from models.flow.flux2 import Flux2, Flux2Params
from models.flow.transformer import PackedRow, Transformer
from models.latents import image_ids, text_ids
from tests.models.golden import fill, golden_input

FLUX1 = Flux1Params(16, 16, 24, 48, 64, 4, 2, 3, (4, 6, 6))
FLUX2 = Flux2Params(16, 48, 64, 4, 2, 3, (4, 4, 4, 4))
TIMES = torch.tensor([0.9, 0.73, 0.21])

Alone = Callable[[PackedRow], Tensor]
"""A row as the network's plain forward computes it."""


def a_row(
    network: Transformer,
    index: int,
    size: tuple[int, int] = (4, 6),
    num_text: int = 7,
    step: int = 1,
    reference: int = 0,
) -> tuple[PackedRow, Tensor]:
    """A row of this picture size, text length, step and side of its reference, and its velocity by the plain forward."""
    num_axes = 3 if isinstance(network, Flux1) else 4
    own = image_ids(*size, num_axes=num_axes)
    ids = torch.cat([own, image_ids(reference, reference, reference=10, num_axes=num_axes)])
    text, guidance = golden_input(f"text {index}", (num_text, 48)), torch.tensor([1.0 + index])
    tokens = golden_input(f"tokens {index}", (len(ids), network.img_in.in_features))
    if isinstance(network, Flux1):
        of_text, pooled = torch.zeros(num_text, 3), golden_input(f"pooled {index}", (1, 24))
        strength = guidance if network.params.guidance_embed else None
        vectors = partial(network.vectors, pooled_BC=pooled, guidance_B=strength)
        plain = partial(network, pooled_BC=pooled, guidance_B=strength)
    else:
        assert isinstance(network, Flux2)
        of_text = text_ids(num_text)
        vectors = partial(network.vectors, guidance_B=guidance, dtype=torch.float32)
        plain = partial(network, guidance_B=guidance)
    constants = network.row_constants(text, torch.cat([of_text, ids]), TIMES, vectors)
    expected = plain(tokens[None], ids[None], TIMES[step, None], text[None], of_text[None])[0]
    return PackedRow(tokens, constants, step), expected


NETWORKS: dict[str, Callable[[], Transformer]] = {
    "FLUX.1": lambda: Flux1(FLUX1),
    "FLUX.1 without guidance": lambda: Flux1(replace(FLUX1, guidance_embed=False)),
    "FLUX.1 with channels beside the latents": lambda: Flux1(replace(FLUX1, in_channels=40)),
    "FLUX.2": lambda: Flux2(FLUX2),
}
SETS: dict[str, list[dict[str, object]]] = {
    "one": [{}],
    "equal sizes, other steps": [{"step": 0}, {"step": 2}, {"step": 2}],
    "other sizes": [{"size": (2, 3)}, {"size": (6, 4)}, {"size": (4, 6)}],
    "other text lengths": [{"num_text": 5}, {"num_text": 9}],
    "everything": [
        {"reference": 3},
        {"size": (2, 2), "step": 0},
        {"num_text": 3, "step": 2, "reference": 2},
        {"size": (1, 1)},
    ],
}


@pytest.mark.parametrize("query_chunk", [None, 5])
@pytest.mark.parametrize("rows", sorted(SETS))
@pytest.mark.parametrize("name", sorted(NETWORKS))
@torch.no_grad()
def test_every_row_is_as_if_it_ran_alone(name: str, rows: str, query_chunk: int | None) -> None:
    network = fill(NETWORKS[name]())
    made = [a_row(network, index, **changes) for index, changes in enumerate(SETS[rows])]  # pyright: ignore[reportArgumentType] (a dict of mixed values)
    together = network.velocities([row for row, _ in made], query_chunk)
    for velocity, (_, expected) in zip(together, made, strict=True):
        torch.testing.assert_close(velocity, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["FLUX.1", "FLUX.2"])
@torch.no_grad()
def test_no_token_is_padded(name: str) -> None:
    """Every linear layer of a block sees the tokens of all rows and not one more."""
    network, seen = fill(NETWORKS[name]()), list[int]()
    rows = [a_row(network, 0, num_text=5)[0], a_row(network, 1, size=(2, 3), reference=2)[0]]
    network.single_blocks[0].get_submodule("linear1").register_forward_hook(
        lambda _module, given, _made: seen.append(given[0].shape[:-1])
    )  # pyright: ignore[reportArgumentType] - torch types the hook for one input
    network.velocities(rows)
    assert seen == [(1, 5 + 24 + 7 + 6 + 4)]


@pytest.mark.parametrize("name", ["FLUX.1", "FLUX.2"])
@torch.no_grad()
def test_in_bfloat16_times_are_computed_one_by_one(name: str) -> None:
    """Products depend on the batch there, and the reference implementation computes one time in every step."""
    network = fill(NETWORKS[name]()).bfloat16()
    vectors = lambda times_T: golden_input("vector", (1, 64)).bfloat16() * times_T[:, None]  # noqa: E731 - a formula
    text, ids = golden_input("text", (7, 48)).bfloat16(), torch.zeros(9, 3 if name == "FLUX.1" else 4)
    times_T = TIMES.bfloat16()
    table = network.row_constants(text, ids, times_T, vectors).modulation_TNC
    for step in range(3):
        assert torch.equal(table[step], network.table(vectors(times_T[step, None]))[0])
