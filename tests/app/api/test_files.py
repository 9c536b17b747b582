"""Uploads: looked at before they are stored, their owner's alone, used in every dialect, and gone when their time is over."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.core.db.tables.file import File
from app.core.db.tables.generation import Generation
from app.core.errors import InvalidRequest
from app.core.inputs.encoded import MAX_BYTES
from app.core.spec import GenerationSpec
from app.core.storage.base import ObjectMissing
from app.files.names import object_key
from app.generations.sweeper import Sweeper
from tests.fixtures.api import Api, Customer, RunApi
from tests.fixtures.pictures import animation, encoded, picture_file, png_claiming

pytestmark = pytest.mark.anyio

PNG, TINY = picture_file(96, 64), picture_file(1, 1)
DAY_S = 86_400


async def send(ann: Customer, data: bytes = PNG, content_type: str = "image/png", **query: str) -> httpx.Response:
    headers = {**ann.headers, "content-type": content_type}
    return await ann.api.http.post("/v1/files", content=data, headers=headers, params=query)


async def uploaded(ann: Customer, data: bytes = PNG) -> dict[str, Any]:
    answer = await send(ann, data)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def get(ann: Customer, path: str, **headers: str) -> httpx.Response:
    return await ann.api.http.get(path, headers={**ann.headers, **headers})


async def inputs_of(api: Api, task_id: str) -> list[Any]:
    async with api.parts.database.read() as session:
        spec = await session.scalar(select(Generation.spec).where(Generation.task_id == task_id))
    return list(GenerationSpec.from_json(spec or "").inputs)


async def test_a_picture_comes_as_it_is_or_in_a_form_and_is_told_back(api: Api, ann: Customer) -> None:
    raw = await send(ann, filename="../a/apple\n.png")
    name = {"filename": "apple.png"}
    form = await api.http.post(
        "/v1/files", files={"file": ("apple.png", PNG)}, data={"purpose": "vision"}, headers=ann.headers
    )
    content = await api.http.post("/v1/files", files={"content": ("apple.png", PNG, "text/plain")}, headers=ann.headers)
    for answer, purpose in ((raw, "input"), (form, "vision"), (content, "input")):
        assert answer.status_code == 201, answer.text
        told = answer.json()
        assert (told["filename"], told["purpose"], told["status"]) == (name["filename"], purpose, "processed")
        assert (told["width"], told["height"], told["bytes"], told["content_type"]) == (96, 64, len(PNG), "image/png")
        assert told["expires_at"] - told["created_at"] == DAY_S
        assert (await get(ann, f"/v1/files/{told['id']}")).json() == {k: v for k, v in told.items() if k != "upload"}
        assert (await get(ann, f"/v1/files/{told['id']}/content")).content == PNG
    assert await ann.credits() == 100


async def test_its_bytes_come_in_parts_and_not_twice(api: Api, ann: Customer) -> None:
    path = f"/v1/files/{(await uploaded(ann))['id']}/content"
    whole = await get(ann, path)
    assert (whole.headers["content-type"], whole.headers["content-length"]) == ("image/png", str(len(PNG)))
    assert whole.headers["x-content-type-options"] == "nosniff"
    part = await get(ann, path, range="bytes=-7")
    assert (part.status_code, part.content) == (206, PNG[-7:])
    assert (await get(ann, path, **{"if-none-match": whole.headers["etag"]})).status_code == 304
    head = await api.http.head(path, headers=ann.headers)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", whole.headers["etag"])
    behind = await get(ann, path, range=f"bytes={len(PNG)}-")
    assert (behind.status_code, behind.headers["content-type"]) == (416, "application/problem+json")


BAD = {
    "there is no picture in it": b"",
    "not a PNG, JPEG or WebP file": b"%PDF-1.7",
    "cut off before the end": PNG[:-12],
    "an animation": animation("WEBP"),
    "each side": png_claiming(2**31 - 1, 1),
    "20 megapixels": png_claiming(8192, 8192),
}


async def test_what_is_no_picture_is_refused_in_the_words_of_inline_ones_and_leaves_nothing(
    api: Api, ann: Customer
) -> None:
    for says, data in BAD.items():
        form = await api.http.post("/v1/files", files={"file": ("a.png", data)}, headers=ann.headers)
        for answer in (await send(ann, data), form):
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
            assert answer.json()["detail"].startswith("file: ")
            assert says in answer.json()["detail"]
        inline = await ann.post(input_image=encoded(data))
        assert says in inline.text or not data
    assert "a picture may have 20 MB" in (await send(ann, PNG + bytes(MAX_BYTES))).json()["detail"]
    assert (await get(ann, "/v1/files")).json()["data"] == []


async def test_a_body_of_no_announced_length_is_refused_when_it_passes_the_limit(api: Api, ann: Customer) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(22):
            yield PNG + bytes((1 << 20) - len(PNG))

    headers = {**ann.headers, "content-type": "image/png"}
    answer = await api.http.post("/v1/files", content=pieces(), headers=headers)
    assert (answer.status_code, f"more than {MAX_BYTES} bytes" in answer.text) == (422, True)


NO_UPLOADS: list[tuple[dict[str, Any], str]] = [
    ({"content": b"a", "headers": {"content-type": "text/plain"}}, "body"),
    ({"data": {"purpose": "input"}, "files": {"other": ("a", b"a")}}, "file"),
    ({"data": {"file": "a text"}, "files": {"x": ("", b"")}}, "file"),
    ({"files": {"file": ("a", PNG)}, "data": {"purpose": "fine-tune"}}, "purpose"),
    ({"files": {"file": ("a", PNG), "content": ("a", PNG)}}, "body"),
    ({"content": b"--a\r\nno form", "headers": {"content-type": "multipart/form-data"}}, "body"),
    ({"content": b"no form", "headers": {"content-type": "multipart/form-data; boundary=a"}}, "body"),
    ({"json": {"upload": "presigned", "bytes": 5, "content_type": "image/png"}}, "upload"),  # no bucket is public here
    ({"json": {"upload": "presigned", "bytes": 0, "content_type": "image/png"}}, "bytes"),
    ({"json": {"upload": "presigned", "bytes": MAX_BYTES + 1, "content_type": "image/png"}}, "bytes"),
    ({"json": {"upload": "presigned", "bytes": 5, "content_type": "image/gif"}}, "content_type"),
]


async def test_what_makes_no_upload_is_told_by_its_field(api: Api, ann: Customer) -> None:
    for options, field in NO_UPLOADS:
        headers = {**ann.headers, **options.get("headers", {})}
        answer = await api.http.post("/v1/files", **{**options, "headers": headers})
        assert (answer.status_code, field in answer.json()["detail"]) == (422, True), answer.text


async def test_a_key_is_needed_with_the_right_to_order(api: Api) -> None:
    for headers in ({}, {"x-key": "junk"}):
        for answer in (
            await api.http.post("/v1/files", content=PNG, headers={"content-type": "image/png", **headers}),
            await api.http.get("/v1/files", headers=headers),
        ):
            assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


async def test_pages_follow_each_other_newest_first_and_what_was_done_is_on_record(api: Api, ann: Customer) -> None:
    sent: list[str] = []
    for _ in range(3):
        sent.append((await uploaded(ann))["id"])
        api.clock.advance(1)
    first = (await get(ann, "/v1/files?limit=2")).json()
    assert ([one["id"] for one in first["data"]], first["has_more"]) == (sent[:0:-1], True)
    rest = (await get(ann, f"/v1/files?limit=2&after={first['last_id']}")).json()
    assert ([one["id"] for one in rest["data"]], rest["has_more"], rest["last_id"]) == (sent[:1], False, sent[0])
    assert (await get(ann, "/v1/files?after=file-none")).status_code == 422
    await api.http.delete(f"/v1/files/{sent[0]}", headers=ann.headers)
    events = [one for one in (await get(ann, "/v1/account/events")).json() if one["subject"] == sent[0]]
    assert [one["action"] for one in events] == ["file.deleted", "file.uploaded"]
    assert events[1]["detail"] == {"bytes": len(PNG), "content_type": "image/png"}
    assert events[1]["actor"] == f"key:{ann.key_id}"


async def test_an_account_has_room_for_so_many_files_and_bytes_of_them(run_api: RunApi) -> None:
    async with run_api(files={"max_files": 3, "max_bytes": 2 * len(PNG) + len(TINY)}) as api:
        ann, bob = await api.account(), await api.account("bob")
        answers = await asyncio.gather(*(send(ann) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409]
        refused = next(answer.json() for answer in answers if answer.status_code == 409)
        assert (refused["code"], "limit: " in refused["detail"]) == ("conflict", True)
        assert (await send(bob)).status_code == 201
        assert (await send(ann, TINY)).status_code == 201
        assert "3 files" in (await send(ann, TINY)).json()["detail"]
        held = (await get(ann, "/v1/files")).json()["data"]
        assert (await api.http.delete(f"/v1/files/{held[0]['id']}", headers=ann.headers)).status_code == 204
        assert (await send(ann, TINY)).status_code == 201


async def test_a_task_keeps_a_copy_when_the_file_goes(run_api: RunApi) -> None:
    async with run_api(queue={"sweep_s": 600}) as api:
        await api.install("flux-nano")
        ann = await api.account()
        file = await uploaded(ann)
        tasks = [await ann.submit(input_image=text) for text in (file["id"], *file["urls"].values())]
        assert tasks[0]["input_mp"] == (await ann.submit(input_image=encoded(PNG)))["input_mp"]
        await api.http.delete(f"/v1/files/{file['id']}", headers=ann.headers)
        assert (await get(ann, f"/v1/files/{file['id']}")).status_code == 404
        await swept(api)
        with pytest.raises(ObjectMissing):
            await api.parts.store.get(object_key(file["id"]))
        for task in tasks:
            (image,) = await inputs_of(api, task["id"])
            assert (image.sha256, image.content_type, image.width) == (file["sha256"], "image/png", 96)
            assert await api.parts.store.get(image.key) == PNG
            kept = (await get(ann, f"/v1/tasks/{task['id']}")).json()["request"]["input_image"]
            assert kept == {"sha256": file["sha256"], "bytes": len(PNG)}


async def swept(api: Api) -> None:
    """A turn of a sweeper beside the gateway's own, whose lead has ended."""
    api.clock.advance(10_000)
    await Sweeper(api.parts).turn()


async def test_a_file_that_cannot_be_had_is_refused_before_anything_is_charged(api: Api, ann: Customer) -> None:
    bob = await api.account("bob")
    files = [await uploaded(bob), await uploaded(ann), await uploaded(ann)]
    await api.http.delete(f"/v1/files/{files[1]['id']}", headers=ann.headers)
    texts = [files[0]["id"], files[0]["urls"]["get"], files[1]["id"], "file-" + "0" * 24]
    for text in texts:
        answer = await ann.post(input_image=text)
        assert (answer.status_code, "no such file" in answer.json()["message"]) == (422, True), answer.text
        assert answer.json()["detail"][0]["loc"] == ["body", "input_image"]
    await api.parts.store.delete(object_key(files[2]["id"]))
    assert "just been deleted" in (await ann.post(input_image=files[2]["id"])).text
    too_small = await uploaded(ann, picture_file(8, 8))
    assert "each side" in (await ann.post(input_image=too_small["id"])).text
    api.clock.advance(DAY_S)
    assert (await ann.post(input_image=too_small["id"])).status_code == 422
    estimate = await api.http.post(
        "/v1/pricing/estimate", json={"model": "flux-nano", "prompt": "a", "input_image": texts[0]}
    )
    assert (estimate.status_code, "send the picture itself" in estimate.text) == (422, True)
    assert (await ann.credits(), await api.breaches()) == (100, [])


async def test_every_dialect_takes_a_file(api: Api, ann: Customer) -> None:
    file = (await uploaded(ann))["id"]
    body = {"input": {"prompt": "a", "input_image": file}}
    told = await api.http.post("/v1/models/darkroom/flux-nano/predictions", json=body, headers=ann.headers)
    assert told.status_code == 201, told.text
    await api.finish(await api.claim())
    edits = [
        {"json": {"prompt": "a", "model": "flux-nano", "images": [{"file_id": file}]}},
        {
            "json": {
                "prompt": "a",
                "model": "flux-nano",
                "images": [{"image_url": f"data:image/png;base64,{encoded(PNG)}"}],
            }
        },
        {"data": {"prompt": "a", "model": "flux-nano", "image": file}, "files": {"x": ("", b"")}},
    ]
    sums: set[str] = set()
    for edit in edits:
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            asking = group.create_task(api.http.post("/v1/images/edits", headers=ann.headers, **edit))
            claim = await claimed(api)
            sums |= {one.sha256 for one in claim.spec.inputs}
            await api.finish(claim)
        assert asking.result().status_code == 200, asking.result().text
    assert sums == {(await get(ann, f"/v1/files/{file}")).json()["sha256"]}


async def claimed(api: Api) -> Any:
    """The newest queued generation, once it is there."""
    while True:
        try:
            return await api.claim()
        except IndexError:
            await asyncio.sleep(0.01)


async def test_expired_files_are_swept_with_their_rows(run_api: RunApi) -> None:
    async with run_api(queue={"sweep_s": 600}, files={"retention_s": 100}) as api:
        ann = await api.account()
        file = await uploaded(ann)
        api.clock.advance(99)
        assert (await get(ann, f"/v1/files/{file['id']}/content")).status_code == 200
        api.clock.advance(1)
        assert (await get(ann, f"/v1/files/{file['id']}/content")).status_code == 404
        await swept(api)
        with pytest.raises(ObjectMissing):
            await api.parts.store.get(object_key(file["id"]))
        async with api.parts.database.read() as session:
            assert await session.get(File, file["id"]) is None


async def test_a_store_that_is_away_takes_no_room(run_api: RunApi, monkeypatch: pytest.MonkeyPatch) -> None:
    async with run_api(files={"max_files": 1}) as api:
        ann = await api.account()
        whole = type(api.parts.store).put_file

        async def fail(*arguments: object) -> None:
            raise InvalidRequest("the disk is full")

        monkeypatch.setattr(type(api.parts.store), "put_file", fail)
        assert (await send(ann)).status_code == 422
        monkeypatch.setattr(type(api.parts.store), "put_file", whole)
        assert (await send(ann)).status_code == 201
