"""From a claim to the engine's request: the one place where wall-clock times become the engine's monotonic ones."""

from datetime import datetime

from app.core.claims import Claim
from app.core.clock import Clock
from app.core.spec import GenerationSpec
from models.pipeline.guiding import NOTHING_SAID, Guiding
from models.pipeline.request import NO_PICTURES, DrawRequest, PictureInputs
from workers.engine.row import Request


def request_of(claim: Claim, clock: Clock, inputs: PictureInputs = NO_PICTURES) -> Request:
    """What the engine is asked to make for this claim, with the pictures that its spec names."""
    now, now_s = clock.utc_now(), clock.monotonic_s()

    def monotonic_s(moment: datetime) -> float:
        return now_s + (moment - now).total_seconds()

    return Request(
        key=claim.held,
        network=claim.spec.network,
        beside=claim.spec.networks[1:],
        draw=_draw_request(claim.spec, inputs),
        priority=claim.priority,
        arrived_at_s=monotonic_s(claim.queued_at),
        deadline_at_s=monotonic_s(claim.deadline_at),
        expected_s=claim.expected_s,
        is_deterministic=claim.spec.deterministic,
        previews=claim.spec.previews,
        is_suspect=claim.is_suspect,
    )


def _draw_request(spec: GenerationSpec, inputs: PictureInputs) -> DrawRequest:
    return DrawRequest(
        prompt=spec.prompt,
        negative_prompt=spec.negative_prompt,
        prompt_syntax=spec.prompt_syntax,
        clip_skip=spec.clip_skip,
        embeddings=spec.embeddings,
        seed=spec.seed,
        width=spec.width,
        height=spec.height,
        num_steps=spec.steps,
        guidance=spec.guidance,
        true_cfg_scale=spec.true_cfg_scale,
        sampler=spec.sampler,
        schedule=spec.schedule,
        eta=spec.eta,
        sigmas=spec.sigmas,
        timesteps=spec.timesteps,
        strength=spec.strength,
        max_sequence_length=spec.max_sequence_length,
        image_prompter=spec.image_prompter,
        image_prompt_strength=spec.image_prompt_strength,
        inputs=inputs,
        guiding=NOTHING_SAID if spec.guiding is None else Guiding(**dict(spec.guiding)),
    )
