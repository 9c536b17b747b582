"""Stable Diffusion 1.5 and SDXL against Diffusers' StableDiffusionPipeline and StableDiffusionXLPipeline on the same random folder."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline

from models.pipeline.components import Components
from models.pipeline.loading import load_components
from models.pipeline.request import SizeConditioning
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
    ours,
    theirs,
)

PIPELINES: dict[Variant, Any] = {"sd15": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}


@dataclass(frozen=True)
class Case:
    """What is asked of both."""

    prompt: str = PROMPT
    negative_prompt: str | None = None
    seed: int = 7
    num_steps: int = 4
    width: int = 64
    height: int = 64
    guidance: float = 5.0


@dataclass(frozen=True, eq=False)
class Pair:
    oracle: Oracle
    ours: Components

    def theirs(self, case: Case, **more: Any) -> Pixels:
        return theirs(
            self.oracle,
            prompt=case.prompt,
            negative_prompt=case.negative_prompt,
            generator=generator(case.seed),
            num_inference_steps=case.num_steps,
            width=case.width,
            height=case.height,
            guidance_scale=case.guidance,
            **more,
        )

    def drawn(self, case: Case, **more: Any) -> Pixels:
        return ours(
            self.ours,
            case.prompt,
            negative_prompt=case.negative_prompt,
            seed=case.seed,
            num_steps=case.num_steps,
            width=case.width,
            height=case.height,
            guidance=case.guidance,
            **more,
        )


def pair(folder: Path, which: Variant) -> Pair:
    return Pair(loaded(PIPELINES[which].from_pretrained, folder), load_components(folder))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[Variant, Pair]:
    root = tmp_path_factory.mktemp("sd")
    return {which: pair(tiny_sd_folder(root / which, which), which) for which in PIPELINES}


CHANGES = {
    "prompt": Case(prompt=OTHER_PROMPT),
    "seed": Case(seed=8),
    "guidance": Case(guidance=9.0),
    "no guidance": Case(guidance=1.0),
    "negative prompt": Case(negative_prompt=OTHER_PROMPT),
    "steps": Case(num_steps=7),
}


@pytest.mark.parametrize("change", sorted(CHANGES))
@pytest.mark.parametrize("which", sorted(PIPELINES))
def test_pictures_equal_diffusers_wherever_it_sees(pairs: dict[Variant, Pair], which: Variant, change: str) -> None:
    both = pairs[which]
    expected = both.theirs(CHANGES[change])
    assert largest(expected, both.theirs(Case())) >= SEES
    assert largest(both.drawn(CHANGES[change]), expected) <= 1


@pytest.mark.parametrize("case", [Case(width=96, height=48), Case(width=72, height=104, num_steps=2)])
@pytest.mark.parametrize("which", sorted(PIPELINES))
def test_pictures_equal_diffusers_at_other_sizes(pairs: dict[Variant, Pair], which: Variant, case: Case) -> None:
    both = pairs[which]
    expected = both.theirs(case)
    assert largest(expected, both.theirs(replace(case, prompt=OTHER_PROMPT))) >= SEES
    assert largest(both.drawn(case), expected) <= 1


def test_sdxl_tells_a_missing_negative_prompt_from_an_empty_one(pairs: dict[Variant, Pair]) -> None:
    both, empty = pairs["sdxl"], Case(negative_prompt="")
    expected = both.theirs(empty)
    assert largest(expected, both.theirs(Case())) >= SEES
    assert largest(both.drawn(empty), expected) <= 1


def test_sdxl_is_told_the_size_that_was_asked_for(pairs: dict[Variant, Pair]) -> None:
    both = pairs["sdxl"]
    size = {"original_size": (300, 200), "crops_coords_top_left": (24, 8), "target_size": (640, 512)}
    expected = both.theirs(Case(), **size)
    assert largest(expected, both.theirs(Case())) >= SEES
    told = SizeConditioning(original_size=(200, 300), crop=(24, 8), target_size=(512, 640))
    assert largest(both.drawn(Case(), size=told), expected) <= 1
