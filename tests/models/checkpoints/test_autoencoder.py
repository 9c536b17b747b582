"""Autoencoders from files: what Diffusers writes we read and the other way round, and every naming gives the same tensors."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.checkpoints.autoencoder import load_autoencoder, load_single_file, save_autoencoder
from models.checkpoints.autoencoder_config import autoencoder_config, autoencoder_params
from models.checkpoints.config import Config
from models.checkpoints.files import write_tensors
from models.errors import CheckpointError, MalformedConfig, MissingKeys, ShapeMismatch, UnknownKeys
from models.vae.autoencoder import Autoencoder
from models.vae.autoencoder_flux1 import AutoencoderFlux1, AutoencoderFlux1Params
from models.vae.autoencoder_flux2 import AutoencoderFlux2, AutoencoderFlux2Params
from tests.models.golden import golden_weight

WEIGHTS = "diffusion_pytorch_model.safetensors"
TINY: dict[str, Any] = {"block_channels": (8, 16), "layers_per_block": 1, "z_channels": 2, "norm_num_groups": 4}
FLUX1 = AutoencoderFlux1Params(**TINY)
STABLE_DIFFUSION = AutoencoderFlux1Params(**TINY, quant_conv=True, post_quant_conv=True, scale=0.18215, shift=0.0)
FLUX2 = AutoencoderFlux2Params(**TINY)
ALL = pytest.mark.parametrize("params", [FLUX1, STABLE_DIFFUSION, FLUX2], ids=["flux1", "stable-diffusion", "flux2"])
ORACLES: dict[type[Autoencoder], Any] = {AutoencoderFlux1: AutoencoderKL, AutoencoderFlux2: AutoencoderKLFlux2}


def network_of(params: AutoencoderFlux1Params | AutoencoderFlux2Params) -> Autoencoder:
    network = AutoencoderFlux1(params) if isinstance(params, AutoencoderFlux1Params) else AutoencoderFlux2(params)
    state = {name: golden_weight(name, value.shape).to(value.dtype) for name, value in network.state_dict().items()}
    network.load_state_dict(state)
    return network.eval()


def same_tensors(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def rewrite(path: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    state = load_file(path)
    edit(state)
    save_file(state, path)


@ALL
def test_what_is_written_is_read_by_us_and_by_diffusers(
    tmp_path: Path, params: AutoencoderFlux1Params | AutoencoderFlux2Params
) -> None:
    network = network_of(params)
    save_autoencoder(network, tmp_path / "ours")
    again = load_autoencoder(tmp_path / "ours")
    assert type(again) is type(network)
    assert again.params == params
    assert same_tensors(again.state_dict(), network.state_dict())
    ORACLES[type(network)].from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    assert same_tensors(load_autoencoder(tmp_path / "theirs").state_dict(), network.state_dict())


@ALL
def test_a_single_file_gives_the_identical_network(
    tmp_path: Path, params: AutoencoderFlux1Params | AutoencoderFlux2Params
) -> None:
    network = network_of(params)
    write_tensors(tmp_path / "ae.safetensors", network.state_dict())
    again = load_single_file(tmp_path / "ae.safetensors", scaling=scaling_of(params), norm_num_groups=4)
    assert again.params == params
    assert same_tensors(again.state_dict(), network.state_dict())


def scaling_of(params: AutoencoderFlux1Params | AutoencoderFlux2Params) -> tuple[float, float] | None:
    return (params.scale, params.shift) if isinstance(params, AutoencoderFlux1Params) else None


@pytest.mark.parametrize("prefix", ["first_stage_model.", "vae."])
def test_a_checkpoint_that_holds_more_gives_its_autoencoder(tmp_path: Path, prefix: str) -> None:
    network = network_of(STABLE_DIFFUSION)
    outside = {"encoder.quant_conv": "quant_conv", "decoder.post_quant_conv": "post_quant_conv"}
    state = {"model.diffusion_model.out.0.weight": torch.ones(1)}
    for name, value in network.state_dict().items():
        stem, _, kind = name.rpartition(".")
        state[f"{prefix}{outside.get(stem, stem)}.{kind}"] = value
    save_file(state, tmp_path / "sd.safetensors")
    again = load_single_file(tmp_path / "sd.safetensors", scaling=(0.18215, 0.0), norm_num_groups=4)
    assert again.params == STABLE_DIFFUSION
    assert same_tensors(again.state_dict(), network.state_dict())


@pytest.mark.parametrize("as_convolutions", [False, True])
def test_old_names_of_the_attention_give_the_identical_network(tmp_path: Path, as_convolutions: bool) -> None:
    network = network_of(STABLE_DIFFUSION)
    save_autoencoder(network, tmp_path)
    new_to_old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def age(state: dict[str, Tensor]) -> None:
        for name in [name for name in state if ".attentions.0.to_" in name]:
            stem, _, rest = name.partition(".attentions.0.")
            new, _, kind = rest.rpartition(".")
            value = state.pop(name)
            as_stored = value[..., None, None] if as_convolutions and kind == "weight" else value
            state[f"{stem}.attentions.0.{new_to_old[new]}.{kind}"] = as_stored.contiguous()

    rewrite(tmp_path / WEIGHTS, age)
    assert same_tensors(load_autoencoder(tmp_path).state_dict(), network.state_dict())


def test_shards_give_the_identical_network(tmp_path: Path) -> None:
    network = network_of(FLUX1)
    save_autoencoder(network, tmp_path)
    AutoencoderKL.from_pretrained(tmp_path).save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
    assert same_tensors(load_autoencoder(tmp_path / "sharded").state_dict(), network.state_dict())


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (lambda state: state.pop("decoder.conv_out.bias"), MissingKeys, r"missing keys: decoder\.conv_out\.bias"),
        (lambda state: state.update(extra=torch.ones(1)), UnknownKeys, "unknown keys: extra"),
        (
            lambda state: state.update({"encoder.conv_in.bias": torch.ones(3)}),
            ShapeMismatch,
            r"encoder\.conv_in\.bias is \[3\]",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused(
    tmp_path: Path, edit: Callable[[dict[str, Tensor]], object], error: type[CheckpointError], message: str
) -> None:
    network = network_of(FLUX1)
    save_autoencoder(network, tmp_path)
    save_file(network.state_dict(), tmp_path / "ae.safetensors")
    rewrite(tmp_path / WEIGHTS, edit)
    rewrite(tmp_path / "ae.safetensors", edit)
    with pytest.raises(error, match=message):
        load_autoencoder(tmp_path)
    with pytest.raises(error, match=message):
        load_single_file(tmp_path / "ae.safetensors", scaling=(1.0, 0.0), norm_num_groups=4)


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (lambda state: state.clear(), MissingKeys, r"missing keys: decoder\.conv_in\.weight"),
        (
            lambda state: state.update({"decoder.conv_in.weight": torch.ones(3)}),
            ShapeMismatch,
            "not a convolution's",
        ),
        (
            lambda state: state.update({"encoder.down.0.block.0.conv1.weight": torch.ones(6, 8, 3, 3)}),
            ShapeMismatch,
            r"no groups of 4 in: channels \[6, 16\]",
        ),
    ],
)
def test_a_single_file_without_the_sizes_is_refused(
    tmp_path: Path, edit: Callable[[dict[str, Tensor]], object], error: type[CheckpointError], message: str
) -> None:
    path = tmp_path / "ae.safetensors"
    save_file(network_of(FLUX1).state_dict(), path)
    rewrite(path, edit)
    with pytest.raises(error, match=message):
        load_single_file(path, scaling=(1.0, 0.0), norm_num_groups=4)


def test_latents_of_unknown_scale_are_refused(tmp_path: Path) -> None:
    save_file(network_of(STABLE_DIFFUSION).state_dict(), tmp_path / "ae.safetensors")
    with pytest.raises(MalformedConfig, match="scaling of latents with 2 channels must be given"):
        load_single_file(tmp_path / "ae.safetensors", norm_num_groups=4)


def test_weights_take_the_dtype_that_is_asked_for(tmp_path: Path) -> None:
    save_autoencoder(network_of(FLUX2), tmp_path, torch.bfloat16)
    network = load_autoencoder(tmp_path, dtype=torch.float16)
    assert {p.dtype for p in network.parameters()} == {torch.float16}
    assert not any(p.requires_grad for p in network.parameters())


PUBLISHED_FLUX1 = {
    "_class_name": "AutoencoderKL",
    "_diffusers_version": "0.30.0.dev0",
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "force_upcast": True,
    "in_channels": 3,
    "latent_channels": 16,
    "latents_mean": None,
    "latents_std": None,
    "layers_per_block": 2,
    "mid_block_add_attention": True,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 1024,
    "scaling_factor": 0.3611,
    "shift_factor": 0.1159,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "use_post_quant_conv": False,
    "use_quant_conv": False,
}
PUBLISHED_STABLE_DIFFUSION = {
    "_class_name": "AutoencoderKL",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "latent_channels": 4,
    "layers_per_block": 2,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}


def params_in(path: Path, config: dict[str, Any]) -> AutoencoderFlux1Params | AutoencoderFlux2Params:
    path.write_text(json.dumps(config), encoding="utf-8")
    return autoencoder_params(Config(path))


def test_published_configs_mean_the_published_networks(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    assert params_in(path, PUBLISHED_FLUX1) == AutoencoderFlux1Params()
    assert params_in(path, {"_class_name": "AutoencoderKLFlux2"}) == AutoencoderFlux2Params()
    assert params_in(path, PUBLISHED_STABLE_DIFFUSION) == AutoencoderFlux1Params(
        z_channels=4, quant_conv=True, post_quant_conv=True, scale=0.18215, shift=0.0
    )


@ALL
def test_configs_come_back_as_they_were_written(
    tmp_path: Path, params: AutoencoderFlux1Params | AutoencoderFlux2Params
) -> None:
    assert params_in(tmp_path / "config.json", autoencoder_config(params)) == params


@pytest.mark.parametrize("params", [AutoencoderFlux1Params(), AutoencoderFlux2Params()], ids=["flux1", "flux2"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("_class_name", "AutoencoderTiny"),
        ("act_fn", "gelu"),
        ("mid_block_add_attention", False),
        ("norm_num_groups", 48),
        ("out_channels", 4),
        ("down_block_types", ["AttnDownEncoderBlock2D"] * 4),
        ("scaling", 1),
    ],
)
def test_a_config_that_means_something_else_is_refused(
    tmp_path: Path, params: AutoencoderFlux1Params | AutoencoderFlux2Params, field: str, value: object
) -> None:
    with pytest.raises(MalformedConfig, match=field):
        params_in(tmp_path / "config.json", autoencoder_config(params) | {field: value})


def test_fields_of_one_class_only_are_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    flux1, flux2 = (autoencoder_config(params) for params in (AutoencoderFlux1Params(), AutoencoderFlux2Params()))
    with pytest.raises(MalformedConfig, match="latents_mean"):
        params_in(path, flux1 | {"latents_mean": [0.0] * 16})
    with pytest.raises(MalformedConfig, match="decoder_block_out_channels"):
        params_in(path, flux2 | {"decoder_block_out_channels": [64] * 4})
