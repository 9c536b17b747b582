"""A name server of the tests' own: answers A and AAAA over UDP with time to live 0, another answer every time it is asked."""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import cast

Answers = Sequence[Sequence[str]]
"""What is said the first time, the second time, ...; the last for ever after."""
TYPES = {1: IPv4Address, 28: IPv6Address}


@dataclass
class DnsServer(asyncio.DatagramProtocol):
    """`zone` names are small letters without the last dot; `asked` counts questions for A."""

    zone: Mapping[str, Answers]
    asked: Counter[str] = field(default_factory=Counter)
    transport: asyncio.DatagramTransport | None = None

    @asynccontextmanager
    async def running(self, address: str, port: int) -> AsyncIterator["DnsServer"]:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, (address, port))
        try:
            yield self
        finally:
            transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self.transport is not None
        self.transport.sendto(self.answer(data), addr)

    def answer(self, query: bytes) -> bytes:
        """RFC 1035, section 4: the header with its answer bits set, the question again, and the records."""
        name, end = _name(query)
        kind = struct.unpack("!H", query[end : end + 2])[0]
        found = self._said(name, kind)
        records = [
            b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(one.packed)) + one.packed
            for one in map(ip_address, found)
            if isinstance(one, TYPES.get(kind, ()))
        ]
        code = 0x8180 if name in self.zone else 0x8183  # NXDOMAIN
        head = query[:2] + struct.pack("!HHHHH", code, 1, len(records), 0, 0)
        return head + query[12 : end + 4] + b"".join(records)

    def _said(self, name: str, kind: int) -> Sequence[str]:
        """Questions for A and AAAA of one look go together, A first."""
        answers = self.zone.get(name, [[]])
        self.asked[name] += kind == 1
        return answers[min(max(self.asked[name], 1), len(answers)) - 1]


def _name(query: bytes) -> tuple[str, int]:
    """The name that is asked for, and where its type stands."""
    labels: list[str] = []
    at = 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii").lower())
        at += 1 + query[at]
    return ".".join(labels), at + 1
