"""HTTP to customers' hosts: pinned addresses, bounded bytes and time, no cookies, no proxies, no way around the checks."""

import asyncio
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urljoin

import httpcore

from app.egress.addresses import PrivateHosts
from app.egress.connecting import CheckedNetwork, Resolver, resolve
from app.egress.refused import Failed
from app.egress.target import Target, read_target

MAX_CONNECTIONS: Final = 100
MAX_REDIRECTS: Final = 3
USER_AGENT: Final = "darkroom"
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
Headers = Mapping[str, str]


@dataclass(frozen=True)
class Answered:
    """What a host said, as much of its body as was asked for."""

    status: int
    body: bytes


class Egress:
    """One pool of connections. Used with `async with`, or closed by hand.

    Args:
        schemes: of URLs that may be asked for.
        ports: likewise.
        private_hosts: outside the public internet, and allowed all the same.
        connect_s: seconds that connecting and every single read or write may take.
        resolver: from names to addresses.
        verify: TLS settings; None for the system's certificates.
    """

    def __init__(
        self,
        schemes: Collection[str],
        ports: Collection[int],
        private_hosts: PrivateHosts,
        connect_s: float,
        resolver: Resolver = resolve,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        self._schemes = schemes
        self._ports = ports
        self._timeouts = dict.fromkeys(("connect", "read", "write", "pool"), connect_s)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=verify or ssl.create_default_context(),
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=0,
            network_backend=CheckedNetwork(private_hosts, resolver),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._pool.aclose()

    async def get(self, url: str, max_bytes: int, within_s: float) -> bytes:
        """What lies at a URL. It may redirect on its own host, and nowhere else.

        Raises:
            Refused: the URL, or what it leads to, may not be asked for.
            Failed: it gave nothing, or too much, or took too long.
        """
        target = read_target(url, self._schemes, self._ports)
        try:
            async with asyncio.timeout(within_s):
                return await self._get(url, target, max_bytes)
        except TimeoutError:
            raise Failed(f"{target.shown} took more than {within_s:g} seconds") from None

    async def post(self, url: str, body: bytes, headers: Headers, within_s: float, max_bytes: int = 4096) -> Answered:
        """Send a body; what comes back beyond `max_bytes` is not read. Redirects are answers like others.

        Raises:
            Refused: the URL may not be asked for.
            Failed: nobody answered.
        """
        target = read_target(url, self._schemes, self._ports)
        try:
            async with asyncio.timeout(within_s):
                answered, _ = await self._ask("POST", target, max_bytes, headers, body)
        except TimeoutError:
            raise Failed(f"{target.shown} took more than {within_s:g} seconds") from None
        return Answered(answered.status, answered.body[:max_bytes])

    async def _get(self, url: str, target: Target, max_bytes: int) -> bytes:
        host = target.host
        for _ in range(MAX_REDIRECTS + 1):
            answered, location = await self._ask("GET", target, max_bytes, {"accept": "image/*"})
            if answered.status == 200:
                if len(answered.body) > max_bytes:
                    raise Failed(f"{target.shown} sends more than {max_bytes} bytes", is_lasting=True)
                return answered.body
            if answered.status not in _REDIRECTS or location is None:
                raise Failed(f"{target.shown} answered {answered.status}", is_lasting=True)
            url = urljoin(url, location)
            target = read_target(url, self._schemes, self._ports)
            if target.host != host:
                raise Failed(f"the URL redirects to another host, {target.shown}; send that URL", is_lasting=True)
        raise Failed(f"{target.shown} redirects more than {MAX_REDIRECTS} times", is_lasting=True)

    async def _ask(
        self, method: str, target: Target, max_bytes: int, headers: Headers, body: bytes | None = None
    ) -> tuple[Answered, str | None]:
        """One request and its answer, read up to a byte beyond the limit, and where it redirects to."""
        url = httpcore.URL(
            scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path.encode()
        )
        sent = {"host": target.authority, "user-agent": USER_AGENT, "accept-encoding": "identity", **headers}
        if body is not None:
            sent["content-length"] = str(len(body))
        pairs = [(name.encode(), value.encode()) for name, value in sent.items()]
        try:
            async with self._pool.stream(
                method, url, headers=pairs, content=body, extensions={"timeout": self._timeouts}
            ) as answer:
                read = await _up_to(answer, max_bytes + 1)
                location = dict(_lowered(answer)).get(b"location")
                return Answered(answer.status, read), None if location is None else location.decode("latin-1")
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise Failed(f"{target.shown} could not be reached ({_reason(error)})") from None


async def _up_to(answer: httpcore.Response, most: int) -> bytes:
    read = bytearray()
    async for part in answer.aiter_stream():
        read += part
        if len(read) >= most:
            break
    return bytes(read[:most])


def _lowered(answer: httpcore.Response) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in answer.headers]


def _reason(error: Exception) -> str:
    """In words that say nothing of our network."""
    if isinstance(error, httpcore.TimeoutException):
        return "no answer in time"
    return "no connection" if isinstance(error, httpcore.ConnectError) else "the connection broke"
