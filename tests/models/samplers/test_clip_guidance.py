"""Steering by a score's gradient: exact where the score is the logarithm of a Gaussian likelihood."""

import torch
from torch import Tensor

from models.samplers.clip_guidance import steered
from models.samplers.noise_schedule import NoiseSchedule
from tests.models.samplers.gaussian import VARIANCE, ideal

AT = NoiseSchedule().at_ratio(0.8)
LATENTS = torch.randn(5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
OBSERVED, OBSERVED_VARIANCE = 0.7, 0.3


def test_a_likelihood_gives_the_mean_of_the_posterior() -> None:
    """The picture is N(0, v) and was also observed as 0.7 with a variance of 0.3. Steering by the likelihood of that, given the latents,
    gives the picture's mean given both."""
    left = 1 / (1 / VARIANCE + AT.alpha**2 / AT.sigma**2)

    def log_likelihood(picture: Tensor) -> Tensor:
        return -((picture - OBSERVED) ** 2).sum() / (2 * (OBSERVED_VARIANCE + left))

    found = steered(LATENTS, AT, lambda latents: ideal(AT, latents), log_likelihood, scale=1.0)
    mean = ideal(AT, LATENTS)
    expected = (mean / left + OBSERVED / OBSERVED_VARIANCE) / (1 / left + 1 / OBSERVED_VARIANCE)
    torch.testing.assert_close(found, expected)


def test_steering_works_where_no_gradients_are_kept_and_leaves_none() -> None:
    with torch.no_grad():
        found = steered(LATENTS, AT, lambda latents: ideal(AT, latents), torch.sum, scale=2.0)
    assert not found.requires_grad
    assert not LATENTS.requires_grad
    assert (found > ideal(AT, LATENTS)).all()


def test_a_scale_of_zero_changes_nothing() -> None:
    found = steered(LATENTS, AT, lambda latents: ideal(AT, latents), torch.sum, scale=0.0)
    torch.testing.assert_close(found, ideal(AT, LATENTS))
