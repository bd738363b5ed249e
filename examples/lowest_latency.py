"""Ask whoever answers soonest, and see where the calls went.

    python examples/lowest_latency.py [CALLS]

Three servers of one model run on this machine, each with its own delay. Half-way the quickest one
becomes the slowest. The router knows none of this: it measures.
"""

import asyncio
import random
import sys
from collections import Counter
from contextlib import AsyncExitStack

import polyvox
from polyvox.routing import Deployment, Pool, Router
from polyvox.testing import Knobs, MockProvider

DELAYS = {"oslo": 0.005, "lagos": 0.02, "lima": 0.04}
SLOW = 0.08
WIDTH = 40


async def main() -> None:
    """Ask in two rounds, with a change in between."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    async with AsyncExitStack() as stack:
        servers, deployments = await serve(stack)
        router = Router(Pool(deployments, "lowest-latency", random=random.Random(1)))
        client = await stack.enter_async_context(polyvox.AsyncClient())
        before = Counter[str]()
        for title in ("oslo is the quickest", "oslo has become the slowest"):
            for _ in range(calls):
                await client.complete(router, "Where are you?")
            total = Counter({status.name: status.asked for status in router.status()})
            chart(title, total - before)
            before = total
            servers["oslo"].knobs = Knobs(delay_first_chunk=SLOW)
        print()
        for status in router.status():
            print(f"{status.name:<6} {(status.latency or 0) * 1000:4.0f} ms to the first word")


async def serve(stack: AsyncExitStack) -> tuple[dict[str, MockProvider], list[Deployment]]:
    """A server and a deployment of it for each place."""
    servers: dict[str, MockProvider] = {}
    deployments: list[Deployment] = []
    for place, delay in DELAYS.items():
        script = [{"message": {"content": f"In {place}."}, "repeat": True}]
        server = MockProvider("openai-chat", script, knobs=Knobs(delay_first_chunk=delay))
        servers[place] = await stack.enter_async_context(server)
        client = polyvox.AsyncClient(base_urls={"openai": server.url}, keys={"openai": "any"})
        await stack.enter_async_context(client)
        deployments.append(Deployment(client.model("openai/gpt-5-mini"), name=place))
    return servers, deployments


def chart(title: str, asked: Counter[str]) -> None:
    """A bar for each place."""
    print(f"\n{title}")
    longest = max(asked.values())
    for place in DELAYS:
        print(f"{place:<6} {'#' * round(asked[place] / longest * WIDTH)} {asked[place]}")


if __name__ == "__main__":
    asyncio.run(main())
