"""A model whose key is not there, among others that can be asked."""

from collections.abc import AsyncGenerator

from polyvox.assembly import failed
from polyvox.errors import MissingKeyError
from polyvox.events import Event
from polyvox.model import Call
from polyvox.request import Request
from polyvox.usage import FREE, Usage

__all__ = ["Keyless"]


class Keyless:
    """Fail at once, so that a router asks the next one: not everybody has every key of a shared file."""

    def __init__(self, name: str, error: MissingKeyError) -> None:
        self.name = name
        self._error = error

    def quote(self, request: Request) -> Usage:
        """Nothing: nobody is asked."""
        return Usage(cost=FREE)

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """That there is no key."""
        error = MissingKeyError(self._error.text, hint=self._error.hint)
        error.provider = self._error.provider
        yield failed(error)
