"""Connections that lead where they were allowed to: a name is looked up once, every address is looked at, and one of these is used.

The socket goes to the address that was checked, so a name that answers otherwise a moment later changes nothing. TLS still asks for
the name, and its certificate has to be the name's.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import cast

import httpcore

from app.egress.addresses import Address, PrivateHosts, is_public, parsed
from app.egress.refused import Refused

Resolver = Callable[[str, int], Awaitable[Sequence[Address]]]
"""A name and a port to addresses, best first. Raises OSError."""


async def resolve(name: str, port: int) -> list[Address]:
    """What this machine's resolver says."""
    found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return [ip_address(str(one[4][0]).partition("%")[0]) for one in found]


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Where httpcore gets its sockets from."""

    def __init__(self, private_hosts: PrivateHosts, resolver: Resolver = resolve) -> None:
        self._private_hosts = private_hosts
        self._resolver = resolver
        self._sockets: httpcore.AsyncNetworkBackend = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises Refused when any of the host's addresses may not be reached; httpcore's errors otherwise."""
        addresses = await self._checked(host, port)
        for address in addresses[:-1]:
            try:
                return await self._sockets.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._sockets.connect_tcp(str(addresses[-1]), port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise Refused("sockets of this machine are not for customers")

    async def sleep(self, seconds: float) -> None:
        await self._sockets.sleep(seconds)

    async def _checked(self, host: str, port: int) -> Sequence[Address]:
        address = parsed(host)
        try:
            addresses = [address] if address is not None else await self._resolver(host, port)
        except OSError:
            addresses = []
        if not addresses:
            raise httpcore.ConnectError("the host's name has no address")
        if not all(is_public(one) or self._private_hosts.has(host, one) for one in addresses):
            raise Refused("the host is not on the public internet")
        return addresses
