"""The start of a row: its noise, the times that it will pass, and everything that stays the same while it is denoised.

Shape suffixes: L = tokens, C = channels, A = position axes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from models.errors import UnsupportedInput
from models.latents import latent_grid
from models.noise import generator_of
from models.pipeline.components import Components, Constants, TextFeatures
from models.pipeline.controls import NO_CONTROLS, Controls, hints, steering
from models.pipeline.pictures import (
    Source,
    control_pixels,
    mask_pixels,
    masked,
    pixels,
    reference_pixels,
    reference_size,
)
from models.pipeline.request import DrawRequest, guidance_plan
from models.pipeline.walks import Walk, walk_of
from models.samplers.guidance import UNGUIDED, WHOLE_TIME, Branch, Guidance, Moment
from models.samplers.schedule import Schedule
from models.samplers.trajectories import Picked
from models.specs import Channels


@dataclass(frozen=True, eq=False)
class Kept:
    """The part of a picture that stays: blended in after every step.

    Attributes:
        weights: how far each latent is drawn anew, L x 1 or L x C, in [0, 1].
        clean_LC: latents of the picture.
        noise_LC: noise that they are mixed with on the way.
    """

    weights: Tensor
    clean_LC: Tensor
    noise_LC: Tensor


@dataclass(frozen=True, eq=False)
class Conditions:
    """What a row's steps depend on beside its latents. Nothing writes to it.

    Attributes:
        times: float32 on the CPU, falling to 0.
        branches: what the network knows of the row before it sees latents, for each of guidance.every_branch.
        guidance: how the network's outputs for them add up.
        moments: every evaluation, as guidance sees it.
        channels_LC: what stands beside the latents in every token.
        references_LC: tokens after the picture's.
        kept: the part of a picture that stays.
        walk: the way of a sampler that is not Euler's method; what a row's latents hold then, models.pipeline.walks says.
    """

    times: Tensor
    branches: tuple[Constants, ...]
    guidance: Guidance = UNGUIDED
    moments: tuple[Moment, ...] = ()
    channels_LC: Tensor | None = None
    references_LC: Tensor | None = None
    kept: Kept | None = None
    walk: Walk | None = None

    @property
    def num_steps(self) -> int:
        """Denoise steps of this row."""
        return len(self.times) - 1

    def asked(self, step: int) -> Iterator[tuple[Branch, Constants]]:
        """What the network is asked at a step, in order."""
        known = dict(zip(self.guidance.every_branch, self.branches, strict=True))
        for branch in self.guidance.branches(self.moments[step]):
            yield branch, known[branch]


@dataclass(frozen=True, eq=False)
class Start:
    """Where a row begins."""

    latents_LC: Tensor
    conditions: Conditions


def start(
    components: Components,
    request: DrawRequest,
    text: TextFeatures,
    negative: TextFeatures | None = None,
    controls: Controls = NO_CONTROLS,
) -> Start:
    """Draw and encode everything that a request needs before its first step.

    What is random comes from one generator of the seed, in the order of Diffusers' pipelines: the control pictures' latents,
    those of the picture to change, the noise, those of the masked picture. Families that encode to the mean draw only noise.

    Args:
        components: of a network.
        request: checked by models.pipeline.request.check_request.
        text: features of the prompt, with those of picture prompts if there are any.
        negative: features of the negative prompt, when the guidance plan has one.
        controls: ControlNets that the request names, checked by models.pipeline.controls.check_controls.

    Raises:
        SamplingError: a size or a picture that the network cannot take.
    """
    rows, columns = latent_grid(request.width, request.height, components.pixels_per_position)
    generator, source = generator_of(request.seed), masked(request.inputs)
    control_LC, hinted = _control(components, request, generator), hints(components, request, controls, generator)
    forgets = source is not None and source.mask is not None and _strength(components, request) == 1
    clean_LC = _encoded(components, request, source, generator, forgets=forgets)
    noise_LC = components.noise(rows, columns, generator)
    filled_LC = _masked_image(components, request, source, generator)
    kept = None if filled_LC is not None else _kept(components, request, source, clean_LC, noise_LC)
    references = [*_seen_again(components, rows, columns, kept), *_references(components, request, kept)]
    plan = guidance_plan(components.spec, request)
    picked = _picked(components, request)
    walk = (
        None
        if picked is None
        else walk_of(*picked, partial(components.noise, rows, columns, generator), noise_LC.shape[1])
    )
    times = run_times(components, request) if walk is None else walk.times
    told = components.trajectory.told(times[:-1]) if walk is None else walk.told
    ids_LA = torch.cat([components.image_ids(rows, columns), *(reference.ids_LA for reference in references)])
    steered = steering(request, controls, hinted, len(told), text)
    constants_of = partial(components.constants, ids_LA=ids_LA, times=told, guidance=plan.embedded, steering=steered)
    prompt = constants_of(text, size=request.size)
    known = {Branch.PROMPT: prompt}
    if negative is not None:
        known[Branch.NEGATIVE] = constants_of(negative, size=request.size.negative)
    if Branch.PERTURBED in plan.guidance.every_branch:
        known[Branch.PERTURBED] = components.perturbed(prompt, request.guiding.pag_layers)
    conditions = Conditions(
        times=times,
        branches=tuple(known[branch] for branch in plan.guidance.every_branch),
        guidance=plan.guidance,
        moments=run_moments(components, request),
        channels_LC=filled_LC if control_LC is None else control_LC,
        references_LC=torch.cat([reference.tokens_LC for reference in references]) if references else None,
        kept=kept,
        walk=walk,
    )
    begins_with_LC = None if forgets else clean_LC
    if picked is not None and walk is not None:
        return Start(_entered(picked[1], walk, begins_with_LC, noise_LC), conditions)
    first_LC = _first(components, begins_with_LC, noise_LC, float(times[0]))
    return Start(first_LC.float() if plan.guidance.num_memories else first_LC, conditions)


def _picked(components: Components, request: DrawRequest) -> Picked | None:
    """The sampler that a request asks for, and its schedule from where the row begins."""
    num_tokens = request.width * request.height // components.pixels_per_position**2
    picked = components.trajectory.picked(request.asked, num_tokens, request.num_steps)
    if picked is None:
        return None
    return picked[0], picked[1].later(_first_step(components, request))


def _entered(schedule: Schedule, walk: Walk, clean_LC: Tensor | None, noise_LC: Tensor) -> Tensor:
    """The latents of a walk from nothing, or from a picture, in float32: steps add little to them."""
    if clean_LC is None:
        return schedule.initial(noise_LC.float())
    return walk.at(0).noised(clean_LC.float(), noise_LC.float())


def _first(components: Components, clean_LC: Tensor | None, noise_LC: Tensor, time: float) -> Tensor:
    """The latents of a run from nothing, or from a picture."""
    trajectory = components.trajectory
    return trajectory.begun(noise_LC, time) if clean_LC is None else trajectory.noised(clean_LC, noise_LC, time)


def run_times(components: Components, request: DrawRequest) -> Tensor:
    """Return the times that a request passes, float32 on the CPU: the end of its schedule when a picture is given."""
    rows, columns = latent_grid(request.width, request.height, components.pixels_per_position)
    times = components.trajectory.times(rows * columns, request.num_steps)
    return times[_first_step(components, request) :]


def num_run_steps(components: Components, request: DrawRequest) -> int:
    """Return how many evaluations of the network a request takes: the end of its schedule when a picture is given."""
    picked = _picked(components, request)
    if picked is not None:
        return len(picked[0].plan(picked[1]))
    return request.num_steps - _first_step(components, request)


def run_passes(components: Components, request: DrawRequest) -> tuple[int, ...]:
    """Forwards of each evaluation that a request takes."""
    guidance = guidance_plan(components.spec, request).guidance
    return tuple(len(guidance.branches(moment)) for moment in run_moments(components, request))


def run_moments(components: Components, request: DrawRequest) -> tuple[Moment, ...]:
    """Every evaluation of the network that a request takes, as guidance counts them: by steps of the whole schedule."""
    first, picked = _first_step(components, request), _picked(components, request)
    if picked is None:
        num_tokens = request.width * request.height // components.pixels_per_position**2
        told = components.trajectory.told(components.trajectory.times(num_tokens, request.num_steps)[first:-1])
        standing = [(index, float(time)) for index, time in enumerate(told)]
    else:
        standing = [(one.step, one.at.time) for one in picked[0].plan(picked[1])]
    whole = components.trajectory.whole_time
    most = request.num_steps
    return tuple(Moment(min(first + step, most - 1), most, time * WHOLE_TIME / whole) for step, time in standing)


def _first_step(components: Components, request: DrawRequest) -> int:
    if request.inputs.image is None:
        return 0
    return components.trajectory.first_step(request.num_steps, _strength(components, request))


def _strength(components: Components, request: DrawRequest) -> float:
    return components.defaults.strength if request.strength is None else request.strength


def num_reference_tokens(components: Components, request: DrawRequest) -> int:
    """How many tokens stand after those of the picture, by the sizes of the references alone."""
    patch, policy = components.pixels_per_position, components.spec.references
    sizes = [reference_size(image, policy, patch) for image in request.inputs.references]
    return sum(width * height // patch**2 for width, height in sizes)


class _Reference(NamedTuple):
    tokens_LC: Tensor
    ids_LA: Tensor


def _control(components: Components, request: DrawRequest, generator: torch.Generator) -> Tensor | None:
    if components.spec.channels is not Channels.CONTROL:
        return None
    return components.encode_picture(control_pixels(request.inputs, request.width, request.height), generator)


def _encoded(
    components: Components, request: DrawRequest, source: Source | None, generator: torch.Generator, *, forgets: bool
) -> Tensor | None:
    is_unused = forgets and components.spec.channels is Channels.MASKED_IMAGE
    if source is None or (is_unused and not components.trajectory.encodes_forgotten):
        return None
    return components.encode_picture(pixels(source.image, request.width, request.height), generator)


def _masked_image(
    components: Components, request: DrawRequest, source: Source | None, generator: torch.Generator
) -> Tensor | None:
    """The picture without what is to be filled, and the mask, side by side in every token."""
    if components.spec.channels is not Channels.MASKED_IMAGE:
        return None
    if source is None or source.mask is None:
        raise UnsupportedInput(f"mask: {components.spec.name} fills what a mask covers, and there is none")
    mask_BCHW = mask_pixels(source.mask, request.width, request.height)
    remaining_BCHW = pixels(source.image, request.width, request.height) * (1 - mask_BCHW)
    remaining_LC = components.encode_picture(remaining_BCHW, generator)
    return torch.cat([remaining_LC, components.mask_channels(mask_BCHW)], dim=-1)


def _kept(
    components: Components, request: DrawRequest, source: Source | None, clean_LC: Tensor | None, noise_LC: Tensor
) -> Kept | None:
    if source is None or source.mask is None or clean_LC is None:
        return None
    rows, columns = latent_grid(request.width, request.height, components.pixels_per_position)
    mask_BCHW = mask_pixels(source.mask, request.width, request.height)
    return Kept(components.mask_weights(mask_BCHW, rows, columns), clean_LC, noise_LC)


def _seen_again(components: Components, rows: int, columns: int, kept: Kept | None) -> Iterator[_Reference]:
    """A network that reads references looks at the whole picture while it draws a part of it anew."""
    if kept is not None and components.spec.references.most:
        yield _Reference(kept.clean_LC, components.reference_ids(0, rows, columns))


def _references(components: Components, request: DrawRequest, kept: Kept | None) -> Iterator[_Reference]:
    patch, first = components.pixels_per_position, 0 if kept is None else 1
    for index, image in enumerate(request.inputs.references, start=first):
        image_BCHW = reference_pixels(image, components.spec.references, patch)
        ids_LA = components.reference_ids(index, image_BCHW.shape[2] // patch, image_BCHW.shape[3] // patch)
        yield _Reference(components.encode_picture(image_BCHW, None), ids_LA)
