"""An answer in spite of everything: from a provider that fails to one that does not.

    python examples/fallback.py

Two providers' APIs are served on this machine. The first one is overloaded at first, and then breaks
off before its first word; the calls end up at the second one, and after a while the first one is
left alone.
"""

import asyncio

import polyvox
from polyvox.routing import Retrying, RetryPolicy, Router
from polyvox.testing import MockProvider

QUESTION = "Why is the sky blue?"
ANSWER = "Air scatters blue light more than red."
FULL = {"error": {"kind": "overloaded", "text": "no room just now", "retry_after": 30}}
CUT = {"message": {"content": ANSWER}, "knobs": {"cut_after": 0}}


async def main() -> None:
    """Serve the two, ask through a router, and show who was asked."""
    async with (
        MockProvider("openai-chat", [CUT, FULL]) as failing,
        MockProvider(
            "anthropic-messages", [{"message": {"content": ANSWER}, "repeat": True}]
        ) as healthy,
        polyvox.AsyncClient(
            base_urls={"openai": failing.url, "anthropic": healthy.url},
            keys={"openai": "any", "anthropic": "any"},
        ) as client,
    ):
        router = Router(
            [client.model("openai/gpt-5-mini")],
            fallbacks=[client.model("anthropic/claude-haiku-4-5")],
        )
        model = Retrying(router, RetryPolicy(attempts=2))
        for number in range(1, 4):
            await ask(client, model, number)
        print()
        for status in router.status():
            print(f"{status}: {status.answered} of {status.asked} calls answered")


async def ask(client: polyvox.AsyncClient, model: polyvox.Model, number: int) -> None:
    """One call, as it looks to whoever makes it, and the attempts behind it."""
    async with client.stream(model, QUESTION) as stream:
        message = await stream.result()
    print(f"\ncall {number}: {message.text}")
    for attempt in stream.call.attempts:
        print(f"  {attempt.name} {attempt.error or 'answered'}, {attempt.usage.cost}")


if __name__ == "__main__":
    asyncio.run(main())
