"""Addresses that a customer's URL must not reach: what is not the public internet, in every form that leads there.

After IANA's registries of special-purpose addresses (RFC 6890 and its successors), written out so that every Python has the same.
"""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC_4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
            "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
            "224.0.0.0/4", "240.0.0.0/4",
        ),
    )
)  # fmt: skip
_PUBLIC_6: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
"""Parts of 2000::/3: Teredo and other protocols, documentation, 6to4."""
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Whether an address is of the public internet. One that carries an IPv4 address is what that is."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    if address in _MAPPED or address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)


class PrivateHosts:
    """Hosts outside the public internet that an operator lets customers name.

    Args:
        hosts: names, addresses or networks: `images.internal`, `10.1.2.3`, `10.1.0.0/16`.
    """

    def __init__(self, hosts: Collection[str] = ()) -> None:
        self._networks: list[Network] = []
        self._names: set[str] = set()
        for host in hosts:
            try:
                self._networks.append(ip_network(host))
            except ValueError:
                self._names.add(host.lower().rstrip("."))

    def has(self, name: str, address: Address) -> bool:
        """Whether this name is let through, or this address whatever its name."""
        return name in self._names or any(address in network for network in self._networks)


def parsed(text: str) -> Address | None:
    """An address in its usual form, or None. Zones of IPv6 (`%eth0`) are none."""
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None
