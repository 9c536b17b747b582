"""Every route's body against one table: fields, which of them are needed, defaults, and the limits that are kept."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from app.api.bfl.describe import described
from app.api.bfl.schemas.bodies import body_of
from app.api.bfl.translate.pictures import read_pictures
from app.api.bfl.translate.spec import to_spec
from app.core.catalog import CATALOG, Catalog, Resolved
from app.core.catalog_row import CatalogRow
from app.core.errors import InvalidRequest
from app.core.spec import GenerationSpec
from app.egress.pictures import fetch_nothing
from app.files.naming import no_files
from tests.fixtures.pictures import least_body

pytestmark = pytest.mark.anyio

Limits = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Route:
    """What a route reads. `fields` are BFL's, `own` Darkroom's; all of them may be left out but for `needs`."""

    fields: str
    needs: set[str] = field(default_factory=set)
    defaults: dict[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=dict)
    own: str = ""


TAIL = "seed safety_tolerance output_format webhook_url webhook_secret"
OWN_TAIL = "max_sequence_length deterministic previews embed_metadata"
BESIDE_STEPS = "sampler schedule eta sigmas timesteps"
"""Darkroom's, wherever the number of steps is the caller's."""
FLUX2 = f"prompt width height input_image input_image_2 input_image_3 input_image_4 transparent_bg {TAIL}"
EIGHT = "input_image_5 input_image_6 input_image_7 input_image_8 disable_pup"
FLUX1 = f"prompt width height image_prompt prompt_upsampling {TAIL}"
TOOL = f"prompt steps guidance prompt_upsampling {TAIL}"
CONTROL = f"{TOOL} control_image preprocessed_image"
CANNY = f"{CONTROL} canny_low_threshold canny_high_threshold"
KONTEXT = f"prompt input_image input_image_2 input_image_3 input_image_4 aspect_ratio prompt_upsampling {TAIL}"
PICTURE_TASKS = "image strength mask"
FLUX1_TASKS = f"{PICTURE_TASKS} negative_prompt true_cfg_scale image_prompt_strength controls"

JPEG = {"output_format": "jpeg"}
SAFETY: Limits = {"safety_tolerance": (0, 6)}
STEPS: Limits = {"steps": (1, 50)}
TOOL_STEPS: Limits = {"steps": (15, 50)}
THRESHOLDS: Limits = {"canny_low_threshold": (0, 200), "canny_high_threshold": (50, 500)}
MARGINS: Limits = dict.fromkeys(("bottom", "left", "right"), (0, 1500))

KLEIN = Route(FLUX2, {"prompt"}, JPEG, SAFETY, own=PICTURE_TASKS)
KLEIN_BASE = Route(
    f"{FLUX2} steps guidance negative_prompt", {"prompt"}, {**JPEG, "steps": 50, "guidance": 4.0},
    {**STEPS, "guidance": (1, 20)}, own=PICTURE_TASKS,
)  # fmt: skip
PRO_2 = Route(f"{FLUX2} {EIGHT}", {"prompt"}, {**JPEG, "disable_pup": False}, SAFETY, own=PICTURE_TASKS)
LOOKED_AT = "image_prompt image_prompt_2 image_prompt_3 image_prompt_4 image_prompt_strength image_prompter"
GUIDED = (
    "guidance_rule guidance_rescale guidance_start guidance_end guidance_schedule guidance_zero_steps "
    "apg_parallel apg_threshold apg_momentum pag_scale pag_layers pag_adaptive_scale"
)
READ = f"prompt_syntax clip_skip embeddings {GUIDED}"
SD = Route(
    f"prompt negative_prompt width height steps guidance {READ} controls {LOOKED_AT} {TAIL}", {"prompt"},
    {**JPEG, "steps": 50, "guidance": 7.5},
    {**SAFETY, "steps": (1, 100), "guidance": (1, 30), "max_sequence_length": (1, 77)}, own=PICTURE_TASKS,
)  # fmt: skip
SD_FILL = Route(
    f"{TOOL} negative_prompt image mask {READ} controls {LOOKED_AT}", {"image"},
    {**JPEG, "steps": 50, "guidance": 7.5},
    {"steps": (1, 100), "guidance": (1, 30)},
)  # fmt: skip
KONTEXT_PRO = Route(KONTEXT, {"prompt"}, {"output_format": "png", "prompt_upsampling": False}, SAFETY)

ROUTES: dict[str, Route] = {
    "flux-nano": Route(
        KLEIN_BASE.fields, {"prompt"}, {**JPEG, "steps": 16, "guidance": 3.0}, KLEIN_BASE.limits, own=PICTURE_TASKS
    ),
    "flux-2-klein-4b": KLEIN,
    "flux-2-klein-9b": KLEIN,
    "flux-2-klein-9b-preview": KLEIN,
    "flux-2-klein-4b-base": KLEIN_BASE,
    "flux-2-klein-9b-base": KLEIN_BASE,
    "flux-2-pro": PRO_2,
    "flux-2-pro-preview": PRO_2,
    "flux-2-max": PRO_2,
    "flux-2-flex": Route(
        f"{FLUX2} {EIGHT} steps guidance prompt_upsampling input_image_blob_path", {"prompt"},
        {**JPEG, "steps": 50, "guidance": 5.0, "prompt_upsampling": True}, {**STEPS, "guidance": (1.5, 10)},
        own=PICTURE_TASKS,
    ),
    "flux-2-dev": Route(
        f"{FLUX2} {EIGHT} steps guidance", {"prompt"}, {**JPEG, "steps": 28, "guidance": 4.0},
        {**STEPS, "guidance": (1, 10)}, own=PICTURE_TASKS,
    ),
    "flux-dev": Route(
        f"{FLUX1} steps guidance", set(), {**JPEG, "prompt": "", "steps": 28, "guidance": 3.0},
        {**STEPS, **SAFETY, "guidance": (1.5, 5), "width": (256, 1440), "height": (256, 1440)}, own=FLUX1_TASKS,
    ),
    "flux-krea-dev": Route(
        f"{FLUX1} steps guidance", set(), {**JPEG, "steps": 28, "guidance": 4.5}, {**STEPS, "guidance": (1, 20)},
        own=FLUX1_TASKS,
    ),
    "flux-schnell": Route(
        f"{FLUX1} steps", set(), {**JPEG, "steps": 4}, {**STEPS, "max_sequence_length": (1, 256)}, own=FLUX1_TASKS
    ),
    "flux-pro": Route(
        f"{FLUX1} steps guidance interval", set(), {**JPEG, "steps": 40, "guidance": 2.5, "interval": 2.0},
        {**STEPS, "guidance": (1.5, 5)},
    ),
    "flux-pro-1.1": Route(FLUX1, set(), {**JPEG, "prompt": ""}, {"width": (256, 1440), "height": (256, 1440)}),
    "flux-pro-1.1-ultra": Route(
        f"prompt prompt_upsampling aspect_ratio raw image_prompt image_prompt_strength {TAIL}", set(),
        {**JPEG, "aspect_ratio": "16:9", "raw": False, "image_prompt_strength": 0.1}, SAFETY,
    ),
    "flux-kontext-pro": KONTEXT_PRO,
    "flux-kontext-max": KONTEXT_PRO,
    "flux-kontext-dev": Route(
        KONTEXT, {"prompt"}, {"output_format": "png", "steps": 28, "guidance": 2.5}, {**STEPS, "guidance": (1, 20)},
        own="width height steps guidance negative_prompt true_cfg_scale",
    ),
    "flux-pro-1.0-fill": Route(
        f"{TOOL} image mask", {"image"}, {**JPEG, "steps": 50, "guidance": 60.0},
        {**TOOL_STEPS, **SAFETY, "guidance": (1.5, 100)},
    ),
    "flux-fill-dev": Route(
        f"{TOOL} image mask", {"image"}, {**JPEG, "steps": 50, "guidance": 30.0}, {**STEPS, "guidance": (1, 100)}
    ),
    "flux-pro-1.0-expand": Route(
        f"{TOOL} image top bottom left right", {"image"}, {**JPEG, "steps": 50, "guidance": 60.0, "top": 0},
        {**TOOL_STEPS, **MARGINS, "guidance": (1.5, 100)},
    ),
    "flux-pro-1.0-canny": Route(
        CANNY, set(), {**JPEG, "guidance": 30.0, "canny_low_threshold": 50, "canny_high_threshold": 200},
        {**TOOL_STEPS, "guidance": (1, 100)},
    ),
    "flux-canny-dev": Route(
        CANNY, set(), {**JPEG, "guidance": 30.0}, {**STEPS, "guidance": (1, 100)}, own="width height"
    ),
    "flux-pro-1.0-depth": Route(
        CONTROL, set(), {**JPEG, "guidance": 30.0}, {**TOOL_STEPS, "guidance": (1, 100)}
    ),
    "flux-depth-dev": Route(
        CONTROL, set(), {**JPEG, "guidance": 10.0}, {**STEPS, "guidance": (1, 100)}, own="width height"
    ),
    "sd-1.5": SD,
    "sd-1.5-inpainting": SD_FILL,
    "sdxl": replace(SD, defaults={**SD.defaults, "guidance": 5.0}),
    "sdxl-inpainting": replace(SD_FILL, defaults={**SD_FILL.defaults, "guidance": 5.0}),
}  # fmt: skip

BOUNDS = [(row, name, bounds) for row in CATALOG for name, bounds in ROUTES[row.name].limits.items()]


async def spec_of(row: CatalogRow, **fields: Any) -> GenerationSpec:
    model = Catalog().resolve(row.name)
    body = body_of(row).model_validate(least_body(row) | fields)
    return to_spec(body, model, await read_pictures(body, model, fetch_nothing, no_files))


def test_the_table_has_every_route() -> None:
    assert set(ROUTES) == {row.name for row in CATALOG}


@pytest.mark.parametrize("row", CATALOG, ids=lambda row: row.name)
def test_fields_needs_and_defaults_are_the_tables(row: CatalogRow) -> None:
    route, schema = ROUTES[row.name], described(row)
    expected = set(f"{route.fields} {route.own} {OWN_TAIL}".split())
    expected |= set(BESIDE_STEPS.split()) if "steps" in expected else set()
    assert set(schema["properties"]) == expected
    assert set(schema.get("required", [])) == route.needs
    for name, default in route.defaults.items():
        assert schema["properties"][name]["default"] == default, name
    assert schema.get("additionalProperties") is True


@pytest.mark.parametrize("row", CATALOG, ids=lambda row: row.name)
async def test_the_least_body_means_a_picture_and_null_means_absent(row: CatalogRow) -> None:
    nulls = {name: None for name in body_of(row).model_fields if name not in {*least_body(row), "prompt"}}
    absent, null = await spec_of(row, seed=1), await spec_of(row, **nulls | {"seed": 1})
    assert absent.model_copy(update={"inputs": ()}) == null.model_copy(update={"inputs": ()})
    assert [one.role for one in absent.inputs] == [one.role for one in null.inputs]
    assert (absent.network, absent.steps) == (row.network or row.name, row.steps.default)


@pytest.mark.parametrize(("row", "name", "bounds"), BOUNDS, ids=lambda value: getattr(value, "name", value))
async def test_both_bounds_are_taken_and_what_lies_beyond_is_refused(
    row: CatalogRow, name: str, bounds: tuple[float, float]
) -> None:
    least, most = bounds
    for value in bounds:
        await spec_of(row, **{name: value, "seed": 1})
    for value in (least - 1, most + 1 if name not in MARGINS else 2049):
        with pytest.raises(InvalidRequest) as caught:
            await spec_of(row, **{name: value, "seed": 1})
        assert caught.value.field == name or (value < least and name == "canny_high_threshold")
        assert caught.value.limit is not None


@pytest.mark.parametrize(
    "row", [row for row in CATALOG if "prompt" not in ROUTES[row.name].needs], ids=lambda row: row.name
)
async def test_where_the_prompt_may_be_left_out_it_is_empty(row: CatalogRow) -> None:
    assert (await spec_of(row, prompt="")).prompt == (await spec_of(row, prompt=None)).prompt == ""


@pytest.mark.parametrize("row", CATALOG, ids=lambda row: row.name)
async def test_what_other_routes_read_is_ignored(row: CatalogRow) -> None:
    other = {"finetune_id": "x", "grow_mask": 3, "num_images": 2, "raw": True, "quality": "hd", "webhook_url": ""}
    assert (await spec_of(row, **other, seed=1)).steps == row.steps.default


@pytest.mark.parametrize("public", CATALOG, ids=lambda row: row.name)
async def test_under_any_alias_a_request_means_what_the_network_can_do_or_is_refused(public: CatalogRow) -> None:
    sent = least_body(public)
    body = body_of(public).model_validate(sent | {"seed": 1})
    roles = {role for name, role in body.pictures().items() if name in sent}
    for runs in (row for row in CATALOG if row.network is not None):
        model = Resolved(public, runs)
        is_enough = not runs.takes.needs or bool(roles & set(runs.takes.needs))
        if not (is_enough and roles <= set(runs.takes.pictures)):
            with pytest.raises(InvalidRequest):
                await read_pictures(body, model, fetch_nothing, no_files)
            continue
        spec = to_spec(body, model, await read_pictures(body, model, fetch_nothing, no_files))
        assert (spec.model, spec.network) == (public.name, runs.network)
        assert {image.role for image in spec.inputs} <= set(runs.takes.pictures)
        assert runs.steps.min <= spec.steps <= runs.steps.max
        assert runs.guidance.min <= spec.guidance <= runs.guidance.max
        assert model.accepts(spec.width, spec.height)
