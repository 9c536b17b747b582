"""Guidance of rows: rescale and perturbed attention against Diffusers' pipelines, and rules that share the engine's forwards."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.pag.pipeline_pag_sd import StableDiffusionPAGPipeline
from diffusers.pipelines.pag.pipeline_pag_sd_xl import StableDiffusionXLPAGPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline

from models.errors import UnsupportedInput
from models.pipeline.components import Components
from models.pipeline.conditions import run_passes, start
from models.pipeline.denoising import StepInput, advance
from models.pipeline.drawing import decode, encode_request
from models.pipeline.guiding import Guiding
from models.pipeline.loading import load_components
from models.pipeline.request import DrawRequest, request_for
from tests.fixtures.tiny_sd import Variant, tiny_sd_folder
from tests.models.pipeline.parity import PROMPT, SEES, Pixels, generator, largest, loaded, ours, theirs

PIPELINES: dict[Variant, tuple[Any, Any]] = {
    "sd15": (StableDiffusionPipeline, StableDiffusionPAGPipeline),
    "sdxl": (StableDiffusionXLPipeline, StableDiffusionXLPAGPipeline),
}
ASKED: dict[str, Any] = {"seed": 7, "num_steps": 3, "width": 64, "height": 64}
BLOCKS: dict[Variant, tuple[str, ...]] = {
    "sd15": ("up_blocks.1",),
    "sdxl": ("down_blocks.1.attentions.1", "up_blocks.0"),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Variant, Path]:
    root = tmp_path_factory.mktemp("guidance")
    return {which: tiny_sd_folder(root / which, which) for which in PIPELINES}


@pytest.fixture(scope="module")
def networks(folders: dict[Variant, Path]) -> dict[Variant, Components]:
    return {which: load_components(folder) for which, folder in folders.items()}


def drawn(components: Components, scale: float, guiding: Guiding, **asked: Any) -> Pixels:
    return ours(components, PROMPT, guidance=scale, guiding=guiding, **ASKED | asked)


def expected(oracle: Any, scale: float, **more: Any) -> Pixels:
    asked = {"num_inference_steps": 3, "width": 64, "height": 64, "guidance_scale": scale}
    return theirs(oracle, prompt=PROMPT, generator=generator(7), **asked | more)


@pytest.mark.parametrize("which", sorted(PIPELINES))
def test_rescaled_guidance_equals_diffusers(
    folders: dict[Variant, Path], networks: dict[Variant, Components], which: Variant
) -> None:
    oracle = loaded(PIPELINES[which][0].from_pretrained, folders[which])
    rescaled = expected(oracle, 9.0, guidance_rescale=0.7)
    assert largest(rescaled, expected(oracle, 9.0)) >= SEES
    assert largest(drawn(networks[which], 9.0, Guiding(rescale=0.7)), rescaled) <= 1


@pytest.mark.parametrize(
    ("which", "blocks", "scale", "adaptive"),
    [
        ("sd15", ("mid",), 5.0, 0.0),
        ("sdxl", BLOCKS["sdxl"], 1.0, 0.0),
        pytest.param("sd15", ("mid",), 1.0, 0.0, marks=pytest.mark.prove),
        pytest.param("sd15", BLOCKS["sd15"], 5.0, 0.002, marks=pytest.mark.prove),
        pytest.param("sd15", BLOCKS["sd15"], 1.0, 0.0, marks=pytest.mark.prove),
        pytest.param("sdxl", ("mid",), 5.0, 0.002, marks=pytest.mark.prove),
        pytest.param("sdxl", ("mid",), 1.0, 0.0, marks=pytest.mark.prove),
        pytest.param("sdxl", BLOCKS["sdxl"], 5.0, 0.0, marks=pytest.mark.prove),
    ],
)
def test_perturbed_attention_equals_diffusers(
    folders: dict[Variant, Path],
    networks: dict[Variant, Components],
    which: Variant,
    blocks: tuple[str, ...],
    scale: float,
    adaptive: float,
) -> None:
    oracle = loaded(PIPELINES[which][1].from_pretrained, folders[which])
    oracle.set_pag_applied_layers(list(blocks))
    strength: dict[str, Any] = {"pag_scale": 8.0, "pag_adaptive_scale": adaptive}
    perturbed = expected(oracle, scale, **strength)
    plain = loaded(PIPELINES[which][0].from_pretrained, folders[which])
    assert largest(perturbed, expected(plain, scale)) >= SEES
    assert largest(drawn(networks[which], scale, Guiding(pag_layers=blocks, **strength)), perturbed) <= 1


RULES: list[tuple[float, Guiding]] = [
    (1.0, Guiding()),
    (5.0, Guiding(end=0.5)),
    (5.0, Guiding(pag_scale=3.0, rescale=0.5)),
    (1.0, Guiding(pag_scale=3.0, pag_layers=("up_blocks.1",), pag_adaptive_scale=0.005)),
    (6.0, Guiding("apg", most=20.0, momentum=-0.5)),
    (6.0, Guiding("cfg_zero_star", zero_steps=1)),
    (1.0, Guiding(schedule=(9.0, 1.0, 4.0))),
]


def requests(components: Components) -> list[DrawRequest]:
    return [
        replace(request_for(components.defaults, PROMPT, guidance=scale, guiding=guiding, **ASKED), seed=seed)
        for seed, (scale, guiding) in enumerate(RULES)
    ]


@torch.no_grad()
def together(components: Components, asked: list[DrawRequest]) -> list[Pixels]:
    begun = [start(components, one, *encode_request(components, one)) for one in asked]
    rows = [StepInput(one.latents_LC, one.conditions, 0) for one in begun]
    for step in range(1, 4):
        moved = advance(components, rows)
        rows = [StepInput(latents, row.conditions, step) for row, latents in zip(rows, moved, strict=True)]
    return [decode(components, row.latents_LC, 64, 64).astype("int64") for row in rows]


def test_rows_of_any_guidance_share_steps(networks: dict[Variant, Components]) -> None:
    components = networks["sd15"]
    asked = requests(components)
    for number, in_company in enumerate(together(components, asked)):
        scale, guiding = RULES[number]
        assert largest(in_company, drawn(components, scale, guiding, seed=number)) <= 1
    assert not torch.equal(*(torch.from_numpy(drawn(components, 6.0, rule)) for rule in (Guiding("apg"), Guiding())))


def test_a_branch_that_does_not_act_is_not_run(networks: dict[Variant, Components]) -> None:
    passes = [run_passes(networks["sd15"], one) for one in requests(networks["sd15"])]
    assert passes == [(1, 1, 1), (2, 1, 1), (3, 3, 3), (2, 1, 1), (2, 2, 2), (0, 2, 2), (2, 1, 2)]


def test_a_walk_remembers_too(networks: dict[Variant, Components]) -> None:
    """Momentum of no weight is none, whatever the sampler carries beside it."""
    components, remembering = networks["sd15"], Guiding("apg", momentum=-1e-9)
    for sampler in (None, "dpmpp_2m"):
        plain = drawn(components, 6.0, Guiding("apg"), sampler=sampler)
        assert largest(drawn(components, 6.0, remembering, sampler=sampler), plain) <= 1


@pytest.mark.parametrize(
    ("guiding", "message"),
    [
        (
            Guiding(pag_scale=3.0, pag_layers=("sideways",)),
            "no self-attention in 'sideways'; there is some in: down_blocks.0",
        ),
        (Guiding(pag_scale=-1.0), "pag_scale is -1"),
        (Guiding(schedule=(2.0,)), "guidance_schedule: 1 strengths for 3 steps"),
        (Guiding(start=0.6, end=0.5), "guidance_start 0.6 and guidance_end 0.5"),
        (Guiding(rescale=2.0), "rescale"),
    ],
)
def test_guidance_that_cannot_be_is_refused(
    networks: dict[Variant, Components], guiding: Guiding, message: str
) -> None:
    with pytest.raises(UnsupportedInput, match=message):
        drawn(networks["sd15"], 5.0, guiding)
