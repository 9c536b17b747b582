"""A classifier over real HTTP: what it is asked, what it may answer, and what happens while it is away."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from app.core.config import ModerationSettings
from app.core.errors import ModerationUnavailable
from app.moderation.opening import open_moderator
from app.moderation.verdict import Moderator, Verdict
from tests.fixtures.loopback_server import serving

pytestmark = pytest.mark.anyio

NOWHERE = "http://127.0.0.1:1/"


class Service:
    """Answers every POST alike, and keeps what it was asked."""

    def __init__(self, answer: bytes, status: str = "200 OK") -> None:
        self.asked: list[dict[str, Any]] = []
        self._answer = answer
        self._status = status

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        async with serving(self._serve) as port:
            yield f"http://127.0.0.1:{port}/judge"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        self.asked.append(json.loads(await reader.readexactly(length)))
        writer.write(
            f"HTTP/1.1 {self._status}\r\ncontent-length: {len(self._answer)}\r\nconnection: close\r\n\r\n".encode()
        )
        writer.write(self._answer)
        await writer.drain()


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., Moderator]]:
    async with AsyncExitStack() as stack:
        yield lambda **fields: open_moderator(ModerationSettings(**fields), stack)


async def test_it_is_asked_with_the_prompt_and_the_tolerance(opened: Callable[..., Moderator]) -> None:
    service = Service(b'{"reasons": ["Logos", "Faces"], "model": "v3"}')
    async with service.running() as url:
        verdict = await opened(classifier_url=url).check("a red apple", 5)
    assert verdict == Verdict(("Logos", "Faces"))
    assert service.asked == [{"prompt": "a red apple", "tolerance": 5}]


async def test_what_words_have_blocked_is_not_sent_on(opened: Callable[..., Moderator]) -> None:
    service = Service(b"{}")
    async with service.running() as url:
        moderator = opened(classifier_url=url)
        assert (await moderator.check("a nude figure", 2)).is_blocked
        assert service.asked == []
        assert not (await moderator.check("a red apple", 2)).is_blocked
        assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"", "200 OK"),
        (b"[]", "200 OK"),
        (b'{"reasons": "x"}', "200 OK"),
        (b'{"reasons": ["a;b"]}', "200 OK"),
        (b"{}", "500 Error"),
    ],
)
async def test_nonsense_is_no_judgement(opened: Callable[..., Moderator], answer: bytes, status: str) -> None:
    async with Service(answer, status).running() as url:
        with pytest.raises(ModerationUnavailable) as refused:
            await opened(classifier_url=url).check("a red apple", 2)
        assert refused.value.retry_after_s is not None
        drawing = opened(classifier_url=url, without_classifier="draw")
        assert await drawing.check("a red apple", 2) == Verdict()


async def test_nobody_there_is_no_judgement(opened: Callable[..., Moderator]) -> None:
    with pytest.raises(ModerationUnavailable):
        await opened(classifier_url=NOWHERE).check("a red apple", 2)
    assert not (await opened(classifier_url=NOWHERE, without_classifier="draw").check("a", 2)).is_blocked
    assert not (await opened(policy="off").check("a nude figure", 0)).is_blocked
