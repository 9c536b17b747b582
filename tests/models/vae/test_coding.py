"""Encoding and decoding as a service does it: any size, bounded memory, half precision, and never a black picture."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from models.checkpoints.autoencoder import load_autoencoder
from models.errors import NonFiniteImage
from models.vae.autoencoder import Autoencoder
from models.vae.autoencoder_flux1 import AutoencoderFlux1, AutoencoderFlux1Params
from models.vae.autoencoder_flux2 import AutoencoderFlux2Params
from models.vae.decoding import decoded
from models.vae.encoding import encoded
from models.vae.precision import autoencoder_dtype
from models.vae.tiling import Tiling
from tests.models.vae.networks import TINY_SIZES, random_network

BUNDLED = Path("models/bundled/flux-nano")
FLUX1, FLUX2 = AutoencoderFlux1Params(**TINY_SIZES), AutoencoderFlux2Params(**TINY_SIZES)
FULL_DEPTH = AutoencoderFlux2Params(block_channels=(4, 4, 8, 8), z_channels=2, norm_num_groups=2)
"""As many convolutions one behind the other as the published networks have."""
HALF_DEPTH = replace(FULL_DEPTH, layers_per_block=1)
WHOLE = Tiling(threshold=2**30)


def tiles_of(side: int, passes: int = 2) -> Tiling:
    return Tiling(threshold=0, tile=side, min_tile=side, passes=passes)


def random_latent(network: Autoencoder, height: int, width: int, rows: int = 1) -> Tensor:
    shape = network.encode(torch.zeros(1, 3, height, width)).shape
    return torch.randn(rows, *shape[1:], generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("params", [FLUX1, FLUX2], ids=["flux1", "flux2"])
def test_small_pictures_are_coded_as_the_autoencoder_does(
    params: AutoencoderFlux1Params | AutoencoderFlux2Params,
) -> None:
    network = random_network(params, 0)
    image = torch.rand(2, 3, 24, 56, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latent = network.encode(image)
    assert torch.equal(encoded(network, image, Tiling()), latent)
    assert torch.equal(decoded(network, latent, Tiling()), network.decode(latent))
    sample = network.encode(image, torch.Generator().manual_seed(5))
    assert torch.equal(encoded(network, image, Tiling(), torch.Generator().manual_seed(5)), sample)


@pytest.mark.parametrize(
    ("params", "height", "width"),
    [
        (HALF_DEPTH, 144, 160),
        (FULL_DEPTH, 64, 208),
        (replace(HALF_DEPTH, block_channels=(4, 8, 8)), 32, 144),
        (replace(HALF_DEPTH, block_channels=(4, 8)), 16, 144),
    ],
    ids=["both axes", "full depth", "three levels", "two levels"],
)
def test_with_a_pass_for_every_norm_tiles_equal_the_whole_on_random_weights(
    params: AutoencoderFlux2Params, height: int, width: int
) -> None:
    network = random_network(params, 0)
    num_norms = 2 * 2 * (params.layers_per_block + 1) + 1  # two levels of residual blocks with two norms, and the last
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latent = encoded(network, image, WHOLE)
    whole = decoded(network, latent, WHOLE)
    torch.testing.assert_close(encoded(network, image, tiles_of(128, num_norms)), latent, atol=1e-4, rtol=0)
    torch.testing.assert_close(decoded(network, latent, tiles_of(128, num_norms)), whole, atol=1e-4, rtol=0)
    assert not torch.allclose(decoded(network, latent, tiles_of(128, 0)), whole, atol=0.01)


def trained_picture(width: int, height: int) -> Tensor:
    samples = Image.open(BUNDLED / "samples.png").convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    return torch.tensor(np.array(samples)).permute(2, 0, 1)[None] / 127.5 - 1


def test_on_trained_weights_tiles_stay_within_the_stated_bound() -> None:
    network = load_autoencoder(BUNDLED / "vae")
    image = trained_picture(400, 320)
    latent = encoded(network, image, WHOLE)
    torch.testing.assert_close(encoded(network, image, tiles_of(240)), latent, atol=1e-4, rtol=0)
    error = (decoded(network, latent, tiles_of(240)) - decoded(network, latent, WHOLE)).abs() * 127.5
    assert float(error.max()) < 2.0
    assert float(error.mean()) < 0.2


def test_in_bfloat16_tiles_are_as_near_as_rounding() -> None:
    network = load_autoencoder(BUNDLED / "vae", dtype=torch.bfloat16)
    latent = encoded(network, trained_picture(144, 32), WHOLE)
    tiled, whole = (decoded(network, latent, tiling) for tiling in (tiles_of(128, passes=1), WHOLE))
    assert tiled.dtype is latent.dtype is torch.bfloat16
    exact = decoded(load_autoencoder(BUNDLED / "vae"), latent, WHOLE)
    assert float((tiled - exact).abs().mean()) < 1.2 * float((whole - exact).abs().mean())


def test_no_map_of_the_fine_part_is_larger_than_a_tile() -> None:
    network = random_network(HALF_DEPTH, 0)
    latent = random_latent(network, 144, 208)
    sizes: list[int] = []

    def remember(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sizes.append(inputs[0].shape[2] * inputs[0].shape[3])

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(remember)
    decoded(network, latent, tiles_of(128, passes=0))
    assert max(sizes) == 128 * 128


def test_out_of_memory_becomes_tiles_and_the_network_stays_usable() -> None:
    network = random_network(HALF_DEPTH, 0)
    latent = random_latent(network, 144, 272)
    expected = decoded(network, latent, tiles_of(128))
    tiling = Tiling(tile=256, min_tile=128)
    whole = decoded(network, latent, tiling)

    def run_out(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0].shape[2] * inputs[0].shape[3] > 128 * 128:
            raise torch.OutOfMemoryError("injected")

    handle = network.decoder.conv_out.register_forward_pre_hook(run_out)
    assert torch.equal(decoded(network, latent, tiling), expected)
    handle.remove()
    assert torch.equal(decoded(network, latent, tiling), whole)


def overflowing(dtype: torch.dtype) -> Autoencoder:
    """A network whose decoder passes float16's range on latents of unit size, and only there."""
    network = random_network(FLUX1, 0)
    network.decoder.conv_in.weight.mul_(5e4)
    return network.to(dtype)


def test_a_picture_that_overflows_float16_is_decoded_in_float32() -> None:
    network = overflowing(torch.float16)
    assert isinstance(network, AutoencoderFlux1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    latent = random_latent(random_network(FLUX1, 0), 16, 24, rows=2)
    latent[0] = -network.params.shift * network.params.scale
    assert torch.isfinite(network.decode(latent.half())).flatten(1).all(1).tolist() == [True, False]
    pictures = decoded(network, latent, Tiling())
    assert pictures.dtype is torch.float16
    assert torch.equal(pictures[0], network.decode(latent.half())[0])
    assert torch.equal(pictures[1:], overflowing(torch.float16).float().decode(latent[1:]).half())
    after = network.state_dict()
    assert all(torch.equal(after[name], value) and after[name].dtype is torch.float16 for name, value in before.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_float32_cannot_mend_is_an_error(dtype: torch.dtype) -> None:
    network = random_network(FLUX1, 0).to(dtype)
    latent = random_latent(random_network(FLUX1, 0), 16, 16)
    broken = latent.clone()
    broken[0, 0, 0, 0] = torch.nan
    with pytest.raises(NonFiniteImage, match="NaN or infinite"):
        decoded(network, broken, Tiling())
    network.decoder.conv_out.weight[0, 0, 0, 0] = torch.inf
    with pytest.raises(NonFiniteImage, match="NaN or infinite"):
        decoded(network, latent, Tiling())
    network.encoder.conv_out.weight[0, 0, 0, 0] = torch.inf
    with pytest.raises(NonFiniteImage, match="NaN or infinite"):
        encoded(network, torch.zeros(1, 3, 16, 16), Tiling())


def test_autoencoders_beside_float16_transformers_are_loaded_in_float32() -> None:
    assert autoencoder_dtype(torch.float16) is torch.float32
    assert autoencoder_dtype(torch.bfloat16) is torch.bfloat16
    assert autoencoder_dtype(torch.float32) is torch.float32
