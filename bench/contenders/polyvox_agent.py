"""``Agent.run``; over the server, or over a model that has its answers at hand."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from functools import cache
from typing import Any

import polyvox
from bench.contenders import NAP_SECONDS, Pairs
from bench.scripts import DONE, calls_of
from polyvox.assembly import unfold
from polyvox.attempt import Stopwatch
from polyvox.events import Done, Event
from polyvox.messages import Message, ToolCall, assistant, user
from polyvox.model import Call
from polyvox.request import Request
from polyvox.usage import Cost, Usage

VERSIONS: list[str] = []  # this tree is measured, whatever its number


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def nap() -> str:
    """Sleep for a moment."""
    await asyncio.sleep(NAP_SECONDS)
    return "slept"


class Canned:
    """Plays a script without any work of its own: its events are made before anyone measures."""

    name = "openai/gpt-5-mini"

    def __init__(self) -> None:
        self._answers: Iterator[list[Event]] = iter(())

    def play(self, prompt: str) -> int:
        """From the beginning; how many answers there are."""
        answers = _answers(prompt)
        self._answers = iter(answers)
        return len(answers)

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The next answer."""
        stopwatch = Stopwatch()
        for event in next(self._answers):
            if type(event) is Done:
                call.record(stopwatch.attempt("openai", "gpt-5-mini", event.message, None))
            yield event


@asynccontextmanager
async def agent(url: str) -> AsyncGenerator[Callable[[str, Any], Awaitable[str]]]:
    """How to run it; without an address nothing goes over a socket."""
    canned = Canned()
    client = polyvox.AsyncClient(
        base_urls={"openai": f"{url}/v1"} if url else {}, keys={"openai": "none"}
    )
    async with client:
        model = client.model(Canned.name) if url else canned
        made = polyvox.Agent(model, tools=[add, nap], system="Use the tools.", client=client)

        async def run(prompt: str, history: list[Message]) -> str:
            canned.play(prompt)
            state = polyvox.RunState(messages=[*history])
            return (await made.run(prompt, state=state)).text

        yield run


async def model_and_tool(prompt: str) -> None:
    """The same answers and tools without an agent: what is not the loop's."""
    canned = Canned()
    for _ in range(canned.play(prompt)):
        async with aclosing(canned.stream(_REQUEST, Call())) as events:
            last = [event async for event in events][-1]
        for call in last.message.tool_calls if isinstance(last, Done) else ():
            await add(**call.arguments)


_REQUEST = Request(messages=[])


def history(pairs: Pairs) -> list[Message]:
    """The conversation in our form."""
    return [each for asked, told in pairs for each in (user(asked), assistant(told))]


@cache
def _answers(prompt: str) -> list[list[Event]]:
    _, kind, count = prompt.split()
    found: list[list[Event]] = []
    while calls := calls_of(kind, int(count), len(found)):
        found.append(_events(*(ToolCall(id, name, json.loads(text)) for id, name, text in calls)))
    return [*found, _events(DONE)]


def _events(*content: str | ToolCall) -> list[Event]:
    message = assistant(*content)
    message.stop_reason = "stop" if DONE in content else "tool_calls"
    message.usage = Usage(12, 3, cost=Cost("known", nanos=27_000))
    return list(unfold(message))
