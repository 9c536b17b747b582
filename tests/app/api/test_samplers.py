"""A sampler that does not fit is refused at submit in every dialect, in its own form, and nothing is charged."""

from typing import Any

import pytest

from tests.fixtures.api import Api, Customer
from tests.fixtures.pictures import picture_file

pytestmark = pytest.mark.anyio

ASKED = {"prompt": "a red apple", "sampler": "PLMS", "schedule": "Karras"}
FITS = "ddim_uniform, trailing"


def bodies() -> dict[str, tuple[str, dict[str, Any]]]:
    return {
        "bfl": ("/v1/sdxl", ASKED),
        "openai": ("/v1/images/generations", {"model": "sdxl", **ASKED}),
        "replicate": ("/v1/models/darkroom/sdxl/predictions", {"input": ASKED}),
    }


@pytest.mark.parametrize("dialect", ["bfl", "openai", "replicate"])
async def test_what_does_not_fit_is_refused_in_every_dialect(api: Api, ann: Customer, dialect: str) -> None:
    path, body = bodies()[dialect]
    before = await ann.credits()
    answer = await api.http.post(path, json=body, headers=ann.headers | {"Authorization": f"Bearer {ann.key}"})
    assert answer.status_code == (400 if dialect == "openai" else 422), answer.text
    for part in ("schedule", "Karras", FITS):
        assert part in answer.text
    assert await ann.credits() == before


async def test_a_form_lists_numbers_as_text(api: Api, ann: Customer) -> None:
    """Of OpenAI's edits, which are no JSON."""
    form = {"model": "sdxl", "prompt": "a red apple", "sigmas": "9.0, 9.5"}
    answer = await api.http.post(
        "/v1/images/edits",
        data=form,
        files={"image": ("one.png", picture_file(64, 64), "image/png")},
        headers={"Authorization": f"Bearer {ann.key}"},
    )
    assert answer.status_code == 400
    assert "sigmas must fall: 9.5 follows 9" in answer.text
