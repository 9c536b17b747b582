"""A bucket that clients reach themselves, against moto's server: what they send there is looked at, what they fetch is the picture."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.core.config import StorageSettings
from app.core.storage.base import ObjectMissing
from app.files.names import object_key, upload_key
from app.generations.sweeper import Sweeper
from tests.fixtures.api import Api, Customer, RunApi
from tests.fixtures.pictures import picture_file

pytestmark = pytest.mark.anyio

PNG = picture_file(96, 64)


@pytest.fixture
async def public(run_api: RunApi, bucket: StorageSettings) -> AsyncIterator[Api]:
    """A gateway whose bucket is public, under another name than its own for it."""
    said = str(bucket.endpoint_url).replace("127.0.0.1", "localhost")
    storage = bucket.model_copy(update={"presigned": True, "public_endpoint_url": said})
    async with run_api(storage=storage.model_dump(), queue={"sweep_s": 600}) as api:
        await api.install("flux-nano")
        yield api


@pytest.fixture
async def outside() -> AsyncIterator[httpx.AsyncClient]:
    """A client on the wire: it knows nothing of the gateway in this process."""
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


async def begun(ann: Customer, num_bytes: int = len(PNG)) -> dict[str, Any]:
    body = {"upload": "presigned", "bytes": num_bytes, "content_type": "image/png", "filename": "a.png"}
    answer = await ann.api.http.post("/v1/files", json=body, headers=ann.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def sent(outside: httpx.AsyncClient, file: dict[str, Any], data: bytes) -> None:
    form = file["upload"]
    answer = await outside.post(form["url"], data=form["fields"], files={"file": ("a.png", data)})
    assert answer.status_code in (200, 204), answer.text


async def completed(ann: Customer, file: dict[str, Any]) -> httpx.Response:
    return await ann.api.http.post(f"/v1/files/{file['id']}/complete", headers=ann.headers)


async def test_a_picture_goes_to_the_bucket_and_is_a_file_once_it_was_looked_at(
    public: Api, outside: httpx.AsyncClient
) -> None:
    ann, bob = await public.account(), await public.account("bob")
    file = await begun(ann)
    form = file["upload"]
    assert urlsplit(form["url"]).hostname == "localhost"
    assert form["fields"]["key"] == f"some/prefix/{upload_key(file['id'])}"
    policy = json.loads(base64.b64decode(form["fields"]["policy"]))
    assert ["content-length-range", len(PNG), len(PNG)] in policy["conditions"]
    assert (file["status"], file["sha256"], file["bytes"]) == ("uploading", None, len(PNG))
    assert (await completed(ann, file)).json()["detail"].startswith("nothing has been uploaded yet")
    await sent(outside, file, PNG)
    assert "has not been completed" in (await ann.post(input_image=file["id"])).text
    assert (await completed(bob, file)).status_code == 404
    ready = await completed(ann, file)
    assert (ready.status_code, ready.json()["status"], ready.json()["width"]) == (200, "processed", 96)
    assert (await completed(ann, file)).json() == ready.json()
    with pytest.raises(ObjectMissing):
        await public.parts.store.get(upload_key(file["id"]))
    await sent(outside, file, b"something else, later")  # the form still works, and changes nothing
    content = await public.http.get(f"/v1/files/{file['id']}/content", headers={**ann.headers, "range": "bytes=1-3"})
    assert (content.status_code, content.content) == (206, b"PNG")
    assert (await ann.post(input_image=file["id"])).status_code == 200
    claim = await public.claim()
    assert await public.parts.store.get(claim.spec.inputs[0].key) == PNG
    public.clock.advance(100_000)
    await Sweeper(public.parts).turn()
    for key in (upload_key(file["id"]), object_key(file["id"])):
        with pytest.raises(ObjectMissing):
            await public.parts.store.get(key)


async def test_what_is_not_what_was_announced_is_given_up(public: Api, outside: httpx.AsyncClient) -> None:
    ann = await public.account()
    for data, says in ((PNG + b"x", "announced"), (b"x" * len(PNG), "not a PNG")):
        file = await begun(ann)
        await sent(outside, file, data)
        refused = await completed(ann, file)
        assert (refused.status_code, says in refused.json()["detail"]) == (422, True), refused.text
        assert (await completed(ann, file)).status_code == 404
    assert (await public.http.get("/v1/files", headers=ann.headers)).json()["data"] == []


async def test_a_result_leads_to_the_bucket_for_as_long_as_its_own_address_works(
    public: Api, outside: httpx.AsyncClient
) -> None:
    ann = await public.account()
    task = await ann.submit()
    claim = await public.claim()
    await public.finish(claim, b"the picture")
    url = (await public.http.get(task["polling_url"])).json()["result"]["sample"]
    assert url.startswith("http://darkroom.test/v1/results/")
    public.clock.advance(100)
    led = await public.http.get(url)
    assert (led.status_code, led.headers["cache-control"]) == (302, "no-store")
    address = urlsplit(led.headers["location"])
    signed = parse_qs(address.query)
    assert (address.hostname, signed["X-Amz-Expires"], signed["X-Amz-Algorithm"]) == (
        "localhost",
        ["500"],
        ["AWS4-HMAC-SHA256"],
    )
    assert "a-secret-of-tests" not in led.headers["location"]
    part = await outside.get(led.headers["location"], headers={"range": "bytes=4-10"})
    assert (part.status_code, part.content, part.headers["content-type"]) == (206, b"picture", "image/jpeg")
    head = await public.http.head(url)
    assert (head.status_code, head.headers["content-length"]) == (200, "11")
    assert (await public.http.get(url, headers={"if-none-match": head.headers["etag"]})).status_code == 304
    await public.parts.store.delete(f"results/{claim.generation_id}/1.jpeg")
    assert (await public.http.get(url)).status_code == 404
