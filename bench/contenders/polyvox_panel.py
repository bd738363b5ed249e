"""``MixtureOfAgents`` and ``Council``, beside calls made by hand.

Over the server, or over models that have their events at hand.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import polyvox
from bench.contenders import LATE_SECONDS, PANEL, Layer, Tell, polyvox_async
from bench.contenders.by_hand import by_hand
from bench.contenders.polyvox_stack import Canned
from polyvox.events import Event, TextDelta
from polyvox.model import Call, Model
from polyvox.request import Request

VERSIONS: list[str] = []  # this tree is measured, whatever its number


class InProcess:
    """A model that has its events at hand, and takes its time when the prompt says so."""

    def __init__(self, model: Model) -> None:
        self.name = model.name
        self._canned = Canned(model)
        self.first_told = 0.0

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The events; it is noted down when the first piece of the answer that is told last is told."""
        if request.messages[-1].text.startswith("late"):
            await asyncio.sleep(LATE_SECONDS)
        begun = False
        async with aclosing(self._canned.stream(request, call)) as events:
            async for event in events:
                if not begun and isinstance(event, TextDelta):
                    begun, self.first_told = True, time.perf_counter()
                yield event


@asynccontextmanager
async def layers(url: str) -> AsyncGenerator[dict[str, Layer]]:
    """How to read each; without an address nothing goes over a socket."""
    async with _client(url) as client:
        provided = client.model(polyvox_async.MODEL)
        yield _ways(client, provided if url else InProcess(provided))


async def first_us(times: int) -> dict[str, list[float]]:
    """How long the first piece of the last answer is on its way from its model to the reader."""
    async with _client("") as client:
        model = InProcess(client.model(polyvox_async.MODEL))
        ways = _ways(client, model)
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(times):
            for name, way in ways.items():
                await way.read(
                    "flow text 1",
                    lambda _, name=name: found[name].append(
                        (time.perf_counter() - model.first_told) * 1e6
                    ),
                )
        return found


def _client(url: str) -> polyvox.AsyncClient:
    return polyvox.AsyncClient(
        base_urls={"openai": f"{url or 'http://127.0.0.1:9'}/v1"}, keys={"openai": "none"}
    )


def _ways(client: polyvox.AsyncClient, model: Model) -> dict[str, Layer]:
    async def ask(prompt: str, tell: Tell) -> str:
        stream = client.stream(model, prompt)
        await polyvox_async.read_stream(stream, tell)
        return stream.message.text

    def reader(of: Model) -> Callable[[str, Tell], Awaitable[int]]:
        return lambda prompt, tell: polyvox_async.read_stream(client.stream(of, prompt), tell)

    panel = [model] * PANEL
    return {
        "by hand": Layer(lambda prompt, tell: by_hand(ask, prompt, tell)),
        "MixtureOfAgents": Layer(reader(polyvox.MixtureOfAgents(panel, aggregator=model))),
        "Council": Layer(reader(polyvox.Council(panel, chairman=model))),
    }
