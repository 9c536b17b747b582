"""Where a request comes from: the address of the client, by way of trusted proxies alone, and the network that it counts as."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from fastapi import Request

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

IPV6_PREFIX = 64
"""What one subscriber of IPv6 is given; every address in it may be one caller's."""
FORWARDING_HEADERS = ("x-forwarded-for", "forwarded", "x-real-ip")


def proxy_network(proxy: str) -> Network:
    """A trusted proxy as settings name it. Raises ValueError for what is neither an address nor a network."""
    return ip_network(proxy, strict=False)


def peer_address(request: Request) -> Address | None:
    """Who holds the other end of the connection; None for one that has no address."""
    return _address(request.client.host) if request.client is not None else None


def is_trusted(address: Address | None, proxies: Iterable[str]) -> bool:
    """Whether this is one of the configured proxies."""
    return address is not None and any(address in proxy_network(proxy) for proxy in proxies)


def client_address(request: Request, proxies: list[str]) -> Address | None:
    """The client's own address: the peer's or, behind trusted proxies, the last one in X-Forwarded-For that is none of them.

    None where there is no telling: a proxy that nobody has configured forwards, or a trusted one names no address.
    """
    peer = peer_address(request)
    if not is_trusted(peer, proxies):
        return None if is_forwarded(request) else peer
    hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    for hop in reversed(hops):
        address = _address(hop.strip())
        if address is None:
            return None
        if not is_trusted(address, proxies):
            return address
    return None


def is_forwarded(request: Request) -> bool:
    """Whether somebody says that this request was another's."""
    return any(header in request.headers for header in FORWARDING_HEADERS)


def network_of(address: Address) -> str:
    """The network that counts as one caller: an IPv4 address, or the /64 around an IPv6 address."""
    if isinstance(address, IPv4Address):
        return f"{address}/32"
    return str(ip_network((address, IPV6_PREFIX), strict=False))


def _address(text: str) -> Address | None:
    """An IPv4 address inside an IPv6 one is the same machine's."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
