"""How prompts are read, in a body: in the spec, or refused before anything is charged."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.api.bfl.schemas.bodies import body_of
from app.api.bfl.translate.spec import to_spec
from app.core.catalog import CATALOG, Catalog, Resolved
from app.core.errors import InvalidRequest
from app.core.operator_rows import OperatorRow, with_operator_controls
from app.core.spec import GenerationSpec
from tests.fixtures.pictures import least_body

CONTROLS = with_operator_controls(
    [
        OperatorRow("my-style", "embedding-sd-1.5"),
        OperatorRow("easy", "embedding-sdxl"),
        OperatorRow("other", "my-style"),
    ]
)


def spec(name: str, runs: str | None = None, **fields: Any) -> GenerationSpec:
    catalog = Catalog(CATALOG, controls=CONTROLS)
    model = Resolved(catalog.by_name(name), catalog.by_name(runs or name), catalog.controls)
    return to_spec(body_of(model.row).model_validate(least_body(model.row) | {"seed": 1} | fields), model)


def refused(name: str, runs: str | None = None, **fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        spec(name, runs, **fields)
    return caught.value


@pytest.mark.parametrize("model", ["sd-1.5", "sdxl"])
def test_prompts_are_plain_unless_the_request_says_more(model: str) -> None:
    for sent in ({}, {"prompt_syntax": None, "clip_skip": None, "embeddings": None}, {"embeddings": ""}):
        made = spec(model, prompt="a (word:99)", **sent)
        assert (made.prompt_syntax, made.clip_skip, made.embeddings) == ("plain", 0, ())
        assert made.prompt == "a (word:99)"


def test_what_is_said_travels_and_learnt_words_are_networks_that_must_be_there() -> None:
    made = spec("sd-1.5", prompt_syntax="a1111", clip_skip=1, embeddings=["my-style", "other", "my-style"])
    assert (made.prompt_syntax, made.clip_skip, made.embeddings) == ("a1111", 1, ("my-style", "other"))
    assert made.networks == ("sd-1.5", "my-style", "other")
    assert spec("sd-1.5", embeddings="my-style, other").embeddings == ("my-style", "other")
    assert GenerationSpec.from_json(made.to_json()) == made


@pytest.mark.parametrize(
    ("model", "sent", "field", "limit"),
    [
        ("sd-1.5", {"clip_skip": 12}, "clip_skip", "0 to 11"),
        ("sdxl", {"clip_skip": 11}, "clip_skip", "0 to 10"),
        ("sdxl", {"clip_skip": -1}, "clip_skip", "0 to 10"),
        ("sd-1.5", {"embeddings": ["easy"]}, "embeddings", "my-style, other"),
        ("sdxl", {"embeddings": ["my-style"]}, "embeddings", "easy"),
        ("sdxl", {"embeddings": ["gone"]}, "embeddings", "easy"),
        ("sdxl", {"embeddings": ["embedding-sdxl"]}, "embeddings", "easy"),
        ("sdxl", {"prompt": "(a: -10.5)", "prompt_syntax": "a1111"}, "prompt", "-10 to 10"),
        ("sdxl", {"negative_prompt": "(a:1e)(a:11)", "prompt_syntax": "a1111"}, "negative_prompt", "-10 to 10"),
        ("sdxl", {"prompt": "a" * 16_385, "prompt_syntax": "a1111"}, "prompt", "16384 characters"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_limit(
    model: str, sent: dict[str, Any], field: str, limit: str
) -> None:
    error = refused(model, **sent)
    assert error.field == field
    assert limit in str(error.limit)


@pytest.mark.parametrize(
    "sent", [{"prompt_syntax": "compel"}, {"clip_skip": 1.5}, {"embeddings": ["x"] * 17}, {"embeddings": ["x" * 65]}]
)
def test_other_values_are_no_body(sent: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spec("sd-1.5", **sent)


def test_a_network_of_another_kind_behind_the_name_reads_prompts_as_they_are() -> None:
    assert spec("sdxl", "flux-nano", prompt_syntax="plain", clip_skip=0).network == "flux-nano"
    for sent in ({"prompt_syntax": "a1111"}, {"clip_skip": 1}, {"embeddings": ["easy"]}):
        assert [refused("sdxl", "flux-nano", **sent).field] == [*sent]
