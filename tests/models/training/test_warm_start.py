"""The autoencoder's starting point: a code that already keeps colours and coarse shapes."""

import torch
from torch.nn import functional

from models.training.recipe import AUTOENCODER
from models.training.warm_start import start_as_blurry_copy
from models.vae.autoencoder_flux2 import AutoencoderFlux2


@torch.no_grad()
def test_an_untrained_autoencoder_copies_colours_and_coarse_shapes() -> None:
    torch.manual_seed(0)
    network = AutoencoderFlux2(AUTOENCODER)
    start_as_blurry_copy(network)
    coarse = torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(1)) * 1.6 - 0.8
    image = functional.interpolate(coarse, size=(128, 128), mode="bicubic")
    copy = network.decode_mean(network.encode_mean(image))
    inside = (slice(None), slice(None), slice(8, -8), slice(8, -8))
    assert float((copy - image)[inside].abs().mean()) < 0.06
    torch.testing.assert_close(copy[inside].mean((2, 3)), image[inside].mean((2, 3)), atol=0.06, rtol=0)


@torch.no_grad()
def test_the_code_is_mean_colours_and_differences_of_quarters() -> None:
    torch.manual_seed(0)
    network = AutoencoderFlux2(AUTOENCODER)
    start_as_blurry_copy(network)
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1
    code = network.encode_mean(image)
    torch.testing.assert_close(code[:, :3], functional.avg_pool2d(image, 8), atol=0.03, rtol=0)
    grey = functional.avg_pool2d(image.mean(1, keepdim=True), 4)
    across = (grey[..., 1::2] - grey[..., 0::2]).unflatten(2, (-1, 2)).sum(3) / 4
    torch.testing.assert_close(code[:, 3:4], across, atol=0.03, rtol=0)
