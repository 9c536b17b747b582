"""Whatever is asked for: a finite result or a clear refusal, never NaN, never another error."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import SamplingError, UnsupportedSampler
from models.samplers.guidance import Branch, Guidance, Memory, Moment, Rule, Seen, Strength
from models.samplers.guidance_rules import AdaptiveProjected, ClassifierFree, PerturbedAttention, ZeroStar
from models.samplers.methods import FLOW_METHODS, SD_METHODS, SDXL_METHODS
from models.samplers.names import SAMPLER_NAMES, SCHEDULE_NAMES, choose
from models.samplers.noise_schedule import NoiseSchedule
from models.samplers.plan import Plan, advance, begin
from models.samplers.prediction import Prediction, check_prediction, denoised
from models.samplers.schedule import Schedule
from models.samplers.schedules import FlowSchedule, flow_times

DTYPES = st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64])
SAMPLERS = st.sampled_from([name for names in SAMPLER_NAMES.items() for name in (names[0], *names[1])] + ["", "warp"])
SCHEDULES = st.sampled_from([None, "Automatic", *SCHEDULE_NAMES, "warp"])
STEPS = st.integers(0, 60)
ETAS = st.one_of(st.none(), st.floats(-0.5, 1.5))


@st.composite
def guidances(draw: st.DrawFn) -> Guidance:
    scale, stop = draw(st.floats(-5, 30)), draw(st.floats(0, 1.2))
    strength = Strength((scale,), start=draw(st.floats(0, 1)), stop=stop)
    negative = [ClassifierFree(strength), ZeroStar(strength), AdaptiveProjected(strength, 0.2, 4.0, -0.5)]
    rules: list[Rule] = [draw(st.sampled_from(negative))] if draw(st.booleans()) else []
    rules += [PerturbedAttention(strength)] if draw(st.booleans()) else []
    return Guidance(tuple(rules), rescale=draw(st.floats(0, 1)), zero_steps=draw(st.integers(0, 2)))


def run(schedule: Schedule, plan: Plan, prediction: Prediction, guidance: Guidance, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 4, 3, 3, generator=generator).to(dtype)
    state, memory = begin(schedule.initial(noise), generator, dtype), Memory()
    for evaluation in plan:
        latents, place = state.latents, (evaluation.step, schedule.num_steps)
        outputs = {branch: torch.sin(latents + index) for index, branch in enumerate(Branch)}
        asked = {branch: outputs[branch] for branch in guidance.branches(Moment(*place))}
        output, memory = guidance.combined(Seen(latents, evaluation.at, prediction, *place), asked, memory)
        state = advance(evaluation, state, denoised(prediction, evaluation.at, latents, output))
    return state.latents


@dataclass(frozen=True)
class Asked:
    """A request. `flow_shift` stands for a flow-matching network, whose prediction is its own."""

    sampler: str
    schedule: str | None
    steps: int
    prediction: Prediction
    zero_snr: bool
    flow_shift: float | None
    guidance: Guidance
    dtype: torch.dtype
    eta: float | None


ASKED = st.builds(
    Asked,
    sampler=SAMPLERS,
    schedule=SCHEDULES,
    steps=STEPS,
    prediction=st.sampled_from([Prediction.EPSILON, Prediction.V, Prediction.SAMPLE]),
    zero_snr=st.booleans(),
    flow_shift=st.one_of(st.none(), st.floats(0.5, 10)),
    guidance=guidances(),
    dtype=DTYPES,
    eta=ETAS,
)


def drawn(asked: Asked) -> torch.Tensor:
    if asked.flow_shift is not None:
        choice = choose(FLOW_METHODS, asked.sampler, asked.schedule)
        schedule = choice.grid(flow_times(FlowSchedule(shift=asked.flow_shift), 64, max(asked.steps, 1)))
        plan = choice.sampler.plan(schedule, asked.eta)
        return run(schedule, plan, Prediction.FLOW, asked.guidance, asked.dtype)
    training = NoiseSchedule(zero_terminal_snr=asked.zero_snr)
    check_prediction(asked.prediction, training)
    chosen = choose(SDXL_METHODS if asked.zero_snr else SD_METHODS, asked.sampler, asked.schedule)
    schedule = chosen.grid(training, asked.steps)
    return run(schedule, chosen.sampler.plan(schedule, asked.eta), asked.prediction, asked.guidance, asked.dtype)


def check(asked: Asked) -> None:
    try:
        found = drawn(asked)
    except SamplingError:
        return
    assert found.isfinite().all()
    assert found.dtype is asked.dtype


@settings(max_examples=80, deadline=None)
@given(ASKED)
def test_whatever_is_asked_is_finite_or_refused(asked: Asked) -> None:
    check(asked)


@pytest.mark.prove
@settings(max_examples=1500, deadline=None, derandomize=False, print_blob=True)
@given(ASKED)
def test_thousands_of_requests_are_finite_or_refused(asked: Asked) -> None:
    check(asked)


def test_a_shift_that_rounds_above_one_begins_with_pure_noise() -> None:
    times = flow_times(FlowSchedule(shift=1.886), 64, 2)
    assert choose(FLOW_METHODS, "DPM++ 2S a").grid(times).points[0].sigma == 1.0


def test_plms_is_refused_where_predicted_noise_says_nothing() -> None:
    choice = choose(SD_METHODS, "PLMS", "trailing")
    with pytest.raises(UnsupportedSampler, match="zero terminal SNR"):
        choice.sampler.plan(choice.grid(NoiseSchedule(zero_terminal_snr=True), 4))
