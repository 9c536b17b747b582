"""Training the decoder on composed pictures behind the encoder's fixed code, and the statistics that normalise latents.

Shape suffixes: B = pictures, C = channels, H, W = rows and columns. Pictures are float32 in [-1, 1].
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from models.training.composition import OBJECT_FILL, Placement, compose
from models.training.objectives import picture_loss
from models.training.vocabulary import COLOURS
from models.vae.autoencoder_flux2 import AutoencoderFlux2, patchify

# Noise on the latents in training, as a share of each channel's deviation: the decoder learns to forgive the flow model's errors.
LATENT_NOISE = 0.05


def to_tensor(pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Stack RGB pictures of one size as B C H W in [-1, 1]."""
    stacked_BHWC = torch.tensor(np.stack(pictures))
    return stacked_BHWC.permute(0, 3, 1, 2).float() / 127.5 - 1.0


def draw_pictures(cutouts: Sequence[Image.Image], num: int, side: int, rng: np.random.Generator) -> Tensor:
    """Compose random objects; most exactly as the flow model sees them, some at other sizes, places and colours."""
    return to_tensor([_draw_picture(cutouts, side, rng) for _ in range(num)])


def _draw_picture(cutouts: Sequence[Image.Image], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    cutout = cutouts[int(rng.integers(len(cutouts)))]
    named = list(COLOURS.values())[int(rng.integers(len(COLOURS)))]
    if rng.random() < 0.75:
        return compose(cutout, named, side, Placement(OBJECT_FILL))
    r, g, b = (int(value) for value in rng.integers(0, 256, 3))
    across, down = (int(value) for value in rng.integers(-6, 7, 2))
    return compose(cutout, (r, g, b), side, Placement(float(rng.uniform(0.6, 0.95)), (across, down)))


def decoder_loss(network: AutoencoderFlux2, image_BCHW: Tensor, generator: torch.Generator) -> Tensor:
    """Return the loss of pictures decoded from slightly noisy latents; the encoder gets no gradient."""
    with torch.no_grad():
        mean_BCHW = network.encode_mean(image_BCHW)
    deviation_1C11 = mean_BCHW.std(dim=(0, 2, 3), keepdim=True)
    noise_BCHW = torch.randn(mean_BCHW.shape, generator=generator)
    return picture_loss(network.decode_mean(mean_BCHW + LATENT_NOISE * deviation_1C11 * noise_BCHW), image_BCHW)


@torch.no_grad()
def measure_statistics(network: AutoencoderFlux2, batches: Sequence[Tensor]) -> None:
    """Set the mean and variance that normalise latents to those of the given pictures."""
    latent_BCHW = torch.cat([patchify(network.encode_mean(image_BCHW)) for image_BCHW in batches])
    variance_C, mean_C = torch.var_mean(latent_BCHW, dim=(0, 2, 3))
    state = network.bn.state_dict()
    network.bn.load_state_dict({**state, "running_mean": mean_C, "running_var": variance_C})
