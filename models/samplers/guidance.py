"""Guidance: how a step follows the prompt more closely than the network alone would."""

from torch import Tensor


def classifier_free(positive: Tensor, negative: Tensor, scale: float) -> Tensor:
    """Move from the prediction for the negative prompt through the one for the prompt (Ho & Salimans 2022, arXiv:2207.12598).

    Args:
        positive: prediction for the prompt.
        negative: prediction for the negative prompt, same shape.
        scale: 1 is the prompt's own prediction, more goes beyond it.
    """
    return negative + scale * (positive - negative)
