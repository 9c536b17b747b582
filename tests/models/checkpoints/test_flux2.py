"""FLUX.2's components in Diffusers' layout: what Diffusers writes we run to the same numbers, what we write Diffusers reads."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from torch import Tensor

from models.checkpoints.config import Config
from models.checkpoints.flux2 import (
    load_transformer,
    save_transformer,
    transformer_config,
    transformer_params,
)
from models.errors import MalformedConfig
from models.flow.flux2 import Flux2, Flux2Params
from models.latents import image_ids, text_ids
from tests.fixtures.tiny_models import tiny_transformer
from tests.models.golden import fill, golden_input

CONTEXT = 96


def same_tensors(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def positions(*, with_reference: bool) -> Tensor:
    ids = image_ids(4, 6)
    return torch.cat([ids, image_ids(2, 3) + torch.tensor([10, 0, 0, 0])]) if with_reference else ids


@pytest.mark.parametrize("with_reference", [False, True])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("guidance_embeds", [True, False])
@torch.no_grad()
def test_the_transformer_equals_diffusers(
    tmp_path: Path, guidance_embeds: bool, rows: int, with_reference: bool
) -> None:
    torch.manual_seed(0)
    oracle = tiny_transformer(guidance_embeds=guidance_embeds)
    oracle.save_pretrained(tmp_path)
    network = load_transformer(tmp_path)
    ids = positions(with_reference=with_reference)
    x, context = golden_input("x", (rows, len(ids), 16)), golden_input("ctx", (rows, 7, CONTEXT))
    t, g = torch.tensor([0.73, 0.21, 1.0])[:rows], torch.tensor([3.5, 2.0, 4.0])[:rows] if guidance_embeds else None

    def velocity(x: Tensor, context: Tensor, t: Tensor, g: Tensor | None) -> Tensor:
        return oracle(
            hidden_states=x,
            timestep=t,
            guidance=g,
            encoder_hidden_states=context,
            txt_ids=text_ids(7),
            img_ids=ids,
            return_dict=False,
        )[0]

    expected = velocity(x, context, t, g)
    scale = expected.abs().mean()
    assert (velocity(x, context.flip(1), t, g) - expected).abs().max() > 0.1 * scale
    assert (velocity(x, context, t * 0.5, g) - expected).abs().max() > 0.1 * scale
    if g is not None:
        assert (velocity(x, context, t, g + 2) - expected).abs().max() > 0.1 * scale
    found = network(x, ids.expand(rows, -1, -1), t, context, text_ids(7).expand(rows, -1, -1), g)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("guidance_embed", [True, False])
def test_diffusers_reads_the_transformer_that_we_write(tmp_path: Path, guidance_embed: bool) -> None:
    torch.manual_seed(0)
    oracle = tiny_transformer(guidance_embeds=guidance_embed)
    oracle.save_pretrained(tmp_path / "theirs")
    network = load_transformer(tmp_path / "theirs")
    save_transformer(network, tmp_path / "ours")
    again = Flux2Transformer2DModel.from_pretrained(tmp_path / "ours")
    assert same_tensors(again.state_dict(), oracle.state_dict())
    assert same_tensors(load_transformer(tmp_path / "ours").state_dict(), network.state_dict())


def test_weights_are_written_and_read_in_the_dtype_that_is_asked_for(tmp_path: Path) -> None:
    params = Flux2Params(16, CONTEXT, 64, 4, 1, 1, (4, 4, 4, 4), guidance_embed=False)
    save_transformer(fill(Flux2(params)), tmp_path, torch.bfloat16)
    kept, widened = load_transformer(tmp_path, dtype=torch.bfloat16), load_transformer(tmp_path)
    assert {p.dtype for p in kept.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in widened.parameters()} == {torch.float32}
    assert torch.equal(kept.img_in.weight.float(), widened.img_in.weight)
    assert not any(p.requires_grad for p in kept.parameters())
    assert not kept.training


def test_a_loaded_file_may_be_replaced_while_it_is_in_use(tmp_path: Path) -> None:
    params = Flux2Params(16, CONTEXT, 64, 4, 1, 1, (4, 4, 4, 4), guidance_embed=False)
    save_transformer(fill(Flux2(params)), tmp_path)
    network = load_transformer(tmp_path)
    before = network.img_in.weight.clone()
    save_transformer(Flux2(params), tmp_path)
    assert torch.equal(network.img_in.weight, before)


def test_configs_come_back_as_they_were_written(tmp_path: Path) -> None:
    params = replace(Flux2Params(), depth=5, guidance_embed=False)
    (tmp_path / "t.json").write_text(json.dumps(transformer_config(params)))
    assert transformer_params(Config(tmp_path / "t.json")) == params


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("_class_name", "FluxTransformer2DModel", 'not "Flux2Transformer2DModel"'),
        ("axes_dims_rope", [32, 32], "four numbers that sum to attention_head_dim, 128"),
        ("num_layers", "8", "a whole number"),
        ("num_layers", 0, "at least 1"),
        ("patch_size", 2, "patch_size is 2, not 1"),
        ("rope_style", "new", "unknown fields: rope_style"),
    ],
)
def test_a_transformer_config_that_means_something_else_is_refused(
    tmp_path: Path, field: str, value: object, message: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(transformer_config(Flux2Params()) | {field: value}))
    with pytest.raises(MalformedConfig, match=message):
        transformer_params(Config(path))
