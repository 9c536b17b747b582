"""How long a generation is likely to run, for the queue's order. A worker measures; this only has to rank."""

from app.core.samplers import evaluations
from app.core.spec import GenerationSpec

STEP_OVERHEAD_S = 0.01
STEP_MEGAPIXEL_S = 2.0
MEGAPIXEL = 1 << 20
FORWARDS_A_STEP = 2
"""Of a network that is guided: what it is asked beyond them takes its share of a step."""


def expected_s(spec: GenerationSpec) -> float:
    """Seconds, growing with looks of the network, pixels and ControlNets as work does."""
    forward_s = STEP_MEGAPIXEL_S * spec.width * spec.height / MEGAPIXEL
    looks = evaluations(spec.sampler, spec.steps)
    further_s = spec.further_forwards(looks) / FORWARDS_A_STEP * forward_s
    return looks * (STEP_OVERHEAD_S + (1 + spec.control_forwards) * forward_s) + further_s
