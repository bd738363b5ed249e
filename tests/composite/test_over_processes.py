"""Composites over mock providers in processes of their own, by what these have seen and told."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import polyvox
from polyvox.composite import Council, MixtureOfAgents
from polyvox.composite.prompts import AGGREGATE, REFERENCES
from polyvox.messages import Image, Text, UserMessage
from polyvox.model import Model
from polyvox.usage import Usage

from .panel import Panel, Turn, boxes, nanos_of, panel, says, words_of

MEMBERS = {
    "openai/gpt-5-mini": ("Air.", 101),
    "openai/gpt-5-nano": ("Light.", 211),
    "anthropic/claude-haiku-4-5": ("Rayleigh.", 307),
    "anthropic/claude-opus-4-1": ("The sea.", 401),
}
LAST = "anthropic/claude-opus-4-5"
TOGETHER = {"hold_until": 2}
"""Knobs with which each of the two servers answers only when both of its members are asked."""

WHOLE_AND_STREAMED = pytest.mark.parametrize("how", ["complete", "whole", "streamed"])
SHAPES = pytest.mark.parametrize(
    ("shape", "rounds"), [("moa-2", 1), ("moa-3", 2), ("council", 2)], ids=str
)
COUNTED = [name for name in Usage.__struct_fields__ if name.endswith("_tokens")]


def scripts(**knobs: Any) -> dict[str, list[Turn]]:
    """Two turns for each member, told apart by their words and by what they used; one for the last."""
    members = {
        name: [
            says(text, (number, number + 1), **knobs),
            says(
                f"{text} Again.\n\nFINAL RANKING:\n1. Response B", (number + 2, number + 3), **knobs
            ),
        ]
        for name, (text, number) in MEMBERS.items()
    }
    return members | {LAST: [says("It scatters.", (1_009, 53))]}


def composite(panel: Panel, shape: str, **settings: Any) -> Model:
    models, last = panel.models(*MEMBERS), panel.client.model(LAST)
    if shape == "council":
        return Council(models, chairman=last, seed=1, **settings)
    return MixtureOfAgents(models, aggregator=last, layers=int(shape[-1]), **settings)


@WHOLE_AND_STREAMED
@SHAPES
async def test_the_servers_themselves_have_had_all_members_of_a_stage_at_once(
    shape: str, rounds: int, how: str, tmp_path: Path
):
    async with panel(tmp_path, scripts(**TOGETHER)) as room:
        reply = await room.ask(composite(room, shape), how)
        assert reply.text == "It scatters."
        for ledger in (await room.ledgers(in_flight=0)).values():
            assert ledger.most_in_flight == 2
            members = [each for each in ledger.served if not LAST.endswith(each.request.model)]
            assert [each.overlap for each in members] == [1, 2] * rounds
            for first, second in zip(members[::2], members[1::2], strict=True):
                assert max(first.came, second.came) < min(first.ended, second.ended)


async def test_members_of_different_providers_are_asked_at_once_too(tmp_path: Path):
    knobs = {"hold_until": 9}  # nobody is answered before the test has seen all four
    async with panel(tmp_path, scripts(**knobs)) as room:
        asking = asyncio.create_task(room.ask(composite(room, "council"), "streamed"))
        for total in (2, 4):
            ledgers = await room.ledgers(in_flight=2, total=total)
            assert all(ledger.served[-1].status == 0 for ledger in ledgers.values())
            await room.release()
        assert (await asking).text == "It scatters."


@WHOLE_AND_STREAMED
@SHAPES
async def test_usage_and_cost_are_the_sums_of_the_servers_own_books(
    shape: str, rounds: int, how: str, tmp_path: Path
):
    async with panel(tmp_path, scripts()) as room:
        reply = await room.ask(composite(room, shape), how)
        served = await room.served()
        assert len(served) == 4 * rounds + 1
        assert {each.request.stream for _, each in served} == {how != "whole"}
        ledgers = (await room.ledgers()).values()
        for name in COUNTED:
            assert getattr(reply.usage, name) == sum(getattr(each.usage, name) for each in ledgers)
        numbers = [number for _, number in MEMBERS.values()]
        assert reply.usage.input_tokens == 1_009 + sum(
            number + 2 * turn for number in numbers for turn in range(rounds)
        )
        facts = {name: room.client.facts(name) for name, _ in served}
        assert reply.usage.cost.status == "known"
        assert reply.usage.cost.nanos == sum(nanos_of(facts[name], each) for name, each in served)
        assert reply.usage.basis == "reported"
        assert reply.trace.total == reply.usage


PICTURE = Image(data=b"\x89PNG\r\n\x1a\n" + bytes(range(64)), media_type="image/png")
ASKED = UserMessage([PICTURE, Text("What is this?")])
SETTINGS: dict[str, Any] = {
    "system": "Be brief.",
    "tools": [polyvox.ToolDefinition("weather", "The weather in a city.")],
    "temperature": 0.5,
    "max_tokens": 3_000,
}


def references(*texts: str) -> str:
    items = [f"{number}. {text}" for number, text in enumerate(texts, 1)]
    return f"\n\n{REFERENCES}\n\n" + "\n\n".join(items)


@WHOLE_AND_STREAMED
async def test_a_mixture_tells_its_members_what_is_documented_and_nothing_else(
    how: str, tmp_path: Path
):
    async with panel(tmp_path, scripts()) as room:
        reply = await room.ask(composite(room, "moa-3"), how, [ASKED], **SETTINGS)
        texts = [text for text, _ in MEMBERS.values()]
        again = [f"{text} Again.\n\n   FINAL RANKING:\n   1. Response B" for text in texts]
        again = [each.replace("\n\n   ", "\n   \n   ") for each in again]
        for name in MEMBERS:
            first, second = await room.requests(name)
            assert texts_of(first.system) == ["Be brief."]
            assert first.messages == [ASKED]
            assert texts_of(second.system) == [f"Be brief.\n\n{AGGREGATE}"]
            (message,) = second.messages
            assert message.content[0] == PICTURE
            assert message.text == "What is this?" + references(*texts)
            for request in (first, second):
                assert (request.tools, request.tool_choice) == ([], None)
                assert request.max_tokens == 3_000
        (last,) = await room.requests(LAST)
        assert texts_of(last.system) == [f"Be brief.\n\n{AGGREGATE}"]
        assert last.messages[0].content[0] == PICTURE
        assert last.messages[0].text == "What is this?" + references(*again)
        assert [tool.name for tool in last.tools] == ["weather"]
        assert reply.text == "It scatters."


@WHOLE_AND_STREAMED
async def test_a_council_tells_its_members_what_is_documented_and_nothing_else(
    how: str, tmp_path: Path
):
    async with panel(tmp_path, scripts()) as room:
        await room.ask(composite(room, "council"), how, [ASKED], **SETTINGS)
        for name, (own, _) in MEMBERS.items():
            opinion, review = await room.requests(name)
            assert texts_of(opinion.system) == texts_of(review.system) == ["Be brief."]
            assert opinion.messages == [ASKED]
            (message,) = review.messages
            assert message.content[:2] == ASKED.content
            others = {text for text, _ in MEMBERS.values()} - {own}
            shown = boxes(message.text, "response")
            assert set(shown.values()) == others
            assert list(shown) == ["Response A", "Response B", "Response C"]
            assert opinion.tools == review.tools == []
        (last,) = await room.requests(LAST)
        assert last.messages == [ASKED]
        (system,) = texts_of(last.system)
        assert system.startswith("Be brief.\n\n")
        shown = boxes(system, "response")
        assert set(shown.values()) == {text for text, _ in MEMBERS.values()}
        assert list(shown) == ["Response 1", "Response 2", "Response 3", "Response 4"]
        assert list(boxes(system, "review")) == ["Review 1", "Review 2", "Review 3", "Review 4"]
        assert [tool.name for tool in last.tools] == ["weather"]


@SHAPES
async def test_no_server_is_told_who_else_is_asked(shape: str, rounds: int, tmp_path: Path):
    async with panel(tmp_path, scripts()) as room:
        await room.ask(composite(room, shape), "streamed")
        for _, each in await room.served():
            said = words_of(each.request).lower()
            for name in (*MEMBERS, LAST):
                provider, _, model = name.partition("/")
                assert provider not in said
                assert model not in said
                assert model.partition("-")[0] not in said


def texts_of(blocks: list[Text]) -> list[str]:
    return [block.text for block in blocks]
