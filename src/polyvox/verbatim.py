"""A caller's request as it came, for a provider that speaks the caller's own dialect.

A gateway reads a request to decide about it. When in the end the same request goes to a provider of
the same dialect, there is no need to say it in other words: what nobody here knows survives that way,
in the request, and in the answer as ``Passed`` events.
"""

import msgspec

from polyvox.request import Request

__all__ = ["Verbatim"]


class Verbatim(msgspec.Struct):
    """The body of a request in a dialect, and the request that was read from it.

    It holds for that very object: who changes the request makes another one, which is then told in
    words of our own. ``headers`` are those of the caller that belong to the dialect. ``used`` says of
    the latest attempt whether the answer comes as it came from the provider.
    """

    dialect: str
    request: Request
    body: bytes
    headers: dict[str, str] = {}
    used: bool = False
