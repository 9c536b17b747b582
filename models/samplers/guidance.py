"""Guidance: how a step follows the prompt more closely than the network alone would, as values that add up.

Every rule compares the network's output for the prompt with one for something else, the negative prompt or a perturbed network, and
moves the output further away from that. Rules that compare with different things combine: their moves are added. What a rule remembers
from step to step is a value of the row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from models.errors import UnsupportedInput
from models.samplers.plan import Plan
from models.samplers.points import Point
from models.samplers.prediction import Prediction


class Branch(StrEnum):
    """What the network is asked about a row's latents; each is one forward."""

    PROMPT = "prompt"
    NEGATIVE = "negative"
    """For the negative prompt."""
    PERTURBED = "perturbed"
    """For the prompt, while the self-attention of the named blocks looks nowhere but at itself."""


@dataclass(frozen=True)
class Strength:
    """How strongly a rule acts at each step.

    Attributes:
        scales: one for all steps, or one for each. For comparisons with the negative prompt 1 is none.
        start: share of the steps that pass before it acts, in [0, 1].
        stop: share of the steps after which it no longer acts, in [0, 1].
    """

    scales: tuple[float, ...]
    start: float = 0.0
    stop: float = 1.0

    def at(self, step: int, num_steps: int) -> float | None:
        """The scale at a step; None where it does not act.

        Raises:
            UnsupportedInput: scales for another number of steps, or shares outside [0, 1].
        """
        if not 0 <= self.start <= self.stop <= 1:
            raise UnsupportedInput(f"guidance: {self.start:g} to {self.stop:g} is no part of a run")
        if len(self.scales) not in (1, num_steps):
            raise UnsupportedInput(f"guidance: {len(self.scales)} scales for {num_steps} steps")
        if not int(self.start * num_steps) <= step < int(self.stop * num_steps):
            return None
        return self.scales[0] if len(self.scales) == 1 else self.scales[step]


WHOLE_TIME = 1000.0
"""The time of pure noise, as networks of diffusion are told it."""


class Moment(NamedTuple):
    """An evaluation of a run.

    Attributes:
        step: index of the step.
        num_steps: steps of the whole schedule.
        time: how much of what the network sees is noise, as the steps of training count it: WHOLE_TIME for nothing else, 0 for none.
    """

    step: int
    num_steps: int
    time: float = WHOLE_TIME


def constant(scale: float) -> Strength:
    """The same scale at every step."""
    return Strength((scale,))


@dataclass(frozen=True, eq=False)
class Seen:
    """One evaluation of one row.

    Attributes:
        latents: that the network saw, of this row alone.
        at: where they stand.
        prediction: what the network predicts.
        step: index of the step.
        num_steps: steps of the run.
        time: as of Moment.
    """

    latents: Tensor
    at: Point
    prediction: Prediction
    step: int
    num_steps: int
    time: float = WHOLE_TIME

    @property
    def moment(self) -> Moment:
        """When it is."""
        return Moment(self.step, self.num_steps, self.time)


class Move(NamedTuple):
    """What a rule makes of the prompt's output.

    Attributes:
        added: what it adds.
        memory: what it remembers.
        onto: what it adds to; None for the output for the prompt. Published pipelines round by where they begin.
    """

    added: Tensor
    memory: Tensor | None = None
    onto: Tensor | None = None


class Rule(Protocol):
    """A comparison of the prompt's output with another."""

    @property
    def against(self) -> Branch:
        """What it compares with."""
        ...

    @property
    def remembers(self) -> bool:
        """Whether it remembers a tensor like the latents from one evaluation to the next."""
        ...

    def scale(self, moment: Moment) -> float | None:
        """Its scale at an evaluation; None where it changes nothing."""
        ...

    def move(self, seen: Seen, prompt: Tensor, other: Tensor, scale: float, memory: Tensor | None) -> Move:
        """What becomes of `prompt`, the network's output for the prompt, given the one for `against`."""
        ...


Memory = tuple[Tensor | None, ...]
"""What each rule remembers."""


class Guided(NamedTuple):
    """The output that a step continues with, and what the rules remember for the next."""

    output: Tensor
    memory: Memory


@dataclass(frozen=True)
class Guidance:
    """Rules, added up.

    Attributes:
        rules: each with another branch; at most one of them has its sum begin elsewhere (Move.onto).
        rescale: how far the output's deviation is brought back to that of the prompt's, in [0, 1]
            (Lin et al. 2023, arXiv:2305.08891, eq. 15 and 16).
        zero_steps: first steps whose output is 0, for which nothing is asked (CFG-Zero*, arXiv:2503.18886).
    """

    rules: tuple[Rule, ...] = ()
    rescale: float = 0.0
    zero_steps: int = 0

    def __post_init__(self) -> None:
        against = [rule.against for rule in self.rules]
        if len(set(against)) != len(against):
            raise UnsupportedInput(f"guidance: two rules compare with the same branch: {', '.join(against)}")
        if not 0 <= self.rescale <= 1:
            raise UnsupportedInput(f"guidance: rescale {self.rescale:g} is not in [0, 1]")

    @property
    def every_branch(self) -> tuple[Branch, ...]:
        """What the network is asked at one step or another, in order."""
        return (Branch.PROMPT, *(rule.against for rule in self.rules))

    @property
    def num_memories(self) -> int:
        """Tensors like the latents that are remembered from one evaluation to the next."""
        return sum(rule.remembers for rule in self.rules)

    def branches(self, moment: Moment) -> tuple[Branch, ...]:
        """What the network is asked at an evaluation, in order; nothing where the output is 0 anyway."""
        if moment.step < self.zero_steps:
            return ()
        return (Branch.PROMPT, *(rule.against for rule, _ in self._acting(moment)))

    def forwards(self, plan: Plan, num_steps: int) -> int:
        """Forwards of a whole run.

        Args:
            plan: of the sampler.
            num_steps: steps of the run.
        """
        return sum(len(self.branches(Moment(one.step, num_steps, one.at.time))) for one in plan)

    def combined(self, seen: Seen, outputs: Mapping[Branch, Tensor], memory: Memory = ()) -> Guided:
        """Combine the network's outputs.

        Args:
            seen: the evaluation.
            outputs: one for each of branches(seen.moment), shaped like seen.latents.
            memory: of the evaluation before; empty at the first.
        """
        memory = memory or (None,) * len(self.rules)
        if seen.step < self.zero_steps:
            return Guided(torch.zeros_like(seen.latents), memory)
        prompt = outputs[Branch.PROMPT]
        moves: dict[Rule, Move] = {}
        remembered = dict(zip(self.rules, memory, strict=True))
        for rule, scale in self._acting(seen.moment):
            moves[rule] = rule.move(seen, prompt, outputs[rule.against], scale, remembered[rule])
            remembered[rule] = moves[rule].memory
        total = next((move.onto for move in moves.values() if move.onto is not None), prompt)
        for move in moves.values():
            total = total + move.added
        return Guided(self._rescaled(total, prompt), tuple(remembered[rule] for rule in self.rules))

    def _acting(self, moment: Moment) -> Sequence[tuple[Rule, float]]:
        scales = [(rule, rule.scale(moment)) for rule in self.rules]
        return [(rule, scale) for rule, scale in scales if scale is not None]

    def _rescaled(self, total: Tensor, prompt: Tensor) -> Tensor:
        if not self.rescale or total is prompt:
            return total
        wanted, found = prompt.float().std(), total.float().std()
        factor = torch.where(found > 1e-6, wanted / found, 1.0)  # what is constant has no deviation to bring back
        return total * (self.rescale * factor + (1 - self.rescale)).to(total.dtype)


UNGUIDED = Guidance()
"""The prompt's own output."""


def classifier_free(positive: Tensor, negative: Tensor, scale: float) -> Tensor:
    """Move from the prediction for the negative prompt through the one for the prompt (Ho & Salimans 2022, arXiv:2207.12598).

    Args:
        positive: prediction for the prompt.
        negative: prediction for the negative prompt, same shape.
        scale: 1 is the prompt's own prediction, more goes beyond it.
    """
    return negative + scale * (positive - negative)
