"""FLUX.1's transformer against stored numbers, published sizes, and invariants of the architecture."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from models.flow.flux1 import Flux1, Flux1Params
from models.latents import image_ids
from models.specs import FLUX1_CONTROL, FLUX1_DEV, FLUX1_FILL, FLUX1_SCHNELL
from tests.models.golden import fill, golden_input

TINY = Flux1Params(
    in_channels=16,
    out_channels=16,
    vec_in_dim=24,
    context_in_dim=48,
    hidden_size=64,
    num_heads=4,
    depth=2,
    depth_single_blocks=3,
    axes_dim=(4, 6, 6),
)
NUM_TEXT, NUM_IMAGE = 7, 24
TIMES, GUIDANCE = torch.tensor([0.73, 0.21]), torch.tensor([3.5, 2.0])

GOLDENS: dict[str, tuple[tuple[float, float], list[float], list[float]]] = {
    "guidance": (
        (0.010476, 1.009057),
        [-0.26114, 0.75957, -1.14129, 0.17776, 0.10684, 1.11813, 1.40125, -1.17866],
        [-0.65908, -1.12353, -3.43883, 1.3976, -0.28518, -0.02728, -0.26233, 0.06835],
    ),
    "schnell": (
        (-0.020662, 0.982665),
        [0.15624, 0.22942, -1.33176, -1.0554, 0.46434, 0.10564, 1.49907, -1.31943],
        [-0.55133, -0.66975, -3.2345, 1.40761, -0.66308, 1.78236, -0.3034, 0.45303],
    ),
}


def velocity(network: Flux1, **changes: Tensor | int | None) -> Tensor:
    given: dict[str, Tensor | int | None] = {
        "x_BLC": golden_input("x", (2, NUM_IMAGE, 16)),
        "x_ids_BL3": image_ids(4, 6, num_axes=3).expand(2, -1, -1),
        "timesteps_B": TIMES,
        "context_BLC": golden_input("ctx", (2, NUM_TEXT, 48)),
        "context_ids_BL3": torch.zeros(2, NUM_TEXT, 3),
        "pooled_BC": golden_input("y", (2, 24)),
        "guidance_B": GUIDANCE if network.params.guidance_embed else None,
    }
    return network(**given | changes)


@pytest.mark.parametrize("case", sorted(GOLDENS))
@torch.no_grad()
def test_the_stored_numbers_come_out(case: str) -> None:
    flat = velocity(fill(Flux1(replace(TINY, guidance_embed=case == "guidance")))).flatten()
    means, first, last = GOLDENS[case]
    torch.testing.assert_close(torch.stack([flat.mean(), flat.abs().mean()]), torch.tensor(means), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat[:8], torch.tensor(first), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat[-8:], torch.tensor(last), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("params", "count"),
    [
        (FLUX1_DEV, 11_901_408_320),
        (FLUX1_SCHNELL, 11_891_178_560),
        (FLUX1_FILL, 11_902_391_360),
        (FLUX1_CONTROL, 11_901_604_928),
    ],
)
def test_published_sizes_have_the_published_number_of_parameters(params: Flux1Params, count: int) -> None:
    with torch.device("meta"):
        network = Flux1(params)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_a_width_that_the_heads_do_not_fill_is_refused() -> None:
    with pytest.raises(ValueError, match="hidden_size 60 is not num_heads 4 times 16"):
        replace(TINY, hidden_size=60)


def test_guidance_is_asked_for_exactly_when_the_network_reads_it() -> None:
    with pytest.raises(ValueError, match="guidance_B belongs to networks with guidance_embed"):
        velocity(Flux1(TINY), guidance_B=None)
    with pytest.raises(ValueError, match="guidance_B belongs to networks with guidance_embed"):
        velocity(Flux1(replace(TINY, guidance_embed=False)), guidance_B=GUIDANCE)


@torch.no_grad()
def test_a_row_does_not_depend_on_its_neighbours() -> None:
    network = fill(Flux1(TINY))
    given = golden_input("x", (2, NUM_IMAGE, 16))
    other = given.clone()
    other[1] = 0.5
    torch.testing.assert_close(velocity(network)[0], velocity(network, x_BLC=other)[0], atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("query_chunk", [1, 5, 31, 1000])
def test_attention_in_chunks_is_the_same_attention(query_chunk: int) -> None:
    network = fill(Flux1(TINY))
    torch.testing.assert_close(velocity(network, query_chunk=query_chunk), velocity(network), atol=1e-5, rtol=0)


@pytest.mark.parametrize("stream", ["img_mlp", "txt_mlp", "single"])
@torch.no_grad()
def test_float16_is_held_within_its_range(stream: str) -> None:
    """What leaves the range of float16 is cut to its largest number, wherever it happens."""
    network = fill(Flux1(TINY))
    blocks = network.single_blocks if stream == "single" else network.double_blocks
    name = "linear2.weight" if stream == "single" else f"{stream}.2.weight"
    for block in blocks:
        block.get_parameter(name).mul_(3e4)
    inputs = {
        "x_BLC": golden_input("x", (2, NUM_IMAGE, 16)).half(),
        "context_BLC": golden_input("ctx", (2, NUM_TEXT, 48)).half(),
        "pooled_BC": golden_input("y", (2, 24)).half(),
        "guidance_B": GUIDANCE.half(),
    }
    assert velocity(network.half(), **inputs).isfinite().all()


@torch.no_grad()
def test_positions_count_by_their_differences_only() -> None:
    network = fill(Flux1(TINY))
    shift = torch.tensor([3, 5, 7])
    ids = image_ids(4, 6, num_axes=3).expand(2, -1, -1)
    there = velocity(network, x_ids_BL3=ids + shift, context_ids_BL3=torch.zeros(2, NUM_TEXT, 3) + shift)
    torch.testing.assert_close(there, velocity(network), atol=1e-4, rtol=0)
    moved = velocity(network, x_ids_BL3=ids * 2)
    assert (moved - velocity(network)).abs().max() > 0.05


@torch.no_grad()
def test_a_reference_is_further_tokens_told_apart_by_the_first_axis() -> None:
    """As Kontext has it: its positions begin again at the corner, so only the first axis says what is drawn and what is given."""
    network = fill(Flux1(TINY))
    x, ids = golden_input("x", (2, NUM_IMAGE, 16)), image_ids(4, 6, num_axes=3)
    reference, its_ids = golden_input("ref", (2, 6, 16)), image_ids(2, 3, num_axes=3)

    def seen(index: int, tokens: Tensor) -> Tensor:
        both = torch.cat([ids, its_ids + torch.tensor([index, 0, 0])]).expand(2, -1, -1)
        return velocity(network, x_BLC=torch.cat([x, tokens], dim=1), x_ids_BL3=both)[:, :NUM_IMAGE]

    assert (seen(1, reference) - velocity(network)).abs().max() > 0.05
    assert (seen(1, reference) - seen(0, reference)).abs().max() > 0.01
    assert (seen(1, reference) - seen(1, reference.flip(1))).abs().max() > 0.01


def test_every_parameter_learns_also_under_autocast() -> None:
    network = fill(Flux1(TINY)).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = velocity(network)
    out.float().square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
