"""Ask several models the same, at the same time: how long, how much, for what.

    python examples/compare_models.py ["QUESTION" MODEL...]

For example: compare_models.py "Why is the sky blue?" openai/gpt-5-mini anthropic/claude-sonnet-4-5
"""

import asyncio
import sys
import time
from dataclasses import dataclass

import polyvox

QUESTION = "Why is the sky blue?"
MODELS = ["simulated/echo", "simulated/lorem", "simulated/tools"]


@dataclass
class Answer:
    """How one model did; times in seconds."""

    model: str
    first_word: float | None
    total: float
    usage: polyvox.Usage
    text: str


async def main() -> None:
    """Ask all of them, then print the table."""
    question, *models = sys.argv[1:] or [QUESTION]
    async with polyvox.AsyncClient() as client:
        asked = (ask(client, model, question) for model in models or MODELS)
        answers = await asyncio.gather(*asked)
    print(f"{'model':<32} {'first':>7} {'total':>7} {'in':>6} {'out':>6}  {'cost':<12} answer")
    for answer in sorted(answers, key=lambda answer: answer.total):
        print(line(answer))


async def ask(client: polyvox.AsyncClient, model: str, question: str) -> Answer:
    """One model's answer, or why there is none."""
    began = time.monotonic()
    first_word = None
    try:
        async with client.stream(model, question) as stream:
            async for _ in stream.text():
                if first_word is None:
                    first_word = time.monotonic() - began
        message, text = stream.message, stream.message.text
    except polyvox.PolyvoxError as error:
        message, text = error.message, f"({error.text})"
    usage = message.usage if message else polyvox.Usage(basis="missing")
    return Answer(model, first_word, time.monotonic() - began, usage, text)


def line(answer: Answer) -> str:
    """One row of the table."""
    first = "-" if answer.first_word is None else f"{answer.first_word:.2f} s"
    usage = answer.usage
    text = " ".join(answer.text.split())
    return (
        f"{answer.model:<32} {first:>7} {answer.total:>5.2f} s {usage.input_tokens:>6}"
        f" {usage.output_tokens:>6}  {usage.cost!s:<12} {text[:60]}"
    )


if __name__ == "__main__":
    asyncio.run(main())
