"""Connections to none but the addresses that may be reached.

Names are checked when they are resolved, so that one bad address spoils the name; the socket's own
address is checked before it is opened, because aiohttp does not ask the resolver about addresses,
nor, in some of its versions, about "2130706433" and "127.1", which mean 127.0.0.1.
"""

import socket
from collections.abc import Callable
from typing import Any, TypeAlias

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from polyvox.errors import BadRequestError

_Info: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]
"""What ``socket.getaddrinfo`` gives: family, kind, protocol, name, address."""


class GuardedResolver(AbstractResolver):
    """The system's resolver, without the names that lead to where we may not go."""

    def __init__(self, may_reach: Callable[[str], bool]) -> None:
        self._may_reach = may_reach
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises ``BadRequestError`` if one of them may not be reached."""
        found = await self._resolver.resolve(host, port, family)
        if not all(self._may_reach(each["host"]) for each in found):
            raise _refused(host)
        return found

    async def close(self) -> None:
        """Nothing to close."""


def guarded_sockets(may_reach: Callable[[str], bool]) -> Callable[[_Info], socket.socket]:
    """Makes the sockets for connections. Raises ``BadRequestError`` for those that may not be."""

    def make(info: _Info) -> socket.socket:
        family, kind, protocol, _, address = info
        if not may_reach(str(address[0])):
            raise _refused(str(address[0]))
        return socket.socket(family, kind, protocol)

    return make


def _refused(host: str) -> BadRequestError:
    # The address behind a name is not told: it would say what stands where in a private network.
    return BadRequestError(f"{host} is, or leads to, an address that may not be reached")
