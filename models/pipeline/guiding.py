"""Guiding: what a request says of its guidance beside the strength, and the rules that come of it (models.samplers.guidance)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from models.errors import UnsupportedInput
from models.samplers.guidance import Guidance, Rule, Strength
from models.samplers.guidance_rules import AdaptiveProjected, ClassifierFree, PerturbedAttention, ZeroStar

RuleName = Literal["cfg", "cfg_zero_star", "apg"]


@dataclass(frozen=True)
class Guiding:
    """What is said of guidance.

    Attributes:
        rule: how a picture is moved away from the negative prompt: classifier-free guidance, CFG-Zero*, adaptive projected guidance.
        rescale: how far the deviation of the prediction is brought back to that of the prompt's, in [0, 1].
        start: share of the steps after which guidance begins, in [0, 1].
        end: share of the steps after which it has ended, in [0, 1].
        schedule: strength of each step of the whole schedule in the place of the one for all; 1 is none.
        zero_steps: first steps that leave the latents as they are (CFG-Zero*).
        parallel: apg: weight of what lies along the picture of the prompt.
        most: apg: largest length of the difference between the two pictures; 0 for any.
        momentum: apg: weight of earlier differences.
        pag_scale: strength of perturbed attention guidance; 0 is none.
        pag_layers: names of the blocks whose self-attention it perturbs.
        pag_adaptive_scale: what pag_scale loses with every step of training, of 1000, that the noise has gone down.
    """

    rule: RuleName = "cfg"
    rescale: float = 0.0
    start: float = 0.0
    end: float = 1.0
    schedule: tuple[float, ...] = ()
    zero_steps: int = 0
    parallel: float = 0.0
    most: float = 0.0
    momentum: float = 0.0
    pag_scale: float = 0.0
    pag_layers: tuple[str, ...] = ("mid",)
    pag_adaptive_scale: float = 0.0

    def guidance(self, scale: float, *, has_negative: bool) -> Guidance:
        """The rules.

        Args:
            scale: strength of the one against the negative prompt, where the schedule says none.
            has_negative: whether the network is asked about a negative prompt.

        Raises:
            UnsupportedInput: a share or a strength that cannot be.
        """
        rules: list[Rule] = []
        if has_negative:
            rules.append(_AGAINST_NEGATIVE[self.rule](self, Strength(self.schedule or (scale,), self.start, self.end)))
        if self.pag_scale:
            strength = Strength((self.pag_scale,), self.start, self.end)
            rules.append(PerturbedAttention(strength, self.pag_layers, self.pag_adaptive_scale))
        return Guidance(tuple(rules), self.rescale, self.zero_steps)

    def check(self, num_steps: int) -> None:
        """Refuse what cannot be.

        Raises:
            UnsupportedInput: names the field and the limit.
        """
        if self.schedule and len(self.schedule) != num_steps:
            raise UnsupportedInput(f"guidance_schedule: {len(self.schedule)} strengths for {num_steps} steps")
        if not 0 <= self.start < self.end <= 1:
            message = f"guidance_start {self.start:g} and guidance_end {self.end:g} must lie in order within 0 and 1"
            raise UnsupportedInput(message)
        for name, value in (("pag_scale", self.pag_scale), ("pag_adaptive_scale", self.pag_adaptive_scale)):
            if value < 0:
                raise UnsupportedInput(f"{name} is {value:g}; it must be at least 0")
        if self.pag_scale and not self.pag_layers:
            raise UnsupportedInput("pag_layers: pag_scale needs a block at least")


NOTHING_SAID = Guiding()


def _classifier_free(said: Guiding, strength: Strength) -> Rule:
    return ClassifierFree(strength)


def _zero_star(said: Guiding, strength: Strength) -> Rule:
    return ZeroStar(strength)


def _adaptive_projected(said: Guiding, strength: Strength) -> Rule:
    return AdaptiveProjected(strength, said.parallel, said.most, said.momentum)


_AGAINST_NEGATIVE: Mapping[RuleName, Callable[[Guiding, Strength], Rule]] = {
    "cfg": _classifier_free,
    "cfg_zero_star": _zero_star,
    "apg": _adaptive_projected,
}
