"""One denoise step of some rows.

Shape suffixes: L = tokens, C = channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.pipeline.components import Branch, Components
from models.pipeline.conditions import Conditions
from models.pipeline.walks import Walk
from models.samplers.guidance import classifier_free


@dataclass(frozen=True, eq=False)
class StepInput:
    """A row before a step.

    Attributes:
        latents_LC: latents at conditions.times[step], or the state of conditions.walk.
        conditions: of the row.
        step: steps that are done.
    """

    latents_LC: Tensor
    conditions: Conditions
    step: int


def advance(components: Components, rows: Sequence[StepInput]) -> list[Tensor]:
    """Run one step of every row; a row does not depend on its neighbours.

    Args:
        components: of the network that all rows run on.
        rows: each at its own step, size and guidance.

    Returns:
        For each row its latents at its next time, L x C, in the networks' dtype.
    """
    velocities = predict(components, rows)
    return [_moved(components, row, velocity_LC) for row, velocity_LC in zip(rows, velocities, strict=True)]


def predict(components: Components, rows: Sequence[StepInput]) -> list[Tensor]:
    """Predict the velocity dx/dt of every row, L x C, in the networks' dtype.

    All rows and all branches of their guidance go through the network in one forward. A single row in a type narrower than float32
    does not: products depend on the batch there, and Diffusers takes one branch after the other.
    """
    packs = [_branches(components, row) for row in rows]
    if len(rows) == 1 and components.dtype is not torch.float32 and not components.packs_branches:
        velocities = [components.velocities([branch])[0] for branch in packs[0]]
    else:
        velocities = components.velocities([branch for pack in packs for branch in pack])
    left = iter(velocities)
    return [_guided(row, [next(left) for _ in pack]) for row, pack in zip(rows, packs, strict=True)]


def _branches(components: Components, row: StepInput) -> list[Branch]:
    conditions = row.conditions
    latents_LC = row.latents_LC if conditions.walk is None else conditions.walk.line(row.latents_LC, row.step)
    tokens_LC = latents_LC.to(components.dtype)
    if conditions.channels_LC is not None:
        tokens_LC = torch.cat([tokens_LC, conditions.channels_LC], dim=-1)
    if conditions.references_LC is not None:
        tokens_LC = torch.cat([tokens_LC, conditions.references_LC])
    time = float(conditions.times[row.step])
    return [Branch(tokens_LC, constants, row.step, time) for constants in conditions.branches]


def _guided(row: StepInput, branches: Sequence[Tensor]) -> Tensor:
    of_picture = [velocity_LC[: row.latents_LC.shape[0]] for velocity_LC in branches]
    if len(of_picture) == 1:
        return of_picture[0]
    positive_LC, negative_LC = of_picture
    return classifier_free(positive_LC, negative_LC, row.conditions.cfg_scale)


def _moved(components: Components, row: StepInput, velocity_LC: Tensor) -> Tensor:
    conditions, times = row.conditions, row.conditions.times
    if conditions.walk is not None:
        return _walked(row, conditions.walk, velocity_LC)
    next_time = times[row.step + 1]
    latents_LC = components.trajectory.stepped(row.latents_LC, velocity_LC, times[row.step], next_time)
    if conditions.kept is None:
        return latents_LC
    kept = conditions.kept
    stays_LC = components.trajectory.noised(kept.clean_LC, kept.noise_LC, float(next_time))
    return (1 - kept.weights) * stays_LC + kept.weights * latents_LC


def _walked(row: StepInput, walk: Walk, velocity_LC: Tensor) -> Tensor:
    state_LC, kept = walk.moved(row.latents_LC, velocity_LC, row.step), row.conditions.kept
    if kept is None:
        return state_LC
    return walk.blended(state_LC, kept.weights, walk.at(row.step + 1).noised(kept.clean_LC, kept.noise_LC))
