"""CLIP guidance: the predicted picture is pushed up the gradient of its likeness to a text, or of any other score of pictures.

As with a classifier (Dhariwal & Nichol 2021, arXiv:2105.05233, eq. 12), the noise that the network sees loses sigma times the
gradient of the score by the latents; the picture gains sigma^2 / alpha times it. A step costs a forward and a backward of whatever lies
between the latents and the score.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from models.samplers.points import Point


def steered(
    latents: Tensor, at: Point, picture_of: Callable[[Tensor], Tensor], score: Callable[[Tensor], Tensor], scale: float
) -> Tensor:
    """The predicted picture, pushed.

    Args:
        latents: of one row; needs no gradient of its own.
        at: where they stand; holds some picture.
        picture_of: the picture that the network predicts from latents. Through the network for the true gradient; with its output held
            fixed for the cheap one, which costs no backward of the network.
        score: of such a picture, a single number: the cosine of its CLIP embedding and the prompt's, after decoding.
        scale: of the gradient.

    Returns:
        For models.samplers.plan.advance, shape of latents, without gradient.
    """
    with torch.enable_grad():
        leaf = latents.detach().clone().requires_grad_()
        picture = picture_of(leaf)
        (gradient,) = torch.autograd.grad(score(picture), leaf)
    return picture.detach() + scale * at.sigma**2 / at.alpha * gradient
