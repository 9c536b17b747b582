"""Bodies into specs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.bfl.schemas.bodies import body_of
from app.api.bfl.translate.spec import to_spec
from app.api.bfl.translate.words import used_seed
from app.core.catalog import CATALOG, Catalog
from app.core.errors import InvalidRequest
from app.core.spec import MAX_SEED, GenerationSpec


def spec(model: str = "flux-nano", aliases: dict[str, str] | None = None, /, **fields: Any) -> GenerationSpec:
    resolved = Catalog(aliases=aliases).resolve(model)
    return to_spec(body_of(resolved.row).model_validate({"prompt": "a red apple"} | fields), resolved)


def test_defaults_are_the_catalogues() -> None:
    made = spec(seed=3)
    assert made == GenerationSpec(
        model="flux-nano",
        network="flux-nano",
        prompt="a red apple",
        seed=3,
        width=128,
        height=128,
        steps=16,
        guidance=3.0,
        output_format="jpeg",
    )


@pytest.mark.parametrize("model", [row.name for row in CATALOG if not row.takes.needs])
def test_null_means_absent_everywhere(model: str) -> None:
    schema = body_of(Catalog().by_name(model))
    nulls = {name: None for name in schema.model_fields if name != "prompt"}
    assert spec(model, seed=1) == spec(model, **nulls | {"seed": 1})


def test_the_callers_dials_are_used() -> None:
    made = spec(steps=50, guidance=1, negative_prompt="blur", output_format="webp", width=64, height=384)
    assert (made.steps, made.guidance, made.negative_prompt, made.output_format) == (50, 1.0, "blur", "webp")
    assert (made.width, made.height) == (64, 384)
    assert spec(negative_prompt=" ").negative_prompt is None


def test_a_distilled_network_keeps_its_own_dials() -> None:
    made = spec("flux-2-klein-4b", steps=50, guidance=9.0, negative_prompt="blur")
    assert (made.steps, made.guidance, made.negative_prompt) == (4, 1.0, None)


def test_under_an_alias_limits_are_the_public_names_and_defaults_the_running_networks() -> None:
    aliases = {"flux-2-flex": "flux-nano"}
    made = spec("flux-2-flex", aliases)
    assert (made.model, made.network, made.steps, made.guidance) == ("flux-2-flex", "flux-nano", 16, 3.0)
    with pytest.raises(InvalidRequest) as caught:
        spec("flux-2-flex", aliases, guidance=1.2)
    assert caught.value.limit == "1.5 to 10"


@given(st.integers())
def test_any_integer_is_a_seed_and_small_ones_are_themselves(seed: int) -> None:
    used = used_seed(seed)
    assert 0 <= used <= MAX_SEED
    assert used == seed or not 0 <= seed <= MAX_SEED
    assert spec(seed=seed).seed == used


def test_without_a_seed_each_request_draws_its_own_that_any_client_can_read() -> None:
    seeds = {spec().seed for _ in range(20)}
    assert len(seeds) > 15
    assert max(seeds) < 2**32


@pytest.mark.parametrize("tolerance", [0, 5, 6, None])
def test_a_safety_tolerance_of_six_is_taken(tolerance: int | None) -> None:
    assert spec(safety_tolerance=tolerance, seed=1) == spec(seed=1)


@pytest.mark.parametrize("empty", [None, "", [], {}])
@pytest.mark.parametrize("field", ["images", "input_image_9", "image_prompt"])
def test_an_empty_picture_under_an_unknown_name_is_none(field: str, empty: object) -> None:
    assert spec(**{field: empty}, seed=1) == spec(seed=1)


@pytest.mark.parametrize("field", ["input_image_9", "input_image_blob_path", "images", "image_url", "control_image"])
def test_a_picture_is_refused_where_the_route_has_none_of_that_name(field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        spec("flux-2-flex", **{field: "aGk="})
    assert caught.value.field == field
