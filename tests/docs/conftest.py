"""What the pages find when they are run: providers on the loopback, behind the usual variables."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack

import pytest

from polyvox.assembly import unfold
from polyvox.events import Event
from polyvox.messages import AssistantMessage, Text, Thinking, UserMessage
from polyvox.model import Call
from polyvox.providers.simulated import simulated_model
from polyvox.request import Request
from polyvox.testing import MockProvider
from polyvox.usage import Usage

ANSWERS = {
    "Why is the sky blue?": "Air scatters blue light more than red.",
    "And at sunset?": "The light's way through the air is longer; mostly red is left.",
    "How many primes are below 20?": "Eight.",
    "What is in this picture?": "A single red pixel.",
    "What does this paper claim?": "That attention is enough.",
    "May I return shoes that I have worn?": "No: only unworn goods can be returned.",
    "And books?": "Yes, within 30 days.",
}
THOUGHTS = "2, 3, 5, 7, 11, 13, 17, 19: that is eight."
CACHED_TOKENS = 4_000


class Reader:
    """Answer the questions that the pages ask; with tools or a schema, as ``simulated/tools`` does."""

    name = "mock/reader"

    def __init__(self) -> None:
        self._cached: set[str] = set()

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        question = last_question(request)
        if request.tools or request.response_format or question not in ANSWERS:
            model = simulated_model("tools" if request.tools or request.response_format else "echo")
            async for event in model.stream(request, call):
                yield event
            return
        thoughts = [Thinking(THOUGHTS)] if request.reasoning else []
        answer = AssistantMessage([*thoughts, Text(ANSWERS[question])], usage=self._usage(request))
        for event in unfold(answer, str.splitlines):
            yield event

    def _usage(self, request: Request) -> Usage:
        thought = 18 if request.reasoning else 0
        cached = [block.text for block in request.system if block.cache]
        if not cached:
            return Usage(input_tokens=14, output_tokens=12 + thought, reasoning_tokens=thought)
        known = cached[0] in self._cached
        self._cached.add(cached[0])
        return Usage(
            input_tokens=CACHED_TOKENS + 14,
            output_tokens=12,
            cache_read_tokens=CACHED_TOKENS if known else 0,
            cache_write_tokens=0 if known else CACHED_TOKENS,
        )


def last_question(request: Request) -> str:
    asked = [message for message in request.messages if isinstance(message, UserMessage)]
    texts = [block.text for block in asked[-1].content if isinstance(block, Text)] if asked else []
    # A composite puts the answers of others behind the question.
    return next((text for text in texts if text in ANSWERS), texts[-1] if texts else "")


@pytest.fixture(scope="session")
def provider_variables() -> Iterator[dict[str, str]]:
    """The variables with which programs reach mock providers instead of OpenAI and Anthropic."""
    names = ["gpt-5-mini", "gpt-5-nano"], ["claude-sonnet-4-5", "claude-haiku-4-5"]
    with ExitStack() as servers:
        openai, anthropic = (
            servers.enter_context(MockProvider(dialect, model=Reader(), models=models))
            for dialect, models in zip(("openai-chat", "anthropic-messages"), names, strict=True)
        )
        yield {
            "OPENAI_BASE_URL": openai.url,
            "OPENAI_API_KEY": "sk-mock",
            "ANTHROPIC_BASE_URL": anthropic.url,
            "ANTHROPIC_API_KEY": "sk-mock",
        }
