"""What networks predict, turned into the picture that they predict: samplers never ask which kind of network they have."""

from enum import StrEnum

import torch
from torch import Tensor

from models.errors import UnsupportedSampler
from models.samplers.noise_schedule import NoiseSchedule
from models.samplers.points import Point


class Prediction(StrEnum):
    """What a network's output is, where the latents are x = alpha * picture + sigma * noise."""

    EPSILON = "epsilon"
    """The noise (Ho et al. 2020, arXiv:2006.11239)."""
    V = "v_prediction"
    """alpha * noise - sigma * picture (Salimans & Ho 2022, arXiv:2202.00512)."""
    SAMPLE = "sample"
    """The picture."""
    FLOW = "flow_prediction"
    """noise - picture, the velocity of flow matching (Lipman et al. 2022, arXiv:2210.02747)."""


def weights(prediction: Prediction, at: Point) -> tuple[float, float]:
    """How the clean picture follows from latents and output: their weights in it.

    Args:
        prediction: what the output is.
        at: where the latents stand; for epsilon its alpha is above 0.
    """
    match prediction:
        case Prediction.EPSILON:
            return 1.0 / at.alpha, -at.sigma / at.alpha
        case Prediction.V:
            size = at.alpha**2 + at.sigma**2
            return at.alpha / size, -at.sigma / size
        case Prediction.SAMPLE:
            return 0.0, 1.0
        case Prediction.FLOW:
            size = at.alpha + at.sigma
            return 1.0 / size, -at.sigma / size


def denoised(prediction: Prediction, at: Point, latents: Tensor, output: Tensor) -> Tensor:
    """The clean picture that the network predicts.

    Args:
        prediction: what `output` is.
        at: where the latents stand; for epsilon its alpha is above 0.
        latents: that the network saw.
        output: of the network, after guidance; same shape.

    Returns:
        The prediction of the picture's latents, float32 or finer.
    """
    of_latents, of_output = weights(prediction, at)
    finer = torch.promote_types(latents.dtype, torch.float32)
    return of_latents * latents.to(finer) + of_output * output.to(finer)


def check_prediction(prediction: Prediction, training: NoiseSchedule) -> None:
    """Refuse to ask for noise where there is nothing else: it says nothing of the picture.

    Raises:
        UnsupportedSampler: a network that predicts noise, and training that ended with pure noise.
    """
    if prediction is Prediction.EPSILON and training.zero_terminal_snr:
        raise UnsupportedSampler(
            "training that ends with pure noise (zero terminal SNR) needs a network that predicts v or the picture; "
            "this one predicts noise"
        )
