"""FLUX.1's and Stable Diffusion's autoencoder against stored numbers and against Diffusers on random weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.checkpoints.autoencoder import load_autoencoder, save_autoencoder
from models.vae.autoencoder_flux1 import AutoencoderFlux1, AutoencoderFlux1Params
from tests.models.golden import golden_input
from tests.models.vae.networks import STORED_SIZES, TINY_SIZES, filled, filled_by_diffusers_names, random_network

FLUX1 = AutoencoderFlux1Params(**STORED_SIZES)
STABLE_DIFFUSION = AutoencoderFlux1Params(**STORED_SIZES, quant_conv=True, post_quant_conv=True, scale=1.0, shift=0.0)

GOLDENS = {
    ("flux1", "encode"): (
        (1, 4, 8, 12),
        (-0.048085, 0.153188),
        [-0.15902, -0.17115, -0.20274, 0.0725, -0.09904, -0.48372, -0.00162, 0.24749],
        [-0.05902, -0.00489, 0.00949, 0.01578, 0.3188, 0.16474, -0.04752, 0.10735],
    ),
    ("flux1", "decode"): (
        (1, 3, 16, 24),
        (-0.069186, 0.426216),
        [-0.29134, -0.41803, -0.35917, -0.30572, -0.40115, -0.82405, -1.22916, -0.40921],
        [-0.05008, 0.23423, 0.16901, 0.00906, 0.25115, -0.10796, -0.02009, 0.10542],
    ),
    ("stable diffusion", "encode"): (
        (1, 4, 8, 12),
        (0.027619, 0.475921),
        [0.16429, 0.08056, 0.78773, 0.69877, 0.15765, 0.53992, 1.15995, 0.37188],
        [-0.0794, 0.48947, -0.08118, 0.02241, -0.046, -0.18265, -0.36263, 0.01824],
    ),
    ("stable diffusion", "decode"): (
        (1, 3, 16, 24),
        (-0.061793, 0.450519),
        [-0.16631, -0.12606, 0.24765, 0.10403, 0.1771, -0.0169, -0.06638, 0.31774],
        [-0.42462, -0.26504, -0.49391, -0.2392, -0.29633, -0.1142, -0.00553, 0.06187],
    ),
}


@pytest.mark.parametrize(("family", "direction"), sorted(GOLDENS))
@torch.no_grad()
def test_the_stored_numbers_come_out(family: str, direction: str) -> None:
    network = filled(FLUX1) if family == "flux1" else filled_by_diffusers_names(STABLE_DIFFUSION)
    latent = network.encode(golden_input("image", (1, 3, 16, 24)).clamp(-1, 1))
    out = latent if direction == "encode" else network.decode(latent)
    shape, means, first, last = GOLDENS[family, direction]
    assert tuple(out.shape) == shape
    flat = out.flatten()
    torch.testing.assert_close(torch.stack([flat.mean(), flat.abs().mean()]), torch.tensor(means), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat[:8], torch.tensor(first), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat[-8:], torch.tensor(last), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (AutoencoderFlux1Params(), 83_819_683),
        (AutoencoderFlux1Params(z_channels=4, quant_conv=True, post_quant_conv=True), 83_653_863),
    ],
    ids=["flux1", "stable diffusion"],
)
def test_the_published_networks_have_their_number_of_parameters(params: AutoencoderFlux1Params, expected: int) -> None:
    with torch.device("meta"):
        network = AutoencoderFlux1(params)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected
    assert params.pixels_per_position == 16


def oracle_of(network: AutoencoderFlux1, folder: Path, dtype: torch.dtype) -> tuple[AutoencoderFlux1, Any]:
    """Our network as it comes from a file, and Diffusers' from the same file."""
    save_autoencoder(network, folder)
    loaded = load_autoencoder(folder, dtype=dtype)
    assert isinstance(loaded, AutoencoderFlux1)
    # Here, so that the stored numbers need no Diffusers.
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return loaded, AutoencoderKL.from_pretrained(folder, torch_dtype=dtype)


def pictures(seed: int, height: int, width: int) -> Tensor:
    return torch.rand((2, 3, height, width), generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("quant_convs", [False, True], ids=["flux1", "stable diffusion"])
@pytest.mark.parametrize(("seed", "height", "width"), [(0, 24, 56), (1, 40, 8)])
@torch.no_grad()
def test_diffusers_agrees_on_random_weights(
    tmp_path: Path, seed: int, height: int, width: int, quant_convs: bool, dtype: torch.dtype
) -> None:
    params = AutoencoderFlux1Params(**TINY_SIZES, quant_conv=quant_convs, post_quant_conv=quant_convs)
    built = random_network(params, seed)
    assert isinstance(built, AutoencoderFlux1)
    network, oracle = oracle_of(built, tmp_path, dtype)
    image = pictures(seed, height, width).to(dtype)
    moments = oracle.encode(image).latent_dist
    assert float((moments.mode() - oracle.encode(image.flip(3)).latent_dist.mode()).abs().max()) > 0.1
    mean = (moments.mode() - params.shift) * params.scale
    sample = (moments.sample(torch.Generator().manual_seed(7)) - params.shift) * params.scale
    assert torch.equal(network.encode(image), mean)
    assert torch.equal(network.encode(image, torch.Generator().manual_seed(7)), sample)
    assert not torch.equal(sample, mean)
    assert torch.equal(network.decode(mean), oracle.decode(mean / params.scale + params.shift).sample)


@torch.no_grad()
def test_latents_are_shifted_then_scaled() -> None:
    network, plain = filled(FLUX1), filled(AutoencoderFlux1Params(**STORED_SIZES, scale=1.0, shift=0.0))
    image = pictures(0, 16, 16)
    latent, z = network.encode(image), plain.encode(image)
    torch.testing.assert_close(latent, (z - 0.1159) * 0.3611)
    torch.testing.assert_close(network.decode(latent), plain.decode(z), atol=1e-5, rtol=0)
