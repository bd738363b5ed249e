"""Calls that survive: each layer over a model, and all of them, read as ``polyvox_async`` reads.

The model is a provider's, over the bench's server, or one that has the same events at hand.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import polyvox
from bench.contenders import Layer, Tell, polyvox_async
from polyvox.assembly import unfold
from polyvox.attempt import Stopwatch
from polyvox.events import Done, Event
from polyvox.ledger import CallLog, CostTracker, Logged, MemorySink, Tracked
from polyvox.limits import Budget, Budgeted
from polyvox.messages import Text, assistant
from polyvox.model import Call, Model
from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.routing import Retrying, Router
from polyvox.usage import Cost, Usage

_DEPLOYMENTS = 3


class Canned:
    """The same events as over the socket, without any work of its own."""

    def __init__(self, model: Model) -> None:
        self.name = model.name
        self._model = model
        self._events: dict[str, list[Event]] = {}

    def quote(self, request: Request) -> Usage:
        """What the real model asks its catalog for."""
        return quote_of(self._model, request)

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """So many words as the first line of the prompt says."""
        stopwatch = Stopwatch()
        prompt = request.messages[-1].content[0]
        assert isinstance(prompt, Text)
        for event in self._answer(prompt.text.partition("\n")[0]):
            if type(event) is Done:
                call.record(stopwatch.attempt("openai", "gpt-5-mini", event.message, None))
            yield event

    def _answer(self, prompt: str) -> list[Event]:
        if prompt not in self._events:
            words = [f" w{index:05d}" for index in range(int(prompt.rpartition(" ")[2]))]
            message = assistant("".join(words))
            message.stop_reason = "stop"
            message.usage = Usage(12, len(words), cost=Cost("known", nanos=27_000))
            self._events[prompt] = list(unfold(message, lambda _: words))
        return self._events[prompt]


@asynccontextmanager
async def layers(url: str) -> AsyncGenerator[dict[str, Layer]]:
    """How to read over each layer; without an address nothing goes over a socket."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            polyvox.AsyncClient(
                base_urls={"openai": f"{url or 'http://127.0.0.1:9'}/v1"}, keys={"openai": "none"}
            )
        )
        found: dict[str, Layer] = {}
        for name, made in _STACKS.items():
            model = client.model(polyvox_async.MODEL)
            # Few records, so that the log is full, as it is nearly always, before it is measured.
            log = stack.enter_context(CallLog(MemorySink(limit=100)))
            wrapped = made(model if url else Canned(model), log)
            found[name] = Layer(_reader(client, wrapped), log.flush)
        yield found


def _reader(client: polyvox.AsyncClient, model: Model) -> Callable[[str, Tell], Awaitable[int]]:
    return lambda prompt, tell: polyvox_async.read_stream(client.stream(model, prompt), tell)


def _routed(model: Model) -> Model:
    return Router([model] * _DEPLOYMENTS, strategy="lowest-latency")


def _budgeted(model: Model) -> Model:
    return Budgeted(model, Budget("$1,000,000", per="day"))


def _whole(model: Model, log: CallLog) -> Model:
    within = _budgeted(Retrying(_routed(model)))
    return Logged(Tracked(within, CostTracker()), log)


_STACKS: dict[str, Callable[[Model, CallLog], Model]] = {
    "bare model": lambda model, _: model,
    "+ Retrying": lambda model, _: Retrying(model),
    f"+ Router, {_DEPLOYMENTS} deployments": lambda model, _: _routed(model),
    "+ Budgeted": lambda model, _: _budgeted(model),
    "+ Tracked": lambda model, _: Tracked(model, CostTracker()),
    "+ Logged": Logged,
    "whole stack": _whole,
}
