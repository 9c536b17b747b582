"""Single files: the same weights give the same numbers through a folder, and through one file of either naming."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.checkpoints import flux1 as flux1_folder
from models.checkpoints import flux2 as flux2_folder
from models.checkpoints.keymap import applied
from models.checkpoints.keymaps.native import native
from models.checkpoints.single_file import load_single_file
from models.errors import CheckpointError, MissingKeys, ShapeMismatch, UnknownKeys
from models.flow.flux1 import Flux1, Flux1Params
from models.flow.flux2 import Flux2, Flux2Params
from tests.models.golden import fill

FLUX1 = Flux1Params(16, 16, 24, 48, 64, 4, 2, 2, (4, 6, 6))
FLUX2 = Flux2Params(16, 48, 64, 4, 2, 2, (4, 4, 4, 4))
PREFIX = "model.diffusion_model."
Transformer = Flux1 | Flux2


def flux1_network() -> Flux1:
    return fill(Flux1(FLUX1))


def flux2_network() -> Flux2:
    return fill(Flux2(FLUX2))


NETWORKS: list[Callable[[], Transformer]] = [flux1_network, flux2_network]


def folder_of(network: Transformer, path: Path) -> Transformer:
    """Write a network's folder, and read it again."""
    if isinstance(network, Flux1):
        flux1_folder.save_transformer(network, path)
        return flux1_folder.load_transformer(path)
    flux2_folder.save_transformer(network, path)
    return flux2_folder.load_transformer(path)


def velocity(network: Transformer, dtype: torch.dtype) -> Tensor:
    draw = torch.Generator().manual_seed(3)
    num_axes, num_text = len(network.params.axes_dim), 5
    x, context = torch.randn(2, 15, 16, generator=draw), torch.randn(2, num_text, 48, generator=draw)
    ids = torch.stack([torch.arange(15) // 5] * num_axes, dim=-1).expand(2, -1, -1)
    text_ids = torch.zeros(2, num_text, num_axes)
    pooled = [torch.randn(2, 24, generator=draw).to(dtype)] if isinstance(network, Flux1) else []
    times, guidance = torch.tensor([0.7, 0.2]).to(dtype), torch.tensor([3.5, 2.0]).to(dtype)
    with torch.no_grad():
        return network(x.to(dtype), ids, times, context.to(dtype), text_ids, *pooled, guidance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("build", NETWORKS)
def test_a_folder_and_single_files_hold_the_same_network(
    tmp_path: Path, build: Callable[[], Transformer], dtype: torch.dtype
) -> None:
    network = build()
    expected = velocity(folder_of(network, tmp_path / "folder").to(dtype), dtype)
    save_file(network.state_dict(), tmp_path / "native.safetensors")
    beside = {"vae.decoder.conv_in.weight": torch.ones(1), "text_encoders.t5xxl.logit_scale": torch.ones(1)}
    prefixed = {PREFIX + name: tensor for name, tensor in network.state_dict().items()}
    save_file(prefixed | beside, tmp_path / "prefixed.safetensors")
    diffusers = tmp_path / "folder" / "diffusion_pytorch_model.safetensors"
    for path in (tmp_path / "native.safetensors", tmp_path / "prefixed.safetensors", diffusers):
        loaded = load_single_file(path, dtype=dtype)
        assert type(loaded) is type(network)
        assert loaded.params == network.params
        assert not loaded.training
        assert torch.equal(velocity(loaded, dtype), expected), path.name


@pytest.mark.parametrize("build", NETWORKS)
@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (lambda state: state.pop("double_blocks.1.txt_mlp.2.weight"), MissingKeys, r"double_blocks\.1\.txt_mlp\.2\.w"),
        (lambda state: state.update(extra=torch.ones(1)), UnknownKeys, "unknown keys: extra"),
        (
            lambda state: state.update({"single_blocks.1.linear2.weight": torch.ones(3, 2)}),
            ShapeMismatch,
            r"single_blocks\.1\.linear2\.weight is \[3, 2\], not \[64, \d+\]",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_its_first_key(
    tmp_path: Path,
    build: Callable[[], Transformer],
    edit: Callable[[dict[str, Tensor]], object],
    error: type[CheckpointError],
    message: str,
) -> None:
    state = build().state_dict()
    edit(state)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(error, match=message):
        load_single_file(tmp_path / "model.safetensors")


def test_the_last_modulation_changes_places_in_diffusers_names_only(tmp_path: Path) -> None:
    """Shift stands before scale here and in Black Forest Labs' files; in Diffusers' it is the other way round, biases too."""
    network = flux1_network()
    folder_of(network, tmp_path)
    stored = load_file(tmp_path / "diffusion_pytorch_model.safetensors")
    same_order = {
        "double_blocks.0.img_mod.lin": "transformer_blocks.0.norm1.linear",
        "single_blocks.0.modulation.lin": "single_transformer_blocks.0.norm.linear",
    }
    for kind in ("weight", "bias"):
        shift, scale = network.state_dict()[f"final_layer.adaLN_modulation.1.{kind}"].chunk(2)
        assert torch.equal(stored[f"norm_out.linear.{kind}"], torch.cat([scale, shift]))
        for ours, theirs in same_order.items():
            assert torch.equal(stored[f"{theirs}.{kind}"], network.state_dict()[f"{ours}.{kind}"])


@pytest.mark.parametrize("build", NETWORKS)
def test_every_name_is_its_own_behind_a_prefix(build: Callable[[], nn.Module]) -> None:
    names = list(build().state_dict())
    assert [entry.foreign for entry in applied(native(PREFIX), names)] == [(PREFIX + name,) for name in names]


@pytest.mark.parametrize("build", NETWORKS)
def test_what_no_shape_tells_may_be_given(tmp_path: Path, build: Callable[[], Transformer]) -> None:
    network = build()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    axes_dim = (16 - 2 * (len(network.params.axes_dim) - 1), *[2] * (len(network.params.axes_dim) - 1))
    loaded = load_single_file(tmp_path / "model.safetensors", axes_dim=axes_dim, theta=100)
    assert loaded.params == replace(network.params, axes_dim=axes_dim, theta=100)
    assert not torch.equal(velocity(loaded, torch.float32), velocity(network, torch.float32))


@pytest.mark.parametrize("build", NETWORKS)
def test_eight_bit_floats_are_widened(tmp_path: Path, build: Callable[[], Transformer]) -> None:
    """Files in circulation that were cast without scales; the values are few, and are kept."""
    network = build()
    narrow = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in network.state_dict().items()}
    save_file(narrow, tmp_path / "native.safetensors")
    network.load_state_dict({name: tensor.float() for name, tensor in narrow.items()})
    folder_of(network, tmp_path)
    stored = load_file(tmp_path / "diffusion_pytorch_model.safetensors")
    save_file(
        {name: tensor.to(torch.float8_e4m3fn) for name, tensor in stored.items()}, tmp_path / "diffusers.safetensors"
    )
    for name in ("native", "diffusers"):
        loaded = load_single_file(tmp_path / f"{name}.safetensors", dtype=torch.bfloat16)
        for key, tensor in loaded.state_dict().items():
            assert torch.equal(tensor.float(), narrow[key].float()), key
