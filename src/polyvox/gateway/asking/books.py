"""What is written into the journal of a call, before its caller has the last byte."""

from typing import Protocol

from polyvox.attempt import Attempt
from polyvox.gateway.journal.lines import Begun, Ended, Reserved

__all__ = ["Books"]


class Books(Protocol):
    """Where calls are written down. Never raises, and never waits for long."""

    def begin(self, line: Begun, /) -> None:
        """A call was let in."""
        ...

    def reserve(self, line: Reserved, /) -> None:
        """More is reserved for it."""
        ...

    def attempt(self, call: str, attempt: Attempt, /) -> None:
        """A provider was asked for it."""
        ...

    def end(self, line: Ended, /) -> None:
        """It is over."""
        ...
