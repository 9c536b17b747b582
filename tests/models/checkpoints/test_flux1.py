"""FLUX.1's transformer against Diffusers' on the same random weights, through the folder that Diffusers writes, and back."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel

from models.checkpoints.config import Config
from models.checkpoints.flux1 import load_transformer, save_transformer, transformer_config, transformer_params
from models.checkpoints.keymap import Fused
from models.checkpoints.keymaps.flux1 import flux1
from models.checkpoints.load import foreign_state
from models.errors import MalformedConfig, MissingKeys, ShapeMismatch, UnknownKeys, UnservedCheckpoint
from models.flow.flux1 import Flux1, Flux1Params
from models.latents import image_ids
from tests.fixtures.tiny_models import Oracle, scaled_up

WEIGHTS = "diffusion_pytorch_model.safetensors"


def oracle(seed: int, *, guidance_embeds: bool, in_channels: int = 16) -> Oracle:
    torch.manual_seed(seed)
    network = FluxTransformer2DModel(
        in_channels=in_channels,
        out_channels=16,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=4,
        joint_attention_dim=32,
        pooled_projection_dim=24,
        guidance_embeds=guidance_embeds,
        axes_dims_rope=(4, 6, 6),
    )
    return scaled_up(network, 2.0)


@pytest.mark.parametrize(
    ("grid", "dtype"),
    [((3, 5), torch.float32), ((7, 2), torch.float32), ((3, 5), torch.bfloat16), ((7, 2), torch.float16)],
)
@pytest.mark.parametrize(("seed", "guidance_embeds", "in_channels"), [(0, True, 16), (1, False, 16), (2, True, 48)])
@torch.no_grad()
def test_velocities_equal_diffusers(
    tmp_path: Path, seed: int, guidance_embeds: bool, in_channels: int, grid: tuple[int, int], dtype: torch.dtype
) -> None:
    theirs = oracle(seed, guidance_embeds=guidance_embeds, in_channels=in_channels).to(dtype)
    theirs.save_pretrained(tmp_path)
    ours = load_transformer(tmp_path, dtype=dtype)
    ids, text_ids = image_ids(*grid, num_axes=3), torch.zeros(6, 3)
    given = {
        "hidden_states": torch.randn(2, len(ids), in_channels).to(dtype),
        "encoder_hidden_states": torch.randn(2, 6, 32).to(dtype),
        "pooled_projections": torch.randn(2, 24).to(dtype),
        "timestep": torch.tensor([0.7, 0.2]).to(dtype),
        "guidance": torch.tensor([3.5, 2.0]).to(dtype) if guidance_embeds else None,
    }

    def velocity(**changes: torch.Tensor | None) -> torch.Tensor:
        return theirs(**given | changes, img_ids=ids.to(dtype), txt_ids=text_ids).sample

    expected = velocity()
    for name, value in given.items():
        if value is not None:
            assert (velocity(**{name: value.flip(0)}) - expected).abs().max() > 0.1 * expected.abs().max(), name
    x, context, pooled, times, guidance = given.values()
    found = ours(x, ids.expand(2, -1, -1), times, context, text_ids.expand(2, -1, -1), pooled, guidance)
    # What rounds elsewhere than Diffusers is further off than this: bfloat16 has 8 bits, float16 has 11.
    bound = {torch.float32: 1e-5, torch.bfloat16: 0.003, torch.float16: 0.0003}[dtype]
    assert (found - expected).abs().max() <= bound * expected.abs().max()


def test_what_is_saved_is_what_was_loaded(tmp_path: Path) -> None:
    oracle(0, guidance_embeds=True).save_pretrained(tmp_path / "theirs")
    save_transformer(load_transformer(tmp_path / "theirs"), tmp_path / "ours")
    again = FluxTransformer2DModel.from_pretrained(tmp_path / "ours")
    for name, parameter in FluxTransformer2DModel.from_pretrained(tmp_path / "theirs").state_dict().items():
        assert torch.equal(parameter, again.state_dict()[name]), name


def test_files_that_do_not_fit_are_refused_by_key(tmp_path: Path) -> None:
    oracle(0, guidance_embeds=True).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())

    def edit(**fields: object) -> None:
        (tmp_path / "config.json").write_text(json.dumps(config | fields))

    edit(num_layers=3)
    with pytest.raises(MissingKeys, match=r"transformer_blocks\.2\."):
        load_transformer(tmp_path)
    edit(num_single_layers=1)
    with pytest.raises(UnknownKeys, match=r"single_transformer_blocks\.1\."):
        load_transformer(tmp_path)
    edit(joint_attention_dim=33)
    with pytest.raises(ShapeMismatch, match=r"context_embedder\.weight is \[64, 32\], not \[64, 33\]"):
        load_transformer(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("_class_name", "Flux2Transformer2DModel", 'not "FluxTransformer2DModel"'),
        ("axes_dims_rope", [64, 64], "three numbers that sum to attention_head_dim, 128"),
        ("axes_dims_rope", [16, 56, 48], "three numbers that sum to attention_head_dim, 128"),
        ("num_layers", "19", "a whole number"),
        ("num_single_layers", 0, "at least 1"),
        ("guidance_embeds", "yes", "true or false"),
        ("patch_size", 2, "patch_size is 2, not 1"),
        ("flavour", "sweet", "unknown fields: flavour"),
    ],
)
def test_a_config_that_means_something_else_is_refused(tmp_path: Path, field: str, value: object, message: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(transformer_config(Flux1Params()) | {field: value}))
    with pytest.raises(MalformedConfig, match=message):
        transformer_params(Config(path))


@pytest.mark.parametrize(
    ("params", "published"),
    [
        (Flux1Params(), {"guidance_embeds": True, "in_channels": 64}),
        (Flux1Params(guidance_embed=False), {"guidance_embeds": False, "in_channels": 64}),
        (Flux1Params(in_channels=384), {"guidance_embeds": True, "in_channels": 384, "out_channels": 64}),
        (Flux1Params(in_channels=128), {"guidance_embeds": True, "in_channels": 128, "out_channels": 64}),
    ],
)
def test_published_configs_are_the_published_sizes(
    tmp_path: Path, params: Flux1Params, published: dict[str, object]
) -> None:
    """What Hugging Face's repositories hold: some fields are left out there, and some are null."""
    common = {
        "_class_name": "FluxTransformer2DModel",
        "_diffusers_version": "0.30.0.dev0",
        "_name_or_path": "../checkpoints/flux-dev/transformer",
        "attention_head_dim": 128,
        "joint_attention_dim": 4096,
        "num_attention_heads": 24,
        "num_layers": 19,
        "num_single_layers": 38,
        "patch_size": 1,
        "pooled_projection_dim": 768,
        "out_channels": None,
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(common | published))
    assert transformer_params(Config(path)) == params
    path.write_text(json.dumps(transformer_config(params)))
    assert transformer_params(Config(path)) == params


@pytest.mark.parametrize("change", [{"mlp_ratio": 3.0}, {"theta": 2000}])
def test_sizes_that_diffusers_cannot_write_down_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UnservedCheckpoint, match=r"has mlp_ratio 4\.0 and theta 10000"):
        transformer_config(replace(Flux1Params(), **change))


def test_fused_rows_are_parts_of_unequal_sizes() -> None:
    rows = torch.arange(12.0).reshape(6, 2)
    row = Fused("a", ("q", "k", "v", "mlp"), sizes=(1, 1, 1, 3))
    parts = row.to_foreign(rows)
    assert [len(part) for part in parts] == [1, 1, 1, 3]
    assert torch.equal(row.to_native(parts), rows)


def test_every_parameter_has_its_own_names_in_diffusers() -> None:
    """The table is one to one, and together its names are those of Diffusers' network."""
    params = Flux1Params(16, 16, 24, 32, 64, 4, 2, 2, (4, 6, 6))
    state = Flux1(params).state_dict()
    foreign = foreign_state(Flux1(params), flux1(params.hidden_size, params.mlp_size))
    theirs = oracle(0, guidance_embeds=True).state_dict()
    assert {name: tensor.shape for name, tensor in foreign.items()} == {
        name: tensor.shape for name, tensor in theirs.items()
    }
    assert sum(tensor.numel() for tensor in foreign.values()) == sum(tensor.numel() for tensor in state.values())
