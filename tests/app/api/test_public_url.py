"""Links in answers: from the setting, a trusted proxy or the listening address, never from a bare Host."""

from typing import Any

import pytest
from fastapi import Request

from app.api.public_url import public_url
from app.core.config import GatewaySettings, Settings
from app.core.errors import ConfigurationError
from app.main import create_app

FORWARDED = {"x-forwarded-host": "images.example", "x-forwarded-proto": "https"}


def request(headers: dict[str, str], client: str | None = "10.0.0.7") -> Request:
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request(
        {
            "type": "http",
            "method": "GET",
            "path": "/",
            "query_string": b"",
            "headers": encoded,
            "client": None if client is None else (client, 1234),
            "server": ("127.0.0.1", 43210),
        }
    )


def url(headers: dict[str, str], client: str | None = "10.0.0.7", **settings: Any) -> str:
    return public_url(request(headers, client), Settings(**settings))


def test_a_proxy_that_is_no_address_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match=r"10\.0\.0\.0/99"):
        create_app(Settings(gateway=GatewaySettings(trusted_proxies=["10.0.0.0/99"])))


def test_the_setting_wins_over_everything() -> None:
    trusting = {"trusted_proxies": ["10.0.0.0/8"]}
    assert url(FORWARDED, public_url="https://a.example/base/", gateway=trusting) == "https://a.example/base"


def test_a_host_header_is_never_believed() -> None:
    assert url({"host": "evil.example"} | FORWARDED) == "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("proxies", "client", "believed"),
    [
        (["10.0.0.0/8"], "10.0.0.7", True),
        (["10.0.0.7"], "10.0.0.7", True),
        (["::1", "192.168.0.0/16"], "192.168.3.4", True),
        (["10.0.0.0/8"], "11.0.0.7", False),
        (["10.0.0.0/8"], "not-an-address", False),
        (["10.0.0.0/8"], None, False),
        ([], "10.0.0.7", False),
    ],
)
def test_only_a_trusted_proxy_is_believed(proxies: list[str], client: str | None, believed: bool) -> None:
    expected = "https://images.example" if believed else "http://127.0.0.1:8000"
    assert url(FORWARDED, client, gateway={"trusted_proxies": proxies}) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-forwarded-host": "evil.example, images.example", "x-forwarded-proto": "https"}, "https://images.example"),
        ({"x-forwarded-host": "images.example:8443"}, "http://images.example:8443"),
        ({"x-forwarded-host": "[2001:db8::1]:80"}, "http://[2001:db8::1]:80"),
        ({"x-forwarded-host": "a/b@c"}, "http://127.0.0.1:8000"),
        ({"x-forwarded-host": "a", "x-forwarded-proto": "javascript"}, "http://127.0.0.1:8000"),
        ({"x-forwarded-proto": "https"}, "http://127.0.0.1:8000"),
    ],
)
def test_the_nearest_proxys_word_counts_and_must_be_an_address(headers: dict[str, str], expected: str) -> None:
    assert url(headers, gateway={"trusted_proxies": ["10.0.0.0/8"]}) == expected


@pytest.mark.parametrize(
    ("gateway", "expected"),
    [
        ({"host": "0.0.0.0", "port": 9000}, "http://127.0.0.1:9000"),
        ({"host": "::", "port": 9000}, "http://127.0.0.1:9000"),
        ({"host": "192.168.1.5", "port": 9000}, "http://192.168.1.5:9000"),
        ({"host": "::1", "port": 9000}, "http://[::1]:9000"),
        ({"port": 0}, "http://127.0.0.1:43210"),
    ],
)
def test_else_it_is_where_the_gateway_listens(gateway: dict[str, Any], expected: str) -> None:
    assert url({}, gateway=gateway) == expected
