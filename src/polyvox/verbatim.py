"""A caller's request as it came, for a provider that speaks the caller's own dialect.

A gateway reads a request to decide about it. When in the end the same request goes to a provider of
the same dialect, there is no need to say it in other words: what nobody here knows survives that way,
in the request, and in the answer: as ``Passed`` events of a stream, as ``Verbatim.answer`` when it
comes whole.
"""

import msgspec

from polyvox.request import Request

__all__ = ["LONG", "Verbatim"]

LONG = 256 << 10
"""Bodies of so many bytes are read and written in a thread, so that others get their turn."""


class Verbatim(msgspec.Struct):
    """The body of a request in a dialect, and the request that was read from it.

    It holds for that very object: who changes the request makes another one, which is then told in
    words of our own. ``headers`` are those of the caller that belong to the dialect. ``used`` says of
    the latest attempt whether the answer comes as it came from the provider; ``answer`` is then the body
    of a whole answer that was not asked for as a stream.
    """

    dialect: str
    request: Request
    body: bytes
    headers: dict[str, str] = {}
    used: bool = False
    answer: bytes = b""

    @property
    def is_long(self) -> bool:
        """Whether whatever looks at all of the request is better done in a thread."""
        return len(self.body) >= LONG
