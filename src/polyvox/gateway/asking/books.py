"""What is written into the journal of a call, before its caller has the last byte."""

import time
from collections.abc import Callable
from typing import Protocol

from polyvox.attempt import Attempt
from polyvox.gateway.journal.lines import Begun, Ended

__all__ = ["Books", "Entry"]


class Books(Protocol):
    """Where calls are written down. Never raises, and never waits for long."""

    def begin(self, line: Begun, /) -> None:
        """A call was let in."""
        ...

    def attempt(self, call: str, attempt: Attempt, /) -> None:
        """A provider was asked for it."""
        ...

    def end(self, line: Ended, /) -> None:
        """It is over."""
        ...


class Entry:
    """One call in the books: begun once, ended once."""

    __slots__ = ("_began", "_books", "_clock", "_first_token", "_id", "_provider_seconds", "ended")

    def __init__(
        self, books: Books, begun: Begun, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._books = books
        self._id = begun.id
        self._clock = clock
        self._began = clock()
        self._provider_seconds = 0.0
        self._first_token: float | None = None
        self.ended = False
        books.begin(begun)

    def attempt(self, attempt: Attempt) -> None:
        """A provider was asked once more."""
        self._provider_seconds += attempt.seconds
        self._books.attempt(self._id, attempt)

    def content(self) -> None:
        """The first content is there."""
        if self._first_token is None:
            self._first_token = self._clock() - self._began

    def end(
        self, debits: dict[str, int], error: str | None, *, partial: bool, cached: bool
    ) -> Ended:
        """The call is over."""
        self.ended = True
        seconds = self._clock() - self._began
        line = Ended(
            id=self._id,
            at=time.time(),
            error=error,
            partial=partial,
            cached=cached,
            debits=debits,
            seconds=seconds,
            first_token=self._first_token,
            overhead=max(0.0, seconds - self._provider_seconds),
        )
        self._books.end(line)
        return line
