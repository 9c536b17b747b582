"""A classifier over real HTTP: what it is asked, what it may answer, and what happens while it is away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from app.core.config import ModerationSettings
from app.core.errors import ModerationUnavailable
from app.moderation.opening import open_moderator, open_picture_moderator
from app.moderation.verdict import Moderator, Verdict
from tests.fixtures.classifier import ClassifierServer
from tests.fixtures.loopback_server import serving

pytestmark = pytest.mark.anyio

NOWHERE = "http://127.0.0.1:1/"


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., Moderator]]:
    async with AsyncExitStack() as stack:
        yield lambda **fields: open_moderator(ModerationSettings(**fields), stack)


async def test_it_is_asked_with_the_prompt_and_the_tolerance(opened: Callable[..., Moderator]) -> None:
    service = ClassifierServer(b'{"reasons": ["Logos", "Faces"], "model": "v3"}')
    async with service.running() as url:
        verdict = await opened(classifier_url=url).check("a red apple", 5)
    assert verdict == Verdict(("Logos", "Faces"))
    assert service.asked == [{"prompt": "a red apple", "tolerance": 5}]


async def test_what_words_have_blocked_is_not_sent_on(opened: Callable[..., Moderator]) -> None:
    service = ClassifierServer(b"{}")
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
    async with ClassifierServer(answer, status).running() as url:
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


async def test_pictures_go_whole_to_a_service_of_their_own() -> None:
    service = ClassifierServer(b'{"reasons": ["Gore"]}')
    async with AsyncExitStack() as stack, service.running() as url:
        judge = open_picture_moderator(ModerationSettings(picture_classifier_url=url), stack)
        assert judge is not None
        verdict = await judge.check_picture(b"\x89PNG", "image/png", "reference", 1)
    assert verdict == Verdict(("Gore",))
    assert service.asked == [{"picture": "iVBORw==", "content_type": "image/png", "role": "reference", "tolerance": 1}]


async def test_without_an_address_nobody_looks_at_pictures() -> None:
    async with AsyncExitStack() as stack:
        assert open_picture_moderator(ModerationSettings(classifier_url=NOWHERE), stack) is None


async def test_a_service_that_drips_has_its_seconds_and_no_more(opened: Callable[..., Moderator]) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serving(drip) as port:
        with pytest.raises(ModerationUnavailable):
            await opened(classifier_url=f"http://127.0.0.1:{port}/", classifier_timeout_s=0.1).check("a", 2)
