"""From where a key may be used."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

__all__ = ["is_from", "network_of"]


def is_from(networks: Sequence[str], address: str | None) -> bool:
    """Whether the address is in one of these networks; one that nobody knows is in none.

    >>> is_from(("10.0.0.0/8",), "::ffff:10.1.2.3"), is_from(("10.0.0.0/8",), None)
    (True, False)
    """
    try:
        found = ip_address((address or "").partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if found.version == 6 else None
    return any((mapped or found) in network_of(network) for network in networks)


@lru_cache(maxsize=10_000)
def network_of(text: str) -> IPv4Network | IPv6Network:
    """The network of an address ("10.1.2.3") or of a range ("10.0.0.0/8"). Raises ``ValueError``."""
    return ip_network(text)
