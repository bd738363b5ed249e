"""A transport made in the test, and the answers it gives."""

import asyncio
from collections.abc import AsyncGenerator, Iterable

from polyvox.dialects import Target, get_dialect
from polyvox.errors import PolyvoxError
from polyvox.events import Event
from polyvox.http import HttpRequest, Timeouts
from polyvox.messages import ToolCall, assistant
from polyvox.providers import ProviderModel
from polyvox.request import Request
from polyvox.secret import Secret
from polyvox.usage import Cost, Usage


class Answer:
    """An HTTP answer whose body is a list of pieces; an exception among them is raised."""

    def __init__(
        self,
        *pieces: bytes | Exception,
        status: int = 200,
        headers: dict[str, str] | None = None,
        then_wait: bool = False,
    ) -> None:
        self.status = status
        self.headers = headers or {}
        self.pieces = pieces
        self.then_wait = then_wait
        self.read_to_end = False
        self.closed = False
        self.waits = asyncio.Event()
        self.body = self._body()

    async def _body(self) -> AsyncGenerator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece
        if self.then_wait:
            self.waits.set()
            await asyncio.get_running_loop().create_future()
        self.read_to_end = True

    async def aclose(self) -> None:
        self.closed = True
        await self.body.aclose()


class Line:
    """A transport that gives the same answer to every request."""

    def __init__(self, answer: Answer | PolyvoxError) -> None:
        self.answer = answer
        self.sent: list[HttpRequest] = []

    async def send(self, request: HttpRequest) -> Answer:
        self.sent.append(request)
        if isinstance(self.answer, PolyvoxError):
            raise self.answer
        return self.answer


def a_model(
    dialect: str, answer: Answer | PolyvoxError, timeouts: Timeouts | None = None
) -> ProviderModel:
    target = Target(
        provider="acme", model="m1", base_url="https://acme.test/v1", key=Secret("sk-canary")
    )
    return ProviderModel(
        get_dialect(dialect), target, Line(answer), timeouts=timeouts, pricing=a_dollar_per_token
    )


def a_dollar_per_token(usage: Usage) -> Cost:
    return Cost("known", usage.total_tokens * 10**9, source="catalog")


def streamed(dialect: str, events: Iterable[Event]) -> list[bytes]:
    request = Request(
        messages=[], options={"openai-chat": {"stream_options": {"include_usage": True}}}
    )
    encoder = get_dialect(dialect).stream_encoder(request)
    return [data for event in events if (data := encoder.encode(event))]


def an_answer(*content: str | ToolCall):
    message = assistant(*content)
    message.usage = Usage(12, 5)
    message.stop_reason = "tool_calls" if message.tool_calls else "stop"
    message.id = "msg_1"
    return message
