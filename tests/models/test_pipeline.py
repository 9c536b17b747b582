"""The whole way from prompt to picture, against Diffusers' Flux2KleinPipeline on the same random folder.

A comparison counts only where the oracle sees: its own picture moves by at least 16 of 255 when the input under test changes.
"""

from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline
from numpy.typing import NDArray

from models.checkpoints.flux2 import save_transformer
from models.errors import MalformedConfig, NonFiniteImage, UnknownKeys, UnsupportedSize
from models.flow.flux2 import Flux2
from models.pipeline import (
    Components,
    DenoiseInput,
    decode,
    encode_prompts,
    initial_noise,
    load_components,
    needs_negative,
    position_ids,
    predict,
    render,
    schedule,
)
from models.samplers import euler
from tests.fixtures.tiny_models import MAX_LENGTH, OUT_LAYERS, Oracle, tiny_klein_folder

SEES = 16
PROMPT, OTHER_PROMPT = "a red apple on a blue background", "one green sailboat"

Pixels = NDArray[np.int64]


@dataclass(frozen=True)
class Case:
    """What is asked of both."""

    prompt: str = PROMPT
    negative_prompt: str = ""
    seed: int = 7
    num_steps: int = 4
    width: int = 64
    height: int = 64
    guidance: float = 3.0
    text_length: int = MAX_LENGTH


@dataclass(frozen=True, eq=False)
class Pair:
    """The same folder in both implementations; pictures are kept, because several tests look at the same ones."""

    oracle: Oracle
    ours: Components

    @cache  # noqa: B019 (a pair lives as long as this module)
    def theirs(self, case: Case) -> Pixels:
        length = {"max_sequence_length": case.text_length, "text_encoder_out_layers": OUT_LAYERS}
        negative, _ = self.oracle.encode_prompt(case.negative_prompt, **length)
        image = self.oracle(
            prompt=case.prompt,
            negative_prompt_embeds=negative,
            generator=torch.Generator("cpu").manual_seed(case.seed),
            num_inference_steps=case.num_steps,
            width=case.width,
            height=case.height,
            guidance_scale=case.guidance,
            **length,
        ).images[0]
        return np.asarray(image).astype(np.int64)

    def drawn(self, case: Case) -> Pixels:
        defaults = replace(self.ours.defaults, max_sequence_length=case.text_length)
        image = render(
            replace(self.ours, defaults=defaults),
            case.prompt,
            negative_prompt=case.negative_prompt,
            seed=case.seed,
            num_steps=case.num_steps,
            width=case.width,
            height=case.height,
            guidance=case.guidance,
        )
        return np.asarray(image).astype(np.int64)


def pair(folder: Path, dtype: torch.dtype) -> Pair:
    oracle = Flux2KleinPipeline.from_pretrained(folder, dtype=dtype)
    oracle.set_progress_bar_config(disable=True)
    return Pair(oracle, load_components(folder, dtype=dtype))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("folders")
    return {
        "base": tiny_klein_folder(root / "base"),
        "distilled": tiny_klein_folder(root / "distilled", seed=1, distilled=True),
    }


@pytest.fixture(scope="module")
def base(folders: dict[str, Path]) -> Pair:
    return pair(folders["base"], torch.float32)


@pytest.fixture(scope="module")
def distilled(folders: dict[str, Path]) -> Pair:
    return pair(folders["distilled"], torch.float32)


@pytest.fixture(scope="module")
def base_bfloat16(folders: dict[str, Path]) -> Pair:
    return pair(folders["base"], torch.bfloat16)


@pytest.fixture(scope="module")
def distilled_bfloat16(folders: dict[str, Path]) -> Pair:
    return pair(folders["distilled"], torch.bfloat16)


def largest(one: Pixels, other: Pixels) -> int:
    return int(np.abs(one - other).max())


CHANGES = {
    "prompt": Case(prompt=OTHER_PROMPT),
    "seed": Case(seed=8),
    "guidance": Case(guidance=5.0),
    "no guidance": Case(guidance=1.0),
    "negative prompt": Case(negative_prompt=OTHER_PROMPT),
    "text length": Case(text_length=20),
    "steps": Case(num_steps=7),
    "a prompt that is cut": Case(prompt="a rocket over the sea " * 9),
}
GUIDED = {"guidance", "no guidance", "negative prompt"}
SIZES = [Case(width=96), Case(width=48, height=128, num_steps=6), Case(width=160, height=16, num_steps=1)]


@pytest.mark.parametrize("change", sorted(CHANGES))
@pytest.mark.parametrize(
    ("which", "bound"), [("base", 1), ("distilled", 1), ("base_bfloat16", 2), ("distilled_bfloat16", 2)]
)
def test_pictures_equal_diffusers_wherever_it_sees(
    request: pytest.FixtureRequest, which: str, bound: int, change: str
) -> None:
    both: Pair = request.getfixturevalue(which)
    if which.startswith("distilled") and change in GUIDED:
        assert np.array_equal(both.drawn(CHANGES[change]), both.drawn(Case()))
        return
    expected = both.theirs(CHANGES[change])
    assert largest(expected, both.theirs(Case())) >= SEES
    assert largest(both.drawn(CHANGES[change]), expected) <= bound


@pytest.mark.parametrize("case", SIZES, ids=lambda case: f"{case.width}x{case.height}")
@pytest.mark.parametrize(("which", "bound"), [("base", 1), ("distilled", 1), ("base_bfloat16", 2)])
def test_pictures_equal_diffusers_at_other_sizes(
    request: pytest.FixtureRequest, which: str, bound: int, case: Case
) -> None:
    both: Pair = request.getfixturevalue(which)
    expected = both.theirs(case)
    assert expected.shape == (case.height, case.width, 3)
    assert largest(expected, both.theirs(replace(case, prompt=OTHER_PROMPT))) >= SEES
    assert largest(both.drawn(case), expected) <= bound


def test_the_same_request_is_the_same_picture_every_time(base: Pair) -> None:
    assert np.array_equal(base.drawn(Case()), base.drawn(Case()))


def test_a_row_does_not_depend_on_its_neighbours(base: Pair) -> None:
    rows = [
        row(base.ours, PROMPT, width=64, height=64, seed=1, t=1.0, guidance=3.0),
        row(base.ours, OTHER_PROMPT, width=96, height=32, seed=2, t=0.4, guidance=1.0),
        row(base.ours, "", width=64, height=64, seed=3, t=0.05, guidance=6.0),
    ]
    together = predict(base.ours, rows)
    for one, velocity_LC in zip(rows, together, strict=True):
        assert velocity_LC.shape == one.latents_LC.shape
        assert torch.equal(predict(base.ours, [one])[0], velocity_LC)


def row(
    ours: Components, prompt: str, *, width: int, height: int, seed: int, t: float, guidance: float
) -> DenoiseInput:
    context_LC, negative_LC = encode_prompts(ours, [prompt, ""])
    return DenoiseInput(
        latents_LC=initial_noise(ours, width, height, seed),
        ids_L4=position_ids(ours, width, height),
        context_LC=context_LC,
        negative_context_LC=negative_LC if needs_negative(ours, guidance) else None,
        t=t,
        guidance=guidance,
    )


def test_stages_driven_by_hand_make_the_picture_that_render_makes(base: Pair) -> None:
    ours = base.ours
    one = row(ours, PROMPT, width=64, height=64, seed=7, t=1.0, guidance=3.0)
    times = schedule(ours, 64, 64, 4)
    for t, t_next in pairwise(times):
        (velocity_LC,) = predict(ours, [replace(one, t=float(t))])
        moved_BLC = euler.step(one.latents_LC[None], velocity_LC[None], t.expand(1), t_next.expand(1))
        one = replace(one, latents_LC=moved_BLC[0])
    assert np.array_equal(decode(ours, one.latents_LC, 64, 64), base.drawn(Case()))


def test_guidance_without_a_negative_prompt_is_a_mistake(base: Pair) -> None:
    one = row(base.ours, PROMPT, width=64, height=64, seed=1, t=1.0, guidance=1.0)
    with pytest.raises(ValueError, match=r"guidance 3\.0 needs the features of a negative prompt"):
        predict(base.ours, [replace(one, guidance=3.0)])


def test_defaults_come_from_the_folder_and_steps_are_reported(base: Pair) -> None:
    reports: list[tuple[int, int]] = []
    image = render(base.ours, PROMPT, seed=7, after_step=lambda done, total: reports.append((done, total)))
    assert np.array_equal(np.asarray(image), base.drawn(Case()))
    assert reports == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(("width", "height"), [(63, 64), (64, 8), (100000, 65)])
def test_sizes_that_cannot_be_made_are_refused(base: Pair, width: int, height: int) -> None:
    with pytest.raises(UnsupportedSize):
        render(base.ours, PROMPT, width=width, height=height)


def test_a_network_that_produces_nan_makes_no_picture(base: Pair) -> None:
    latents_LC = initial_noise(base.ours, 64, 64, 0)
    latents_LC[3, 5] = float("nan")
    with pytest.raises(NonFiniteImage):
        decode(base.ours, latents_LC, 64, 64)


def test_the_revision_follows_the_weights(folders: dict[str, Path], base: Pair) -> None:
    assert load_components(folders["base"]).revision == base.ours.revision
    assert load_components(folders["distilled"]).revision != base.ours.revision


def test_the_dtype_is_the_folders_unless_told_otherwise(folders: dict[str, Path]) -> None:
    assert load_components(folders["base"]).dtype is torch.float32
    narrow = load_components(folders["base"], dtype=torch.bfloat16)
    assert {p.dtype for p in narrow.transformer.parameters()} == {torch.bfloat16}
    assert initial_noise(narrow, 64, 64, 0).dtype is torch.bfloat16


def test_components_that_do_not_belong_together_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tiny_klein_folder(tmp_path / "mixed")
    params = replace(load_components(folder).transformer.params, context_in_dim=64)
    save_transformer(Flux2(params), folder / "transformer")
    with pytest.raises(MalformedConfig, match="joint_attention_dim and text features do not fit: 64 and 96"):
        load_components(folder)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    folder = tiny_klein_folder(tmp_path / "deeper")
    params = replace(load_components(folder).transformer.params, depth=3)
    config = (folder / "transformer" / "config.json").read_text()
    save_transformer(Flux2(params), folder / "transformer")
    (folder / "transformer" / "config.json").write_text(config)
    with pytest.raises(UnknownKeys, match=r"transformer: unknown keys: transformer_blocks\.2\."):
        load_components(folder)
