"""Callers and providers of every dialect, and answers as they came over the wire."""

import io
from typing import Any, NamedTuple

from msgspec.structs import replace

from chaos.rig import Acting
from polyvox import AsyncClient
from polyvox.dialects import DIALECTS, Target, get_dialect
from polyvox.events import Event
from polyvox.http import Timeouts
from polyvox.messages import user
from polyvox.request import Request
from polyvox.testing import MockProvider

__all__ = [
    "ASKED",
    "BEHIND",
    "CALLERS",
    "Acting",
    "Answered",
    "asking",
    "callers",
    "read",
    "upstream",
]

CALLERS = ("openai-chat", "openai-responses", "anthropic-messages", "gemini", "ollama")
BEHIND = tuple(DIALECTS)

ASKED = Request(messages=[user("Weather?")], max_tokens=4_000)
_AUTH = {"anthropic-messages": "x-api-key", "gemini": "x-goog-api-key"}


def callers(url: str) -> AsyncClient:
    """A client for which the gateway is a provider of each dialect: ``via-<dialect>``."""
    rows = {
        f"via-{dialect}": {
            "dialect": dialect,
            "base_url": url + get_dialect(dialect).base_path,
            "auth": _AUTH.get(dialect, "bearer"),
        }
        for dialect in CALLERS
    }
    return AsyncClient(providers=rows, keys=dict.fromkeys(rows, "good"))


def upstream(*mocks: MockProvider, timeouts: Timeouts | None = None) -> AsyncClient:
    """A client for which these are the providers ``up``, ``up2``, ``up3`` ..."""
    rows = {
        f"up{number or ''}": {"dialect": mock.dialect.name, "base_url": mock.url}
        for number, mock in zip((0, *range(2, 99)), mocks, strict=False)
    }
    return AsyncClient(providers=rows, keys=dict.fromkeys(rows, "any"), timeouts=timeouts)


class Answered(NamedTuple):
    """What came over the wire."""

    status: int
    headers: Any
    body: bytes


async def asking(
    gateway: Any,
    caller: str,
    model: str = "up/m",
    request: Request = ASKED,
    *,
    key: str = "good",
    **fields: Any,
) -> Answered:
    """Ask as a client of this dialect does, ``fields`` on top of the request."""
    dialect = get_dialect(caller)
    target = Target(provider="via", model=model, base_url=gateway.url + dialect.base_path)
    http = dialect.encode_request(replace(request, **fields), target)
    headers = {**http.headers, "authorization": f"Bearer {key}"}
    async with gateway.http.post(http.url, data=io.BytesIO(http.body), headers=headers) as answer:
        return Answered(answer.status, answer.headers, await answer.read())


def read(caller: str, body: bytes) -> list[Event]:
    """The events of a streamed answer, as a client of this dialect reads it."""
    dialect = get_dialect(caller)
    reader = dialect.frame_reader()
    decoder = dialect.stream_decoder(Target(provider="via", model="up/m", base_url=""))
    frames = [*reader.feed(body), *reader.close()]
    return [event for frame in frames for event in decoder.feed(frame)] + decoder.close()
