"""Ask once what many ask: answers that are kept, and what that saves.

    python examples/caching.py [FILE]

A mock provider answers, slowly enough to be asked by all at once. With FILE the answers are kept there,
and a second run asks nobody.
"""

import asyncio
import sys
from typing import Literal

import polyvox
from polyvox.caching import Cached, DiskCache, MemoryCache
from polyvox.messages import AssistantMessage
from polyvox.testing import Knobs, MockProvider

MODEL = "openai/gpt-5-mini"
QUESTIONS = ("Why is the sky blue?", "Why is grass green?")
ANSWER = AssistantMessage([polyvox.Text("It is the light.")], usage=polyvox.Usage(12, 80))


async def main() -> None:
    """Ask again, all at once, and for another tenant; then show who was asked."""
    store = DiskCache(sys.argv[1]) if len(sys.argv) > 1 else MemoryCache()
    script = [{"message": ANSWER, "repeat": True}]
    async with (
        MockProvider("openai-chat", script, knobs=Knobs(delay_first_chunk=0.05)) as server,
        polyvox.AsyncClient(base_urls={"openai": server.url}, keys={"openai": "any"}) as client,
    ):
        model = Cached(client.model(MODEL), store, ttl=3_600)
        for question in (*QUESTIONS, QUESTIONS[0]):
            await ask(client, model, question)
        print("\nten at once")
        asked = [client.complete(model, "Why is snow white?", tenant="ada") for _ in range(10)]
        answers = await asyncio.gather(*asked)
        print(f"{sum(not answer.cached for answer in answers)} asked, the others had its answer")
        print("\nfor another tenant, and one who wants it fresh")
        await ask(client, model, QUESTIONS[0], tenant="bob")
        await ask(client, model, QUESTIONS[0], caching="refresh")
        stats = model.stats
        print(
            f"\n{stats.hits} of {stats.hits + stats.misses} answers were stored: {stats.saved} saved"
        )
        print(f"The provider was asked {len(server.requests)} times.")


async def ask(
    client: polyvox.AsyncClient,
    model: polyvox.Model,
    question: str,
    *,
    tenant: str = "ada",
    caching: Literal["use", "refresh"] = "use",
) -> None:
    """One call, and whether it was paid for."""
    answer = await client.complete(model, question, tenant=tenant, caching=caching)
    print(
        f"{question:<21} {tenant}  {'stored' if answer.cached else 'asked '}  {answer.usage.cost}"
    )


if __name__ == "__main__":
    asyncio.run(main())
