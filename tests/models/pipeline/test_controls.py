"""ControlNets against Diffusers' ControlNet pipelines on the same random folders: one and two, scale, start and end, all tasks."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel
from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline
from diffusers.pipelines.controlnet.pipeline_controlnet_img2img import StableDiffusionControlNetImg2ImgPipeline
from diffusers.pipelines.controlnet.pipeline_controlnet_inpaint import StableDiffusionControlNetInpaintPipeline
from diffusers.pipelines.controlnet.pipeline_controlnet_inpaint_sd_xl import StableDiffusionXLControlNetInpaintPipeline
from diffusers.pipelines.controlnet.pipeline_controlnet_sd_xl import StableDiffusionXLControlNetPipeline
from diffusers.pipelines.controlnet.pipeline_controlnet_sd_xl_img2img import (
    StableDiffusionXLControlNetImg2ImgPipeline,
)

from models.errors import UnsupportedInput
from models.pipeline.components import Components
from models.pipeline.controls import ControlNetwork
from models.pipeline.loading import load_components, load_control
from models.pipeline.request import Control, PictureInputs
from tests.fixtures.tiny_controls import tiny_control_folder
from tests.fixtures.tiny_models import Oracle
from tests.fixtures.tiny_sd import Variant, tiny_sd_folder
from tests.models.pipeline.parity import PROMPT, SEES, Pixels, generator, largest, loaded, mask, ours, picture, theirs

WIDTH, HEIGHT = 72, 64
EDGES, OTHER_EDGES, SOURCE = picture(80, 80, 1), picture(72, 64, 2), picture(WIDTH, HEIGHT, 3)
PIPELINES: dict[Variant, Any] = {
    "sd15": StableDiffusionControlNetPipeline,
    "sdxl": StableDiffusionXLControlNetPipeline,
}


@dataclass(frozen=True, eq=False)
class Folders:
    """A network's folder, and those of two ControlNets beside it."""

    network: Path
    controls: dict[str, Path]

    @cache  # noqa: B019 (as long as the module's fixtures)
    def oracle(self, pipeline: Any, names: tuple[str, ...]) -> Oracle:
        nets = [ControlNetModel.from_pretrained(self.controls[name] / "controlnet") for name in names]
        control = nets[0] if len(nets) == 1 else MultiControlNetModel(nets)
        return loaded(lambda folder, dtype: pipeline.from_pretrained(folder, controlnet=control), self.network)


@dataclass(frozen=True, eq=False)
class Pair:
    folders: Folders
    ours: Components
    loaded: dict[str, ControlNetwork]

    def theirs(self, pipeline: Any, controls: tuple[Control, ...], **more: Any) -> Pixels:
        def each(field: str) -> Any:
            values = [getattr(control, field) for control in controls]
            return values[0] if len(values) == 1 else values

        oracle = self.folders.oracle(pipeline, tuple(control.network for control in controls))
        return theirs(
            oracle,
            prompt=PROMPT,
            generator=generator(),
            guidance_scale=5.0,
            controlnet_conditioning_scale=each("scale"),
            control_guidance_start=each("start"),
            control_guidance_end=each("end"),
            **{"num_inference_steps": 4, **more},
        )

    def drawn(self, controls: tuple[Control, ...], **more: Any) -> Pixels:
        asked: dict[str, Any] = {"seed": 7, "num_steps": 4, "width": WIDTH, "height": HEIGHT, "guidance": 5.0, **more}
        asked["inputs"] = replace(asked.get("inputs", PictureInputs()), controls=controls)
        return ours(self.ours, PROMPT, beside=self.loaded, **asked)


@pytest.fixture(scope="module")
def pair_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Variant], Pair]:
    root = tmp_path_factory.mktemp("controls")

    @cache
    def pair(which: Variant) -> Pair:
        family = "sdxl" if which == "sdxl" else "sd15"
        seeds = {"canny": 11, "depth": 12}
        controls = {name: tiny_control_folder(root / which / name, family, seed=seed) for name, seed in seeds.items()}
        folders = Folders(tiny_sd_folder(root / which / "network", which), controls)
        beside = {name: load_control(folder) for name, folder in controls.items()}
        return Pair(folders, load_components(folders.network), beside)

    return pair


def one(**changes: Any) -> tuple[Control, ...]:
    return (Control(**{"network": "canny", "image": EDGES} | changes),)


def two(**changes: Any) -> tuple[Control, ...]:
    return (Control("depth", OTHER_EDGES, 0.6, 0.0, 0.8), *one(**changes))


def twice(**changes: Any) -> tuple[Control, ...]:
    """The same network with two pictures."""
    return (Control("canny", OTHER_EDGES, 0.5), *one(**changes))


@dataclass(frozen=True)
class Case:
    """Controls, and a change of the last of them that the oracle must see."""

    make: Callable[..., tuple[Control, ...]]
    changes: dict[str, Any]
    other: dict[str, Any]


CASES = {
    "picture": Case(one, {}, {"image": OTHER_EDGES}),
    "second picture": Case(two, {}, {"image": OTHER_EDGES}),
    "network": Case(one, {}, {"network": "depth"}),
    "scale": Case(one, {"scale": 0.3}, {"scale": 1.5}),
    "window": Case(two, {"start": 0.3, "end": 0.7}, {"start": 0.0, "end": 1.0}),
    "twice": Case(twice, {}, {"image": OTHER_EDGES}),
}
FAST = {("sd15", "window"), ("sdxl", "picture")}


def marked(which: str, case: str) -> Any:
    """The matrix is among the long lists, but for one of each."""
    return pytest.param(which, case, marks=() if (which, case) in FAST else pytest.mark.prove)


@pytest.mark.parametrize(("which", "case"), [marked(which, case) for which in PIPELINES for case in CASES])
def test_pictures_equal_diffusers_wherever_it_sees(
    pair_of: Callable[[Variant], Pair], which: Variant, case: str
) -> None:
    both, asked = pair_of(which), CASES[case]

    def expected(controls: tuple[Control, ...]) -> Pixels:
        pictures = [control.image for control in controls]
        image = pictures if len(pictures) > 1 else pictures[0]
        return both.theirs(PIPELINES[which], controls, image=image, width=WIDTH, height=HEIGHT)

    controls = asked.make(**asked.changes)
    drawn = expected(controls)
    assert largest(drawn, expected(asked.make(**asked.other))) >= SEES
    assert largest(both.drawn(controls), drawn) <= 1


TASKS: dict[tuple[Variant, str], Any] = {
    ("sd15", "image to image"): StableDiffusionControlNetImg2ImgPipeline,
    ("sdxl", "image to image"): StableDiffusionXLControlNetImg2ImgPipeline,
    ("sd15", "inpainting"): StableDiffusionControlNetInpaintPipeline,
    ("inpainting", "inpainting"): StableDiffusionControlNetInpaintPipeline,
    ("sdxl", "inpainting"): StableDiffusionXLControlNetInpaintPipeline,
}


@pytest.mark.prove
@pytest.mark.parametrize(("which", "task"), sorted(TASKS))
def test_pictures_to_change_equal_diffusers(pair_of: Callable[[Variant], Pair], which: Variant, task: str) -> None:
    both, covered = pair_of(which), mask(WIDTH, HEIGHT) if task == "inpainting" else None

    def expected(controls: tuple[Control, ...]) -> Pixels:
        return both.theirs(
            TASKS[which, task],
            controls,
            image=SOURCE,
            control_image=[control.image for control in controls],
            strength=0.75,
            width=WIDTH,
            height=HEIGHT,
            **({} if covered is None else {"mask_image": covered}),
        )

    controls = two(end=0.7)
    drawn = expected(controls)
    assert largest(drawn, expected(two(end=0.7, image=OTHER_EDGES))) >= SEES
    asked = PictureInputs(image=SOURCE, mask=covered)
    assert largest(both.drawn(controls, inputs=asked, strength=0.75), drawn) <= 1


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        (one(network="pose"), "there is no ControlNet 'pose'"),
        (one(scale=2.5), "scale is 2.5; it must be 0 to 2"),
        (one(start=0.5, end=0.5), "start 0.5 and end 0.5 must lie in order"),
        (one() * 5, "5 are given; .* at most 4"),
        (one(network="of sdxl"), "of sdxl does not fit"),
    ],
)
def test_what_cannot_be_followed_is_refused(
    pair_of: Callable[[Variant], Pair], controls: tuple[Control, ...], message: str
) -> None:
    pair = pair_of("sd15")
    beside = pair.loaded | {"of sdxl": pair_of("sdxl").loaded["canny"]}
    with pytest.raises(UnsupportedInput, match=message):
        ours(pair.ours, PROMPT, beside=beside, inputs=PictureInputs(controls=controls))


def test_a_control_of_no_strength_is_none(pair_of: Callable[[Variant], Pair]) -> None:
    both = pair_of("sd15")
    assert largest(both.drawn(one(scale=0.0)), both.drawn(())) == 0
