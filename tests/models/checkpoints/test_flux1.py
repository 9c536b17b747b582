"""FLUX.1's transformer against Diffusers' on the same random weights, through the folder that Diffusers writes, and back."""

import json
from pathlib import Path

import pytest
import torch
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel

from models.checkpoints.flux1 import load_transformer, save_transformer
from models.errors import MalformedConfig, MissingKeys, ShapeMismatch, UnknownKeys
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("grid", [(3, 5), (7, 2)])
@pytest.mark.parametrize(("seed", "guidance_embeds", "in_channels"), [(0, True, 16), (1, False, 16), (2, True, 48)])
@torch.no_grad()
def test_velocities_equal_diffusers(
    tmp_path: Path, seed: int, guidance_embeds: bool, in_channels: int, grid: tuple[int, int], dtype: torch.dtype
) -> None:
    theirs = oracle(seed, guidance_embeds=guidance_embeds, in_channels=in_channels).to(dtype)
    theirs.save_pretrained(tmp_path)
    ours = load_transformer(tmp_path, dtype=dtype)
    x, context = torch.randn(2, grid[0] * grid[1], in_channels).to(dtype), torch.randn(2, 6, 32).to(dtype)
    pooled, times = torch.randn(2, 24).to(dtype), torch.tensor([0.7, 0.2]).to(dtype)
    guidance = torch.tensor([3.5, 2.0]).to(dtype) if guidance_embeds else None
    ids = image_ids(*grid, num_axes=3)
    expected = theirs(
        hidden_states=x,
        encoder_hidden_states=context,
        pooled_projections=pooled,
        timestep=times,
        img_ids=ids.to(dtype),
        txt_ids=torch.zeros(6, 3),
        guidance=guidance,
    ).sample
    drawn = ours(x, ids.expand(2, -1, -1), times, context, torch.zeros(2, 6, 3), pooled, guidance)
    bound = 1e-5 if dtype is torch.float32 else 0.02
    assert (drawn - expected).abs().max() <= bound * expected.abs().max()


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
    edit(axes_dims_rope=[8, 8])
    with pytest.raises(MalformedConfig, match="axes_dims_rope"):
        load_transformer(tmp_path)
    edit(flavour="sweet")
    with pytest.raises(MalformedConfig, match="unknown fields: flavour"):
        load_transformer(tmp_path)
