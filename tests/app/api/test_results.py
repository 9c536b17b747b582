"""Results: signed addresses that open one picture for a while, whoever asks."""

from typing import Any

import pytest

from app.core.config import StorageSettings
from tests.fixtures.api import Api, Customer, RunApi
from tests.fixtures.pictures import picture

pytestmark = pytest.mark.anyio


async def sample(api: Api, customer: Customer, data: bytes = b"picture", **fields: Any) -> str:
    """The address of a finished picture, as a path."""
    task = await customer.submit(**fields)
    await api.finish(await api.claim(), data)
    body = (await api.http.get(task["polling_url"])).json()
    return body["result"]["sample"]


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
async def test_a_picture_comes_with_its_type_size_and_tag(api: Api, ann: Customer, output_format: str) -> None:
    data = bytes(range(256)) * 999
    url = await sample(api, ann, data, output_format=output_format)
    assert url.split("?")[0].endswith(f"/1/sample.{output_format}")
    answer = await api.http.get(url)
    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["content-type"] == f"image/{output_format}"
    assert answer.headers["content-length"] == str(len(data))
    assert answer.headers["cache-control"].startswith("private")
    assert answer.headers["x-content-type-options"] == "nosniff"
    head = await api.http.head(url)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "etag"):
        assert head.headers[name] == answer.headers[name]
    again = await api.http.get(url, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("where", ["disk", "bucket"])
async def test_a_part_of_a_picture_comes_as_that_part(
    run_api: RunApi, where: str, request: pytest.FixtureRequest
) -> None:
    chosen = {"storage": request.getfixturevalue("bucket").model_dump()} if where == "bucket" else {}
    async with run_api(**chosen) as api:
        await api.install("flux-nano")
        data = bytes(range(256)) * 999
        url = await sample(api, await api.account(), data)
        whole = await api.http.get(url, headers={"range": "bytes=0-1,5-6"})
        assert (whole.status_code, whole.content, whole.headers["accept-ranges"]) == (200, data, "bytes")
        part = await api.http.get(url, headers={"range": "bytes=100000-", "if-range": whole.headers["etag"]})
        assert (part.status_code, part.content) == (206, data[100_000:])
        assert part.headers["content-range"] == f"bytes 100000-{len(data) - 1}/{len(data)}"
        assert part.headers["content-length"] == str(len(data) - 100_000)
        assert part.headers["content-type"] == "image/jpeg"
        head = await api.http.head(url, headers={"range": "bytes=1-2"})
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(data)))
        behind = await api.http.get(url, headers={"range": f"bytes={len(data)}-"})
        assert (behind.status_code, behind.headers["content-range"]) == (416, f"bytes */{len(data)}")
        assert set(behind.json()) == {"detail", "message"}


async def test_keys_play_no_part(api: Api, ann: Customer) -> None:
    url = await sample(api, ann)
    for headers in ({}, {"x-key": "junk"}, ann.headers):
        assert (await api.http.get(url, headers=headers)).status_code == 200


async def test_the_address_expires_and_a_poll_gives_a_fresh_one(api: Api, ann: Customer) -> None:
    task = await ann.submit()
    await api.finish(await api.claim())
    first = (await api.http.get(task["polling_url"])).json()["result"]["sample"]
    api.clock.advance(599)
    assert (await api.http.get(first)).status_code == 200
    api.clock.advance(1)
    refused = await api.http.get(first)
    assert refused.status_code == 404
    assert set(refused.json()) == {"detail", "message"}
    second = (await api.http.get(task["polling_url"])).json()["result"]["sample"]
    assert (await api.http.get(second)).status_code == 200


async def test_one_address_opens_nothing_else(api: Api, ann: Customer) -> None:
    mine, other = await sample(api, ann, b"one"), await sample(api, ann, b"two")
    path, _, query = mine.partition("?")
    other_path = other.partition("?")[0]
    forged = [
        f"{other_path}?{query}",
        f"{path.replace('/1/', '/2/')}?{query}",
        f"{path.replace('.jpeg', '.png')}?{query}",
        path,
        f"{path}?{query[:-1]}",
        f"{path}?{query.replace('expires=1', 'expires=2')}",
    ]
    for url in forged:
        answer = await api.http.get(url, headers=ann.headers)
        assert answer.status_code == 404, url
        assert answer.headers["content-type"] == "application/json"


async def test_a_polling_signature_opens_no_picture(api: Api, ann: Customer) -> None:
    task = await ann.submit()
    await api.finish(await api.claim())
    polling = task["polling_url"].partition("&")[2]
    path = (await api.http.get(task["polling_url"])).json()["result"]["sample"].partition("?")[0]
    assert (await api.http.get(f"{path}?{polling}")).status_code == 404


async def test_a_deleted_picture_is_not_found(api: Api, ann: Customer) -> None:
    url = await sample(api, ann)
    generation_id = url.split("/")[5]
    await api.parts.store.delete(f"results/{generation_id}/1.jpeg")
    assert (await api.http.get(url)).status_code == 404


async def test_signatures_and_keys_never_reach_the_log(api: Api, ann: Customer) -> None:
    url = await sample(api, ann)
    await api.http.get(url, headers=ann.headers)
    logs = api.logs.getvalue()
    assert "/v1/get_result" in logs
    assert url.partition("signature=")[2] not in logs
    assert ann.key not in logs


async def test_a_bucket_that_is_away_is_503_and_takes_no_money(run_api: RunApi, bucket: StorageSettings) -> None:
    away = bucket.model_copy(update={"url": "s3://nobody-has-this"})
    async with run_api(storage=away.model_dump()) as api:
        await api.install("flux-nano")
        ann = await api.account()
        answer = await ann.post(input_image=picture())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert answer.json()["detail"] == "the object store does not answer"
        assert await ann.credits() == 100
        assert "a-secret-of-tests" not in api.logs.getvalue()
        assert await api.breaches() == []
