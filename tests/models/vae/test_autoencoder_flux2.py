"""FLUX.2's autoencoder against stored numbers and against Diffusers on random weights."""

from pathlib import Path
from typing import Any

import pytest
import torch

from models.checkpoints.autoencoder import load_autoencoder, save_autoencoder
from models.vae.autoencoder_flux2 import AutoencoderFlux2, AutoencoderFlux2Params, patchify, unpatchify
from tests.models.golden import golden_input, hashed
from tests.models.vae.networks import STORED_SIZES, TINY_SIZES, filled, random_network

GOLDENS = {
    "encode": (
        (1, 16, 4, 6),
        (-0.112022, 0.468437),
        [-1.25748, 0.43946, -0.08747, 0.20977, 0.41033, -0.79491, -0.66136, 0.13367],
        [-0.42944, -0.40399, 0.52442, 0.04413, -0.43942, -0.10632, -0.74673, -0.3422],
    ),
    "decode": (
        (1, 3, 16, 24),
        (-0.073057, 0.438255),
        [-0.19904, -0.21743, -0.09154, -0.24508, -0.49177, -0.47639, -0.27918, -0.36395],
        [-0.21298, 0.18413, 0.39248, 0.08003, -0.11845, -0.07938, -0.12361, 0.07532],
    ),
}


@pytest.mark.parametrize("case", sorted(GOLDENS))
@torch.no_grad()
def test_the_stored_numbers_come_out(case: str) -> None:
    network = filled(AutoencoderFlux2Params(**STORED_SIZES))
    latent = network.encode(golden_input("image", (1, 3, 16, 24)).clamp(-1, 1))
    out = latent if case == "encode" else network.decode(latent)
    shape, means, first, last = GOLDENS[case]
    assert tuple(out.shape) == shape
    flat = out.flatten()
    torch.testing.assert_close(torch.stack([flat.mean(), flat.abs().mean()]), torch.tensor(means), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat[:8], torch.tensor(first), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat[-8:], torch.tensor(last), atol=1e-4, rtol=0)


def test_patchify_orders_channel_then_row_then_column() -> None:
    x = torch.arange(32.0).reshape(1, 2, 4, 4)
    by_hand = x.reshape(1, 2, 2, 2, 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(1, 8, 2, 2)
    assert torch.equal(patchify(x), by_hand)
    assert torch.equal(unpatchify(patchify(x)), x)


def test_the_published_autoencoder_has_its_number_of_parameters() -> None:
    with torch.device("meta"):
        network = AutoencoderFlux2(AutoencoderFlux2Params())
    assert sum(parameter.numel() for parameter in network.parameters()) == 84_046_115
    assert network.params.pixels_per_position == 16
    assert network.params.latent_channels == 128


def test_normalise_is_undone() -> None:
    network = filled(
        AutoencoderFlux2Params(block_channels=(8, 16), layers_per_block=1, z_channels=2, norm_num_groups=4)
    )
    assert isinstance(network, AutoencoderFlux2)
    x = hashed("x", (2, 8, 3, 5)).float()
    torch.testing.assert_close(network.denormalise(network.normalise(x)), x)
    assert not torch.allclose(network.normalise(x), x, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("seed", "height", "width"), [(0, 24, 56), (1, 40, 8)])
@torch.no_grad()
def test_diffusers_agrees_on_random_weights(
    tmp_path: Path, seed: int, height: int, width: int, dtype: torch.dtype
) -> None:
    save_autoencoder(random_network(AutoencoderFlux2Params(**TINY_SIZES), seed), tmp_path)
    network = load_autoencoder(tmp_path, dtype=dtype)
    # Its annotations contradict what it returns.
    # Here, so that the stored numbers need no Diffusers.
    from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2

    oracle: Any = AutoencoderKLFlux2.from_pretrained(str(tmp_path), torch_dtype=dtype)
    image = (torch.rand((2, 3, height, width), generator=torch.Generator().manual_seed(seed)) * 2 - 1).to(dtype)
    moments = oracle.encode(image).latent_dist
    assert float((moments.mode() - oracle.encode(image.flip(3)).latent_dist.mode()).abs().max()) > 0.1
    bn_mean = oracle.bn.running_mean.view(1, -1, 1, 1)
    bn_std = torch.sqrt(oracle.bn.running_var.view(1, -1, 1, 1) + oracle.config.batch_norm_eps)
    mean, sample = moments.mode(), moments.sample(torch.Generator().manual_seed(7))
    normalised = (patchify(mean) - bn_mean) / bn_std
    assert torch.equal(network.encode(image), normalised)
    assert torch.equal(network.encode(image, torch.Generator().manual_seed(7)), (patchify(sample) - bn_mean) / bn_std)
    assert torch.equal(network.decode(normalised), oracle.decode(unpatchify(normalised * bn_std + bn_mean)).sample)
