"""Sampler: a way of walking a schedule, as a value.

How a row is sampled, for whoever owns the loop:

    schedule = grid(training, num_steps)                 # or schedule.flow_schedule(times)
    plan = sampler.plan(schedule)
    state = begin(schedule.initial(noise), generator)
    for evaluation in plan:                              # one evaluation is one quantum of the engine
        output = network(state.latents, evaluation.at.time)
        state = advance(evaluation, state, denoised(prediction, evaluation.at, state.latents, output))

Everything but the state is shared and never changes; a row that is run again from the same state takes the same way.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from models.errors import UnsupportedSampler
from models.samplers.plan import Evaluation, Plan
from models.samplers.schedule import Schedule


@dataclass(frozen=True)
class Sampler:
    """A method of sampling.

    Attributes:
        name: ours.
        evaluations: of a schedule; takes `eta` too where `eta` is not None.
        order: of convergence.
        per_step: evaluations of the network that a step takes, the last step perhaps fewer.
        eta: share of the noise that each step draws anew when nobody says otherwise, in [0, 1]; None where it cannot be chosen.
        draws_float32: whether steps draw noise in float32 whatever the network's dtype, as Diffusers does for this method.
    """

    name: str
    evaluations: Callable[..., Iterator[Evaluation]]
    order: int = 1
    per_step: int = 1
    eta: float | None = None
    draws_float32: bool = False

    def plan(self, schedule: Schedule, eta: float | None = None) -> Plan:
        """Every evaluation of a run, in turn.

        Args:
            schedule: of the run; schedule.later(first) of one that begins with a picture.
            eta: instead of the sampler's own.

        Raises:
            UnsupportedSampler: an eta outside [0, 1], or for a method that has none.
        """
        chosen = self if eta is None else self.with_eta(eta)
        if chosen.eta is None:
            return tuple(self.evaluations(schedule))
        return tuple(self.evaluations(schedule, eta=chosen.eta))

    def with_eta(self, eta: float) -> "Sampler":
        """The same with another share of fresh noise.

        Raises:
            UnsupportedSampler: an eta outside [0, 1], or for a method that has none.
        """
        if self.eta is None:
            raise UnsupportedSampler(f"eta: {self.name} has no share of fresh noise to choose")
        if not 0 <= eta <= 1:
            raise UnsupportedSampler(f"eta {eta:g} is not in [0, 1]")
        return replace(self, eta=eta)
