"""A budget around a composite over processes: for the whole tree, before anything is sent."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

import polyvox
from polyvox.composite import Council, MixtureOfAgents
from polyvox.limits import Budget, Budgeted
from polyvox.limits.money import shown
from polyvox.messages import user
from polyvox.model import Model
from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.usage import NANOS_PER_DOLLAR

from .panel import PATIENCE, Panel, Turn, nanos_of, panel, says

MEMBERS = ["openai/gpt-5-mini", "anthropic/claude-haiku-4-5"]
LAST = "anthropic/claude-opus-4-5"
SHAPES = pytest.mark.parametrize("shape", ["moa", "council"])
LIMIT = {"max_tokens": 50}


def scripts(**knobs: object) -> dict[str, list[Turn]]:
    members = {name: [says("Air.", (23, 7), repeat=True, **knobs)] for name in MEMBERS}
    return members | {LAST: [says("It scatters.", (61, 11), repeat=True)]}


def composite(panel: Panel, shape: str) -> Model:
    models, last = panel.models(*MEMBERS), panel.client.model(LAST)
    if shape == "council":
        return Council(models, chairman=last)
    return MixtureOfAgents(models, aggregator=last, layers=3)


def quoted(model: Model) -> int:
    """What must be reserved for the whole tree, in nano-dollars."""
    cost = quote_of(model, Request(messages=[user("Why?")], **LIMIT)).cost
    assert cost.status == "known"
    return cost.nanos


def allowing(nanos: int, model: Model) -> Budgeted:
    return Budgeted(model, Budget(Decimal(nanos) / NANOS_PER_DOLLAR))


@SHAPES
async def test_nothing_is_sent_when_the_whole_tree_does_not_fit(shape: str, tmp_path: Path):
    async with panel(tmp_path, scripts()) as room:
        model = composite(room, shape)
        nanos = quoted(model)
        with pytest.raises(polyvox.BudgetExceededError):
            await room.ask(allowing(nanos - 1, model), "complete", **LIMIT)
        ledgers = await room.ledgers()
        assert [(each.total, each.sockets) for each in ledgers.values()] == [(0, 0), (0, 0)]
        assert (await room.ask(allowing(nanos, model), "complete", **LIMIT)).text == "It scatters."


@pytest.mark.parametrize("how", ["complete", "whole", "streamed"])
@SHAPES
async def test_what_is_charged_is_the_sum_of_the_servers_books(
    shape: str, how: str, tmp_path: Path
):
    async with panel(tmp_path, scripts()) as room:
        model = composite(room, shape)
        budgeted = allowing(quoted(model), model)
        reply = await room.ask(budgeted, how, **LIMIT)
        facts = {name: room.client.facts(name) for name in (*MEMBERS, LAST)}
        cost = sum(nanos_of(facts[name], each) for name, each in await room.served())
        assert reply.usage.cost.nanos == cost
        with pytest.raises(polyvox.BudgetExceededError) as refused:
            await room.ask(budgeted, "complete", **LIMIT)
        assert f": {shown(cost)} spent, $0.00 reserved," in refused.value.text


@SHAPES
async def test_two_at_once_never_pass_a_budget_that_is_for_one(shape: str, tmp_path: Path):
    async with panel(tmp_path, scripts(hold_until=9)) as room:
        model = composite(room, shape)
        nanos = quoted(model)
        budgeted = allowing(2 * nanos - 1, model)
        first = asyncio.create_task(room.ask(budgeted, "streamed", **LIMIT))
        await room.ledgers(in_flight=1, total=1)
        with pytest.raises(polyvox.BudgetExceededError) as refused:
            await room.ask(budgeted, "streamed", **LIMIT)
        assert f"$0.00 spent, {shown(nanos)} reserved" in refused.value.text
        assert [each.total for each in (await room.ledgers()).values()] == [1, 1]
        for total in (1, 2):
            await room.ledgers(in_flight=1, total=total)
            await room.release()
        assert (await first).text == "It scatters."
        # What the first has not used is there again.
        second = asyncio.create_task(room.ask(budgeted, "streamed", **LIMIT))
        await room.servers["openai"].ledger(in_flight=1, total=3)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await room.ledgers(in_flight=0)


@SHAPES
async def test_what_is_charged_for_one_that_was_interrupted_is_what_its_attempts_cost(
    shape: str, tmp_path: Path
):
    interrupt = polyvox.Interrupt()
    async with panel(tmp_path, scripts(hold_until=9)) as room:
        model = composite(room, shape)
        budgeted = allowing(quoted(model), model)
        asking = asyncio.create_task(room.ask(budgeted, "complete", interrupt=interrupt, **LIMIT))
        await room.ledgers(in_flight=1, total=1)
        await room.release()
        await room.ledgers(in_flight=1, total=2)
        interrupt.set("enough")
        with pytest.raises(polyvox.AbortedError) as aborted:
            async with asyncio.timeout(PATIENCE):
                await asking
        attempts = aborted.value.attempts
        assert [each.usage.basis for each in attempts] == ["reported"] * 2 + ["partial"] * 2
        cost = sum(each.usage.cost.nanos for each in attempts)
        with pytest.raises(polyvox.BudgetExceededError) as refused:
            await room.ask(budgeted, "complete", **LIMIT)
        assert f": {shown(cost)} spent, $0.00 reserved," in refused.value.text
