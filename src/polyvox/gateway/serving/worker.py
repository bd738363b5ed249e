"""What an application is told of the process that it runs in, and what the process is told to do."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from polyvox.gateway.web.asgi import ASGIApp
from polyvox.model import Interrupt

__all__ = ["MakeApp", "Serving", "Worker"]


class Worker(msgspec.Struct):
    """One of the workers of a gateway, as its application knows it.

    ``number`` counts from 1 to ``count``. When the process is told to stop, ``draining`` is set: calls
    that are under way go on. Those that are still under way after ``drain_seconds`` are to end with
    what they have, which ``cut`` says. ``hangup`` is called on the event loop for SIGHUP; the
    application puts there what it does then.
    """

    number: int = 1
    count: int = 1
    draining: Interrupt = msgspec.field(default_factory=Interrupt)
    cut: Interrupt = msgspec.field(default_factory=Interrupt)
    hangup: Callable[[], None] = lambda: None


MakeApp: TypeAlias = Callable[[Worker], ASGIApp]
"""Makes the application of a worker. For several workers it must be importable by its name."""


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """How requests are taken in.

    ``server``         "uvicorn" or "granian"
    ``drain_seconds``  how long calls may go on after the first signal
    ``cut_seconds``    ... and how long they may take to end with what they have
    ``close_seconds``  how long the application may take to close afterwards
    """

    server: Literal["uvicorn", "granian"] = "uvicorn"
    drain_seconds: float = 30.0
    cut_seconds: float = 5.0
    close_seconds: float = 15.0

    @property
    def longest(self) -> float:
        """How long stopping can take at most."""
        return self.drain_seconds + self.cut_seconds + self.close_seconds
