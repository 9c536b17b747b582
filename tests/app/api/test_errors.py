"""Refusals: each in BFL's shape with field, value and limit, in the documented order, and free of charge."""

from typing import Any

import pytest

from app.core.errors import InvalidRequest
from tests.fixtures.api import Api, Customer

pytestmark = pytest.mark.anyio


def checked(answer: Any, status: int) -> dict[str, Any]:
    """The body of a refusal, after what holds for every one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    body = answer.json()
    assert set(body) >= {"detail", "message"}
    assert isinstance(body["message"], str)
    assert body["message"]
    if isinstance(body["detail"], list):
        assert all(set(one) == {"loc", "msg", "type"} for one in body["detail"])
    else:
        assert body["detail"] == body["message"]
    return body


@pytest.mark.parametrize(
    ("fields", "field", "value", "limit"),
    [
        ({"width": 63}, "width", "63", "64 to 384"),
        ({"width": 100000}, "width", "100000", "64 to 384"),
        ({"height": 385}, "height", "385", "64 to 384"),
        ({"width": -1}, "width", "-1", "64 to 384"),
        ({"width": "wide"}, "width", "'wide'", "integer"),
        ({"width": 100.5}, "width", "100.5", "integer"),
        ({"prompt": ""}, "prompt", "''", "at least 1 character"),
        ({"prompt": " \n\t"}, "prompt", "'", "at least 1 character"),
        ({"prompt": None}, "prompt", "None", "string"),
        ({"prompt": "a\0b"}, "prompt", "a", "NUL"),
        ({"prompt": "x" * 200_000}, "prompt", "200000 characters", "131072"),
        ({"negative_prompt": "a\0b"}, "negative_prompt", "a", "NUL"),
        ({"steps": 0}, "steps", "0", "1 to 50"),
        ({"steps": 51}, "steps", "51", "1 to 50"),
        ({"guidance": 100}, "guidance", "100", "1 to 20"),
        ({"seed": "x"}, "seed", "'x'", "integer"),
        ({"safety_tolerance": 7}, "safety_tolerance", "7", "0 to 6"),
        ({"safety_tolerance": -1}, "safety_tolerance", "-1", "0 to 6"),
        ({"output_format": "bmp"}, "output_format", "'bmp'", "'png'"),
        ({"input_image": "aGk="}, "input_image", "not a PNG", "PNG, JPEG or WebP"),
        ({"input_image_2": "http://127.0.0.1:8080/x"}, "input_image_2", "not on the public internet", "in base64"),
        ({"input_image_9": "aGk="}, "input_image_9", "aGk=", "input_image_4"),
        ({"image_prompt": "aGk="}, "image_prompt", "aGk=", "input_image_4"),
        ({"strength": 0.5}, "strength", "0.5", "image or mask"),
        ({"webhook_url": "ftp://example.com/hook"}, "webhook_url", "https", "must begin with"),
        ({"transparent_bg": True}, "transparent_bg", "True", "backgrounds"),
    ],
)
async def test_a_bad_field_is_named_with_its_value_and_limit(
    api: Api, ann: Customer, fields: dict[str, Any], field: str, value: str, limit: str
) -> None:
    body = checked(await ann.post(**fields), 422)
    assert body["detail"][0]["loc"] == ["body", field]
    for text in (body["message"], body["detail"][0]["msg"]):
        assert all(part in text for part in (field, value, limit)), text
        assert len(text) < 400
    assert await ann.credits() == 100
    assert await api.breaches() == []


@pytest.mark.parametrize(
    ("model", "fields", "parts"),
    [
        ("flux-2-klein-4b", {"width": 63}, ("width", "63", "64")),
        ("flux-2-klein-4b", {"width": 100000}, ("width", "100000", "65536")),
        ("flux-2-klein-4b", {"width": 2064, "height": 2048}, ("2064x2048", "4194304")),
        ("flux-2-flex", {"guidance": 1.0}, ("guidance", "1.0", "1.5 to 10")),
        ("flux-2-pro", {"prompt": ""}, ("prompt",)),
    ],
)
async def test_a_bad_request_is_told_before_missing_weights(
    ann: Customer, model: str, fields: dict[str, Any], parts: tuple[str, ...]
) -> None:
    message = checked(await ann.post(model, **fields), 422)["message"]
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b'{"prompt": "a', "Invalid JSON"),
        (b"", "Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON"),
        (b"[]", "object"),
        (b'"text"', "object"),
        (b"null", "object"),
        (b"[" * 100_000, "Invalid JSON"),
        (b'{"prompt": "a", "guidance": NaN}', "guidance"),
        (b'{"prompt": "\\ud800"}', "Invalid JSON"),
        (b'{"seed": 1}', "prompt"),
    ],
)
async def test_a_body_that_is_no_request_is_refused(api: Api, ann: Customer, content: bytes, part: str) -> None:
    headers = ann.headers | {"content-type": "application/json"}
    body = checked(await api.http.post("/v1/flux-nano", content=content, headers=headers), 422)
    assert body["detail"][0]["loc"][0] == "body"
    assert part in body["message"]
    assert len(body["message"]) < 400


async def test_a_form_is_no_json(api: Api, ann: Customer) -> None:
    body = checked(await api.http.post("/v1/flux-nano", data={"prompt": "a"}, headers=ann.headers), 422)
    assert "application/json" in body["message"]
    assert "x-www-form-urlencoded" in body["message"]


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/vnd.api+json", None])
async def test_json_goes_by_several_names(api: Api, ann: Customer, content_type: str | None) -> None:
    headers = ann.headers | ({"content-type": content_type} if content_type else {})
    answer = await api.http.post("/v1/flux-nano", content=b'{"prompt": "a"}', headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-key": ""},
        {"x-key": "junk"},
        {"x-key": f"dk_live_{'a' * 43}_{'0' * 6}"},
        {"authorization": "Bearer junk"},
        {"authorization": "Basic YTpi"},
    ],
)
@pytest.mark.parametrize("content", [b'{"prompt": "a"}', b"{broken", b'{"width": 63}'])
async def test_authentication_comes_first(api: Api, headers: dict[str, str], content: bytes) -> None:
    answer = await api.http.post("/v1/flux-nano", content=content, headers=headers)
    assert checked(answer, 403)["detail"] == "Not authenticated - Invalid Authentication"


async def test_without_credits_nothing_is_queued(api: Api) -> None:
    poor = await api.account("poor", credits=0)
    body = checked(await poor.post(), 402)
    assert "0.1 credits" in body["message"]
    assert "0 credits are available" in body["message"]
    async with api.parts.database.read() as session:
        from_tasks = (await session.connection()).exec_driver_sql
        assert (await from_tasks("SELECT count(*) FROM task")).scalar() == 0
        assert (await from_tasks("SELECT count(*) FROM generation")).scalar() == 0
    assert await api.breaches() == []


async def test_missing_weights_are_told_before_missing_credits(api: Api) -> None:
    poor = await api.account("poor", credits=0)
    checked(await poor.post("flux-2-pro"), 503)


@pytest.mark.parametrize("path", ["/v1/flux-99", "/v1", "/nothing", "/v1/get_results"])
async def test_an_unknown_route_is_not_found(api: Api, path: str) -> None:
    assert checked(await api.http.post(path, json={}), 404)["detail"] == "Not Found"


async def test_a_wrong_method_is_refused(api: Api) -> None:
    answer = await api.http.get("/v1/flux-nano")
    assert checked(answer, 405)["detail"] == "Method Not Allowed"
    assert answer.headers["allow"] == "POST"


async def test_operators_get_problem_json(api: Api) -> None:
    answer = await api.http.post("/livez")
    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "code", "request_id"} == set(answer.json())


async def test_a_failure_of_ours_answers_in_shape_and_tells_nothing(
    api: Api, ann: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(RuntimeError):
        pass

    def broken(*_: object) -> None:
        raise Broken("password=hunter2")

    monkeypatch.setattr(api.parts.catalog, "resolve", broken)
    answer = await ann.post()
    body = checked(answer, 500)
    assert "hunter2" not in answer.text
    assert answer.headers["x-request-id"] in body["message"]


async def test_a_long_value_is_shortened(ann: Customer) -> None:
    body = checked(await ann.post(output_format="A" * 5_000_000), 422)
    assert len(body["message"]) < 400
    assert "5000000 characters" in body["message"]


def test_the_error_tree_is_rendered_with_what_it_knows() -> None:
    from app.api.errors import explained

    assert explained(InvalidRequest("no")) == "no"
    assert explained(InvalidRequest("no", field="a", value=3, limit="1 to 2")) == "no (got 3, limit: 1 to 2)"
