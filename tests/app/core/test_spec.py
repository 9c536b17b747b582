"""The contract between gateway and worker survives the way through the database, and refuses what it does not know."""

import json

import pytest
from pydantic import ValidationError

from app.core.spec import MAX_SEED, SPEC_VERSION, CannyThresholds, Control, GenerationSpec, InputImage, Margins, Role
from tests.fixtures.accounts import nano_spec


def test_a_spec_comes_back_as_it_went() -> None:
    spec = nano_spec(MAX_SEED)
    assert GenerationSpec.from_json(spec.to_json()) == spec


def picture(role: Role, width: int = 100, height: int = 50) -> InputImage:
    return InputImage(
        role=role, key=f"inputs/ab/{role}", sha256="ab" * 32, content_type="image/png", width=width, height=height
    )


def test_pictures_and_their_settings_come_back_as_they_went() -> None:
    spec = nano_spec().model_copy(
        update={
            "inputs": (picture("image"), picture("mask"), picture("reference", 10, 20), picture("reference")),
            "strength": 0.5,
            "canny": CannyThresholds(low=50, high=200),
            "margins": Margins(top=1, bottom=2, left=3, right=4),
            "image_prompter": "flux-redux-dev",
            "controls": (Control(network="canny", scale=0.5, start=0.1, end=0.9), Control(network="canny")),
        }
    )
    assert GenerationSpec.from_json(spec.to_json()) == spec
    assert spec.input_pixels == 3 * 100 * 50 + 10 * 20
    assert [image.width for image in spec.images("reference")] == [10, 100]
    assert spec.networks == ("flux-nano", "flux-redux-dev", "canny")


def test_a_spec_of_version_1_is_one_without_pictures() -> None:
    """A row that was queued before the gateway was updated."""
    text = (
        '{"version":1,"model":"flux-nano","network":"flux-nano","prompt":"a","negative_prompt":null,"seed":7,"width":128,'
        '"height":64,"steps":16,"guidance":3.0,"output_format":"png","deterministic":false}'
    )
    spec = GenerationSpec.from_json(text)
    assert (spec.version, spec.seed, spec.inputs, spec.strength, spec.true_cfg_scale) == (1, 7, (), None, 1.0)
    assert spec.networks == ("flux-nano",)
    assert not spec.previews


def test_controlnets_cost_their_part_of_the_steps() -> None:
    controls = (Control(network="a"), Control(network="b", start=0.25, end=0.75), Control(network="c", scale=0.0))
    assert nano_spec().control_forwards == 0
    assert nano_spec().model_copy(update={"controls": controls}).control_forwards == pytest.approx(0.4 * 1.5)


@pytest.mark.parametrize("version", range(1, SPEC_VERSION + 1))
def test_every_older_version_is_read(version: int) -> None:
    text = json.dumps({**json.loads(nano_spec().to_json()), "version": version})
    spec = GenerationSpec.from_json(text)
    assert (spec.version, spec.controls) == (version, ())


@pytest.mark.parametrize(
    "change",
    [{"version": SPEC_VERSION + 1}, {"colour": "blue"}, {"seed": -1}, {"seed": 2**63}, {"steps": 0}, {"strength": 0.0}],
)
def test_what_this_version_does_not_know_is_refused(change: dict[str, object]) -> None:
    text = json.dumps({**json.loads(nano_spec().to_json()), **change})
    with pytest.raises(ValidationError):
        GenerationSpec.from_json(text)
