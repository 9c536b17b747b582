"""The UNet against Diffusers' UNet2DConditionModel on the same random weights, stored numbers, published sizes, and invariants."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.checkpoints.keymap import applied
from models.checkpoints.keymaps.unet import diffusers_names
from models.checkpoints.unet import load_unet, save_unet
from models.errors import MalformedConfig
from models.unet.attention import Context
from models.unet.unet import Added, AddedSizes, Residuals, Unet, UnetParams
from tests.fixtures.tiny_unets import SDXL, SIZES, numbers_of, tiny_unet
from tests.models.golden import golden_input, golden_weight

ROWS, TOKENS = 2, 5
SD15_FULL = UnetParams()
SDXL_FULL = UnetParams(
    block_channels=(320, 640, 1280),
    depths=(0, 2, 10),
    middle_depth=10,
    heads=(5, 10, 20),
    context_channels=2048,
    added=AddedSizes(),
)
REFINER_FULL = UnetParams(
    block_channels=(384, 768, 1536, 1536),
    depths=(0, 4, 4, 0),
    middle_depth=4,
    heads=(6, 12, 24, 24),
    context_channels=1280,
    added=AddedSizes(num_numbers=5),
)
GOLDENS = {
    "sd15": (
        {"block_channels": (32, 64), "depths": (1, 0), "heads": (2, 2), "layers_per_block": 1, "context_channels": 16},
        (-0.082854, 0.435952),
        [0.23172, -0.51705, -0.44743, 0.07357, 0.41751, 0.62031, 0.89843, -0.03715],
        [-0.10012, 0.02321, -0.51198, -0.73815, 0.13691, -0.34919, -0.33392, -0.36495],
    ),
    "sdxl": (
        {
            "block_channels": (32, 64),
            "depths": (0, 2),
            "middle_depth": 2,
            "heads": (2, 4),
            "context_channels": 16,
            "added": AddedSizes(24, 6, 8),
        },
        (-0.0683, 0.436919),
        [-0.44959, 0.33889, -0.28143, 0.38244, 0.31619, 0.52063, -0.38528, 0.01732],
        [-0.02573, -0.27744, -0.22321, -0.56284, -0.85352, -0.85146, -0.59548, -0.1431],
    ),
}


def drawn(which: str, height: int, width: int) -> dict[str, Any]:
    """Arguments of Diffusers' forward."""
    sizes = SIZES[which]
    given: dict[str, Any] = {
        "sample": torch.randn(ROWS, sizes.get("in_channels", 4), height, width),
        "timestep": torch.tensor([801.0, 12.5]),
        "encoder_hidden_states": torch.randn(ROWS, TOKENS, sizes["cross_attention_dim"]),
    }
    if "addition_embed_type" in sizes:
        given["added_cond_kwargs"] = {"text_embeds": torch.randn(ROWS, 32), "time_ids": numbers_of(which, ROWS)}
    return given


def predicted(network: Unet, given: dict[str, Any], **changes: Any) -> Tensor:
    added = given.get("added_cond_kwargs")
    added = None if added is None else Added(added["text_embeds"], added["time_ids"])
    return network(given["sample"], given["timestep"], given["encoder_hidden_states"], added, **changes)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (12, 4), (7, 9)])
@pytest.mark.parametrize("which", sorted(SIZES))
@torch.no_grad()
def test_predictions_equal_diffusers(tmp_path: Path, which: str, height: int, width: int) -> None:
    torch.manual_seed(0)
    theirs = tiny_unet(which)
    theirs.save_pretrained(tmp_path)
    given = drawn(which, height, width)
    expected = theirs(**given).sample
    for name in given.keys() - {"added_cond_kwargs"}:
        moved = theirs(**given | {name: given[name].flip(0)}).sample - expected
        assert moved.abs().max() > 0.05 * expected.abs().max(), name
    found = predicted(load_unet(tmp_path), given)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("which", ["sd15", "sdxl"])
@torch.no_grad()
def test_half_precision_rounds_where_diffusers_rounds(tmp_path: Path, which: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    network = tiny_unet(which)
    network.save_pretrained(tmp_path)
    theirs, given = type(network).from_pretrained(tmp_path, torch_dtype=dtype), drawn(which, 8, 8)
    given |= {name: given[name].to(dtype) for name in ("sample", "encoder_hidden_states")}
    if (added := given.get("added_cond_kwargs")) is not None:
        given["added_cond_kwargs"] = {name: value.to(dtype) for name, value in added.items()}
    expected = theirs(**given).sample
    found = predicted(load_unet(tmp_path, dtype=dtype), given)
    # What rounds elsewhere than Diffusers is further off than this: bfloat16 has 8 bits, float16 has 11.
    bound = {torch.bfloat16: 0.003, torch.float16: 0.0003}[dtype]
    assert (found - expected).abs().max() <= bound * expected.abs().max()


@pytest.mark.parametrize("name", ["text_embeds", "time_ids"])
@torch.no_grad()
def test_added_conditioning_is_seen(tmp_path: Path, name: str) -> None:
    torch.manual_seed(1)
    tiny_unet("sdxl").save_pretrained(tmp_path)
    network, given = load_unet(tmp_path), drawn("sdxl", 8, 8)
    added = given["added_cond_kwargs"]
    changed = predicted(network, given | {"added_cond_kwargs": added | {name: added[name].flip(0)}})
    expected = predicted(network, given)
    assert (changed - expected).abs().max() > 0.01 * expected.abs().max()


@torch.no_grad()
def test_residuals_are_added_where_diffusers_adds_them(tmp_path: Path) -> None:
    torch.manual_seed(2)
    theirs = tiny_unet("sdxl")
    theirs.save_pretrained(tmp_path)
    network, given = load_unet(tmp_path), drawn("sdxl", 8, 8)
    skips, middle = network.encode(
        given["sample"],
        network.vectors(given["timestep"], Added(*given["added_cond_kwargs"].values()), torch.float32),
        Context(given["encoder_hidden_states"]),
    )
    assert len(skips) == network.params.num_skips
    down, mid = [torch.randn_like(skip) for skip in skips], torch.randn_like(middle)
    expected = theirs(**given, down_block_additional_residuals=tuple(down), mid_block_additional_residual=mid).sample
    found = predicted(network, given, residuals=Residuals(down, mid))
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert (found - predicted(network, given)).abs().max() > 0.1 * expected.abs().max()


@pytest.mark.parametrize("which", sorted(GOLDENS))
@torch.no_grad()
def test_the_stored_numbers_come_out(which: str) -> None:
    sizes, means, first, last = GOLDENS[which]
    network = _filled(UnetParams(**sizes), linear_projection=which == "sdxl")
    numbers = torch.tensor([[1024, 1024, 0, 0, 1024, 1024], [768, 512, 16, 32, 1024, 768]])
    added = Added(golden_input("pooled", (2, 24)), numbers) if network.params.added else None
    latent, text = golden_input("latent", (2, 4, 8, 8)), golden_input("emb", (2, 5, 16))
    flat = network(latent, torch.tensor([801, 1]), text, added).flatten()
    torch.testing.assert_close(torch.stack([flat.mean(), flat.abs().mean()]), torch.tensor(means), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat[:8], torch.tensor(first), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat[-8:], torch.tensor(last), atol=1e-4, rtol=0)


def _filled(params: UnetParams, *, linear_projection: bool) -> Unet:
    """A network whose parameters are a function of the names that Diffusers gives them."""
    network = Unet(params)
    state = network.state_dict()
    values = {
        entry.native: entry.row.to_native(
            [
                golden_weight(name, part.shape).float()
                for name, part in zip(entry.foreign, entry.row.to_foreign(state[entry.native]), strict=True)
            ]
        )
        for entry in applied(diffusers_names(linear_projection=linear_projection), state)
    }
    network.load_state_dict(values)
    return network.eval()


@pytest.mark.parametrize(
    ("params", "count"),
    [(SD15_FULL, 859_520_964), (SDXL_FULL, 2_567_463_684), (REFINER_FULL, 2_259_526_660)],
)
def test_published_sizes_have_the_published_number_of_parameters(params: UnetParams, count: int) -> None:
    with torch.device("meta"):
        network = Unet(params)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@torch.no_grad()
def test_a_row_does_not_depend_on_its_neighbours(tmp_path: Path) -> None:
    torch.manual_seed(3)
    tiny_unet("sd15").save_pretrained(tmp_path)
    network, given = load_unet(tmp_path), drawn("sd15", 8, 8)
    alone = network(*(value[:1] for value in given.values()))
    torch.testing.assert_close(predicted(network, given)[:1], alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_attention_in_chunks_is_the_same_attention(tmp_path: Path) -> None:
    torch.manual_seed(4)
    tiny_unet("sd15").save_pretrained(tmp_path)
    network, given = load_unet(tmp_path), drawn("sd15", 8, 8)
    chunked = predicted(network, given, query_chunk=7)
    torch.testing.assert_close(chunked, predicted(network, given), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("which", ["sd15", "refiner"])
@torch.no_grad()
def test_what_is_saved_is_what_was_loaded(tmp_path: Path, which: str) -> None:
    torch.manual_seed(5)
    theirs = tiny_unet(which)
    theirs.save_pretrained(tmp_path / "theirs")
    network = load_unet(tmp_path / "theirs")
    save_unet(network, tmp_path / "ours")
    again, given = type(theirs).from_pretrained(tmp_path / "ours"), drawn(which, 8, 8)
    assert load_unet(tmp_path / "ours").params == network.params
    torch.testing.assert_close(again(**given).sample, theirs(**given).sample, atol=1e-5, rtol=1e-5)


def test_added_conditioning_is_asked_for_exactly_when_it_is_read() -> None:
    plain = Unet(UnetParams(block_channels=(8,), depths=(1,), heads=(2,), context_channels=8, norm_num_groups=4))
    reading = Unet(replace(plain.params, added=AddedSizes(4, 6, 2)))
    x, t, text = torch.zeros(1, 4, 8, 8), torch.zeros(1), torch.zeros(1, 2, 8)
    with pytest.raises(ValueError, match="added conditioning belongs to networks that read it"):
        plain(x, t, text, Added(torch.zeros(1, 4), torch.zeros(1, 6)))
    with pytest.raises(ValueError, match="added conditioning belongs to networks that read it"):
        reading(x, t, text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resnet_time_scale_shift": "scale_shift"}, 'resnet_time_scale_shift is "scale_shift", not "default"'),
        ({"only_cross_attention": True}, "only_cross_attention is true, not false"),
        ({"num_class_embeds": 10}, "num_class_embeds is 10, not null"),
    ],
)
def test_a_unet_that_is_not_served_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    tiny_unet("sdxl", **changes).save_config(tmp_path)
    with pytest.raises(MalformedConfig, match=message):
        load_unet(tmp_path)


def test_depths_may_be_one_number(tmp_path: Path) -> None:
    tiny_unet("sdxl", transformer_layers_per_block=2).save_pretrained(tmp_path)
    params = load_unet(tmp_path).params
    assert (params.depths, params.middle_depth, params.heads) == ((0, 2), 2, SDXL["attention_head_dim"])
