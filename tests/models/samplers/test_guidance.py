"""Guidance: what is asked of the network, when, and how answers add up."""

import pytest
import torch
from diffusers.guiders.guider_utils import rescale_noise_cfg
from torch import Tensor

from models.errors import UnsupportedInput
from models.samplers.grids import Ratios
from models.samplers.guidance import Branch, Guidance, Moment, Seen, Strength, classifier_free, constant
from models.samplers.guidance_rules import ClassifierFree, PerturbedAttention, ZeroStar
from models.samplers.noise_schedule import NoiseSchedule
from models.samplers.prediction import Prediction
from models.samplers.registry import HEUN
from models.samplers.spacing import linspace

SCHEDULE = Ratios(linspace)(NoiseSchedule(), 10)
PROMPT, NEGATIVE, PERTURBED = (torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(i)) for i in range(3))
OUTPUTS = {Branch.PROMPT: PROMPT, Branch.NEGATIVE: NEGATIVE, Branch.PERTURBED: PERTURBED}
CFG, PAG = ClassifierFree(constant(7.0)), PerturbedAttention(constant(3.0))


def seen(step: int = 0) -> Seen:
    latents = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(9))
    return Seen(latents, SCHEDULE.points[step], Prediction.EPSILON, step, 10)


def output(guidance: Guidance, step: int = 0) -> Tensor:
    asked = guidance.branches(Moment(step, 10))
    return guidance.combined(seen(step), {branch: OUTPUTS[branch] for branch in asked}).output


def test_strength_zero_one_and_two() -> None:
    positive, negative = torch.tensor([3.0, -1.0]), torch.tensor([1.0, 1.0])
    assert torch.equal(classifier_free(positive, negative, 0.0), negative)
    assert torch.equal(classifier_free(positive, negative, 1.0), positive)
    assert torch.equal(classifier_free(positive, negative, 2.0), 2 * positive - negative)


def test_without_rules_the_prompts_output_is_untouched() -> None:
    assert output(Guidance(rescale=0.7)) is PROMPT


def test_the_rule_is_the_formula() -> None:
    torch.testing.assert_close(output(Guidance((CFG,))), classifier_free(PROMPT, NEGATIVE, 7.0))


def test_rules_add_up_as_in_diffusers_pipelines() -> None:
    expected = NEGATIVE + 7.0 * (PROMPT - NEGATIVE) + 3.0 * (PROMPT - PERTURBED)
    torch.testing.assert_close(output(Guidance((CFG, PAG))), expected)
    torch.testing.assert_close(output(Guidance((PAG,))), PROMPT + 3.0 * (PROMPT - PERTURBED))


def test_rescaling_equals_diffusers() -> None:
    expected = rescale_noise_cfg(classifier_free(PROMPT, NEGATIVE, 7.0)[None], PROMPT[None], 0.7)[0]
    torch.testing.assert_close(output(Guidance((CFG,), rescale=0.7)), expected)


def test_rescaling_leaves_a_constant_output_alone() -> None:
    flat = {Branch.PROMPT: torch.ones(4, 8, 8).half(), Branch.NEGATIVE: torch.zeros(4, 8, 8).half()}
    found = Guidance((CFG,), rescale=0.5).combined(seen(), flat).output
    assert torch.equal(found, torch.full((4, 8, 8), 7.0).half())


def test_a_scale_of_one_asks_for_no_negative_prompt() -> None:
    assert Guidance((ClassifierFree(constant(1.0)),)).branches(Moment(0, 10)) == (Branch.PROMPT,)
    assert Guidance((PerturbedAttention(constant(0.0)),)).branches(Moment(0, 10)) == (Branch.PROMPT,)


def test_a_rule_acts_between_start_and_stop() -> None:
    guidance = Guidance((ClassifierFree(Strength((7.0,), start=0.2, stop=0.8)),))
    asked = [len(guidance.branches(Moment(step, 10))) for step in range(10)]
    assert asked == [1, 1, 2, 2, 2, 2, 2, 2, 1, 1]
    assert torch.equal(output(guidance, 9), PROMPT)


def test_each_step_may_have_a_scale() -> None:
    guidance = Guidance((ClassifierFree(Strength(tuple(float(scale) for scale in range(10)))),))
    assert guidance.branches(Moment(1, 10)) == (Branch.PROMPT,)
    torch.testing.assert_close(output(guidance, 5), classifier_free(PROMPT, NEGATIVE, 5.0))


def test_forwards_are_counted_by_evaluation() -> None:
    plan = HEUN.plan(SCHEDULE)
    assert len(plan) == 19
    assert Guidance().forwards(plan, 10) == 19
    assert Guidance((CFG, PAG)).forwards(plan, 10) == 57
    assert Guidance((ClassifierFree(Strength((7.0,), stop=0.5)),)).forwards(plan, 10) == 19 + 10
    assert Guidance((ZeroStar(constant(4.0)),), zero_steps=1).forwards(plan, 10) == 2 * 17


def test_zeroed_steps_ask_for_nothing() -> None:
    guidance = Guidance((ZeroStar(constant(4.0)),), zero_steps=2)
    assert guidance.branches(Moment(1, 10)) == ()
    assert not output(guidance, 1).any()
    assert output(guidance, 2).any()


@pytest.mark.parametrize(
    "strength", [Strength((1.0, 2.0)), Strength((2.0,), start=0.5, stop=0.2), Strength((2.0,), stop=1.5)]
)
def test_a_strength_that_cannot_be_is_refused(strength: Strength) -> None:
    with pytest.raises(UnsupportedInput, match="guidance"):
        Guidance((ClassifierFree(strength),)).branches(Moment(0, 10))


def test_guidance_that_cannot_be_is_refused() -> None:
    with pytest.raises(UnsupportedInput, match="two rules compare with the same branch"):
        Guidance((CFG, ZeroStar(constant(2.0))))
    with pytest.raises(UnsupportedInput, match="rescale"):
        Guidance((CFG,), rescale=1.5)
