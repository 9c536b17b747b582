"""No packet reaches what customers must not reach, whatever the URL looks like: seen at a listener on the loopback address."""

import json
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from app.egress.addresses import Address, PrivateHosts, is_public
from app.egress.client import Egress
from app.egress.connecting import Resolver, resolve
from app.egress.refused import Failed, Refused
from tests.app.egress.listener import Listener, ok, redirect

pytestmark = pytest.mark.anyio

SECRET = b"what lies inside"


@pytest.fixture
async def inside() -> AsyncIterator[Listener]:
    async with Listener({"/": ok(SECRET)}).running() as listener:
        yield listener


def egress(port: int, resolver: Resolver = resolve, private: Sequence[str] = ()) -> Egress:
    return Egress(("https", "http"), {80, 443, port}, PrivateHosts(private), connect_s=2.0, resolver=resolver)


HOSTS = [
    "127.0.0.1", "localhost", "LOCALHOST", "localhost.", "127.1", "127.0.1", "127.000.000.001", "0127.0.0.1", "0177.0.0.1",
    "0x7f.0.0.1", "0x7f000001", "0X7F000001", "2130706433", "017700000001", "127.0.0.1.", "127.65535", "0", "0.0.0.0",
    "0x0", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]",
    "[2001:0:7f00:1::]", "[fe80::1]", "[fe80::1%25lo]", "[::1%25lo]", "[fc00::1]", "[fd12::1]", "[fec0::1]", "[ff02::1]",
    "[2001:db8::1]", "127.0.0.2", "127.255.255.254", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254",
    "100.64.0.1", "100.100.100.200", "198.18.0.1", "192.0.0.192", "192.0.2.1", "203.0.113.1", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "[fd00:ec2::254]", "\u2460\u2461\u2466.0.0.1", "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021",
    "127%2e0%2e0%2e1", "%31%32%37.0.0.1", "user@127.0.0.1", "example.com@127.0.0.1", "127.0.0.1#@example.com",
    "127.0.0.1\\@example.com", "example.com\\.127.0.0.1", "[127.0.0.1]", "127.0.0.1:80:80", "", ".", "a..b", "-",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
async def test_no_form_of_a_host_leads_inside(inside: Listener, host: str) -> None:
    async with egress(inside.port) as client:
        for scheme in ("http", "https"):
            with pytest.raises((Refused, Failed)) as caught:
                await client.get(f"{scheme}://{host}:{inside.port}/", 1000, within_s=5.0)
            assert SECRET.decode() not in str(caught.value)
    assert inside.num_connections == 0


def test_the_corpus_is_as_long_as_promised() -> None:
    assert len(set(HOSTS)) >= 60


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/", "gopher://127.0.0.1/", "unix:///x", "//x/", "http:/x", "javascript:1", ""]
)
async def test_other_schemes_are_refused(url: str) -> None:
    async with egress(80) as client:
        with pytest.raises(Refused):
            await client.get(url, 1000, within_s=5.0)


async def test_a_name_that_answers_otherwise_the_second_time_is_asked_once(inside: Listener) -> None:
    """DNS rebinding: the address that was looked at is the one that is connected to."""
    answers: list[list[Address]] = [[IPv4Address("198.41.0.4")], [IPv4Address("127.0.0.1")]]
    asked: list[str] = []

    async def rebinding(name: str, port: int) -> Sequence[Address]:
        asked.append(name)
        return answers[min(len(asked), len(answers)) - 1]

    async with egress(inside.port, rebinding) as client:
        with pytest.raises(Failed):
            await client.get(f"http://rebinding.example:{inside.port}/", 1000, within_s=0.5)
        assert asked == ["rebinding.example"]
        with pytest.raises(Refused):
            await client.get(f"http://rebinding.example:{inside.port}/", 1000, within_s=5.0)
    assert inside.num_connections == 0


@pytest.mark.parametrize("inner", ["127.0.0.1", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "0.0.0.0"])
async def test_one_forbidden_address_among_good_ones_spoils_a_name(inside: Listener, inner: str) -> None:
    async def mixed(name: str, port: int) -> Sequence[Address]:
        return [IPv4Address("198.41.0.4"), ip_address(inner)]

    async with egress(inside.port, mixed) as client:
        with pytest.raises(Refused, match="public internet"):
            await client.get(f"http://mixed.example:{inside.port}/", 1000, within_s=5.0)
    assert inside.num_connections == 0


async def names(name: str, port: int) -> Sequence[Address]:
    return [IPv4Address("127.0.0.1")]


@pytest.mark.parametrize("host", ["127.0.0.1", "inner.example", "169.254.169.254", "[::1]", "localhost"])
async def test_a_redirect_leads_to_no_other_host(inside: Listener, host: str) -> None:
    async with Listener().running() as outer:
        outer.answers["/"] = redirect(f"http://{host}:{inside.port}/")
        client = Egress(("http",), {outer.port, inside.port}, PrivateHosts(["outer.example"]), 2.0, names)
        async with client:
            with pytest.raises((Refused, Failed)):
                await client.get(f"http://outer.example:{outer.port}/", 1000, within_s=5.0)
        assert outer.num_connections == 1
    assert inside.num_connections == 0


def test_every_special_address_is_refused_and_public_ones_are_not() -> None:
    """Against Python's own tables, wherever they know of the whole world: 20,000 random addresses."""
    chance = random.Random(7)
    for _ in range(10_000):
        four = IPv4Address(chance.getrandbits(32))
        if is_public(four):
            assert four.is_global
            assert not four.is_multicast
        six = IPv6Address(chance.getrandbits(128))
        if is_public(six):
            assert six.is_global
    for public in ("1.1.1.1", "8.8.8.8", "151.101.1.1", "2606:4700::1111", "2a00:1450:4001::8a", "::ffff:8.8.8.8"):
        assert is_public(ip_address(public)), public


def test_a_name_server_that_lies_leads_nobody_inside() -> None:
    """Rebinding through the machine's own resolver, in a network where a public address and a name server are ours."""
    own_user = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", *own_user, "--net", "--mount", sys.executable, "-m", "tests.app.egress.little_internet"]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=60).stdout)
    assert told["told"] == [
        ["good", "outside"],
        *[["rebinding", said] for said in ("outside", "Refused", "outside", "Refused", "Refused")],
        *[[name, "Refused"] for name in ("mixed", "sixes", "mapped", "nat64", "zero", "inner")],
        ["absent", "Failed"],
        ["turning", "Refused"],
    ]
    assert (told["inside"], told["outside"]) == (0, 4)
    assert (told["dns"]["rebinding.example"], told["dns"]["turning.example"]) == (5, 2)
