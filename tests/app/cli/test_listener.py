"""Where `up` listens, and what it calls that place."""

import socket

import pytest

from app.cli.listener import bound_address, listening, own_url
from app.cli.terminal import CommandError


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "http://127.0.0.1:{}"), ("localhost", "http://127.0.0.1:{}"), ("0.0.0.0", "http://127.0.0.1:{}")],
)
def test_port_0_takes_a_free_port_and_the_address_names_it(host: str, address: str) -> None:
    with listening(host, 0) as listener:
        port = listener.getsockname()[1]
        assert port != 0
        assert own_url(listener) == address.format(port)
        socket.create_connection(("127.0.0.1", port)).close()


def test_only_addresses_of_this_machine_alone_are_loopback() -> None:
    with listening("127.0.0.1", 0) as alone, listening("0.0.0.0", 0) as everywhere:
        assert bound_address(alone).is_loopback
        assert not bound_address(everywhere).is_loopback


def test_a_port_in_use_is_named() -> None:
    with listening("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        in_use = f"cannot listen on 127.0.0.1 port {port}: Address already in use"
        with pytest.raises(CommandError, match=in_use), listening("127.0.0.1", port):
            pass
