"""From a claim to the engine's request: the one place where wall-clock times become the engine's monotonic ones."""

from datetime import datetime

from app.core.claims import Claim
from app.core.clock import Clock
from workers.engine.row import Request


def request_of(claim: Claim, clock: Clock) -> Request:
    """What the engine is asked to make for this claim."""
    now, now_s = clock.utc_now(), clock.monotonic_s()

    def monotonic_s(moment: datetime) -> float:
        return now_s + (moment - now).total_seconds()

    spec = claim.spec
    return Request(
        key=claim.held,
        network=spec.network,
        prompt=spec.prompt,
        negative_prompt=spec.negative_prompt,
        seed=spec.seed,
        width=spec.width,
        height=spec.height,
        num_steps=spec.steps,
        guidance=spec.guidance,
        priority=claim.priority,
        arrived_at_s=monotonic_s(claim.queued_at),
        deadline_at_s=monotonic_s(claim.deadline_at),
        expected_s=claim.expected_s,
        is_deterministic=spec.deterministic,
    )
