"""A mock provider that counts what it serves, and the client's side of it, for one or more processes.

As a program it makes 100 calls at once and prints a line for each that has ended:

    python shop.py <the provider's URL> <Redis' URL> <the budget in dollars>
"""

import asyncio
import sys
from collections.abc import AsyncGenerator

from polyvox import AsyncClient
from polyvox.assembly import unfold
from polyvox.catalog import Catalog
from polyvox.errors import BudgetExceededError
from polyvox.events import Done, Event, Failed
from polyvox.limits import Budget, Budgeted, RedisLimits
from polyvox.messages import AssistantMessage, Text, user
from polyvox.model import Call
from polyvox.request import Request
from polyvox.testing import MockProvider
from polyvox.usage import Usage

PROVIDER, MODEL = "openai", "gpt-4o-mini"
REQUEST = Request(messages=[user("How much is it?")], max_tokens=200)
WORDS = [f"word{number} " for number in range(20)]
PER_PROCESS = 100


class Shop:
    """Answers when it opens, each call with a usage of its own."""

    name = "mock/shop"

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.came = asyncio.Condition()
        self.calls = 0

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        self.calls += 1
        usage = Usage(input_tokens=1 + self.calls % 7, output_tokens=20 + self.calls % 100)
        async with self.came:
            self.came.notify_all()
        await self.open.wait()
        for event in unfold(AssistantMessage([Text("".join(WORDS))], usage=usage), lambda _: WORDS):
            yield event

    async def until_called(self, times: int) -> None:
        async with self.came:
            await self.came.wait_for(lambda: self.calls >= times)


def sent(mock: MockProvider) -> int:
    """What the provider has to bill, by its own count, in nano-dollars."""
    usages = [
        event.message.usage
        for answer in mock.answers
        for event in answer.events
        if isinstance(event, Done)
    ]
    return sum(Catalog.load().cost(PROVIDER, MODEL, usage).nanos for usage in usages)


def client_of(url: str) -> AsyncClient:
    return AsyncClient(base_urls={PROVIDER: url}, keys={PROVIDER: "any"})


async def outcome(model: Budgeted, call: Call) -> str:
    """How a call ended: "refused", or what its attempts cost."""
    last = [event async for event in model.stream(REQUEST, call)][-1]
    if isinstance(last, Failed):
        assert isinstance(last.error, BudgetExceededError), last.error
        return "refused"
    return str(sum(attempt.usage.cost.nanos for attempt in call.attempts))


async def main(provider_url: str, redis_url: str, limit: str) -> None:
    store = RedisLimits(redis_url, timeout=60)
    async with client_of(provider_url) as client:
        model = Budgeted(
            client.model(f"{PROVIDER}/{MODEL}"), Budget(limit, name="till"), store=store
        )

        async def shop() -> None:
            print(await outcome(model, Call()), flush=True)

        await asyncio.gather(*(shop() for _ in range(PER_PROCESS)))
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
