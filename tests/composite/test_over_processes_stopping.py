"""A council of two mixtures over processes, stopped in its second stage: no socket stays open."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import polyvox
from polyvox.composite import Council, MixtureOfAgents
from polyvox.events import Nested
from polyvox.routing.commit import is_content

from .panel import NEVER, PATIENCE, Panel, Turn, panel, says

PROPOSERS = {
    "mixture 1": ["openai/gpt-5-mini", "anthropic/claude-haiku-4-5"],
    "mixture 2": ["openai/gpt-5-nano", "anthropic/claude-opus-4-1"],
}
AGGREGATORS = {"mixture 1": "openai/gpt-5", "mixture 2": "anthropic/claude-opus-4-5"}
CHAIR = "openai/gpt-4.1"
ASKED_FIRST, HELD = 3, 2
"""At each server: two proposers and an aggregator for the opinions; two proposers for the reviews."""

STUCK = {"text_piece": 1, "cut_mode": "stall", "cut_after": 700}
"""Knobs of a stream that begins, and then says no more."""


def scripts(**knobs: Any) -> dict[str, list[Turn]]:
    proposers = {
        name: [says(f"{label} says air."), says("I rank them so, on the whole: B, A.", **knobs)]
        for label, names in PROPOSERS.items()
        for name in names
    }
    aggregators = {name: [says(f"{label} is sure.")] for label, name in AGGREGATORS.items()}
    return proposers | aggregators | {CHAIR: [says("It scatters.")]}


def nested_council(panel: Panel) -> Council:
    mixtures = [
        MixtureOfAgents(
            panel.models(*names), aggregator=panel.client.model(AGGREGATORS[label]), name=label
        )
        for label, names in PROPOSERS.items()
    ]
    return Council(mixtures, chairman=panel.client.model(CHAIR))


async def in_the_second_stage(panel: Panel) -> None:
    """Return once each server has both of its reviewers' proposers in flight."""
    await panel.ledgers(in_flight=HELD, total=ASKED_FIRST + HELD)


async def assert_nothing_is_open(panel: Panel) -> None:
    """By the servers' own books; the client is still there, and would keep what can be used again."""
    for ledger in (await panel.ledgers(in_flight=0, sockets=0)).values():
        assert ledger.total == ASKED_FIRST + HELD
        first, held = ledger.served[:ASKED_FIRST], ledger.served[ASKED_FIRST:]
        assert [each.completed for each in first] == [True] * ASKED_FIRST
        assert [(each.completed, each.hung_up) for each in held] == [(False, "client")] * HELD
        assert all(each.ended is not None for each in ledger.served)
    assert await panel.requests(CHAIR) == []


def assert_accounted(error: polyvox.PolyvoxError) -> None:
    """Each request of the tree is an attempt, those that were stopped with what they had used."""
    bases = [each.usage.basis for each in error.attempts]
    assert sorted(bases) == ["partial"] * 2 * HELD + ["reported"] * 2 * ASKED_FIRST
    assert error.message is not None
    spent = sum((each.usage for each in error.attempts), polyvox.Usage())
    assert error.message.usage.total_tokens == spent.total_tokens


async def test_a_council_of_mixtures_answers_with_the_whole_tree_in_its_trace(tmp_path: Path):
    twice = {name: [says("Sure."), says("So: B, A.")] for name in AGGREGATORS.values()}
    async with panel(tmp_path, scripts() | twice) as room:
        reply = await room.ask(nested_council(room), "streamed")
        assert reply.text == "It scatters."
        served = await room.served()
        assert len(served) == 2 * 2 * 3 + 1
        total = sum(each.usage.total_tokens for _, each in served if each.usage)
        assert reply.usage.total_tokens == reply.trace.total.total_tokens == total
        assert [node.kind for node in reply.trace.walk()].count("moa") == 4


@pytest.mark.parametrize("knobs", [NEVER, STUCK], ids=["silent", "stuck"])
async def test_an_interrupt_in_the_second_stage_leaves_no_socket_open(
    knobs: dict[str, Any], tmp_path: Path
):
    interrupt = polyvox.Interrupt()
    async with panel(tmp_path, scripts(**knobs)) as room:
        asking = asyncio.create_task(
            room.ask(nested_council(room), "complete", interrupt=interrupt)
        )
        await in_the_second_stage(room)
        interrupt.set("enough")
        with pytest.raises(polyvox.AbortedError, match="enough") as aborted:
            await asking
        await assert_nothing_is_open(room)
        assert_accounted(aborted.value)


@pytest.mark.parametrize("knobs", [NEVER, STUCK], ids=["silent", "stuck"])
async def test_cancelling_the_task_in_the_second_stage_leaves_no_socket_open(
    knobs: dict[str, Any], tmp_path: Path
):
    async with panel(tmp_path, scripts(**knobs)) as room:
        asking = asyncio.create_task(room.ask(nested_council(room), "streamed"))
        await in_the_second_stage(room)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await assert_nothing_is_open(room)


async def test_leaving_the_stream_in_the_second_stage_leaves_no_socket_open(tmp_path: Path):
    async with panel(tmp_path, scripts(**STUCK)) as room, asyncio.timeout(PATIENCE):
        speaking: set[tuple[str, ...]] = set()
        async with room.client.stream(nested_council(room), "Why?") as stream:
            async for event in stream:
                if isinstance(event, Nested) and event.path[0] == "reviews" and is_content(event):
                    speaking.add(tuple(event.path))
                if len(speaking) == 2 * HELD:
                    break
        await assert_nothing_is_open(room)
        assert stream.message.stop_reason == "aborted"


@pytest.mark.parametrize("knobs", [NEVER, STUCK], ids=["silent", "stuck"])
async def test_a_deadline_in_the_second_stage_leaves_no_socket_open(
    knobs: dict[str, Any], tmp_path: Path
):
    async with panel(tmp_path, scripts(**knobs)) as room:
        asking = asyncio.create_task(room.ask(nested_council(room), "complete", timeout=4))
        await in_the_second_stage(room)
        reply = await asking
        # There is time for nobody any more: of what there is, the best opinion is the reply.
        assert (reply.text, reply.trace.status) == ("mixture 1 is sure.", "fallback")
        await assert_nothing_is_open(room)
