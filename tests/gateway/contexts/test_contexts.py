"""Conversations that are begun, found, forked, made shorter, taken along and deleted, each by its own."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from polyvox import jsontext
from polyvox.agent.summary import is_summary
from polyvox.config.serving import ContextsSection
from polyvox.errors import (
    BadRequestError,
    InvalidAnswerError,
    NotFoundError,
    PolyvoxError,
    ServerError,
)
from polyvox.gateway.contexts.contexts import Contexts
from polyvox.gateway.contexts.shapes import (
    Change,
    ListQuery,
    NewContext,
    SearchQuery,
    Spending,
)
from polyvox.gateway.contexts.tables import context_messages
from polyvox.gateway.database.engine import Database
from polyvox.gateway.tenants.access import ADMIN, Access, Level
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

from .conftest import ADA, BOB, Clock

TALK = [
    {"role": "user", "content": "Where to?"},
    {"role": "assistant", "content": "Oslo."},
    {"role": "user", "content": "When?"},
    {"role": "assistant", "content": "In June."},
]


async def begun(contexts: Contexts, name: str = "trip", access: Access = ADA, **said: Any) -> str:
    new = NewContext(name=name, messages=TALK, **said)
    return (await contexts.create(access, new)).id


async def texts(contexts: Contexts, key: str, access: Access = ADA) -> list[str]:
    return [kept.message.text for kept in await contexts.messages(access, key)]


# ------------------------------------------------------------------------------------- whose they are

USES: dict[str, Callable[[Contexts, Access, str], Awaitable[object]]] = {
    "get": lambda contexts, access, key: contexts.get(access, key),
    "messages": lambda contexts, access, key: contexts.messages(access, key),
    "change": lambda contexts, access, key: contexts.change(access, key, Change(system="Mine.")),
    "append": lambda contexts, access, key: contexts.append(access, key, TALK),
    "fork": lambda contexts, access, key: contexts.fork(access, key),
    "compact": lambda contexts, access, key: contexts.compact(access, key, "m", nobody),
    "export": lambda contexts, access, key: contexts.export(access, key),
    "delete": lambda contexts, access, key: contexts.delete(access, key),
}


async def nobody(model: str, request: Request, level: Level | None) -> AssistantMessage:
    raise AssertionError("nobody is to be asked")


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("by", ["id", "name"])
async def test_what_belongs_to_another_organisation_is_not_there(
    contexts: Contexts, use: str, by: str
):
    id = await begun(contexts)
    for stranger in (BOB, Access(key="none"), Access(key="odd", organisation="acme ")):
        with pytest.raises(NotFoundError):
            await USES[use](contexts, stranger, id if by == "id" else "trip")
    view = await contexts.get(ADA, id)
    assert (view.messages, view.system, view.version) == (4, "", 2)


async def test_lists_and_searches_hold_what_is_ones_own(contexts: Contexts):
    await begun(contexts)
    await begun(contexts, "reise", BOB)
    for access, names in ((ADA, ["trip"]), (BOB, ["reise"]), (ADMIN, ["reise", "trip"])):
        listed = await contexts.listed(access, ListQuery())
        assert sorted(each.name for each in listed.data) == names
        found = await contexts.searched(access, SearchQuery(q="oslo"))
        assert sorted(each.name for each in found.data) == names
    for query in (ListQuery(organisation="acme"), SearchQuery(q="oslo", organisation="acme")):
        ask = contexts.searched if isinstance(query, SearchQuery) else contexts.listed
        assert [each.name for each in (await ask(ADMIN, query)).data] == ["trip"]
        assert (await ask(BOB, query)).data == []


async def test_the_administrator_reaches_those_of_others_by_id(contexts: Contexts):
    id = await begun(contexts)
    assert (await contexts.get(ADMIN, id)).name == "trip"
    with pytest.raises(NotFoundError):
        await contexts.get(ADMIN, "trip")
    copy = await contexts.fork(ADMIN, id)
    assert (await contexts.get(ADA, copy.id)).parent == id


# ----------------------------------------------------------------------------------- begun, changed


async def test_a_name_is_there_once_in_an_organisation(contexts: Contexts):
    await begun(contexts)
    with pytest.raises(BadRequestError, match="there is a context 'trip' already"):
        await begun(contexts)
    other = await contexts.create(ADA, NewContext())
    assert other.name == other.id
    with pytest.raises(BadRequestError, match="already"):
        await contexts.change(ADA, other.id, Change(name="trip"))
    assert (await contexts.change(ADA, other.id, Change(name="tour"))).name == "tour"
    await contexts.delete(ADA, "tour")
    await begun(contexts, "tour")


@pytest.mark.parametrize("name", ["a/b", "ctx_1", " ", "line\nbreak", "nul\x00", "x" * 201])
async def test_names_that_no_address_could_hold_are_refused(contexts: Contexts, name: str):
    with pytest.raises(BadRequestError, match="can't be a context's name"):
        await contexts.create(ADA, NewContext(name=name))


async def test_changing_it_to_what_it_is_changes_nothing(contexts: Contexts):
    budget = Spending(limit="$1", per="day", shadow=True)
    id = await begun(contexts, "", system="Be brief.", budget=budget, template="guide")
    before = await contexts.get(ADA, id)
    same = Change(
        name=before.name,
        system=before.system,
        template=before.template,
        budget=before.budget,
        tags=before.tags,
    )
    after = await contexts.change(ADA, id, same)
    assert msgspec.structs.replace(after, version=before.version) == before
    cleared = await contexts.change(ADA, id, Change(budget=None, template=None))
    assert (cleared.budget, cleared.template, cleared.system) == (None, None, "Be brief.")


async def test_a_budget_that_is_none_is_refused(contexts: Contexts):
    with pytest.raises(BadRequestError, match="budget: "):
        await contexts.create(ADA, NewContext(budget=Spending(limit="much")))
    id = await begun(contexts)
    with pytest.raises(BadRequestError, match="budget: "):
        await contexts.change(ADA, id, Change(budget=Spending(limit="$1", time_zone="Mars")))


@pytest.mark.parametrize(
    "message",
    [{"role": "king", "content": "x"}, {"role": "user"}, {"role": "user", "content": [{}]}],
)
async def test_what_is_no_message_is_refused_by_its_place(
    contexts: Contexts, message: dict[str, Any]
):
    id = await begun(contexts)
    with pytest.raises(BadRequestError, match=r"messages\[1\]"):
        await contexts.append(ADA, id, [TALK[0], message])
    assert (await contexts.get(ADA, id)).messages == 4


# ------------------------------------------------------------------------------------------- found


async def test_a_list_is_given_in_parts_the_one_used_last_first(contexts: Contexts, clock: Clock):
    for number in range(5):
        clock.now += 1
        await contexts.create(ADA, NewContext(name=f"n{number}"))
    clock.now += 1
    await contexts.append(ADA, "n1", TALK)
    names, after = list[str](), None
    while True:
        page = await contexts.listed(ADA, ListQuery(limit=2, after=after))
        names += [each.name for each in page.data]
        if page.next is None:
            break
        after = page.next
    assert names == ["n1", "n4", "n3", "n2", "n0"]
    with pytest.raises(BadRequestError, match="after"):
        await contexts.listed(ADA, ListQuery(after="nonsense"))


async def test_search_takes_signs_as_they_are_and_letters_in_any_case(contexts: Contexts):
    said = ["100% sure", "100 percent sure", "snake_case", "snakeXcase", "ÅNGSTRÖM", "back\\slash"]
    await contexts.create(
        ADA, NewContext(name="s", messages=[{"role": "user", "content": each} for each in said])
    )
    for words, places in {
        "100%": [0],
        "e_c": [2],
        "ångström": [4],
        "sure 100": [1, 0],
        "k\\s": [5],
        "' OR 1=1 --": [],
    }.items():
        found = await contexts.searched(ADA, SearchQuery(q=words))
        assert [each.place for each in found.data] == places
    with pytest.raises(BadRequestError, match="q has 0 words"):
        await contexts.searched(ADA, SearchQuery(q="  "))


async def test_a_search_is_given_in_parts_with_the_words_around(contexts: Contexts):
    long = f"{'before ' * 40}needle{' after' * 40}"
    await contexts.create(
        ADA, NewContext(name="s", messages=[{"role": "user", "content": long}] * 3)
    )
    page = await contexts.searched(ADA, SearchQuery(q="NEEDLE", limit=2))
    assert [each.place for each in page.data] == [2, 1]
    assert page.data[0].excerpt.startswith("... ")
    assert "before needle after" in page.data[0].excerpt
    assert len(page.data[0].excerpt) < 200
    page = await contexts.searched(ADA, SearchQuery(q="NEEDLE", limit=2, after=page.next))
    assert ([each.place for each in page.data], page.next) == ([0], None)


# ------------------------------------------------------------------------------------------ forked


async def test_a_fork_has_the_first_messages_and_goes_its_own_way(contexts: Contexts):
    id = await begun(contexts, system="Be brief.")
    copy = await contexts.fork(ADA, id, 2, "other trip")
    assert (copy.parent, copy.messages, copy.system, copy.title) == (
        id,
        2,
        "Be brief.",
        "Where to?",
    )
    await contexts.append(ADA, "other trip", [{"role": "user", "content": "Why?"}])
    assert await texts(contexts, "other trip") == ["Where to?", "Oslo.", "Why?"]
    assert await texts(contexts, id) == ["Where to?", "Oslo.", "When?", "In June."]
    assert (await contexts.fork(ADA, id)).messages == 4
    assert (await contexts.fork(ADA, id, 0)).title == ""
    with pytest.raises(BadRequestError, match="the context has 4"):
        await contexts.fork(ADA, id, 5)


# --------------------------------------------------------------------------------------- compacted


class Summariser:
    """A model that gives these answers, and remembers what it was asked."""

    def __init__(self, *answers: str | PolyvoxError) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, model: str, request: Request, level: Level | None) -> AssistantMessage:
        assert model == "simulated/short"
        self.asked.append(request.messages[0].text)
        answer = self.answers.pop(0)
        if isinstance(answer, PolyvoxError):
            raise answer
        return assistant(answer)


LONG_TALK = [
    {"role": role, "content": f"{role} {number} {'word ' * 100}"}
    for number in range(6)
    for role in ("user", "assistant")
]


async def test_a_summary_takes_the_place_of_the_older_part_and_nothing_is_deleted(
    contexts: Contexts,
):
    await contexts.create(ADA, NewContext(name="trip", messages=LONG_TALK))
    ask = Summariser("They talked a lot.", "They talked even more.")
    view = await contexts.compact(ADA, "trip", "simulated/short", ask, keep_tokens=300)
    assert (view.summary, view.summarised, view.messages) == ("They talked a lot.", 10, 12)
    async with contexts.turn(ADA, "trip", Request(messages=[user("now")]), None) as turn:
        first, *rest = turn.request.messages
        assert is_summary(first)
        assert [each.text[:11] for each in rest] == ["user 5 word", "assistant 5", "now"]
    assert len(await contexts.messages(ADA, "trip")) == 12
    await contexts.append(ADA, "trip", LONG_TALK)
    view = await contexts.compact(ADA, "trip", "simulated/short", ask, keep_tokens=1)
    assert (view.summary, view.summarised) == ("They talked even more.", 22)
    assert "They talked a lot." in ask.asked[1]
    assert "user 5" in ask.asked[1]
    short, whole = await contexts.fork(ADA, "trip", 3), await contexts.fork(ADA, "trip")
    assert (short.summary, short.summarised) == ("", 0)
    assert (whole.summary, whole.summarised) == (view.summary, 22)


@pytest.mark.parametrize("bad", [ServerError("broke"), "word " * 5_000, ""])
async def test_a_summary_that_fails_changes_nothing(contexts: Contexts, bad: str | PolyvoxError):
    await contexts.create(ADA, NewContext(name="trip", messages=LONG_TALK))
    with pytest.raises((ServerError, InvalidAnswerError)):
        await contexts.compact(ADA, "trip", "simulated/short", Summariser(bad))
    view = await contexts.get(ADA, "trip")
    assert (view.summary, view.summarised) == ("", 0)


async def test_of_two_summaries_at_once_the_first_one_stays(contexts: Contexts):
    await contexts.create(ADA, NewContext(name="trip", messages=LONG_TALK))

    async def slow(model: str, request: Request, level: Level | None) -> AssistantMessage:
        await contexts.compact(ADA, "trip", "simulated/short", Summariser("The first."))
        return assistant("The second.")

    view = await contexts.compact(ADA, "trip", "simulated/short", slow)
    assert view.summary == "The first."


async def test_a_single_turn_is_not_summarised(contexts: Contexts):
    await contexts.create(ADA, NewContext(name="trip", messages=LONG_TALK[:2]))
    view = await contexts.compact(ADA, "trip", "simulated/short", nobody)
    assert view.summarised == 0


# ----------------------------------------------------------------------------------- out and in again


async def test_an_export_comes_in_again_as_it_was(contexts: Contexts):
    await contexts.create(ADA, NewContext(name="trip", system="Be brief."))
    call = ToolCall("c1", "look", {"at": 1}, producer="a/b", meta={"x": 1})
    said = AssistantMessage([call], stop_reason="tool_calls", provider="a", model="b")
    picture = UserMessage([Text("Look"), Image(b"\x89PNG\r\n\x1a\n0000")])
    async with contexts.turn(ADA, "trip", Request(messages=[picture]), None) as turn:
        await turn.keep(said)
    async with contexts.turn(
        ADA, "trip", Request(messages=[tool_result(call, "ok")]), None
    ) as turn:
        await turn.keep(assistant("Done."))
    lines = await contexts.export(ADA, "trip")
    copied = [jsontext.decode(line) for line in lines.splitlines()]
    await contexts.create(BOB, NewContext(name="copy", messages=copied))
    assert await contexts.export(BOB, "copy") == lines
    assert (await contexts.get(BOB, "copy")).system == "Be brief."


async def test_an_export_in_openai_s_form_is_what_its_clients_send(contexts: Contexts):
    await begun(contexts, system="Be brief.")
    await contexts.append(
        ADA,
        "trip",
        [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "ok"},
        ],
    )
    lines = [
        jsontext.decode(x) for x in (await contexts.export(ADA, "trip", "openai")).splitlines()
    ]
    assert lines[0] == {"role": "system", "content": "Be brief."}
    assert lines[1] == {"role": "user", "content": "Where to?"}
    assert lines[5]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert lines[6]["tool_call_id"] == "c1"
    again = await contexts.create(ADA, NewContext(name="again", messages=lines))
    assert (again.messages, again.system) == (6, "Be brief.")


# ---------------------------------------------------------------------------------------- kept how long


async def rows(database: Database) -> int:
    count = select(func.count()).select_from(context_messages)
    return await database.run(lambda connection: connection.scalar(count) or 0, read_only=True)


async def test_nothing_is_left_of_what_is_deleted(contexts: Contexts, database: Database):
    await begun(contexts)
    await begun(contexts, "other")
    await contexts.delete(ADA, "trip")
    assert await rows(database) == 4
    with pytest.raises(NotFoundError):
        await contexts.delete(ADA, "trip")


async def test_what_was_not_used_for_long_is_deleted_in_many_small_steps(
    database: Database, clock: Clock
):
    section = ContextsSection(retention_days=30, wait_seconds=0)
    contexts = Contexts(database, section, clock=clock)
    for number in range(105):
        await begun(contexts, f"old {number}")
    clock.now += 29 * 86_400
    await begun(contexts, "young")
    await contexts.append(ADA, "old 7", TALK)
    assert await contexts.expire() == 0
    async with contexts.turn(ADA, "old 8", Request(messages=[user("Hi")]), None):
        clock.now += 2 * 86_400
    largest = 0
    whole = database.run

    async def watched(work: Any, *, read_only: bool = False) -> Any:
        nonlocal largest
        before = await whole(lambda c: c.scalar(select(func.count()).select_from(context_messages)))
        done = await whole(work, read_only=read_only)
        after = await whole(lambda c: c.scalar(select(func.count()).select_from(context_messages)))
        largest = max(largest, before - after)
        return done

    database.run = watched  # type: ignore[method-assign]
    assert await contexts.expire() == 103
    database.run = whole  # type: ignore[method-assign]
    assert largest == 4  # of one conversation at a time
    left = (await contexts.listed(ADA, ListQuery())).data
    assert {each.name for each in left} == {"young", "old 7", "old 8"}
    assert await rows(database) == 4 + 8 + 4
    keeping = Contexts(database, ContextsSection(), clock=clock)
    clock.now += 10_000 * 86_400
    assert await keeping.expire() == 0
