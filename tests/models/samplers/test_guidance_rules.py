"""Each rule against its paper's formula and Diffusers' guiders."""

import pytest
import torch
from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer, normalized_guidance
from diffusers.guiders.classifier_free_zero_star_guidance import cfg_zero_star_scale
from torch import Tensor

from models.samplers.guidance import Branch, Guidance, Memory, Seen, constant
from models.samplers.guidance_rules import AdaptiveProjected, ZeroStar
from models.samplers.noise_schedule import NoiseSchedule
from models.samplers.points import Flow, Point
from models.samplers.prediction import Prediction, denoised, weights

SD = NoiseSchedule().at_ratio(2.0)
FLOW = Flow().at_time(0.6)


def drawn(seed: int) -> Tensor:
    return torch.randn(4, 6, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)


def test_cfg_zero_star_equals_diffusers() -> None:
    prompt, negative = drawn(0), drawn(1)
    seen = Seen(drawn(2), FLOW, Prediction.FLOW, 0, 4)
    outputs = {Branch.PROMPT: prompt, Branch.NEGATIVE: negative}
    found = Guidance((ZeroStar(constant(5.0)),)).combined(seen, outputs).output
    fitted = float(cfg_zero_star_scale(prompt.flatten()[None], negative.flatten()[None])) * negative
    torch.testing.assert_close(found, fitted + 5.0 * (prompt - fitted))


def test_cfg_zero_star_of_proportional_outputs_is_the_prompts_own() -> None:
    """If both differ only in length there is nothing to move away from."""
    seen = Seen(drawn(2), FLOW, Prediction.FLOW, 0, 4)
    outputs = {Branch.PROMPT: drawn(0), Branch.NEGATIVE: 3 * drawn(0)}
    found = Guidance((ZeroStar(constant(9.0)),)).combined(seen, outputs).output
    torch.testing.assert_close(found, drawn(0), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("prediction", "at"),
    [(Prediction.EPSILON, SD), (Prediction.V, SD), (Prediction.FLOW, FLOW), (Prediction.SAMPLE, SD)],
)
@pytest.mark.parametrize(
    ("parallel", "most", "momentum"), [(1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.3, 5.0, 0.0), (0.0, 5.0, -0.75)]
)
def test_apg_acts_on_pictures_as_its_paper_has_it(
    prediction: Prediction, at: Point, parallel: float, most: float, momentum: float
) -> None:
    rule = AdaptiveProjected(constant(6.0), parallel, most, momentum)
    buffer, memory = MomentumBuffer(momentum), Memory()
    for step in range(3):
        latents, prompt, negative = drawn(step), drawn(10 + step), drawn(20 + step)
        seen = Seen(latents, at, prediction, step, 3)
        outputs = {Branch.PROMPT: prompt, Branch.NEGATIVE: negative}
        output, memory = Guidance((rule,)).combined(seen, outputs, memory)
        expected = normalized_guidance(
            denoised(prediction, at, latents, prompt)[None],
            denoised(prediction, at, latents, negative)[None],
            guidance_scale=5.0,
            momentum_buffer=buffer if momentum else None,
            eta=parallel,
            norm_threshold=most,
            use_original_formulation=True,
        )[0]
        torch.testing.assert_close(denoised(prediction, at, latents, output), expected, atol=2e-4, rtol=1e-4)


def test_apg_without_projection_is_classifier_free() -> None:
    seen = Seen(drawn(2), SD, Prediction.EPSILON, 0, 4)
    outputs = {Branch.PROMPT: drawn(0), Branch.NEGATIVE: drawn(1)}
    found = Guidance((AdaptiveProjected(constant(4.0), parallel=1.0),)).combined(seen, outputs).output
    torch.testing.assert_close(found, drawn(1) + 4.0 * (drawn(0) - drawn(1)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("prediction", "at"), [(Prediction.EPSILON, SD), (Prediction.V, SD), (Prediction.FLOW, FLOW)])
def test_predictions_of_known_latents_give_back_their_picture(prediction: Prediction, at: Point) -> None:
    picture, noise = drawn(0), drawn(1)
    output = {
        Prediction.EPSILON: noise,
        Prediction.V: at.alpha * noise - at.sigma * picture,
        Prediction.FLOW: noise - picture,
    }[prediction]
    torch.testing.assert_close(
        denoised(prediction, at, at.noised(picture, noise), output), picture, atol=1e-5, rtol=1e-5
    )
    assert weights(Prediction.SAMPLE, at) == (0.0, 1.0)
