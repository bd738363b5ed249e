"""The call log: a record of every call, however it ends, and never a call that suffers from it."""

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from polyvox.attempt import Attempt
from polyvox.errors import ConfigurationError, NetworkError, RateLimitError
from polyvox.events import Event, Start, TextDelta, TextStart
from polyvox.ledger import (
    CallLog,
    CallRecord,
    Entry,
    History,
    JsonlSink,
    Logged,
    MemorySink,
    SqliteSink,
)
from polyvox.ledger import writer as writer_module
from polyvox.messages import Image, Text, assistant, user
from polyvox.model import Call, Model
from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.testing import check_grammar
from polyvox.usage import Usage

from .rig import HI, PATIENCE, PRICED, Broken, Held, Leaf, ask, record


async def logged(
    model: Model, leave_after: int | None = None, call: Call | None = None
) -> CallRecord:
    """The one record of one call."""
    sink = MemorySink()
    with CallLog(sink) as log:
        await ask(Logged(model, log), leave_after=leave_after, call=call)
    (kept,) = sink.records
    return kept


async def test_a_call_is_written_down_and_passed_on_as_it_is():
    sink = MemorySink()
    with CallLog(sink) as log:
        call = Call(tenant="acme", session="s", tags={"feature": "search"})
        events = await ask(Logged(Leaf(), log), call=call)
    check_grammar(events)
    assert events == await ask(Leaf())
    (kept,) = sink.records
    assert (kept.id, kept.model, kept.answered_by) == (call.id, "test/leaf", "test/leaf")
    assert (kept.tenant, kept.session, kept.tags) == ("acme", "s", {"feature": "search"})
    assert kept.request == HI
    assert kept.message is not None
    assert (kept.message.text, kept.error) == ("Hello there.", None)
    assert (kept.usage, kept.cost.nanos, len(kept.attempts)) == (PRICED, 1_500, 1)
    assert kept.first_token is not None
    assert 0 <= kept.first_token <= kept.seconds


async def test_a_failed_call_has_its_error_and_all_its_attempts():
    kept = await logged(Leaf(RateLimitError("slow down"), RateLimitError("slow down", status=429)))
    assert kept.error is not None
    assert (kept.error_kind, kept.error["text"], kept.error["status"]) == (
        *("rate_limit", "slow down"),
        429,
    )
    assert (len(kept.attempts), kept.usage.cost.nanos) == (2, 3_000)
    assert kept.first_token is None


@pytest.mark.parametrize("leave_after", [1, 2, 3, 4])
async def test_a_call_whose_reader_left_has_what_had_arrived(leave_after: int):
    kept = await logged(Leaf(), leave_after)
    assert kept.error is not None
    assert (kept.error_kind, kept.error["text"]) == ("aborted", "the reader left")
    assert kept.message is not None
    assert kept.message.stop_reason == "aborted"
    assert (len(kept.attempts), kept.cost.nanos) == (1, 1_500)
    assert (kept.first_token is None) == (leave_after < 3)


async def test_a_reader_who_left_after_the_end_left_nothing_out():
    kept = await logged(Leaf(), leave_after=len(await ask(Leaf())))
    assert (kept.error, kept.message and kept.message.stop_reason) == (None, "stop")


async def test_a_cancelled_task_is_told_from_a_reader_who_left():
    arrived = asyncio.Event()

    class Stalls:
        name = "test/stalls"

        async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
            yield Start()
            yield TextStart(0)
            yield TextDelta(0, "Hel")
            arrived.set()
            await asyncio.Event().wait()

    sink = MemorySink()
    with CallLog(sink) as log:
        task = asyncio.create_task(ask(Logged(Stalls(), log)))
        await asyncio.wait_for(arrived.wait(), PATIENCE)
        task.cancel()
        await asyncio.wait([task])
    (kept,) = sink.records
    assert kept.error is not None
    assert kept.error["text"] == "the task was cancelled"


async def test_a_model_that_breaks_the_rules_is_written_down_too():
    class Raises:
        name = "test/raises"

        async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
            yield Start()
            raise ZeroDivisionError("oh")

    sink = MemorySink()
    with CallLog(sink) as log, pytest.raises(ZeroDivisionError):
        await ask(Logged(Raises(), log))
    (kept,) = sink.records
    assert kept.error is not None
    assert kept.error_kind == "protocol"
    assert "ZeroDivisionError('oh')" in str(kept.error["text"])


async def test_what_the_caller_says_next_is_not_in_the_record():
    request = Request(messages=[user("One.")])
    sink = MemorySink()
    with CallLog(sink) as log:
        async for _ in Logged(Leaf(), log).stream(request, Call()):
            pass
        request.messages += [assistant("Hello there."), user("Two.")]
    assert sink.records[0].question == "One."


def test_the_wrapper_has_the_models_name_and_quote():
    model = Logged(Leaf(), CallLog())
    assert (model.name, quote_of(model, HI)) == ("test/leaf", PRICED)


# ----------------------------------------------------------------------------------------- content


async def test_without_content_only_numbers_are_written():
    sink = MemorySink()
    with CallLog(sink, content="off") as log:
        await ask(Logged(Leaf("My secret plan."), log), user("What is the plan?"))
        await ask(Logged(Leaf(RateLimitError("quoting: What is the plan?", status=429)), log))
    assert b"plan" not in msgspec.json.encode(sink.records)
    whole, failed = sink.records
    assert (whole.request, whole.usage) == (None, PRICED)
    assert whole.message is not None
    assert (whole.message.content, whole.message.stop_reason) == ([], "stop")
    assert failed.error is not None
    assert (failed.error_kind, failed.error["status"]) == ("rate_limit", 429)


async def test_without_content_our_own_words_about_an_error_are_written_and_no_others():
    sink = MemorySink()

    def attempt(reason: str, status: int | None = None) -> Attempt:
        asked = {"provider": "openai", "model": "m", "started": 0.0, "seconds": 0.1}
        return Attempt(**asked, error="timeout", status=status, reason=reason)

    attempts = [attempt("no answer within 60 s"), attempt("quoting: the plan", 504)]
    error = NetworkError("can't connect to 10.0.0.1").to_dict()
    with CallLog(sink, content="off") as log:
        log.add(
            CallRecord(id="1", time=0.0, model="m", seconds=1.0, error=error, attempts=attempts)
        )
    (record,) = sink.records
    assert record.error is not None
    assert record.error["text"] == "can't connect to 10.0.0.1"
    assert [each.reason for each in record.attempts] == ["no answer within 60 s", None]


def test_a_sample_keeps_the_content_of_the_same_calls_again():
    def kept(rate: float) -> set[str]:
        sink = MemorySink()
        with CallLog(sink, content="sampled", rate=rate) as log:
            for number in range(400):
                log.add(record(f"call-{number}"))
        return {each.id for each in sink.records if each.request is not None}

    some = kept(0.25)
    assert 60 < len(some) < 140
    assert kept(0.25) == some
    assert some < kept(0.5)
    assert (len(kept(0.0)), len(kept(1.0))) == (0, 400)


def test_bytes_are_written_as_their_hash_unless_wished():
    picture = Image(b"\x89PNG\r\n\x1a\n" + b"x" * 1000)
    kept: list[CallRecord] = []
    for keep_bytes in (False, True):
        sink = MemorySink()
        with CallLog(sink, keep_bytes=keep_bytes) as log:
            log.add(record(request=Request(messages=[user("This?", picture)])))
        kept += sink.records
    hashed, whole = (each.request.messages[0].content[1] for each in kept if each.request)
    assert isinstance(hashed, Image)
    assert hashed.url is not None
    assert hashed.url.startswith("sha256:")
    assert hashed.url.endswith("?bytes=1008")
    assert (hashed.data, hashed.media_type, whole) == (None, "image/png", picture)


def test_a_request_that_is_no_json_is_written_as_far_as_it_goes():
    class Odd:
        pass

    loop: list[object] = []
    loop.append(loop)
    sink = MemorySink()
    with CallLog(sink) as log:
        log.add(record("odd", request=Request(messages=[user("Hi.")], options={"x": {"y": Odd()}})))
        log.add(record("loop", request=Request(messages=[user("Hi.")], options={"x": {"y": loop}})))
        log.add(record("half an emoji", "\ud83d"))
    odd, endless, half = sink.records
    assert odd.request is not None
    assert odd.request.options == {"x": {"y": "<Odd>"}}
    assert (endless.id, endless.request) == ("loop", None)
    assert half.question == "\ufffd"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"content": "some"}, "content is 'some'"),
        ({"rate": 2}, "rate is 2"),
        ({"max_queue": 0}, "max_queue is 0"),
        ({"redact": ["("]}, "no regular expression"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], complaint: str):
    with pytest.raises(ConfigurationError, match=complaint):
        CallLog(**settings)  # pyright: ignore[reportArgumentType]


# ----------------------------------------------------------------------------- the writer's manners


def test_a_full_queue_drops_and_counts_but_never_waits():
    sink = Held()
    log = CallLog(sink, max_queue=5)
    log.add(record("first"))
    assert sink.entered.wait(PATIENCE)
    for number in range(8):
        log.add(record(f"{number}"))
    assert log.dropped == 3
    sink.go.set()
    assert log.close()
    assert [each.id for each in sink.kept] == ["first", "0", "1", "2", "3", "4"]
    assert log.dropped == 3


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_PAUSES", (0.0, 0.0, 0.0))


async def test_a_sink_that_fails_is_tried_again_then_given_up_and_the_call_is_well(no_pauses: None):
    sink, other = Broken(), MemorySink()
    log = CallLog(sink, other)
    check_grammar(await ask(Logged(Leaf(), log)))
    assert log.flush()
    assert (sink.tries, log.dropped, len(other.records)) == (4, 1, 1)
    assert log.failure == "Broken: the disk is full"
    log.add(record())
    assert log.flush()
    assert (sink.tries, log.dropped) == (5, 2), "while it is broken, one try per batch"
    sink.mended = True
    log.add(record("mended"))
    assert log.close()
    assert [each.id for each in sink.kept] == ["mended"]
    assert (log.dropped, len(other.records)) == (2, 3)
    assert log.failure == "Broken: it can't even be closed"


def test_flush_and_close_wait_only_so_long():
    sink = Held()
    log = CallLog(sink)
    log.add(record())
    assert sink.entered.wait(PATIENCE)
    assert log.flush(0.01) is False
    assert log.close(0.01) is False
    sink.go.set()
    assert log.close(PATIENCE)
    assert len(sink.kept) == 1


def test_what_comes_after_the_end_is_counted():
    sink = MemorySink()
    log = CallLog(sink)
    assert log.flush()
    assert log.close()
    log.add(record())
    assert (sink.records, log.dropped) == ([], 1)


def test_the_thread_begins_with_the_first_record_and_ends_with_the_log():
    def writers() -> int:
        return sum(thread.name == "polyvox-log" for thread in threading.enumerate())

    before = writers()
    log = CallLog(MemorySink())
    assert writers() == before
    log.add(record())
    assert writers() == before + 1
    log.close()
    assert writers() == before


async def test_a_thread_that_cant_begin_is_no_fault_of_the_call(monkeypatch: pytest.MonkeyPatch):
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    log = CallLog(MemorySink())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        check_grammar(await ask(Logged(Leaf(), log)))
        assert log.close()
    assert log.dropped == 1


def test_a_log_without_sinks_does_nothing():
    log = CallLog()
    log.add(record())
    assert (log.dropped, log.flush(), log.close()) == (0, True, True)


def test_a_forgotten_log_still_writes():
    sink = MemorySink()
    CallLog(sink).add(record())
    gc.collect()
    assert len(sink.records) == 1


def test_records_are_written_in_batches_in_their_order():
    batches: list[list[str]] = []

    class Batches:
        def write(self, entries: Sequence[Entry]) -> None:
            batches.append([entry.record.id for entry in entries])

        def close(self) -> None:
            pass

    with CallLog(Batches()) as log:
        for number in range(1_200):
            log.add(record(str(number)))
    assert [id for batch in batches for id in batch] == [str(number) for number in range(1_200)]
    assert max(map(len, batches)) > 100


def test_memory_keeps_only_the_last():
    sink = MemorySink(limit=3)
    with CallLog(sink) as log:
        for number in range(5):
            log.add(record(str(number)))
    assert [each.id for each in sink.records] == ["2", "3", "4"]


RunScript = Callable[[str], str]


@pytest.fixture
def run_script(tmp_path: object) -> RunScript:
    def run(code: str) -> str:
        begin = (
            "from pathlib import Path\n"
            "from polyvox.ledger import *\n"
            "from polyvox.ledger.record import CallRecord\n"
            "def record(id): return CallRecord(id=id, time=0.0, model='m', seconds=0.0)\n"
            f"path = {str(tmp_path)!r} + '/calls'\n"
        )
        done = subprocess.run(
            [sys.executable, "-W", "error::ResourceWarning", "-c", begin + code],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


@pytest.mark.parametrize("sink", ["JsonlSink", "SqliteSink"])
def test_what_waits_is_written_when_the_program_ends(run_script: RunScript, sink: str):
    run_script(f"log = CallLog({sink}(path)); log.add(record('one'))")
    assert run_script("print(b'one' in Path(path).read_bytes())") == "True\n"


@pytest.mark.parametrize("sink", ["JsonlSink(path)", "SqliteSink(path)"])
def test_a_process_that_forked_off_writes_its_own(run_script: RunScript, sink: str):
    code = f"""
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
log = CallLog({sink})
log.add(record("before"))
log.flush()
child = os.fork()
log.add(record("child" if child == 0 else "parent"))
assert log.close() and not log.dropped, log.failure
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
data = Path(path).read_bytes()
if b"SQLite" in data:
    with History(path) as history:
        print(sorted(each.id for each in history.find()))
else:
    import json
    print(sorted(json.loads(line)["id"] for line in data.splitlines()))
"""
    assert run_script(code) == "['before', 'child', 'parent']\n"


def test_text_of_a_record_is_all_that_was_said():
    request = Request(
        system=[Text("Be kind.")], messages=[user("Hi."), assistant("Yes?"), user("So.")]
    )
    each = record(request=request, message=assistant("Well."), error={"kind": "x", "text": "Oh."})
    assert each.text == "Be kind.\nHi.\nYes?\nSo.\nWell.\nOh."
    assert each.question == "So."


def test_words_that_are_numbers_are_written_as_words():
    sink = MemorySink()
    with CallLog(sink) as log:
        log.add(record("one", tags={"try": 3}, session=7))  # pyright: ignore[reportArgumentType]
        log.add(record("bias", request=replace(HI, options={"openai": {"bias": {50256: -100}}})))
    one, bias = sink.records
    assert (one.tags, one.session, one.question) == ({"try": "3"}, "7", "Hi.")
    assert bias.request is not None
    assert bias.request.options == {"openai": {"bias": {"50256": -100}}}


def test_a_record_that_cant_be_written_spoils_no_other(tmp_path: Path):
    half = Attempt(provider="a", model="b", started=0.0, seconds=0.0, usage=Usage(None))  # pyright: ignore[reportArgumentType]
    with CallLog(JsonlSink(tmp_path / "c.jsonl"), SqliteSink(tmp_path / "c.db")) as log:
        for number in range(3):
            log.add(record(str(number), attempts=[half] * number))
    lines = (tmp_path / "c.jsonl").read_bytes().splitlines()
    assert [msgspec.json.decode(line)["id"] for line in lines] == ["0", "1", "2"]
    with History(tmp_path / "c.db") as history:
        assert [each.id for each in history.find()] == ["2", "1", "0"]
    assert (log.dropped, log.failure) == (0, None)
