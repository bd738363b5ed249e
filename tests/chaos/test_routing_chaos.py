"""The table of faults for calls that survive: what becomes of each, and who was asked how often.

Every fault meets a model that is asked again, a router that has somebody else to ask, and a router
that has not. However it ends, the attempts on the books are the requests that the servers saw, and
no piece of text is given twice.
"""

import asyncio
import random
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple

import pytest

from polyvox import AsyncClient
from polyvox.errors import (
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextWindowExceededError,
    NetworkError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PolyvoxError,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
)
from polyvox.events import Done, Event, Failed, Start, TextDelta
from polyvox.http import Timeouts
from polyvox.messages import user
from polyvox.model import Call, Model
from polyvox.request import Request
from polyvox.routing import Retrying, RetryPolicy, Router
from polyvox.testing import Knobs, MockProvider, check_grammar

from .rig import MODELS, async_client, soon

TEXT = "The quick brown fox jumps over the lazy dog."
GOOD: dict[str, Any] = {"message": {"content": TEXT}, "repeat": True}
CUT_FINE = Knobs(text_piece=4)
POLICY = RetryPolicy(base=0, max_wait=5)

WAITING = Timeouts(first_byte=0.3, idle=30)
PAUSING = Timeouts(first_byte=30, idle=0.3)
USUAL = Timeouts()


class Fault(NamedTuple):
    """What a server does, and what becomes of the call.

    ``again``      whether the same model is asked again; if not, the error is told
    ``elsewhere``  whether another deployment is asked
    ``cools``      after how many such failures in a row the deployment rests; 0: never
    ``turn``       what the server plays; None: there is no server
    ``begun``      whether text was given before it happened
    """

    error: type[PolyvoxError]
    again: bool
    elsewhere: bool
    cools: int
    turn: dict[str, Any] | None
    timeouts: Timeouts = USUAL
    begun: bool = False


def told(**knobs: Any) -> dict[str, Any]:
    """The good answer, bent."""
    return {**GOOD, "knobs": knobs}


def said(kind: type[PolyvoxError], text: str) -> dict[str, Any]:
    """An error in the dialect's own form."""
    return {"error": {"kind": kind.kind, "text": text}, "repeat": True}


FAULTS = {
    #                                              error, again, elsewhere, cools after
    "connection refused": Fault(NetworkError, True, True, 2, None),
    "429": Fault(RateLimitError, True, True, 1, told(status=429)),
    "429, Retry-After in seconds": Fault(
        RateLimitError, True, True, 1, told(status=429, retry_after=1)
    ),
    "429, Retry-After as a date": Fault(
        *(RateLimitError, True, True, 1),
        told(status=429, retry_after=2, retry_after_form="date"),
    ),
    "429, Retry-After too long": Fault(
        RateLimitError, False, True, 1, told(status=429, retry_after=50)
    ),
    "500": Fault(ServerError, True, True, 3, told(status=500)),
    "503": Fault(OverloadedError, True, True, 1, told(status=503)),
    "stall before the headers": Fault(
        RequestTimeoutError, True, True, 2, told(delay_headers=3600), WAITING
    ),
    "stall before the first byte": Fault(
        RequestTimeoutError, True, True, 2, told(cut_after=0, cut_mode="stall"), WAITING
    ),
    "stall before the first content": Fault(
        RequestTimeoutError, True, True, 2, told(cut_after="before", cut_mode="stall"), PAUSING
    ),
    "stall mid-stream": Fault(
        *(RequestTimeoutError, False, False, 2),
        told(cut_after="after", cut_mode="stall"),
        *(PAUSING, True),
    ),
    "cut before the first byte": Fault(NetworkError, True, True, 2, told(cut_after=0)),
    "cut before the first content": Fault(
        NetworkError, True, True, 2, told(cut_after="before", cut_mode="rst")
    ),
    "cut after the first content": Fault(
        NetworkError, False, False, 2, told(cut_after="after", cut_mode="rst"), USUAL, True
    ),
    "ended after the first content": Fault(
        NetworkError, False, False, 2, told(cut_after="after"), USUAL, True
    ),
    "invalid JSON": Fault(ProtocolError, True, True, 3, told(malformed_chunk=0)),
    "invalid JSON after the first content": Fault(
        ProtocolError, False, False, 3, told(malformed_chunk=6), USUAL, True
    ),
    "a web page": Fault(ProtocolError, True, True, 3, told(body="html")),
    "an empty answer": Fault(ProtocolError, True, True, 3, told(body="empty")),
    "an error frame first": Fault(ServerError, True, True, 3, told(error_after_chunks=0)),
    "an error frame after the first content": Fault(
        ServerError, False, False, 3, told(error_after_chunks=6), USUAL, True
    ),
    "401": Fault(AuthenticationError, False, True, 1, told(status=401)),
    "403": Fault(PermissionDeniedError, False, True, 1, told(status=403)),
    "404": Fault(NotFoundError, False, True, 1, told(status=404)),
    "400": Fault(BadRequestError, False, False, 0, told(status=400)),
    "context window": Fault(
        *(ContextWindowExceededError, False, False, 0),
        said(ContextWindowExceededError, "This model's maximum context length is 8192 tokens."),
    ),
    "content filter": Fault(
        *(ContentFilterError, False, False, 0),
        said(ContentFilterError, "The prompt was blocked by the content filter."),
    ),
    "out of quota": Fault(
        *(RateLimitError, False, True, 1),
        said(RateLimitError, "You exceeded your current quota, please check your plan."),
    ),
}


class Server:
    """A mock provider, or nobody at its address, and a client for it."""

    def __init__(self, dialect: str, client: AsyncClient, mock: MockProvider | None) -> None:
        self.model = client.model(MODELS[dialect])
        self.mock = mock
        self.refused = 0

    def seen(self, attempts: int) -> int:
        """The requests that came; of those that nobody heard the books alone know."""
        return len(self.mock.requests) if self.mock else attempts


@asynccontextmanager
async def serving(dialect: str, fault: Fault, *then: dict[str, Any]) -> AsyncGenerator[Server]:
    if fault.turn is None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with async_client(dialect, url) as client:
            yield Server(dialect, client, None)
        return
    first = await placed(dialect, fault.turn)
    turns = [{**first, "repeat": False}, *then] if then else [first]
    async with (
        MockProvider(dialect, turns, knobs=CUT_FINE) as mock,
        async_client(dialect, mock.url, timeouts=fault.timeouts) as client,
    ):
        yield Server(dialect, client, mock)


async def placed(dialect: str, turn: dict[str, Any]) -> dict[str, Any]:
    """The turn with its cut put before or after the first piece of text, wherever the dialect has that."""
    where = turn.get("knobs", {}).get("cut_after")
    if not isinstance(where, str):
        return turn
    async with (
        MockProvider(dialect, [GOOD], knobs=CUT_FINE) as mock,
        async_client(dialect, mock.url) as client,
    ):
        await client.complete(MODELS[dialect], "Hi.")
        body = mock.answers[0].body
    begin = body.index(TEXT[:4].encode())
    at = begin if where == "before" else body.index(b"\n\n", begin) + 2
    return {**turn, "knobs": {**turn["knobs"], "cut_after": at}}


class Heard(NamedTuple):
    """What came of a call."""

    text: str
    end: Done | Failed
    call: Call

    @property
    def error(self) -> PolyvoxError:
        assert isinstance(self.end, Failed), "a silent success"
        return self.end.error


async def ask(model: Model, call: Call | None = None) -> Heard:
    call = call or Call()
    async with aclosing(model.stream(Request(messages=[user("Hi.")]), call)) as stream:
        events: list[Event] = await soon(_read(stream))
    check_grammar(events)
    assert sum(isinstance(event, Start) for event in events) <= 1
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    end = events[-1]
    assert isinstance(end, (Done, Failed))
    assert end.message.text == text
    assert TEXT.startswith(text), "something was told twice"
    if isinstance(end, Done):
        assert text == TEXT
    else:
        assert end.error.attempts == call.attempts
    return Heard(text, end, call)


async def _read(stream: AsyncGenerator[Event]) -> list[Event]:
    return [event async for event in stream]


@pytest.mark.parametrize("name", FAULTS)
async def test_a_model_that_is_asked_again(dialect: str, name: str):
    fault = FAULTS[name]
    async with serving(dialect, fault, GOOD) as server:
        heard = await ask(Retrying(server.model, POLICY))
        attempts = len(heard.call.attempts)
        assert attempts == server.seen(attempts)
        if fault.again and fault.turn is not None:
            assert (type(heard.end), attempts) == (Done, 2)
            assert heard.call.attempts[0].error == fault.error.kind
        else:
            assert type(heard.error) is fault.error
            assert attempts == (3 if fault.turn is None else 1)
            assert bool(heard.text) is fault.begun


@pytest.mark.parametrize("name", FAULTS)
async def test_a_router_that_has_somebody_else_to_ask(dialect: str, name: str):
    fault = FAULTS[name]
    async with (
        serving(dialect, fault) as server,
        MockProvider(dialect, [GOOD], knobs=CUT_FINE) as other,
        async_client(dialect, other.url) as client,
    ):
        router = Router([server.model, client.model(MODELS[dialect])])
        heard = await ask(router)
        attempts = heard.call.attempts
        assert len(attempts) == server.seen(1) + len(other.requests)
        assert attempts[0].error == fault.error.kind
        assert len(other.requests) == fault.elsewhere
        if fault.elsewhere:
            assert isinstance(heard.end, Done)
        else:
            assert type(heard.error) is fault.error
            assert bool(heard.text) is fault.begun
        first, second = router.status()
        assert first.state == ("cooling" if fault.cools == 1 else "ready")
        assert (first.in_flight, second.in_flight, second.state) == (0, 0, "ready")


@pytest.mark.parametrize("name", FAULTS)
async def test_a_router_that_has_nobody_else_to_ask(dialect: str, name: str):
    fault = FAULTS[name]
    async with serving(dialect, fault) as server:
        router = Router([server.model])
        for count in range(1, (fault.cools or 4) + 1):
            heard = await ask(router)
            assert type(heard.error) is fault.error
            assert len(heard.call.attempts) == 1
            assert server.seen(count) == count
        if fault.cools:
            resting = (await ask(router)).error
            assert type(resting) is RateLimitError
            assert resting.retry_after is not None
            assert resting.retry_after > 0
            assert resting.attempts == []
            assert server.seen(fault.cools) == fault.cools
        assert router.status()[0].in_flight == 0


@pytest.mark.parametrize(
    ("name", "role"),
    [("context window", "on_context_window"), ("content filter", "on_content_filter")],
)
async def test_a_fault_that_has_fallbacks_of_its_own(dialect: str, name: str, role: str):
    async with (
        serving(dialect, FAULTS[name]) as server,
        MockProvider(dialect, [GOOD], knobs=CUT_FINE) as other,
        async_client(dialect, other.url) as client,
    ):
        fallbacks: dict[str, Any] = {role: [client.model(MODELS[dialect])]}
        router = Router([server.model, server.model], **fallbacks)
        heard = await ask(router)
        assert isinstance(heard.end, Done)
        assert (server.seen(1), len(other.requests), len(heard.call.attempts)) == (1, 1, 2)
        assert type((await ask(router, Call(fallbacks=False))).error) is FAULTS[name].error
        assert len(other.requests) == 1


async def test_whatever_happens_the_books_are_right_and_nothing_is_told_twice(dialect: str):
    luck = random.Random(4)
    quick = [
        fault
        for name, fault in FAULTS.items()
        if fault.turn is not None and "stall" not in name and "Retry-After" not in name
    ]
    turns = [
        [
            await placed(dialect, luck.choice([GOOD, luck.choice(quick).turn or GOOD]))
            for _ in range(120)
        ]
        for _ in range(3)
    ]
    scripts = [[{**turn, "repeat": False} for turn in script] + [GOOD] for script in turns]
    async with (
        MockProvider(dialect, scripts[0], knobs=CUT_FINE) as one,
        MockProvider(dialect, scripts[1], knobs=CUT_FINE) as two,
        MockProvider(dialect, scripts[2], knobs=CUT_FINE) as three,
    ):
        mocks = [one, two, three]
        clients = [async_client(dialect, mock.url) for mock in mocks]
        first, second, third = (client.model(MODELS[dialect]) for client in clients)
        calls: list[Call] = []
        for _ in range(12):  # new routers, so that not all is spent cooling
            router = Router([first, second], strategy="round-robin", fallbacks=[third])
            model = Retrying(router, RetryPolicy(base=0, max_wait=0))
            heard = await asyncio.gather(*(ask(model) for _ in range(6)))
            calls += [each.call for each in heard]
            assert [status.in_flight for status in router.status()] == [0, 0, 0]
        assert sum(len(call.attempts) for call in calls) == sum(
            len(mock.requests) for mock in mocks
        )
        assert {len(call.attempts) for call in calls} >= {1, 2, 3}
        for client in clients:
            await client.aclose()
