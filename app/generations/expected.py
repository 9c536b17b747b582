"""How long a generation is likely to run, for the queue's order. A worker measures; this only has to rank."""

from app.core.samplers import evaluations
from app.core.spec import GenerationSpec

STEP_OVERHEAD_S = 0.01
STEP_MEGAPIXEL_S = 2.0
MEGAPIXEL = 1 << 20


def expected_s(spec: GenerationSpec) -> float:
    """Seconds, growing with looks of the network, pixels and ControlNets as work does."""
    forward_s = STEP_MEGAPIXEL_S * spec.width * spec.height / MEGAPIXEL
    return evaluations(spec.sampler, spec.steps) * (STEP_OVERHEAD_S + (1 + spec.control_forwards) * forward_s)
