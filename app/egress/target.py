"""A customer's URL, taken apart once: what is connected to and what is asked for are never parsed a second time, by anybody."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from app.egress.addresses import parsed
from app.egress.refused import Refused

MAX_LENGTH: Final = 2083
DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_NAME: Final = re.compile(
    r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_LOOKS_NUMERIC: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
_KEPT: Final = "/?:@!$&'()*+,;=-._~%[]"


@dataclass(frozen=True)
class Target:
    """Where a URL leads.

    Attributes:
        scheme: https or http.
        host: a name in small ASCII letters, or an address without brackets.
        port: 1 to 65535.
        path: path and query, as they go over the wire.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The Host header: with the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """For messages: paths and queries of customers hold secrets."""
        return f"{self.scheme}://{self.authority}"


def read_target(url: str, schemes: Collection[str], ports: Collection[int]) -> Target:
    """Take a URL apart. Raises Refused for what is none, or may not be asked for."""
    if len(url) > MAX_LENGTH:
        raise Refused(f"the URL has {len(url)} characters, and may have {MAX_LENGTH}")
    if any(ord(one) <= 32 or ord(one) == 127 for one in url) or "\\" in url:
        raise Refused("the URL has characters that must be percent-encoded")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise Refused("this is no URL") from None
    if parts.scheme not in schemes:
        raise Refused(f"the URL must begin with {' or '.join(f'{one}://' for one in schemes)}")
    if "@" in parts.netloc:
        raise Refused("the URL must not hold a user name or password")
    chosen = DEFAULT_PORTS[parts.scheme] if port is None else port
    if chosen not in ports:
        raise Refused(f"port {chosen} may not be asked for; ports: {', '.join(map(str, sorted(ports)))}")
    path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_KEPT)
    return Target(parts.scheme, _host(host or ""), chosen, path)


def _host(text: str) -> str:
    """A name or an address in its usual form. Octal, decimal, hexadecimal and shortened addresses are none."""
    if (address := parsed(text)) is not None:
        return str(address)
    if ":" in text:
        raise Refused("the host of the URL is no address")
    try:
        name = text.encode("idna").decode("ascii").lower().removesuffix(".") if text else ""
    except UnicodeError:
        raise Refused("the host of the URL is no name") from None
    if (address := parsed(name)) is not None:
        return str(address)
    if _NAME.fullmatch(name) is None or _LOOKS_NUMERIC.fullmatch(name.rpartition(".")[2]):
        raise Refused("the host of the URL is neither a name nor an address in its usual form")
    return name
