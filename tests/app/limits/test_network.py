"""Which network a request counts as: trusted proxies speak for others, nobody else does."""

import pytest
from fastapi import Request

from app.limits.network import client_address, network_of


def request(peer: str | None, **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    client = None if peer is None else (peer, 1)
    return Request({"type": "http", "headers": raw, "client": client})


def network(peer: str | None, *proxies: str, **headers: str) -> str | None:
    address = client_address(request(peer, **headers), list(proxies))
    return None if address is None else network_of(address)


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("2001:db8:1:2:aaaa:bbbb:cccc:dddd", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a socket", None),
        (None, None),
    ],
)
def test_a_network_is_an_ipv4_address_or_an_ipv6_64(peer: str | None, expected: str | None) -> None:
    assert network(peer) == expected


PROXIES = ("10.0.0.0/8", "2001:db8:ffff::1")


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("203.0.113.9, 192.0.2.7", "192.0.2.7/32"),
        ("203.0.113.9,192.0.2.7, 10.2.3.4", "192.0.2.7/32"),
        ("2001:db8:5:6::9", "2001:db8:5:6::/64"),
        ("192.0.2.7, 2001:db8:ffff::1", "192.0.2.7/32"),
        ("10.1.1.1", None),
        ("unknown", None),
        ("192.0.2.7, junk", None),
        ("", None),
    ],
)
def test_behind_trusted_proxies_it_is_the_last_address_that_is_none_of_them(
    forwarded: str, expected: str | None
) -> None:
    assert network("10.0.0.1", *PROXIES, x_forwarded_for=forwarded) == expected


@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded", "x_real_ip"])
def test_a_proxy_that_nobody_has_configured_speaks_for_nobody_and_is_nobody(header: str) -> None:
    assert network("192.0.2.7", **{header: "203.0.113.9"}) is None
    assert network("192.0.2.7", *PROXIES, **{header: "203.0.113.9"}) is None
