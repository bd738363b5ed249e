"""Calls that go on with a conversation: what the model is given, what is kept, one writer at a time."""

import asyncio

import pytest

from polyvox.config.serving import ContextsSection
from polyvox.errors import (
    BadRequestError,
    NotFoundError,
    OverloadedError,
    PolyvoxError,
    RateLimitError,
)
from polyvox.gateway.asking.wishes import PromptUse
from polyvox.gateway.contexts.contexts import Contexts
from polyvox.gateway.contexts.leases import SECONDS
from polyvox.gateway.contexts.shapes import NewContext, Spending
from polyvox.gateway.database.engine import Database
from polyvox.gateway.tenants.access import ADMIN, Access
from polyvox.messages import (
    AssistantMessage,
    Image,
    Text,
    ToolCall,
    UserMessage,
    assistant,
    tool_result,
    user,
)
from polyvox.request import Request
from polyvox.trace import TraceNode

from .conftest import ADA, BOB, Clock

PIXEL = b"\x89PNG\r\n\x1a\n0000"


def asking(text: str, system: str = "") -> Request:
    return Request(messages=[user(text)], system=[Text(system)] if system else [])


async def say(contexts: Contexts, key: str, text: str, answer: str, access: Access = ADA) -> None:
    async with contexts.turn(access, key, asking(text), None) as turn:
        assert await turn.keep(assistant(answer))


async def texts(contexts: Contexts, key: str, access: Access = ADA) -> list[str]:
    return [kept.message.text for kept in await contexts.messages(access, key)]


# --------------------------------------------------------------------------------- going on


async def test_a_context_that_a_call_names_is_begun_and_gone_on_with(contexts: Contexts):
    async with contexts.turn(ADA, "trip", asking("Where to?", "Be brief."), None) as turn:
        assert turn.request == asking("Where to?", "Be brief.")
        await turn.keep(assistant("Oslo."))
    async with contexts.turn(ADA, "trip", asking("When?"), None) as turn:
        assert [message.text for message in turn.request.messages] == [
            "Where to?",
            "Oslo.",
            "When?",
        ]
        assert turn.request.system == [Text("Be brief.")]
        await turn.keep(assistant("In June."))
    view = await contexts.get(ADA, "trip")
    assert (view.organisation, view.title, view.messages) == ("acme", "Where to?", 4)
    assert await texts(contexts, view.id) == ["Where to?", "Oslo.", "When?", "In June."]


async def test_instructions_of_a_call_hold_for_that_call_alone(contexts: Contexts):
    await contexts.create(ADA, NewContext(name="trip", system="Be brief."))
    async with contexts.turn(ADA, "trip", asking("Hi", "Be long."), None) as turn:
        assert turn.request.system == [Text("Be long.")]
    async with contexts.turn(ADA, "trip", asking("Hi"), None) as turn:
        assert turn.request.system == [Text("Be brief.")]


async def test_everything_that_a_message_holds_comes_back_as_it_was(contexts: Contexts):
    call = ToolCall("c1", "weather", {"city": "Oslo"}, meta={"opaque": [1]}, producer="a/b")
    said = AssistantMessage([call], stop_reason="tool_calls", provider="a", model="b", id="r1")
    picture = UserMessage([Text("\x00 look \ud83d"[:7]), Image(PIXEL)])
    async with contexts.turn(ADA, "all", Request(messages=[picture]), None) as turn:
        await turn.keep(said)
    result = Request(messages=[tool_result(call, "rain")])
    async with contexts.turn(ADA, "all", result, None) as turn:
        assert turn.request.messages == [picture, said, *result.messages]


async def test_the_trace_of_an_answer_is_not_kept(contexts: Contexts):
    answer = assistant("Oslo.")
    answer.trace = TraceNode(kind="call", model="simulated/echo")
    async with contexts.turn(ADA, "trip", asking("Where?"), None) as turn:
        await turn.keep(answer)
    (_, kept) = await contexts.messages(ADA, "trip")
    assert kept.message == assistant("Oslo.")


async def test_an_id_that_is_not_there_is_no_name_for_a_new_context(contexts: Contexts):
    with pytest.raises(NotFoundError):
        async with contexts.turn(ADA, "ctx_0123", asking("Hi"), None):
            pass
    with pytest.raises(BadRequestError, match="slash"):
        async with contexts.turn(ADA, "a/b", asking("Hi"), None):
            pass


async def test_a_conversation_that_is_too_long_is_refused_before_anything_is_asked(
    database: Database, clock: Clock
):
    contexts = Contexts(database, ContextsSection(max_messages=3, wait_seconds=0), clock=clock)
    await say(contexts, "trip", "one", "two")
    with pytest.raises(BadRequestError, match="more than 3"):
        async with contexts.turn(ADA, "trip", asking("three"), None):
            pass
    await contexts.append(ADA, "trip", [{"role": "user", "content": "three"}])
    assert await texts(contexts, "trip") == ["one", "two", "three"]


async def test_a_template_and_a_budget_of_the_context_come_with_the_turn(
    database: Database, clock: Clock
):
    async def applied(access: Access, use: PromptUse | str, request: Request) -> Request:
        assert (access, use) == (ADA, PromptUse("guide"))
        return Request(messages=[user("Example?"), assistant("Yes.")], system=[Text("Guide.")])

    contexts = Contexts(database, ContextsSection(), applied=applied, clock=clock)
    new = NewContext(name="trip", template="guide", budget=Spending(limit="$2", per="day"))
    view = await contexts.create(ADA, new)
    async with contexts.turn(ADA, "trip", asking("Where?"), None) as turn:
        assert [each.text for each in turn.request.messages] == ["Example?", "Yes.", "Where?"]
        assert turn.request.system == [Text("Guide.")]
        assert turn.level is not None
        assert turn.level.name == f"context:{view.id}"
        assert [(each.limit, each.per) for each in turn.level.budgets] == [("$2", "day")]
        await turn.keep(assistant("Oslo."))
    assert await texts(contexts, "trip") == ["Where?", "Oslo."]  # examples are no part of it
    async with contexts.turn(ADA, "trip", asking("When?"), None, template=False) as turn:
        assert [each.text for each in turn.request.messages] == ["Where?", "Oslo.", "When?"]
    await contexts.aclose()


# ------------------------------------------------------------------------- what is kept of failures

ABORTED = AssistantMessage([Text("Os")], stop_reason="aborted", error="stopped")
FAILED = AssistantMessage([Text("Os")], stop_reason="error", error="broke")
SILENT = AssistantMessage([], stop_reason="aborted", error="stopped")


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (ABORTED, ["Where?", "Os"]),
        (SILENT, []),
        (FAILED, []),
    ],
)
async def test_an_interrupted_answer_stays_and_a_failed_one_leaves_nothing(
    contexts: Contexts, answer: AssistantMessage, kept: list[str]
):
    async with contexts.turn(ADA, "trip", asking("Where?"), None) as turn:
        assert await turn.keep(answer) == bool(kept)
    assert await texts(contexts, "trip") == kept


async def test_a_turn_that_keeps_nothing_lets_the_next_one_in(contexts: Contexts):
    with pytest.raises(ZeroDivisionError):
        async with contexts.turn(ADA, "trip", asking("Where?"), None):
            raise ZeroDivisionError
    await say(contexts, "trip", "Where?", "Oslo.")
    assert await texts(contexts, "trip") == ["Where?", "Oslo."]


async def test_a_context_deleted_during_a_call_stays_deleted(contexts: Contexts):
    async with contexts.turn(ADA, "trip", asking("Where?"), None) as turn:
        await contexts.delete(ADA, "trip")
        assert not await turn.keep(assistant("Oslo."))
    with pytest.raises(NotFoundError):
        await contexts.get(ADA, "trip")


# --------------------------------------------------------------------------- one writer at a time


async def test_two_writers_on_two_replicas_are_served_one_after_the_other(
    database: Database, clock: Clock
):
    replicas = [Contexts(database, ContextsSection(), clock=clock) for _ in range(2)]
    inside = 0

    async def write(number: int) -> None:
        nonlocal inside
        request = asking(f"question {number}")
        async with replicas[number % 2].turn(ADA, "trip", request, None) as turn:
            inside += 1
            assert inside == 1
            before = len(turn.request.messages)
            await asyncio.sleep(0)
            inside -= 1
            await turn.keep(assistant(f"answer {number} behind {before - 1}"))

    await asyncio.gather(*map(write, range(10)))
    said = await texts(replicas[0], "trip")
    assert len(said) == 20
    for place in range(0, 20, 2):
        number = said[place].removeprefix("question ")
        assert said[place + 1] == f"answer {number} behind {place}"
    for each in replicas:
        await each.aclose()


async def test_each_replica_sees_what_the_other_has_added(database: Database, clock: Clock):
    here, there = (Contexts(database, ContextsSection(), clock=clock) for _ in range(2))
    for number, replica in enumerate([here, there, there, here, there]):
        async with replica.turn(ADA, "trip", asking(f"q{number}"), None) as turn:
            wanted = [f"{kind}{place}" for place in range(number) for kind in "qa"]
            assert [each.text for each in turn.request.messages] == [*wanted, f"q{number}"]
            await turn.keep(assistant(f"a{number}"))


async def test_who_waits_too_long_is_told_to_come_again(database: Database, clock: Clock):
    here = Contexts(database, ContextsSection(wait_seconds=0), clock=clock)
    there = Contexts(database, ContextsSection(wait_seconds=0), clock=clock)
    async with here.turn(ADA, "trip", asking("Where?"), None):
        for replica in (here, there):
            with pytest.raises(RateLimitError, match="another call writes") as caught:
                async with replica.turn(ADA, "trip", asking("When?"), None):
                    pass
            assert (caught.value.status, caught.value.retry_after) == (429, 1.0)
        with pytest.raises(RateLimitError):
            await there.append(ADA, "trip", [{"role": "user", "content": "Now?"}])
    await say(there, "trip", "When?", "Soon.")


async def test_the_lease_of_a_replica_that_died_runs_out(database: Database, clock: Clock):
    dead = Contexts(database, ContextsSection(wait_seconds=0), clock=clock)
    here = Contexts(database, ContextsSection(wait_seconds=0), clock=clock)
    async with dead.turn(ADA, "trip", asking("Where?"), None) as lost:
        clock.now += SECONDS - 1
        with pytest.raises(RateLimitError):
            await say(here, "trip", "When?", "Soon.")
        clock.now += 1
        await say(here, "trip", "When?", "Soon.")
        assert await lost.keep(
            assistant("Oslo.")
        )  # it was only slow: nothing that was said is lost
    assert await texts(here, "trip") == ["When?", "Soon.", "Where?", "Oslo."]
    await say(here, "trip", "Still?", "Yes.")


async def test_a_lease_is_renewed_as_long_as_its_call_goes_on(database: Database, clock: Clock):
    ticks: asyncio.Queue[float] = asyncio.Queue()
    go_on = asyncio.Semaphore(0)

    async def pause(seconds: float) -> None:
        await ticks.put(seconds)
        await go_on.acquire()

    here = Contexts(database, ContextsSection(), clock=clock, pause=pause)
    there = Contexts(database, ContextsSection(wait_seconds=0), clock=clock)
    async with here.turn(ADA, "trip", asking("Where?"), None):
        for _ in range(5):
            seconds = await ticks.get()
            assert seconds < SECONDS / 2
            clock.now += seconds
            go_on.release()
        await ticks.get()  # the fifth renewal is done
        with pytest.raises(RateLimitError):
            await say(there, "trip", "When?", "Soon.")
    await here.aclose()


async def test_a_caller_who_leaves_while_waiting_for_the_lease_holds_nothing(
    database: Database, clock: Clock
):
    here = Contexts(database, ContextsSection(wait_seconds=0), clock=clock)

    async def enter() -> None:
        async with here.turn(ADA, "trip", asking("Where?"), None):
            raise AssertionError("it was cancelled before")

    for _ in range(20):
        leaving = asyncio.create_task(enter())
        await asyncio.sleep(0)  # it has asked the database by now
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    await here.aclose()
    await say(here, "trip", "Where?", "Oslo.")


async def test_a_caller_who_leaves_during_the_call_lets_the_next_one_in(contexts: Contexts):
    inside = asyncio.Event()

    async def stay() -> None:
        async with contexts.turn(ADA, "trip", asking("Where?"), None):
            inside.set()
            await asyncio.Event().wait()

    staying = asyncio.create_task(stay())
    await inside.wait()
    staying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await staying
    await say(contexts, "trip", "Where?", "Oslo.")


async def test_names_are_apart_by_organisation_and_ids_are_no_way_round(contexts: Contexts):
    await say(contexts, "trip", "Where?", "Oslo.", ADA)
    await say(contexts, "trip", "Wohin?", "Rom.", BOB)
    mine, theirs = await contexts.get(ADA, "trip"), await contexts.get(BOB, "trip")
    assert mine.id != theirs.id
    with pytest.raises(NotFoundError):
        await say(contexts, theirs.id, "Mine now?", "No.", ADA)
    await say(contexts, theirs.id, "And?", "Milano.", ADMIN)
    assert await texts(contexts, "trip", BOB) == ["Wohin?", "Rom.", "And?", "Milano."]
    assert await texts(contexts, "trip", ADA) == ["Where?", "Oslo."]


async def test_a_long_conversation_is_not_read_again_each_time(database: Database, clock: Clock):
    contexts = Contexts(database, ContextsSection(), clock=clock)
    small = Contexts(database, ContextsSection(), clock=clock, memory_bytes=1)
    for replica in (contexts, small):
        await say(replica, "trip", "Where?", "Oslo.")
    for replica, known in ((contexts, True), (small, False)):
        async with replica.turn(ADA, "trip", asking("When?"), None) as turn:
            first = turn.request.messages[0]
        async with replica.turn(ADA, "trip", asking("When?"), None) as turn:
            assert (turn.request.messages[0] is first) == known
            assert turn.request.messages[0] == first


async def test_a_database_that_is_down_is_said_to_be(database: Database, clock: Clock):
    contexts = Contexts(database, ContextsSection(), clock=clock)
    async with contexts.turn(ADA, "trip", asking("Where?"), None) as turn:
        await database.aclose()
        with pytest.raises(OverloadedError):
            await turn.keep(assistant("Oslo."))
    with pytest.raises(PolyvoxError) as caught:
        await say(contexts, "trip", "Where?", "Oslo.")
    assert isinstance(caught.value, OverloadedError)
    await contexts.aclose()
