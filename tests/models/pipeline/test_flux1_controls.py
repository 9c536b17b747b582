"""FLUX.1's ControlNets against Diffusers' FluxControlNetPipeline on the same random folders: one, two, union modes, a negative prompt."""

from pathlib import Path
from typing import Any

import pytest
from diffusers.models.controlnets.controlnet_flux import FluxControlNetModel, FluxMultiControlNetModel
from diffusers.pipelines.flux.pipeline_flux_controlnet import FluxControlNetPipeline

from models.pipeline.loading import load_components, load_control
from models.pipeline.request import Control, PictureInputs
from tests.fixtures.tiny_controls import tiny_control_folder
from tests.fixtures.tiny_models import Oracle, tiny_flux1_folder
from tests.models.pipeline.parity import (
    OTHER_PROMPT,
    PROMPT,
    SEES,
    Pixels,
    generator,
    largest,
    loaded,
    ours,
    picture,
    theirs,
)

EDGES, OTHER = picture(80, 64, 1), picture(64, 64, 2)
CANNY, DEPTH = Control("canny", EDGES), Control("depth", EDGES, 0.6, 0.0, 0.7)
SLOW = pytest.mark.prove


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("flux1")
    return {
        "dev": tiny_flux1_folder(root / "dev"),
        "canny": tiny_control_folder(root / "canny", "flux1", seed=5),
        "depth": tiny_control_folder(root / "depth", "flux1", seed=6),
        "union": tiny_control_folder(root / "union", "flux1", seed=7, num_mode=3, num_layers=2),
    }


def oracle_of(folders: dict[str, Path], names: tuple[str, ...]) -> Oracle:
    nets = [FluxControlNetModel.from_pretrained(folders[name] / "controlnet") for name in names]
    control = nets[0] if len(nets) == 1 else FluxMultiControlNetModel(nets)
    return loaded(
        lambda folder, dtype: FluxControlNetPipeline.from_pretrained(folder, controlnet=control), folders["dev"]
    )


CASES: dict[str, tuple[tuple[Control, ...], tuple[Control, ...], dict[str, Any]]] = {
    "picture": ((CANNY,), (Control("canny", OTHER),), {}),
    "two": ((DEPTH, CANNY), (DEPTH, Control("canny", OTHER)), {}),
    "mode": (
        (Control("union", EDGES, 2.0, mode=1),),
        (Control("union", EDGES, 2.0, mode=2),),
        {"max_sequence_length": 4},
    ),
    "negative": ((CANNY,), (Control("canny", OTHER),), {"negative_prompt": OTHER_PROMPT, "true_cfg_scale": 3.0}),
}


@pytest.mark.parametrize("case", [pytest.param(case, marks=() if case == "two" else SLOW) for case in CASES])
def test_pictures_equal_diffusers_wherever_it_sees(folders: dict[str, Path], case: str) -> None:
    controls, changed, more = CASES[case]
    oracle = oracle_of(folders, tuple(control.network for control in controls))

    def expected(asked: tuple[Control, ...]) -> Pixels:
        def each(field: str) -> Any:
            values = [getattr(control, field) for control in asked]
            return values[0] if len(values) == 1 else values

        told = {} if asked[0].mode is None else {"control_mode": each("mode")}
        return theirs(
            oracle,
            prompt=PROMPT,
            control_image=each("image"),
            controlnet_conditioning_scale=each("scale"),
            control_guidance_start=each("start"),
            control_guidance_end=each("end"),
            width=64,
            height=64,
            num_inference_steps=4,
            guidance_scale=3.0,
            generator=generator(),
            **told,
            **{"max_sequence_length": 24, **more},
        )

    drawn = expected(controls)
    assert largest(drawn, expected(changed)) >= SEES
    components = load_components(folders["dev"])
    beside = {name: load_control(folders[name]) for name in ("canny", "depth", "union")}
    asked = PictureInputs(controls=controls)
    found = ours(components, PROMPT, beside=beside, inputs=asked, seed=7, num_steps=4, width=64, height=64, **more)
    assert largest(found, drawn) <= 1
