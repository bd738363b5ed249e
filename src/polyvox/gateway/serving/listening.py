"""Where the gateway listens: its sockets, bound before anything else begins."""

import errno
import os
import socket
import sys
from collections.abc import Sequence
from ipaddress import ip_address

import msgspec

from polyvox.errors import ConfigurationError

__all__ = ["Bound", "bind", "is_loopback"]

BACKLOG = 1024


class Bound(msgspec.Struct):
    """Sockets that listen at one address, one for each worker.

    On Linux each worker has its own, among which the kernel shares out connections; elsewhere all
    have the same. They stay open while a worker begins anew: what comes meanwhile waits.
    """

    host: str
    port: int
    sockets: Sequence[socket.socket]

    @property
    def url(self) -> str:
        """The address, for clients on this machine where it listens everywhere."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host and host[0] != '[' else host}:{self.port}"

    def close(self) -> None:
        """Let go of the address."""
        for each in self.sockets:
            each.close()


def bind(host: str, port: int, workers: int = 1) -> Bound:
    """Listen there; port 0 finds a free one. Raises ``ConfigurationError``, with what to do."""
    family, address = _resolved(host, port)
    try:
        if workers == 1 or sys.platform != "linux":
            first = _listening(family, address)
            return Bound(host, first.getsockname()[1], [first] * workers)
        # Sockets that share a port would share it with another gateway too: is it free at all?
        with _listening(family, address) as probe:
            address = (address[0], probe.getsockname()[1], *address[2:])
        sockets = [_listening(family, address, shared=True) for _ in range(workers)]
    except OSError as error:
        raise _refused(error, host, port) from None
    return Bound(host, address[1], sockets)


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach it there.

    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _resolved(
    host: str, port: int
) -> tuple[socket.AddressFamily, tuple[str, int, *tuple[int, ...]]]:
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ConfigurationError(
            f"{host!r} is no address of this machine: {error.strerror}",
            hint="Say 127.0.0.1 for this machine alone, 0.0.0.0 for all of its networks.",
        ) from None
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    return family, (str(address[0]), int(address[1]), *map(int, address[2:]))


def _listening(
    family: socket.AddressFamily,
    address: tuple[str, int, *tuple[int, ...]],
    *,
    shared: bool = False,
) -> socket.socket:
    # asyncio sends small pieces at once (TCP_NODELAY) only where the protocol is said.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name != "nt":  # there it would take the address away from another program
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(address)
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


def _refused(error: OSError, host: str, port: int) -> ConfigurationError:
    if error.errno == errno.EADDRINUSE:
        return ConfigurationError(
            f"port {port} is taken: another program listens at {host}:{port}",
            hint="Choose another one with --port; --port 0 finds one that is free.",
        )
    if error.errno == errno.EACCES:
        return ConfigurationError(
            f"port {port} needs more rights than this user has",
            hint="Choose one from 1024 on, and let a proxy such as nginx have the lower one.",
        )
    return ConfigurationError(
        f"can't listen at {host}:{port}: {error.strerror}",
        hint="Say 127.0.0.1 for this machine alone, 0.0.0.0 for all of its networks.",
    )
