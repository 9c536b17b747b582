"""Rules of guidance: classifier-free, CFG-Zero*, adaptive projected, perturbed attention. Each costs one forward more at every step
at which it acts."""

from dataclasses import dataclass

from torch import Tensor

from models.samplers.guidance import WHOLE_TIME, Branch, Moment, Move, Seen, Strength
from models.samplers.prediction import weights


@dataclass(frozen=True)
class _AgainstNegative:
    """Compares with the negative prompt; a scale of 1 changes nothing.

    Attributes:
        strength: scale at each step.
    """

    strength: Strength

    @property
    def against(self) -> Branch:
        return Branch.NEGATIVE

    @property
    def remembers(self) -> bool:
        return False

    def scale(self, moment: Moment) -> float | None:
        scale = self.strength.at(moment.step, moment.num_steps)
        return None if scale == 1.0 else scale


@dataclass(frozen=True)
class ClassifierFree(_AgainstNegative):
    """Ho & Salimans 2022, arXiv:2207.12598."""

    def move(self, seen: Seen, prompt: Tensor, other: Tensor, scale: float, memory: Tensor | None) -> Move:
        return Move(scale * (prompt - other), onto=other)


@dataclass(frozen=True)
class ZeroStar(_AgainstNegative):
    """CFG-Zero* (Fan et al. 2025, arXiv:2503.18886, eq. 7): the negative's output is first scaled to fit the prompt's best.

    The paper also takes the first steps to be 0: Guidance.zero_steps.
    """

    def move(self, seen: Seen, prompt: Tensor, other: Tensor, scale: float, memory: Tensor | None) -> Move:
        wide, narrow = prompt.float(), other.float()
        best = (wide * narrow).sum() / (narrow.square().sum() + 1e-8)
        fitted = best.to(prompt.dtype) * other
        return Move(scale * (prompt - fitted), onto=fitted)


@dataclass(frozen=True)
class AdaptiveProjected(_AgainstNegative):
    """APG (Sadat, Hilliges & Weber 2024, arXiv:2410.02416, algorithm 1): of the difference between the two predicted pictures, what lies
    along the prompt's picture is weakened, for it only saturates.

    Attributes:
        parallel: weight of the part along the prompt's picture (the paper's eta).
        most: largest length of the difference (r); 0 for any.
        momentum: weight of earlier differences (beta), mostly negative.
    """

    parallel: float = 0.0
    most: float = 0.0
    momentum: float = 0.0

    @property
    def remembers(self) -> bool:
        return bool(self.momentum)

    def move(self, seen: Seen, prompt: Tensor, other: Tensor, scale: float, memory: Tensor | None) -> Move:
        of_latents, of_output = weights(seen.prediction, seen.at)
        picture = of_latents * seen.latents.float() + of_output * prompt.float()
        difference = of_output * (prompt.float() - other.float())
        if self.momentum:
            difference = difference if memory is None else difference + self.momentum * memory
            memory = difference
        if self.most:
            difference = difference * (self.most / difference.square().sum().sqrt()).clamp(max=1.0)
        along = (difference * picture).sum() / picture.square().sum().clamp(min=1e-12) * picture
        update = difference - along + self.parallel * along
        return Move(((scale - 1) / of_output * update).to(prompt.dtype), memory)


@dataclass(frozen=True)
class PerturbedAttention:
    """PAG (Ahn et al. 2024, arXiv:2403.17377, eq. 9): away from what the network predicts without its self-attention maps.

    Attributes:
        strength: scale at each step; 0 changes nothing.
        blocks: names of the network's blocks whose self-attention is perturbed.
        adaptive: what the scale loses with every step of training that the noise has gone down, until it is 0, as in Diffusers.
    """

    strength: Strength
    blocks: tuple[str, ...] = ("mid",)
    adaptive: float = 0.0

    @property
    def against(self) -> Branch:
        return Branch.PERTURBED

    @property
    def remembers(self) -> bool:
        return False

    def scale(self, moment: Moment) -> float | None:
        scale = self.strength.at(moment.step, moment.num_steps) or 0.0
        return max(scale - self.adaptive * (WHOLE_TIME - moment.time), 0.0) or None

    def move(self, seen: Seen, prompt: Tensor, other: Tensor, scale: float, memory: Tensor | None) -> Move:
        return Move(scale * (prompt - other))
