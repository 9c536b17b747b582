"""FLUX.2's autoencoder against stored numbers and against Diffusers on random weights."""

import math
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from torch import Tensor

from models.checkpoints.autoencoder import save_autoencoder
from models.vae.autoencoder_flux2 import AutoencoderFlux2, AutoencoderFlux2Params, patchify, unpatchify


def u(name: str, shape: tuple[int, ...]) -> Tensor:
    """Numbers in [-0.5, 0.5) that depend on a name and a shape only; the stored numbers were made with them."""
    i = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    v = torch.sin(i * 12.9898 + (zlib.crc32(name.encode()) % 1000) * 78.233) * 43758.5453
    return ((v - torch.floor(v)) - 0.5).reshape(shape)


def weight(name: str, shape: tuple[int, ...]) -> Tensor:
    if name.endswith("running_mean"):
        return 0.3 * u(name, shape)
    if name.endswith("running_var"):
        return 1.0 + u(name, shape)
    if len(shape) >= 2:
        return u(name, shape) * math.sqrt(12.0 / (math.prod(shape) / shape[0]))
    if name.endswith("bias"):
        return 0.1 * u(name, shape)
    return 1.0 + 0.2 * u(name, shape)


def filled(params: AutoencoderFlux2Params) -> AutoencoderFlux2:
    network = AutoencoderFlux2(params).eval()
    state = network.state_dict()
    network.load_state_dict(
        {k: v if k.endswith("num_batches_tracked") else weight(k, tuple(v.shape)).float() for k, v in state.items()}
    )
    return network


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
    network = filled(AutoencoderFlux2Params(block_channels=(32, 64), layers_per_block=2, z_channels=4))
    image = (u("image", (1, 3, 16, 24)) * math.sqrt(12.0)).float().clamp(-1, 1)
    latent = network.encode(image)
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


def test_normalise_is_undone() -> None:
    network = filled(
        AutoencoderFlux2Params(block_channels=(8, 16), layers_per_block=1, z_channels=2, norm_num_groups=4)
    )
    x = u("x", (2, 8, 3, 5)).float()
    torch.testing.assert_close(network.denormalise(network.normalise(x)), x)
    assert not torch.allclose(network.normalise(x), x, atol=0.05)


@torch.no_grad()
def test_diffusers_agrees_on_random_weights(tmp_path: Path) -> None:
    params = AutoencoderFlux2Params(block_channels=(8, 16, 24), layers_per_block=1, z_channels=4, norm_num_groups=4)
    network = filled(params)
    save_autoencoder(network, tmp_path)
    oracle: Any = AutoencoderKLFlux2.from_pretrained(str(tmp_path))  # its annotations contradict what it returns
    image = (u("image", (2, 3, 24, 32)) * 2).float()
    other = image.flip(3)
    mean = oracle.encode(image).latent_dist.mode()
    assert float((mean - oracle.encode(other).latent_dist.mode()).abs().max()) > 0.1
    torch.testing.assert_close(network.encode_mean(image), mean, atol=1e-4, rtol=0)
    normalised = (patchify(mean) - oracle.bn.running_mean.view(1, -1, 1, 1)) / torch.sqrt(
        oracle.bn.running_var.view(1, -1, 1, 1) + oracle.config.batch_norm_eps
    )
    torch.testing.assert_close(network.encode(image), normalised, atol=1e-4, rtol=0)
    torch.testing.assert_close(network.decode(normalised), oracle.decode(mean).sample, atol=1e-4, rtol=0)
