"""Which addresses belong to the public internet: for URLs that came from who knows whom.

Registries: IANA's "IPv4 Special-Purpose Address Registry" and "IPv6 Special-Purpose Address
Registry", which ``ipaddress`` knows; RFC 6052 (NAT64) and RFC 3056 (6to4) for IPv4 inside of IPv6.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

__all__ = ["is_public"]

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_METADATA = frozenset({"168.63.129.16"})
"""Looks public, and is the host that a virtual machine at Azure runs on."""


def is_public(address: str) -> bool:
    """Whether this is a public address in its usual form; names and "127.1" are none.

    IPv6 that leads to an IPv4 address is what that address is.

    >>> is_public("93.184.216.34"), is_public("10.0.0.1"), is_public("::ffff:127.0.0.1")
    (True, False, False)
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    inner = _carried(parsed) if isinstance(parsed, IPv6Address) else parsed
    if isinstance(inner, IPv6Address) and inner not in _GLOBAL_UNICAST:
        return False
    return inner.is_global and not inner.is_multicast and str(inner) not in _METADATA


def _carried(address: IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that is reached by this one, if it is but a way to it."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
