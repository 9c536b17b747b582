"""IP-Adapters against Diffusers' load_ip_adapter on the same random folders: one picture and several, strength, guidance, tasks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import StableDiffusionImg2ImgPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import StableDiffusionInpaintPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_img2img import (
    StableDiffusionXLImg2ImgPipeline,
)
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_inpaint import (
    StableDiffusionXLInpaintPipeline,
)
from PIL import Image

from models.errors import UnsupportedInput
from models.pipeline.components import Components
from models.pipeline.image_adapters import AdapterPrompter
from models.pipeline.loading import load_adapter_prompter, load_components
from models.pipeline.request import PictureInputs
from models.pipeline.sd import SdComponents
from tests.fixtures.tiny_image_adapters import Projection, tiny_adapter_folder
from tests.fixtures.tiny_models import Oracle
from tests.fixtures.tiny_sd import Variant, tiny_sd_folder
from tests.models.pipeline.parity import (
    OTHER_PROMPT,
    PROMPT,
    SEES,
    Pixels,
    generator,
    largest,
    loaded,
    mask,
    ours,
    picture,
    theirs,
)

WIDTH, HEIGHT = 72, 64
SEEN, OTHER, SOURCE = picture(48, 40, 1), picture(64, 64, 2), picture(WIDTH, HEIGHT, 3)
PIPELINES: dict[Variant, Any] = {"sd15": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}


@dataclass(frozen=True, eq=False)
class Both:
    """A network with an adapter beside it, there and here."""

    network: Path
    adapter: Path
    components: Components
    prompter: AdapterPrompter

    @cache  # noqa: B019 (as long as the module's fixtures)
    def oracle(self, pipeline: Any) -> Oracle:
        oracle = loaded(pipeline.from_pretrained, self.network)
        where = {"subfolder": "image_adapter", "image_encoder_folder": "image_encoder/."}
        oracle.load_ip_adapter(str(self.adapter), weight_name="ip_adapter.safetensors", **where)
        return oracle

    def theirs(self, pipeline: Any, images: list[Image.Image], weight: float = 1.0, **more: Any) -> Pixels:
        oracle = self.oracle(pipeline)
        oracle.set_ip_adapter_scale(weight)
        sides = more.pop("sides", {"width": WIDTH, "height": HEIGHT})
        asked = {"prompt": PROMPT, "guidance_scale": 5.0, "num_inference_steps": 4, **sides}
        return theirs(oracle, generator=generator(), ip_adapter_image=[images], **asked | more)

    def drawn(self, images: list[Image.Image], weight: float = 1.0, **more: Any) -> Pixels:
        asked: dict[str, Any] = {"seed": 7, "num_steps": 4, "width": WIDTH, "height": HEIGHT, "guidance": 5.0, **more}
        asked["inputs"] = PictureInputs(image_prompts=tuple(images), **asked.pop("changed", {}))
        beside = {"adapter": self.prompter}
        return ours(self.components, PROMPT, beside, image_prompter="adapter", image_prompt_strength=weight, **asked)


BothOf = Callable[[Variant, Projection], Both]


@pytest.fixture(scope="module")
def both_of(tmp_path_factory: pytest.TempPathFactory) -> BothOf:
    root = tmp_path_factory.mktemp("adapters")

    @cache
    def network(which: Variant) -> tuple[Path, SdComponents]:
        folder = tiny_sd_folder(root / which, which)
        components = load_components(folder)
        assert isinstance(components, SdComponents)
        return folder, components

    @cache
    def both(which: Variant, projection: Projection) -> Both:
        folder, components = network(which)
        adapter = tiny_adapter_folder(root / f"{which}-{projection}", projection, components.unet.params, seed=1)
        return Both(folder, adapter, components, load_adapter_prompter(adapter))

    return both


@dataclass(frozen=True)
class Case:
    """A request as Diffusers and we are asked, and pictures that the oracle must tell from the first."""

    images: list[Image.Image]
    other: list[Image.Image]
    weight: float = 1.0
    theirs: dict[str, Any] | None = None
    ours: dict[str, Any] | None = None


CASES = {
    "picture": Case([SEEN], [OTHER]),
    "two pictures": Case([SEEN, OTHER], [SEEN, SOURCE], 0.8),
    "weight": Case([SEEN], [OTHER], 0.4),
    "unguided": Case([SEEN], [OTHER], 0.7, {"guidance_scale": 1.0}, {"guidance": 1.0}),
    "negative prompt": Case([SEEN], [OTHER], 0.7, {"negative_prompt": OTHER_PROMPT}, {"negative_prompt": OTHER_PROMPT}),
}
PROJECTIONS: tuple[Projection, ...] = ("base", "plus", "full")
FAST = {("sd15", "plus", "two pictures"), ("sdxl", "base", "weight")}


def marked(which: Variant, projection: Projection, case: str) -> Any:
    """The matrix is among the long lists, but for one of each family."""
    is_fast = (which, projection, case) in FAST
    return pytest.param(which, projection, case, marks=() if is_fast else pytest.mark.prove)


@pytest.mark.parametrize(
    ("which", "projection", "case"),
    [marked(which, projection, case) for which in PIPELINES for projection in PROJECTIONS for case in CASES],
)
def test_pictures_equal_diffusers_wherever_it_sees(
    both_of: BothOf, which: Variant, projection: Projection, case: str
) -> None:
    both, asked = both_of(which, projection), CASES[case]
    more = asked.theirs or {}
    drawn = both.theirs(PIPELINES[which], asked.images, asked.weight, **more)
    assert largest(drawn, both.theirs(PIPELINES[which], asked.other, asked.weight, **more)) >= SEES
    assert largest(both.drawn(asked.images, asked.weight, **asked.ours or {}), drawn) <= 1


TASKS: dict[tuple[Variant, str], Any] = {
    ("sd15", "image to image"): StableDiffusionImg2ImgPipeline,
    ("sdxl", "image to image"): StableDiffusionXLImg2ImgPipeline,
    ("sd15", "inpainting"): StableDiffusionInpaintPipeline,
    ("inpainting", "inpainting"): StableDiffusionInpaintPipeline,
    ("sdxl", "inpainting"): StableDiffusionXLInpaintPipeline,
}


@pytest.mark.prove
@pytest.mark.parametrize(("which", "task"), sorted(TASKS))
def test_pictures_to_change_equal_diffusers(both_of: BothOf, which: Variant, task: str) -> None:
    both, covered = both_of(which, "plus"), mask(WIDTH, HEIGHT) if task == "inpainting" else None
    asked: dict[str, Any] = {"image": SOURCE, "strength": 0.75}
    # Image to image has the size of its picture there.
    asked |= {"sides": {}} if covered is None else {"mask_image": covered}

    def expected(images: list[Image.Image]) -> Pixels:
        return both.theirs(TASKS[which, task], images, 0.8, **asked)

    drawn = expected([SEEN])
    assert largest(drawn, expected([OTHER])) >= SEES
    changed = {"image": SOURCE, "mask": covered}
    assert largest(both.drawn([SEEN], 0.8, changed=changed, strength=0.75), drawn) <= 1


def test_no_strength_is_no_picture(both_of: BothOf) -> None:
    both = both_of("sd15", "plus")
    assert largest(both.drawn([SEEN], 0.0), both.drawn([])) == 0


def test_what_cannot_be_looked_at_is_refused(both_of: BothOf) -> None:
    both, other = both_of("sd15", "plus"), both_of("sdxl", "base").prompter
    asked: dict[str, Any] = {"inputs": PictureInputs(image_prompts=(SEEN,))}
    with pytest.raises(UnsupportedInput, match="there is no 'missing' beside"):
        ours(both.components, PROMPT, {"adapter": other}, image_prompter="missing", **asked)
    with pytest.raises(UnsupportedInput, match="adapter does not fit"):
        ours(both.components, PROMPT, {"adapter": other}, image_prompter="adapter", **asked)
    with pytest.raises(UnsupportedInput, match="image_prompter: say which adapter reads"):
        ours(both.components, PROMPT, {"adapter": both.prompter}, **asked)
    with pytest.raises(UnsupportedInput, match=r"image_prompt_strength is 1\.5; it must be 0 to 1"):
        both.drawn([SEEN], 1.5)
