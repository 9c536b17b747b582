"""One denoise step of some rows.

Shape suffixes: L = tokens, C = channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.pipeline.components import Branch, Components
from models.pipeline.conditions import Conditions
from models.pipeline.remembering import Remembering, joined, parted
from models.pipeline.walks import Walk
from models.samplers.guidance import Branch as GuidanceBranch
from models.samplers.guidance import Memory, Seen


@dataclass(frozen=True, eq=False)
class StepInput:
    """A row before a step.

    Attributes:
        latents_LC: latents at conditions.times[step], or the state of conditions.walk; what its guidance remembers lies behind.
        conditions: of the row.
        step: steps that are done.
    """

    latents_LC: Tensor
    conditions: Conditions
    step: int

    @property
    def state(self) -> Remembering:
        """Its latents without what is remembered, and that."""
        return parted(self.latents_LC, self.conditions, self.step)


def advance(components: Components, rows: Sequence[StepInput]) -> list[Tensor]:
    """Run one step of every row; a row does not depend on its neighbours.

    Args:
        components: of the network that all rows run on.
        rows: each at its own step, size and guidance.

    Returns:
        For each row its latents at its next time, L x C, in the networks' dtype; or the state of its walk, and behind that what its
        guidance remembers, but for the last step's.
    """
    return [
        _remembering(row, _moved(components, row, velocity_LC), memory)
        for row, (velocity_LC, memory) in zip(rows, _predicted(components, rows), strict=True)
    ]


def predict(components: Components, rows: Sequence[StepInput]) -> list[Tensor]:
    """Predict the velocity dx/dt of every row, L x C, in the networks' dtype.

    All rows and all branches of their guidance that act at their steps go through the network in one forward. A single row in a type
    narrower than float32 does not: products depend on the batch there, and Diffusers takes one branch after the other.
    """
    return [velocity_LC for velocity_LC, _ in _predicted(components, rows)]


def _predicted(components: Components, rows: Sequence[StepInput]) -> list[tuple[Tensor, Memory]]:
    """The velocity of every row, and what its guidance remembers."""
    packs = [_branches(components, row) for row in rows]
    asked = [branch for pack in packs for branch in pack.values()]
    if len(rows) == 1 and components.dtype is not torch.float32 and not components.packs_branches:
        outputs = [components.outputs([branch])[0] for branch in asked]
    else:
        outputs = components.outputs(asked) if asked else []
    left = iter(outputs)
    return [
        _guided(components, row, {branch: next(left) for branch in pack}) for row, pack in zip(rows, packs, strict=True)
    ]


def _branches(components: Components, row: StepInput) -> dict[GuidanceBranch, Branch]:
    """What the network is asked about a row."""
    conditions = row.conditions
    tokens_LC = _line(row).to(components.dtype)
    if conditions.channels_LC is not None:
        tokens_LC = torch.cat([tokens_LC, conditions.channels_LC], dim=-1)
    if conditions.references_LC is not None:
        tokens_LC = torch.cat([tokens_LC, conditions.references_LC])
    time = float(conditions.times[row.step])
    return {branch: Branch(tokens_LC, known, row.step, time) for branch, known in conditions.asked(row.step)}


def _line(row: StepInput) -> Tensor:
    """The latents on the straight line between picture and noise."""
    state_LC, walk = row.state.state_LC, row.conditions.walk
    return state_LC if walk is None else walk.line(state_LC, row.step)


def _guided(components: Components, row: StepInput, outputs: Mapping[GuidanceBranch, Tensor]) -> tuple[Tensor, Memory]:
    conditions, trajectory = row.conditions, components.trajectory
    of_picture = {branch: output_LC[: row.latents_LC.shape[0]] for branch, output_LC in outputs.items()}
    line_LC, time = _line(row).to(components.dtype), float(conditions.times[row.step])
    seen = Seen(
        trajectory.seen(line_LC, time), trajectory.point(time), trajectory.prediction, *conditions.moments[row.step]
    )
    output_LC, memory = conditions.guidance.combined(seen, of_picture, row.state.memory)
    return trajectory.velocity(line_LC, output_LC, time), memory


def _remembering(row: StepInput, moved_LC: Tensor, memory: Memory) -> Tensor:
    """What the row goes on with: its latents, and what its guidance remembers."""
    is_last = row.step + 1 == row.conditions.num_steps
    return moved_LC if is_last else joined(moved_LC, row.conditions, memory)


def _moved(components: Components, row: StepInput, velocity_LC: Tensor) -> Tensor:
    conditions, times = row.conditions, row.conditions.times
    if conditions.walk is not None:
        return _walked(row, conditions.walk, velocity_LC)
    next_time = times[row.step + 1]
    latents_LC = components.trajectory.stepped(row.state.state_LC, velocity_LC, times[row.step], next_time)
    if conditions.kept is None:
        return latents_LC
    kept = conditions.kept
    stays_LC = components.trajectory.noised(kept.clean_LC, kept.noise_LC, float(next_time))
    return (1 - kept.weights) * stays_LC + kept.weights * latents_LC


def _walked(row: StepInput, walk: Walk, velocity_LC: Tensor) -> Tensor:
    state_LC, kept = walk.moved(row.state.state_LC, velocity_LC, row.step), row.conditions.kept
    if kept is None:
        return state_LC
    return walk.blended(state_LC, kept.weights, walk.at(row.step + 1).noised(kept.clean_LC, kept.noise_LC))
