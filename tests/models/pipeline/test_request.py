"""What guides a request, and what a network refuses before anything is computed."""

import pytest
from PIL import Image

from models.errors import UnsupportedInput
from models.pipeline.request import DrawRequest, GuidancePlan, PictureInputs, check_request, guidance_plan
from models.samplers.guidance import Guidance as Rules
from models.samplers.guidance import constant
from models.samplers.guidance_rules import ClassifierFree
from models.specs import MODEL_SPECS, Channels, Guidance, ModelSpec, spec_named

PICTURE = Image.new("RGB", (64, 64))
CFG_3, CFG_4 = (Rules((ClassifierFree(constant(scale)),)) for scale in (3.0, 4.0))


def request(**changes: object) -> DrawRequest:
    asked: dict[str, object] = {"prompt": "p", "seed": 0, "width": 64, "height": 64, "num_steps": 4, "guidance": 3.0}
    return DrawRequest(**{**asked, **changes})  # pyright: ignore[reportArgumentType] - the dataclass names its own fields


def named(name: str) -> ModelSpec:
    spec = spec_named(name)
    assert spec is not None
    return spec


@pytest.mark.parametrize(
    ("name", "changes", "plan"),
    [
        ("flux-2-klein-4b-base", {}, GuidancePlan(3.0, CFG_3, "")),
        ("flux-2-klein-4b-base", {"negative_prompt": "dull"}, GuidancePlan(3.0, CFG_3, "dull")),
        ("flux-2-klein-4b-base", {"guidance": 1.0, "negative_prompt": "dull"}, GuidancePlan(1.0)),
        ("flux-2-klein-4b", {"negative_prompt": "dull", "true_cfg_scale": 4.0}, GuidancePlan(3.0)),
        ("flux-dev", {}, GuidancePlan(3.0)),
        ("flux-dev", {"true_cfg_scale": 4.0}, GuidancePlan(3.0)),
        ("flux-dev", {"negative_prompt": "dull"}, GuidancePlan(3.0)),
        ("flux-dev", {"negative_prompt": "", "true_cfg_scale": 4.0}, GuidancePlan(3.0, CFG_4, "")),
        ("flux-2-dev", {"negative_prompt": "dull", "true_cfg_scale": 4.0}, GuidancePlan(3.0)),
    ],
)
def test_each_network_is_guided_its_own_way(name: str, changes: dict[str, object], plan: GuidancePlan) -> None:
    assert guidance_plan(named(name), request(**changes)) == plan


def test_a_second_forward_is_run_exactly_for_a_negative_prompt() -> None:
    for spec in MODEL_SPECS:
        plan = guidance_plan(spec, request(negative_prompt="dull", true_cfg_scale=2.0))
        takes_two = spec.guidance is Guidance.CLASSIFIER_FREE or spec.takes_true_cfg
        assert len(plan.guidance.every_branch) == (2 if takes_two else 1)


def test_text_to_image_is_what_a_network_without_channels_takes() -> None:
    for spec in MODEL_SPECS:
        if spec.channels is Channels.LATENTS:
            check_request(spec, request())
        else:
            with pytest.raises(UnsupportedInput, match=spec.name):
                check_request(spec, request())


def test_a_strength_without_a_picture_is_refused() -> None:
    with pytest.raises(UnsupportedInput, match="strength: there is no image to start from"):
        check_request(named("flux-dev"), request(strength=0.5))


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("flux-2-klein-4b", PictureInputs(references=(PICTURE,) * 9), "9 are given; flux-2-klein-4b takes at most 8"),
        ("flux-kontext-dev", PictureInputs(references=(PICTURE,) * 2), "flux-kontext-dev takes at most 1"),
        ("flux-schnell", PictureInputs(references=(PICTURE,)), "flux-schnell takes none"),
        ("flux-depth-dev", PictureInputs(), "flux-depth-dev needs edges or depth to follow"),
        ("flux-dev", PictureInputs(control_source=PICTURE), "flux-dev follows no edges or depth"),
        ("flux-2-dev", PictureInputs(image_prompts=(PICTURE,)), "flux-2-dev takes no pictures as prompts"),
    ],
)
def test_what_a_network_does_not_take_is_refused_by_name(name: str, inputs: PictureInputs, message: str) -> None:
    with pytest.raises(UnsupportedInput, match=message):
        check_request(named(name), request(inputs=inputs))
