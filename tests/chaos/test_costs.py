"""What an answer costs does not depend on how it came, and is never zero because nobody knows it."""

import asyncio

import pytest

from polyvox.assembly import unfold
from polyvox.events import Start, TextDelta
from polyvox.messages import AssistantMessage, Text, assistant
from polyvox.testing import Knobs, MockProvider
from polyvox.usage import Cost, Usage

from .rig import MODELS, Acting, async_client, for_ever, listen, soon

USAGES = {
    "plain": Usage(1000, 200),
    "cache read": Usage(1000, 200, cache_read_tokens=800),
    "reasoning": Usage(1000, 200, reasoning_tokens=150),
    "nothing": Usage(0, 0),
}
WRITES = {
    "cache write": Usage(1000, 200, cache_write_tokens=600),
    "cache write for an hour": Usage(
        1000, 200, cache_write_tokens=600, cache_write_1h_tokens=400, cache_read_tokens=100
    ),
}
CASES = [(dialect, name) for dialect in MODELS for name in USAGES] + [
    ("anthropic-messages", name) for name in WRITES
]


@pytest.mark.parametrize(("dialect", "name"), CASES)
async def test_streamed_and_whole_answers_of_equal_usage_cost_the_same(dialect: str, name: str):
    usage = (USAGES | WRITES)[name]
    if dialect == "anthropic-messages":  # its counts have no number for reasoning
        usage = Usage(
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens,
            usage.cache_write_1h_tokens,
        )
    said = AssistantMessage([Text("Hello.")], usage=usage)
    async with (
        MockProvider(dialect, [said, said]) as mock,
        async_client(dialect, mock.url) as client,
    ):
        model = client.model(MODELS[dialect])
        streamed = (await soon(listen(model)))[-1].message.usage
        whole = (await soon(listen(model, stream=False)))[-1].message.usage
    assert streamed == whole
    assert streamed == Usage(*_counts(usage), cost=streamed.cost)
    assert streamed.cost.status == "known"
    assert (streamed.cost.nanos > 0) == (usage.total_tokens > 0)


def _counts(usage: Usage) -> tuple[int, ...]:
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.cache_write_1h_tokens,
        usage.reasoning_tokens,
    )


async def test_reading_the_cache_is_cheaper_and_writing_it_dearer_than_neither():
    dialect = "anthropic-messages"
    usages = [
        Usage(1000, 1, cache_read_tokens=1000),
        Usage(1000, 1),
        Usage(1000, 1, cache_write_tokens=1000),
        Usage(1000, 1, cache_write_tokens=1000, cache_write_1h_tokens=1000),
    ]
    script = [AssistantMessage([Text("Hello.")], usage=usage) for usage in usages]
    async with (
        MockProvider(dialect, script) as mock,
        async_client(dialect, mock.url) as client,
    ):
        replies = [await soon(client.complete(MODELS[dialect], "Hi.")) for _ in script]
    costs = [reply.usage.cost.nanos for reply in replies]
    assert costs == sorted(set(costs))


@pytest.mark.parametrize("pieces", [0, 1, 5, 20])
async def test_an_answer_left_early_costs_no_less_than_its_prompt_and_no_more_than_all_of_it(
    dialect: str, pieces: int
):
    words = [f"word{i:02} and more. " for i in range(40)]
    said = assistant("".join(words))
    said.usage = Usage(250, 160)  # what a tokenizer would count
    events = list(unfold(said, lambda text: words))
    act = [*events[: 2 + pieces], for_ever()]
    prompt = "Tell me everything. " * 50
    async with (
        MockProvider(dialect, model=Acting(act, events)) as mock,
        async_client(dialect, mock.url) as client,
    ):
        stream = client.stream(MODELS[dialect], prompt)
        heard = 0
        async with stream:
            async for event in stream:
                heard += isinstance(event, TextDelta)
                if heard == pieces and isinstance(event, Start if not pieces else TextDelta):
                    break
        whole = await soon(client.complete(MODELS[dialect], prompt))
    partial = stream.message
    assert (partial.stop_reason, partial.usage.basis) == ("aborted", "partial")
    assert partial.text == "".join(words[:pieces])
    assert 0 < partial.usage.cost.nanos <= whole.usage.cost.nanos * 2
    assert partial.usage.cost.output_nanos <= whole.usage.cost.output_nanos * 2
    assert partial.usage.input_tokens > 0


async def test_usage_that_the_provider_does_not_tell_is_estimated_and_priced():
    dialect = "openai-chat"
    async with (
        MockProvider(dialect, ["Hello there."], knobs=Knobs(usage="none")) as mock,
        async_client(dialect, mock.url) as client,
    ):
        usage = (await soon(client.complete(MODELS[dialect], "Hi."))).usage
    assert usage.basis == "estimated"
    assert usage.cost.status == "known"
    assert usage.cost.nanos > 0


async def test_the_providers_own_bill_wins_over_the_catalog():
    dialect = "openai-chat"
    billed = Usage(10, 10, cost=Cost("known", 123_456_789, source="provider"))
    async with (
        MockProvider(dialect, [AssistantMessage([Text("Hello.")], usage=billed)]) as mock,
        async_client(dialect, mock.url) as client,
    ):
        cost = (await soon(client.complete(MODELS[dialect], "Hi."))).usage.cost
    assert (cost.nanos, cost.source) == (123_456_789, "provider")


async def test_a_refused_call_costs_nothing_and_says_so(dialect: str):
    async with (
        MockProvider(dialect, knobs=Knobs(status=503)) as mock,
        async_client(dialect, mock.url) as client,
    ):
        *_, failed = await soon(listen(client.model(MODELS[dialect])))
    assert failed.message.usage.cost == Cost("known")


async def test_a_cancelled_task_leaves_its_cost_on_the_stream(dialect: str):
    arrived = asyncio.Event()

    async def read() -> None:
        async for event in stream:
            if isinstance(event, TextDelta):
                arrived.set()

    act = [*list(unfold(assistant("Hello.")))[:3], for_ever()]
    async with (
        MockProvider(dialect, model=Acting(act)) as mock,
        async_client(dialect, mock.url) as client,
    ):
        stream = client.stream(MODELS[dialect], "Hi.")
        task = asyncio.create_task(read())
        await soon(arrived.wait())
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    assert stream.message.usage.cost.nanos > 0
