"""Fetching and sending, against a real server that the operator allows: what comes, what is too much, what takes too long."""

from collections.abc import AsyncIterator

import pytest

from app.egress.addresses import PrivateHosts
from app.egress.client import Egress
from app.egress.refused import Failed, Refused
from app.egress.target import read_target
from tests.app.egress.listener import Listener, ok, redirect

pytestmark = pytest.mark.anyio

ENDLESS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1000\r\n" + b"x" * 4096 + b"\r\n"


@pytest.fixture
async def host() -> AsyncIterator[Listener]:
    async with Listener().running() as listener:
        yield listener


@pytest.fixture
async def client(host: Listener) -> AsyncIterator[Egress]:
    async with Egress(("http",), {host.port}, PrivateHosts(["127.0.0.0/8"]), connect_s=2.0) as client:
        yield client


async def get(client: Egress, host: Listener, path: str = "/", max_bytes: int = 100, within_s: float = 5.0) -> bytes:
    return await client.get(f"http://127.0.0.1:{host.port}{path}", max_bytes, within_s)


async def test_what_lies_there_comes(client: Egress, host: Listener) -> None:
    host.answers["/a%20b?c=d"] = ok(b"x" * 100)
    assert await get(client, host, "/a%20b?c=d") == b"x" * 100
    head = host.asked[0].lower()
    assert f"host: 127.0.0.1:{host.port}\r\n" in head
    assert "accept-encoding: identity" in head
    assert "cookie" not in head


@pytest.mark.parametrize("answer", [ok(b"x" * 101), ENDLESS])
async def test_too_much_is_not_read_to_its_end(client: Egress, host: Listener, answer: bytes) -> None:
    host.answers["/"] = answer
    with pytest.raises(Failed, match="more than 100 bytes"):
        await get(client, host)


async def test_silence_ends_in_time(client: Egress, host: Listener) -> None:
    with pytest.raises(Failed, match=r"took more than 0\.2 seconds"):
        await get(client, host, "/silent", within_s=0.2)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n",
        b"",
    ],
)
async def test_what_is_no_answer_says_where_and_not_what(client: Egress, host: Listener, answer: bytes) -> None:
    host.answers["/secret?token=t0p"] = answer
    with pytest.raises(Failed, match=f"http://127.0.0.1:{host.port}") as caught:
        await get(client, host, "/secret?token=t0p")
    assert "t0p" not in str(caught.value)


async def test_a_redirect_on_the_same_host_is_followed_three_times(client: Egress, host: Listener) -> None:
    host.answers |= {
        "/1": redirect("/2", 301),
        "/2": redirect("/3", 307),
        "/3": redirect(f"http://127.0.0.1:{host.port}/4", 308),
    }
    host.answers["/4"] = ok(b"there")
    assert await get(client, host, "/1") == b"there"
    host.answers["/4"] = redirect("/1")
    with pytest.raises(Failed, match="more than 3 times"):
        await get(client, host, "/1")


async def test_nobody_there_is_said_so(client: Egress, host: Listener) -> None:
    async with Egress(("http",), {1}, PrivateHosts(["127.0.0.1"]), connect_s=2.0) as other:
        with pytest.raises(Failed, match="no connection"):
            await other.get("http://127.0.0.1:1/", 100, within_s=5.0)


async def test_a_post_is_answered_and_follows_nothing(client: Egress, host: Listener) -> None:
    host.answers |= {"/hook": ok(b"thanks" * 100), "/moved": redirect("/hook")}
    answered = await client.post(f"http://127.0.0.1:{host.port}/hook", b"{}", {"x-a": "b"}, 5.0, max_bytes=10)
    assert (answered.status, answered.body) == (200, b"thanksthan")
    assert "x-a: b" in host.asked[0]
    assert (await client.post(f"http://127.0.0.1:{host.port}/moved", b"{}", {}, 5.0)).status == 302


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://EXAMPLE.com", "example.com", 443, "/"),
        ("https://example.com.:8443/a?b#c", "example.com", 8443, "/a?b"),
        ("https://b\u00fccher.example/\u00e4", "xn--bcher-kva.example", 443, "/%C3%A4"),
        ("https://[2606:4700::1111]/x%20y", "2606:4700::1111", 443, "/x%20y"),
        ("https://1.1.1.1/", "1.1.1.1", 443, "/"),
    ],
)
def test_a_url_is_taken_apart_once(url: str, host: str, port: int, path: str) -> None:
    target = read_target(url, ("https",), {443, 8443})
    assert (target.host, target.port, target.path) == (host, port, path)


@pytest.mark.parametrize(
    "url",
    [
        "https://x:22/",
        "https://x/\r\nHost: y",
        "https://x/ y",
        "https://" + "a" * 2100,
        "http://x/",
        "https://x:99999/",
        "https://exa mple/",
        "https://[::1",
    ],
)
def test_what_is_no_url_of_ours_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        read_target(url, ("https",), {443})
