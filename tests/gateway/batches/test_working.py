"""How a batch is worked on: limits, budgets, cancelling, expiring, replicas, room, memory."""

import asyncio
import time
from contextlib import AsyncExitStack

import openai
import pytest
from msgspec.structs import replace
from sqlalchemy import update

from polyvox.gateway.batches.tables import batches
from polyvox.gateway.batches.turns import FreeRoom
from polyvox.gateway.operations.admission import Admission
from polyvox.gateway.tenants.access import Level
from polyvox.limits import Budget, RateLimit

from .conftest import ADA, QUICK, Rig, begun, jsonl, line, lines_of, served, until


async def test_no_more_lines_than_allowed_are_under_way_at_once(rig, held):
    async with (
        rig(bounds=replace(QUICK, per_batch=3, in_all=5)) as gateway,
        gateway.client() as client,
    ):
        one = await begun(client, jsonl(*(line(str(n), f"hold {n}") for n in range(9))))
        await held.wait_for(3)
        two = await begun(client, jsonl(*(line(str(n), f"hold {n}") for n in range(9))))
        await held.wait_for(5)
        await until(client, two.id, "in_progress")
        assert len(held.asked) == 5
        held.release()
        for batch in (one, two):
            assert (await until(client, batch.id)).request_counts.completed == 9


async def test_progress_is_visible_while_it_goes_on(rig, held):
    async with rig() as gateway, gateway.client() as client:
        lines = [line(str(n), f"hold {n}" if n > 4 else "go") for n in range(7)]
        batch = await begun(client, jsonl(*lines))
        while (await client.batches.retrieve(batch.id)).request_counts.completed < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        counts = (await client.batches.retrieve(batch.id)).request_counts
        assert (counts.total, counts.completed, counts.failed) == (7, 5, 0)
        held.release()
        await until(client, batch.id)


async def test_a_cancelled_batch_keeps_what_is_done_and_asks_no_more(rig, held):
    async with rig(bounds=replace(QUICK, per_batch=2)) as gateway, gateway.client() as client:
        lines = [line(str(n), "go" if n == 0 else f"hold {n}") for n in range(6)]
        batch = await begun(client, jsonl(*lines))
        await held.wait_for(3)
        cancelling = await client.batches.cancel(batch.id)
        assert cancelling.status == "cancelling"
        assert cancelling.cancelling_at
        held.release()
        batch = await until(client, batch.id)
        assert batch.status == "cancelled"
        assert batch.cancelled_at
        assert len(held.asked) == 3
        assert [each["custom_id"] for each in await lines_of(client, batch.output_file_id)] == [
            "0",
            "1",
            "2",
        ]
        errors = await lines_of(client, batch.error_file_id)
        assert [each["custom_id"] for each in errors] == ["3", "4", "5"]
        assert {each["error"]["code"] for each in errors} == {"batch_cancelled"}
        assert (batch.request_counts.completed, batch.request_counts.failed) == (3, 0)
        assert (await client.batches.cancel(batch.id)).status == "cancelled"


async def test_what_is_over_can_not_be_cancelled(rig):
    async with rig() as gateway, gateway.client() as client:
        batch = await until(client, (await begun(client, jsonl(line("a", "x")))).id)
        with pytest.raises(openai.ConflictError, match="completed"):
            await client.batches.cancel(batch.id)


async def test_a_batch_expires_with_what_was_done_until_then(rig, held):
    now = [1_900_000_000.0]
    async with rig(clock=lambda: now[0]) as gateway, gateway.client() as client:
        batch = await begun(client, jsonl(line("a", "go"), line("b", "hold")))
        await held.wait_for(2)
        now[0] = batch.expires_at + 1.0
        batch = await until(client, batch.id)
        assert batch.status == "expired"
        assert batch.expired_at
        (done,) = await lines_of(client, batch.output_file_id)
        (error,) = await lines_of(client, batch.error_file_id)
        assert (done["custom_id"], error["custom_id"]) == ("a", "b")
        assert error["error"]["code"] == "batch_expired"


async def test_a_batch_whose_input_is_lost_expires_all_the_same(rig, held, tmp_path):
    now = [time.time()]
    async with rig(clock=lambda: now[0]) as gateway, gateway.client() as client:
        file = await client.files.create(file=("in.jsonl", jsonl(line("a", "go"))), purpose="batch")
        (tmp_path / "files" / file.id).unlink()
        batch = await client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        now[0] = batch.expires_at + 2 * QUICK.lease
        batch = await until(client, batch.id)
        assert (batch.status, batch.output_file_id) == ("expired", None)
        assert held.asked == []


async def test_a_line_that_finds_no_room_under_a_rate_limit_waits_and_is_answered(rig, held):
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0.01)

    async with rig(pause=pause) as gateway, gateway.client() as client:
        rate = RateLimit(requests=3, per="second", name="rate")
        gateway.keys.known["ada"] = replace(ADA, levels=(Level("key:ada", rates=(rate,)),))
        data = jsonl(*(line(str(n), "go") for n in range(8)))
        batch = await until(client, (await begun(client, data)).id)
        assert (batch.status, batch.request_counts.completed) == ("completed", 8)
        assert pauses
        assert len(held.asked) == 8


async def test_a_line_over_the_budget_fails_with_its_error(rig, held):
    async with rig(bounds=replace(QUICK, per_batch=1)) as gateway, gateway.client() as client:
        budget = Budget("$0.0001", name="small")
        gateway.keys.known["ada"] = replace(ADA, levels=(Level("key:ada", (budget,)),))
        cheap, dear = line("cheap", "go"), line("dear", "go")
        cheap["body"]["max_completion_tokens"] = 10
        dear["body"]["max_completion_tokens"] = 100_000
        batch = await until(client, (await begun(client, jsonl(cheap, dear))).id)
        assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 1)
        (told,) = await lines_of(client, batch.error_file_id)
        assert told["custom_id"] == "dear"
        assert told["response"]["status_code"] == 402
        assert told["response"]["body"]["error"]["code"] == "budget_exceeded"
        assert held.asked == ["go"]


async def test_a_key_that_is_revoked_meanwhile_asks_nothing_more(rig, held):
    async with (
        rig(bounds=replace(QUICK, per_batch=1)) as gateway,
        gateway.client("admin") as client,
    ):
        async with gateway.client() as ada:
            batch = await begun(ada, jsonl(line("a", "hold"), line("b", "go")))
        await held.wait_for(1)
        gateway.keys.known.pop("ada")
        held.release()
        batch = await until(client, batch.id)
        (told,) = await lines_of(client, batch.error_file_id)
        assert (told["custom_id"], told["response"]["status_code"]) == ("b", 401)
        assert held.asked == ["hold"]


async def test_keys_that_are_not_read_yet_make_lines_wait_and_not_fail(rig, held):
    async def pause(seconds: float) -> None:
        gateway.keys.is_behind = False
        gateway.keys.known["ada"] = ADA
        await asyncio.sleep(0)

    bounds = replace(QUICK, per_batch=1)
    async with rig(bounds=bounds, pause=pause) as gateway, gateway.client("admin") as client:
        async with gateway.client() as ada:
            batch = await begun(ada, jsonl(line("a", "hold"), line("b", "go")))
        await held.wait_for(1)
        gateway.keys.known.pop("ada")
        gateway.keys.is_behind = True
        held.release()
        assert (await until(client, batch.id)).request_counts.completed == 2


async def test_rights_that_are_taken_back_meanwhile_hold_for_the_lines_that_follow(rig, held):
    async with rig(bounds=replace(QUICK, per_batch=1)) as gateway, gateway.client() as client:
        batch = await begun(client, jsonl(line("a", "hold"), line("b", "go")))
        await held.wait_for(1)
        gateway.keys.known["ada"] = replace(ADA, routes=("batches", "embeddings"))
        held.release()
        batch = await until(client, batch.id)
        (told,) = await lines_of(client, batch.error_file_id)
        assert told["response"]["status_code"] == 403


async def test_lines_use_only_the_room_that_interactive_calls_leave(rig, held):
    admission = Admission(4, 10, 60.0)
    turned_away = asyncio.Event()

    async def pause(seconds: float) -> None:
        turned_away.set()
        await asyncio.sleep(0.01)

    for _ in range(3):
        await admission.enter()
    room = FreeRoom(admission, lambda: 4)
    async with rig(room=room, pause=pause) as gateway, gateway.client() as client:
        batch = await begun(client, jsonl(*(line(str(n), f"hold {n}") for n in range(3))))
        await turned_away.wait()
        assert held.asked == []
        admission.leave()
        await held.wait_for(1)
        turned_away.clear()
        await turned_away.wait()
        assert admission.in_flight == 3
        await admission.enter()  # the last place is there for others, at once
        held.release()
        admission.leave()
        assert (await until(client, batch.id)).request_counts.completed == 3
    assert admission.in_flight == 2


async def test_replicas_share_batches_and_each_is_worked_on_by_one(
    database, tmp_path, upstream, held
):
    async with AsyncExitStack() as stack:
        rigs = [
            await stack.enter_async_context(served(Rig(database, tmp_path, upstream)))
            for _ in range(3)
        ]
        client = await stack.enter_async_context(rigs[0].client())
        made = [
            (await begun(client, jsonl(*(line(str(n), f"{b} {n}") for n in range(5))))).id
            for b in range(4)
        ]
        for id in made:
            batch = await until(client, id)
            assert batch.request_counts.completed == 5
    assert sorted(held.asked) == sorted(f"{b} {n}" for b in range(4) for n in range(5))


async def test_a_replica_that_is_stopped_hands_its_batches_on(database, tmp_path, upstream, held):
    bounds = replace(QUICK, per_batch=2)
    first, second = (Rig(database, tmp_path, upstream, bounds=bounds) for _ in range(2))
    async with served(first), first.client() as client:
        lines = [line(str(n), "go" if n < 2 else f"hold {n}") for n in range(6)]
        batch = await begun(client, jsonl(*lines))
        await held.wait_for(4)
    held.release()
    async with served(second), second.client() as client:
        batch = await until(client, batch.id)
        assert (batch.status, batch.request_counts.completed) == ("completed", 6)
        told = await lines_of(client, batch.output_file_id)
        assert [each["custom_id"] for each in told] == [str(n) for n in range(6)]
    assert held.asked.count("go") == 2


async def test_a_line_whose_call_ends_with_its_gateway_is_asked_again(
    database, tmp_path, upstream, held
):
    first, second = (Rig(database, tmp_path, upstream) for _ in range(2))
    async with served(first), first.client() as client:
        batch = await begun(client, jsonl(line("a", "hold")))
        await held.wait_for(1)
        first.runner.stop()
        first.calls.interrupt_all("the gateway stops")
        await first.calls.over()
    held.release()
    async with served(second), second.client() as client:
        batch = await until(client, batch.id)
        assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 0)


async def test_a_line_whose_call_somebody_ends_fails(rig, held):
    async with rig() as gateway, gateway.client() as client:
        batch = await begun(client, jsonl(line("a", "hold")))
        await held.wait_for(1)
        (call,) = gateway.calls.seen_by(ADA)
        gateway.calls.interrupt(call.id, ADA, "enough")
        batch = await until(client, batch.id)
        (told,) = await lines_of(client, batch.error_file_id)
        assert told["response"]["request_id"] == call.id
        assert told["response"]["body"]["error"]["code"] == "aborted"


async def test_who_has_lost_its_lease_spoils_nothing(database, tmp_path, upstream, held):
    """A process that was thought dead goes on with what is another's now."""
    bounds = replace(QUICK, per_batch=1)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(
            served(Rig(database, tmp_path, upstream, bounds=bounds))
        )
        client = await stack.enter_async_context(first.client())
        batch = await begun(client, jsonl(line("a", "go"), line("b", "hold"), line("c", "go")))
        await held.wait_for(2)
        theirs = update(batches).values(lease_holder="somebody", lease_until=0.0)
        await database.run(lambda connection: connection.execute(theirs).close())
        await stack.enter_async_context(served(Rig(database, tmp_path, upstream, bounds=bounds)))
        held.release()
        batch = await until(client, batch.id)
        told = await lines_of(client, batch.output_file_id)
        assert [each["custom_id"] for each in told] == ["a", "b", "c"]
        assert batch.error_file_id is None
        listed = [each.id async for each in client.files.list()]
        assert sorted(listed) == sorted([batch.input_file_id, batch.output_file_id])


async def test_an_organisation_has_so_many_batches_at_once(rig, held):
    bounds = replace(QUICK, open_batches=1)
    async with rig(bounds=bounds) as gateway, gateway.client() as ada, gateway.client("bob") as bob:
        batch = await begun(ada, jsonl(line("a", "hold")))
        with pytest.raises(openai.RateLimitError, match="not over yet"):
            await begun(ada, jsonl(line("a", "go")))
        await until(bob, (await begun(bob, jsonl(line("a", "go")))).id)
        held.release()
        await until(ada, batch.id)
        await until(ada, (await begun(ada, jsonl(line("a", "go")))).id)


async def test_what_was_answered_leaves_nothing_behind_but_its_files(rig, tmp_path):
    async with rig() as gateway, gateway.client() as client:
        batch = await until(client, (await begun(client, jsonl(line("a", "x")))).id)
    assert {each.name for each in (tmp_path / "files").iterdir()} == {
        batch.input_file_id,
        batch.output_file_id,
    }
    assert [*(tmp_path / "batches").iterdir()] == []
