"""Traces in the call log: kept however a call ends, without what may not be told, and one for every call."""

from collections.abc import Callable
from pathlib import Path

import pytest

from polyvox import jsontext
from polyvox.attempt import Attempt
from polyvox.composite import MixtureOfAgents
from polyvox.errors import RateLimitError, RequestTimeoutError, ServerError
from polyvox.ledger import (
    CallFilter,
    CallLog,
    CallRecord,
    History,
    JsonlSink,
    Logged,
    MemorySink,
    SqliteSink,
)
from polyvox.ledger.log import Content
from polyvox.ledger.parts import tree_of
from polyvox.messages import AssistantMessage, assistant, user
from polyvox.model import Model
from polyvox.secret import Secret
from polyvox.trace import TraceNode
from polyvox.usage import ZERO_USAGE

from .rig import PRICED, Leaf, ask, record

KEY = "sk-canary-0123456789abcdef"
PASSPHRASE = "correct-horse-battery"
ALL = ["moa", "layer", "proposal", "proposal", "aggregation"]


def panel(
    first: str = "One.",
    second: str | Exception = "Two.",
    last: str | Exception = "Both.",
) -> Model:
    return MixtureOfAgents(
        [Leaf(first, name="test/first"), Leaf(second, name="test/second")],  # type: ignore[arg-type]
        aggregator=Leaf(last, name="test/last"),  # type: ignore[arg-type]
    )


def kinds(record: CallRecord) -> list[str]:
    assert record.message is not None
    assert record.message.trace is not None
    return [node.kind for node in record.message.trace.walk()]


async def kept(
    model: Model, *, leave_after: int | None = None, content: Content = "on", redact: object = ()
) -> CallRecord:
    sink = MemorySink()
    with CallLog(sink, content=content, redact=redact) as log:  # type: ignore[arg-type]
        await ask(Logged(model, log), user("Why?"), leave_after=leave_after)
    (found,) = sink.records
    return found


# ------------------------------------------------------------------------------------- what is kept


async def test_the_trace_is_in_the_record_of_a_call_that_went_well():
    found = await kept(panel())
    assert kinds(found) == ALL
    assert found.message is not None
    assert found.message.trace is not None
    assert found.message.trace.total == found.usage


async def test_the_trace_is_in_the_record_of_a_call_that_failed():
    failing = MixtureOfAgents(
        [Leaf(ServerError("down")), Leaf(ServerError("down too"))], aggregator=Leaf()
    )
    found = await kept(failing)
    assert found.error_kind is not None
    assert kinds(found) == ["moa", "layer", "proposal", "proposal"]
    assert [node.status for node in tree_of(found).walk()][2:] == ["error", "error"]


async def test_the_trace_is_in_the_record_of_a_call_whose_reader_left():
    whole = await ask(panel(), user("Why?"))
    left = next(
        place for place, event in enumerate(whole) if event.__class__.__name__ == "TextDelta"
    )
    found = await kept(panel(), leave_after=left + 1)
    assert found.error_kind == "aborted"
    assert kinds(found) == ALL
    assert tree_of(found).status == "aborted"


@pytest.mark.parametrize("sink", [SqliteSink, JsonlSink])
async def test_every_sink_keeps_the_whole_tree(
    sink: Callable[[Path], SqliteSink | JsonlSink], tmp_path: Path
):
    path = tmp_path / "calls"
    memory = MemorySink()
    with CallLog(memory, sink(path)) as log:
        await ask(Logged(panel(), log), user("Why?"))
    if sink is SqliteSink:
        with History(path) as history:
            (found,) = history.find()
    else:
        found = jsontext.decode(path.read_bytes(), CallRecord)
    assert found.message == memory.records[0].message
    assert kinds(found) == ALL
    assert tree_of(found).total == found.usage


async def test_calls_with_a_trace_are_found(tmp_path: Path):
    with CallLog(SqliteSink(tmp_path / "calls.db")) as log:
        for model in (Leaf(), panel(), Leaf()):
            await ask(Logged(model, log), user("Why?"))
    with History(tmp_path / "calls.db") as history:
        assert [kinds(found) for found in history.find(CallFilter(traced=True))] == [ALL]
        assert list(history.find(CallFilter(traced=True, errors=True))) == []
        assert len(list(history.find())) == 3


# -------------------------------------------------------------------------- what may not be told


@pytest.mark.parametrize("last", ["Canary three.", ServerError("Canary three.")])
async def test_without_content_a_trace_has_no_word_of_what_was_said(last: str | Exception):
    found = await kept(panel("Canary one.", ServerError("Canary two."), last), content="off")
    assert "Canary" not in jsontext.encode(found).decode()
    shown = [(node.label, node.status, node.usage.total_tokens) for node in tree_of(found).walk()]
    assert ("test/first", "ok", PRICED.total_tokens) in shown
    assert ("test/second", "error", PRICED.total_tokens) in shown


async def test_without_content_not_even_the_name_is_told_that_a_model_has_for_a_tool():
    tool = TraceNode(kind="tool", label="canary_tool", preview="canary")
    message = assistant("canary")
    message.trace = TraceNode(kind="moa", label="mix", children=[tool])
    bare = record(message=message).without_content()
    assert "canary" not in jsontext.encode(bare.message).decode()
    assert [node.label for node in tree_of(bare).walk()] == ["mix", ""]
    assert message.trace.children[0].label == "canary_tool"


async def test_keys_are_masked_in_all_texts_of_a_trace():
    secrets = [Secret(PASSPHRASE), r"\d{3}-\d{4}"]
    found = await kept(
        panel(f"The key is {KEY}.", ServerError(f"{KEY} is wrong"), f"{PASSPHRASE} 555-1234"),
        redact=secrets,
    )
    text = jsontext.encode(found).decode()
    for secret in (KEY, PASSPHRASE, "555-1234"):
        assert secret not in text
    said = [node.error or node.preview for node in tree_of(found).walk()]
    assert said[2:] == ["The key is ***.", "*** is wrong", "*** ***"]


@pytest.mark.parametrize("length", range(140, 201, 4))
async def test_what_is_masked_is_not_told_by_the_half_that_a_cut_has_left(length: int):
    words = ("word " * 40)[:length].rstrip("word")
    found = await kept(panel(f"{words}{PASSPHRASE} and so on"), redact=[Secret(PASSPHRASE)])
    text = jsontext.encode(found).decode()
    assert PASSPHRASE[:5] not in text


# ----------------------------------------------------------------------------- a tree for every call


async def test_a_composites_tree_is_its_own():
    found = await kept(panel())
    assert found.message is not None
    assert tree_of(found) is found.message.trace


async def test_one_attempt_is_one_node():
    found = await kept(Leaf("Hello."))
    tree = tree_of(found)
    assert (tree.kind, tree.label, tree.model) == ("answer", "test/leaf", "test/leaf")
    assert (tree.usage, tree.preview, tree.status) == (PRICED, "Hello.", "ok")
    assert (tree.seconds, tree.children) == (found.seconds, [])


async def test_several_attempts_are_the_parts_and_nothing_counts_twice():
    found = await kept(Leaf(RateLimitError("slow"), "Hello."))
    first, second = tree_of(found).children
    assert (first.kind, first.label, first.status, first.error) == (
        *("attempt", "test/leaf", "error"),
        "rate_limit",
    )
    assert second.status == "ok"
    assert first.started <= second.started
    assert tree_of(found).total == found.usage


def test_an_attempt_tells_its_status_and_when_it_began():
    late = Attempt(
        provider="a", model="b", started=1_002.5, seconds=0.5, error="rate_limit", status=429
    )
    early = Attempt(provider="a", model="c", started=999.0, seconds=0.5, error="timeout")
    first, second = tree_of(record(attempts=[late, early])).children
    assert (first.started, first.seconds, first.error) == (2.5, 0.5, "rate_limit (429)")
    assert (second.started, second.status) == (0.0, "timeout")


async def test_a_failed_call_tells_why():
    tree = tree_of(await kept(Leaf(RequestTimeoutError("too late", phase="total"))))
    assert (tree.status, tree.error) == ("timeout", "too late")


def test_a_model_that_enters_no_attempts_tells_its_usage():
    message = AssistantMessage([], usage=PRICED)
    assert tree_of(record(message=message)).total == PRICED


def test_a_stored_answer_was_made_of_nothing_now():
    message = assistant("Hello.")
    message.cached, message.usage = True, ZERO_USAGE
    message.trace = TraceNode(kind="moa", usage=PRICED)
    tree = tree_of(record(message=message))
    assert (tree.kind, tree.children, tree.total) == ("cached", [], ZERO_USAGE)


def test_an_embedding_is_called_one():
    assert tree_of(record(kind="embedding")).kind == "embedding"


def test_what_was_never_asked_has_used_nothing():
    assert tree_of(record()).total == ZERO_USAGE
