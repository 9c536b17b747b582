"""The socket that `up` listens on, and the address by which this machine reaches it."""

import ipaddress
import socket
from collections.abc import Generator
from contextlib import contextmanager

from app.cli.terminal import CommandError


@contextmanager
def listening(host: str, port: int) -> Generator[socket.socket]:
    """A socket that listens already, or one clear line why not."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise CommandError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; choose another --port (0 picks a free one)"
        ) from error
    with listener:
        yield listener


def own_url(listener: socket.socket) -> str:
    """The service's address as this machine sees it."""
    host, port = bound_address(listener), listener.getsockname()[1]
    if host.is_unspecified:
        host = ipaddress.ip_address("::1" if host.version == 6 else "127.0.0.1")
    return f"http://[{host}]:{port}" if host.version == 6 else f"http://{host}:{port}"


def bound_address(listener: socket.socket) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(listener.getsockname()[0])
