"""FLUX.2 [dev], with Mistral and an embedded guidance, against Diffusers' Flux2Pipeline on the same random folder."""

from typing import Any

import pytest
from PIL import Image

from models.pipeline.components import Components
from models.pipeline.loading import load_components
from models.pipeline.request import PictureInputs
from tests.fixtures.tiny_models import OUT_LAYERS, Oracle, tiny_flux2_dev_folder, tiny_flux2_dev_pipeline
from tests.models.pipeline.parity import (
    OTHER_PROMPT,
    PROMPT,
    SEES,
    Pixels,
    generator,
    largest,
    ours,
    picture,
    theirs,
)

REFERENCES = (picture(64, 80, 1), picture(129, 70, 2), picture(96, 96, 3))
SIZED: dict[str, Any] = {"width": 80, "height": 48}


@pytest.fixture(scope="module", params=[0, 1])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Oracle, Components]:
    folder = tiny_flux2_dev_folder(tmp_path_factory.mktemp("dev") / "dev", seed=request.param)
    oracle = tiny_flux2_dev_pipeline(request.param)
    oracle.set_progress_bar_config(disable=True)
    return oracle, load_components(folder)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_pictures_equal_diffusers(both: tuple[Oracle, Components], count: int) -> None:
    oracle, components = both
    images = REFERENCES[:count]

    def expected(prompt: str = PROMPT, guidance: float = 4.0, images: tuple[Image.Image, ...] = images) -> Pixels:
        length = {"max_sequence_length": 64, "text_encoder_out_layers": OUT_LAYERS}
        asked = {"prompt": prompt, "image": list(images) or None, "guidance_scale": guidance, "num_inference_steps": 4}
        return theirs(oracle, generator=generator(), **asked, **length, **SIZED)

    plain = expected()
    assert largest(plain, expected(prompt=OTHER_PROMPT)) >= SEES
    assert largest(plain, expected(guidance=12.0)) >= SEES
    assert not images or largest(plain, expected(images=(picture(64, 80, 9), *images[1:]))) >= SEES
    inputs = PictureInputs(references=images)
    drawn = ours(components, PROMPT, seed=7, num_steps=4, guidance=4.0, max_sequence_length=64, inputs=inputs, **SIZED)
    assert largest(drawn, plain) <= 1
