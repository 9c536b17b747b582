"""Plan: a sampler's run as a table of evaluations, and the one step that every sampler shares.

Every sampler here is linear in what it has seen: the next latents are a weighted sum of the latents, the picture that the network
predicts from them, some tensors of earlier evaluations, and fresh noise. So a sampler is a function from a schedule to a table of
weights, computed once in float64 before the run; a row carries its own State, and rows of different samplers, at different
evaluations, need nothing of each other.

The quantum is one evaluation of the network: a step of Heun's method takes two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor

from models.samplers.points import Point


@dataclass(frozen=True)
class Mix:
    """A weighted sum of what a row has at an evaluation: (latents, denoised, noise, *carried). Formulas are written over these."""

    weights: tuple[float, ...]

    @property
    def noise(self) -> float:
        """Weight of the noise."""
        return self.weights[2] if len(self.weights) > 2 else 0.0

    def __add__(self, other: "Mix") -> "Mix":
        return Mix(tuple(a + b for a, b in zip_longest(self.weights, other.weights, fillvalue=0.0)))

    def __sub__(self, other: "Mix") -> "Mix":
        return self + other * -1.0

    def __mul__(self, factor: float) -> "Mix":
        return Mix(tuple(weight * factor for weight in self.weights))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> "Mix":
        return self * (1.0 / divisor)


LATENTS, DENOISED, NOISE = Mix((1.0,)), Mix((0.0, 1.0)), Mix((0.0, 0.0, 1.0))
"""The latents that the network saw, the picture that it predicts, and standard normal noise of the row's own."""


def carried(index: int) -> Mix:
    """The tensor that the evaluation before left at this place."""
    return Mix((0.0,) * (3 + index) + (1.0,))


def weighted(weights: Sequence[float], mixes: Sequence[Mix]) -> Mix:
    """The sum of mixes by weights, of which there are as many."""
    total = Mix(())
    for weight, mix in zip(weights, mixes, strict=True):
        total = total + weight * mix
    return total


@dataclass(frozen=True)
class Evaluation:
    """One look of the network at a row, and what follows from it.

    Attributes:
        at: where the latents stand.
        step: index of the step that this belongs to; steps are what requests count.
        latents: the next latents.
        carries: what the next evaluation finds as carried(0), carried(1), ...
    """

    at: Point
    step: int
    latents: Mix
    carries: tuple[Mix, ...] = ()

    @property
    def draws(self) -> bool:
        """Whether noise is drawn."""
        return any(mix.noise for mix in (self.latents, *self.carries))


Plan = tuple[Evaluation, ...]


@dataclass(frozen=True, eq=False)
class NoiseStream:
    """A row's own stream of normal noise, as a value: the same stream always draws the same.

    Attributes:
        state: of a CPU generator.
        dtype: in which it draws.
    """

    state: Tensor
    dtype: torch.dtype = torch.float32

    def draw(self, like: Tensor) -> tuple[Tensor, "NoiseStream"]:
        """Noise in the shape and on the device of `like`, in this stream's dtype, and what is left of the stream."""
        generator = torch.Generator("cpu")
        generator.set_state(self.state)
        noise = torch.randn(like.shape, generator=generator, dtype=self.dtype)
        return noise.to(like.device), NoiseStream(generator.get_state(), self.dtype)


@dataclass(frozen=True, eq=False)
class State:
    """A row between two evaluations.

    Attributes:
        latents: of any shape and dtype; those that the network sees next.
        stream: its noise.
        carried: what earlier evaluations left, float32 or finer.
    """

    latents: Tensor
    stream: NoiseStream
    carried: tuple[Tensor, ...] = ()


def begin(latents: Tensor, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> State:
    """A row before its first evaluation.

    Args:
        latents: at the first evaluation's point.
        generator: the picture's, on the CPU, after the initial noise was drawn from it; it is read, not advanced.
        dtype: in which steps draw noise; Diffusers' samplers draw in the network's.
    """
    return State(latents, NoiseStream(generator.get_state(), dtype))


def advance(evaluation: Evaluation, state: State, denoised: Tensor) -> State:
    """What follows when the network has looked at a row. Sums are float32 or finer; the latents keep their dtype.

    Args:
        evaluation: the row's next.
        state: of the row.
        denoised: the picture that the network predicts from state.latents, same shape (models.samplers.prediction).
    """
    finer = torch.promote_types(state.latents.dtype, torch.float32)
    parts: list[Tensor | None] = [state.latents.to(finer), denoised.to(finer), None, *state.carried]
    stream = state.stream
    if evaluation.draws:
        noise, stream = stream.draw(state.latents)
        parts[2] = noise.to(finer)
    latents = _mixed(evaluation.latents, parts).to(state.latents.dtype)
    return State(latents, stream, tuple(_mixed(mix, parts) for mix in evaluation.carries))


def _mixed(mix: Mix, parts: Sequence[Tensor | None]) -> Tensor:
    """The weighted sum; a part that is taken as it is, is not copied."""
    terms = [(weight, part) for weight, part in zip(mix.weights, parts, strict=False) if weight and part is not None]
    assert terms, "a mix of nothing"
    total = terms[0][1] if terms[0][0] == 1.0 else terms[0][1] * terms[0][0]
    for weight, part in terms[1:]:
        total = torch.add(total, part, alpha=weight)
    return total
