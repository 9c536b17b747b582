"""FLUX.2's transformer against stored numbers, published sizes, and invariants of the architecture."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from models.flow.flux2 import Flux2, Flux2Params
from models.specs import KLEIN_4B, KLEIN_9B
from tests.models.golden import fill, golden_input

TINY = Flux2Params(
    in_channels=16,
    context_in_dim=48,
    hidden_size=64,
    num_heads=4,
    depth=2,
    depth_single_blocks=3,
    axes_dim=(4, 4, 4, 4),
)
ROWS, COLUMNS, NUM_TEXT, NUM_IMAGE = 4, 6, 7, 24
TIMES, GUIDANCE = torch.tensor([0.73, 0.21]), torch.tensor([3.5, 2.0])

GOLDENS: dict[str, tuple[tuple[float, float], list[float], list[float]]] = {
    "guidance": (
        (0.060202, 0.897465),
        [-0.90976, 0.29026, -1.35448, 0.54792, 0.51926, 0.23614, 0.71404, -0.87739],
        [2.2754, 0.24622, -2.08516, 1.38968, -1.75238, 1.39528, -0.55497, 0.30822],
    ),
    "guidance_ref": (
        (0.055856, 0.896258),
        [-0.92877, 0.19113, -1.33788, 0.54607, 0.50994, 0.20592, 0.68553, -0.85049],
        [2.36042, 0.27678, -2.11694, 1.40042, -1.78541, 1.3609, -0.62867, 0.35767],
    ),
    "klein_ref": (
        (0.012079, 0.838498),
        [-0.81682, 0.65701, -1.1138, 0.25414, -0.01507, 0.75457, 0.33213, -0.41649],
        [1.33711, 0.83306, -1.34744, 1.67344, -2.18108, 1.36341, -1.32093, 1.44081],
    ),
}


def grid(rows: int, columns: int, t: int = 0) -> Tensor:
    axes = torch.tensor([t]), torch.arange(rows), torch.arange(columns), torch.tensor([0])
    return torch.cartesian_prod(*axes)[None].expand(2, -1, -1)


def text_ids(length: int) -> Tensor:
    return torch.stack([torch.zeros(length), torch.zeros(length), torch.zeros(length), torch.arange(length)], -1)[
        None
    ].expand(2, -1, -1)


@pytest.mark.parametrize("case", sorted(GOLDENS))
@torch.no_grad()
def test_the_stored_numbers_come_out(case: str) -> None:
    has_guidance = case != "klein_ref"
    network = fill(Flux2(replace(TINY, guidance_embed=has_guidance)))
    x, ids = golden_input("x", (2, NUM_IMAGE, 16)), grid(ROWS, COLUMNS)
    if case.endswith("_ref"):
        x = torch.cat([x, golden_input("ref", (2, 6, 16))], dim=1)
        ids = torch.cat([ids, grid(2, 3, t=10)], dim=1)
    context = golden_input("ctx", (2, NUM_TEXT, 48))
    out = network(x, ids, TIMES, context, text_ids(NUM_TEXT), GUIDANCE if has_guidance else None)[:, :NUM_IMAGE]
    flat = out.flatten()
    means, first, last = GOLDENS[case]
    torch.testing.assert_close(torch.stack([flat.mean(), flat.abs().mean()]), torch.tensor(means), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat[:8], torch.tensor(first), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat[-8:], torch.tensor(last), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("params", "count"), [(Flux2Params(), 32_223_281_152), (KLEIN_4B, 3_875_544_576), (KLEIN_9B, 9_078_581_248)]
)
def test_published_sizes_have_the_published_number_of_parameters(params: Flux2Params, count: int) -> None:
    with torch.device("meta"):
        network = Flux2(params)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_a_width_that_the_heads_do_not_fill_is_refused() -> None:
    with pytest.raises(ValueError, match="hidden_size 60 is not num_heads 4 times 16"):
        replace(TINY, hidden_size=60)


@torch.no_grad()
def test_a_row_does_not_depend_on_its_neighbours() -> None:
    network = fill(Flux2(TINY))
    x, context = golden_input("x", (2, NUM_IMAGE, 16)), golden_input("ctx", (2, NUM_TEXT, 48))
    both = network(x, grid(ROWS, COLUMNS), TIMES, context, text_ids(NUM_TEXT), GUIDANCE)
    for row in (slice(0, 1), slice(1, 2)):
        alone = network(
            x[row], grid(ROWS, COLUMNS)[row], TIMES[row], context[row], text_ids(NUM_TEXT)[row], GUIDANCE[row]
        )
        torch.testing.assert_close(both[row], alone, atol=1e-5, rtol=0)


@torch.no_grad()
def test_positions_count_by_their_differences_only() -> None:
    network = fill(Flux2(TINY))
    x, context = golden_input("x", (2, NUM_IMAGE, 16)), golden_input("ctx", (2, NUM_TEXT, 48))
    shift = torch.tensor([3, 5, 7, 11])
    here = network(x, grid(ROWS, COLUMNS), TIMES, context, text_ids(NUM_TEXT), GUIDANCE)
    there = network(x, grid(ROWS, COLUMNS) + shift, TIMES, context, text_ids(NUM_TEXT) + shift, GUIDANCE)
    torch.testing.assert_close(here, there, atol=1e-4, rtol=0)


def test_every_parameter_learns_also_under_autocast() -> None:
    network = fill(Flux2(TINY)).train()
    x, context = golden_input("x", (2, NUM_IMAGE, 16)), golden_input("ctx", (2, NUM_TEXT, 48))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = network(x, grid(ROWS, COLUMNS), TIMES, context, text_ids(NUM_TEXT), GUIDANCE)
    out.float().square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_guidance_is_asked_for_exactly_when_the_network_reads_it() -> None:
    x, context = golden_input("x", (2, NUM_IMAGE, 16)), golden_input("ctx", (2, NUM_TEXT, 48))
    for has_guidance in (True, False):
        network = Flux2(replace(TINY, guidance_embed=has_guidance))
        with pytest.raises(ValueError, match="guidance_B"):
            network(x, grid(ROWS, COLUMNS), TIMES, context, text_ids(NUM_TEXT), None if has_guidance else GUIDANCE)


@pytest.mark.parametrize("query_chunk", [1, 5, 31, 1000])
@torch.no_grad()
def test_attention_in_chunks_is_the_same_attention(query_chunk: int) -> None:
    network = fill(Flux2(TINY))
    x, context = golden_input("x", (2, NUM_IMAGE, 16)), golden_input("ctx", (2, NUM_TEXT, 48))
    given = (x, grid(ROWS, COLUMNS), TIMES, context, text_ids(NUM_TEXT), GUIDANCE)
    torch.testing.assert_close(network(*given, query_chunk=query_chunk), network(*given), atol=1e-5, rtol=0)


@torch.no_grad()
def test_float16_is_held_within_its_range() -> None:
    network = fill(Flux2(TINY))
    for block in (*network.double_blocks, *network.single_blocks):
        for name, parameter in block.named_parameters():
            if name.endswith(("mlp.2.weight", "linear2.weight")):
                parameter.mul_(3e4)
    x, context = golden_input("x", (2, NUM_IMAGE, 16)), golden_input("ctx", (2, NUM_TEXT, 48))
    out = network.half()(x.half(), grid(ROWS, COLUMNS), TIMES, context.half(), text_ids(NUM_TEXT), GUIDANCE)
    assert out.isfinite().all()
