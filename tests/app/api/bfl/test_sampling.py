"""Samplers, schedules and lists of steps in a body: under our names in the spec, or refused with the list of those that fit."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from app.api.bfl.schemas.bodies import body_of
from app.api.bfl.translate.spec import to_spec
from app.core.catalog import Catalog, Resolved
from app.core.errors import InvalidRequest
from app.core.spec import GenerationSpec
from tests.fixtures.pictures import least_body


def spec(name: str, runs: str | None = None, **fields: Any) -> GenerationSpec:
    catalog = Catalog()
    model = Resolved(catalog.by_name(name), catalog.by_name(runs or name))
    return to_spec(body_of(model.row).model_validate(least_body(model.row) | {"seed": 1} | fields), model)


def refused(name: str, runs: str | None = None, **fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        spec(name, runs, **fields)
    return caught.value


@pytest.mark.parametrize(
    ("model", "sent", "sampler", "schedule"),
    [
        ("sd-1.5", {"sampler": "DPM++ 2M Karras"}, "dpmpp_2m", "karras"),
        ("sdxl", {"sampler": "dpmpp_2m", "schedule": "Karras"}, "dpmpp_2m", "karras"),
        ("sdxl", {"sampler": "DPM++ 2M"}, "dpmpp_2m", None),
        ("sdxl", {"sampler": "DPM++ 2M", "schedule": "Automatic"}, "dpmpp_2m", "automatic"),
        ("sdxl", {"schedule": "Align Your Steps"}, None, "ays"),
        ("sdxl", {"schedule": "Automatic"}, None, None),
        ("sdxl", {"sampler": " ", "schedule": ""}, None, None),
        ("flux-dev", {"sampler": "Heun", "schedule": "Beta"}, "heun", "beta"),
        ("flux-nano", {"sampler": "LCM"}, "lcm", None),
    ],
)
def test_names_travel_as_ours(model: str, sent: dict[str, Any], sampler: str | None, schedule: str | None) -> None:
    made = spec(model, **sent)
    assert (made.sampler, made.schedule) == (sampler, schedule)


@pytest.mark.parametrize(
    ("model", "sent", "field", "fits", "unfit"),
    [
        ("sdxl", {"sampler": "warp"}, "sampler", "dpmpp_2m", "warp"),
        ("flux-dev", {"sampler": "DDIM"}, "sampler", "dpmpp_2m", "ddim"),
        ("sdxl", {"schedule": "warp"}, "schedule", "karras", "lcm"),
        ("sdxl", {"sampler": "PLMS", "schedule": "Karras"}, "schedule", "ddim_uniform, trailing", "karras"),
        ("sdxl", {"sampler": "PLMS Karras"}, "sampler", "ddim_uniform, trailing", "karras"),
        ("sdxl", {"sampler": "DPM++ 2M Karras", "schedule": "beta"}, "schedule", "karras", "beta"),
        ("flux-dev", {"schedule": "ays"}, "schedule", "normal, karras, exponential, beta", "ays"),
        ("sdxl", {"schedule": "lcm"}, "schedule", "ays", "lcm"),
        ("sdxl", {"sampler": "euler", "eta": 0.5}, "eta", "euler_a, ddpm, ddim", "heun"),
        ("sdxl", {"eta": 0.5}, "eta", "euler_a", "heun"),
        ("sdxl", {"sampler": "tcd", "sigmas": [9.0, 1.0]}, "sigmas", "euler", "tcd"),
        ("sdxl", {"sampler": "plms", "timesteps": [900, 100]}, "timesteps", "euler", "plms"),
        ("flux-dev", {"timesteps": [900, 100]}, "timesteps", "absent or null", "euler"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(
    model: str, sent: dict[str, Any], field: str, fits: str, unfit: str
) -> None:
    error = refused(model, **sent)
    assert error.field == field
    assert fits in str(error.limit)
    assert unfit not in str(error.limit).split(", ")
    assert str(error.limit) in error.message


@pytest.mark.parametrize(
    ("sent", "field", "limit"),
    [
        ({"sampler": "euler_a", "eta": 1.5}, "eta", "0 to 1"),
        ({"sigmas": [9.0, 9.0]}, "sigmas", "less than 9"),
        ({"sigmas": [5000.0, 1.0]}, "sigmas", "0.001 to 4096"),
        ({"sigmas": [1.0, -1.0]}, "sigmas", "0.001 to 4096"),
        ({"timesteps": [1000, 3]}, "timesteps", "0 to 999"),
        ({"timesteps": [3, 5]}, "timesteps", "less than 3"),
        ({"timesteps": [*range(200, 0, -1)]}, "timesteps", "1 to 100 values"),
        ({"timesteps": [900, 5], "steps": 3}, "steps", 2),
        ({"timesteps": [900, 5], "sigmas": [5.0, 1.0]}, "timesteps", "absent or null beside sigmas"),
        ({"timesteps": [900, 5], "schedule": "karras"}, "timesteps", "absent or null beside schedule"),
        ({"sampler": "LCM", "steps": 51}, "steps", "1 to 50 for schedule lcm"),
    ],
)
def test_numbers_have_limits(sent: dict[str, Any], field: str, limit: object) -> None:
    error = refused("sdxl", **sent)
    assert (error.field, error.limit) == (field, limit)


@pytest.mark.parametrize(
    "sent", [{"sampler": "x" * 65}, {"sigmas": [float("nan"), 1.0]}, {"sigmas": [float("inf")]}, {"timesteps": [1.5]}]
)
def test_what_is_no_name_or_number_is_refused_by_type(sent: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spec("sdxl", **sent)


def test_a_list_says_how_many_steps_there_are() -> None:
    made = spec("sdxl", sampler="heun", sigmas=[14.6, 3.0, 0.5, 0.0])
    assert (made.steps, made.sigmas, made.schedule) == (3, (14.6, 3.0, 0.5), None)
    assert spec("sdxl", timesteps="[900, 500, 20]").timesteps == (900, 500, 20)
    assert spec("sdxl", timesteps=[900, 20], steps=2, schedule="Automatic").steps == 2
    assert spec("flux-dev", sigmas=[1.0, 0.5]).steps == 2
    assert refused("flux-dev", sigmas=[1.5, 0.5]).limit == "0.001 to 1"
    assert spec("sdxl", sampler="DDIM", eta=0.25).eta == 0.25


def test_under_an_alias_the_network_that_runs_decides() -> None:
    assert refused("sdxl", "flux-nano", sampler="DDIM").field == "sampler"
    assert spec("sdxl", "flux-nano", sampler="Euler").sampler == "euler"


def test_where_training_ended_with_pure_noise_plms_is_not_offered() -> None:
    row = replace(Catalog().by_name("sdxl"), trajectory="diffusion_from_pure_noise")
    body = body_of(row).model_validate(least_body(row) | {"sampler": "PLMS"})
    with pytest.raises(InvalidRequest, match="PLMS") as caught:
        to_spec(body, Resolved(row, row))
    assert "plms" not in str(caught.value.limit).split(", ")


def test_routes_without_steps_ignore_how_they_are_taken() -> None:
    assert spec("flux-2-klein-4b", sampler="warp").sampler is None
