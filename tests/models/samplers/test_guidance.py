"""Classifier-free guidance at its three telling strengths."""

import torch

from models.samplers.guidance import classifier_free


def test_strength_zero_one_and_two() -> None:
    positive, negative = torch.tensor([3.0, -1.0]), torch.tensor([1.0, 1.0])
    assert torch.equal(classifier_free(positive, negative, 0.0), negative)
    assert torch.equal(classifier_free(positive, negative, 1.0), positive)
    assert torch.equal(classifier_free(positive, negative, 2.0), 2 * positive - negative)
