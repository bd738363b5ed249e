"""echo, lorem and what all simulated models share: options, pace, interrupts, deadlines, usage."""

import asyncio
import subprocess
import sys
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from polyvox.assembly import fold
from polyvox.catalog import Catalog
from polyvox.errors import (
    AbortedError,
    BadRequestError,
    ConfigurationError,
    RequestTimeoutError,
)
from polyvox.events import Done, Event, Failed, Start, TextDelta, ToolCallDelta
from polyvox.messages import AssistantMessage, File, Image, Text, assistant, user
from polyvox.model import Call, Interrupt, Model
from polyvox.providers.simulated import SIMULATED, ScriptedModel, simulated_model
from polyvox.providers.simulated.grammar import check_grammar
from polyvox.providers.simulated.tokens import count, pieces
from polyvox.quote import quote_of
from polyvox.request import Request, ToolDefinition
from polyvox.usage import FREE

PICTURE = Image(b"\x89PNG\r\n\x1a\n")
ONE_PER_HOUR = 1 / 3600


def request(*messages: str, **fields: object) -> Request:
    return Request(messages=[user(*messages)], **fields)


def simulated(**options: object) -> dict[str, dict[str, object]]:
    return {"simulated": options}


async def events_of(model: Model, asked: Request, call: Call | None = None) -> list[Event]:
    events = [event async for event in model.stream(asked, call or Call())]
    check_grammar(events)
    return events


async def answer(name: str, asked: Request, call: Call | None = None) -> AssistantMessage:
    return fold(await events_of(simulated_model(name), asked, call))


async def failure(name: str, asked: Request, call: Call | None = None) -> Failed:
    last = (await events_of(simulated_model(name), asked, call))[-1]
    assert isinstance(last, Failed)
    assert last.error.message is last.message
    return last


async def test_echo_answers_with_the_last_user_text():
    said = [user("one"), assistant("1"), user("two\n  words ")]
    assert (await answer("echo", Request(messages=said))).text == "two\n  words "


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (PICTURE, f"[image/png, {len(PICTURE.data or b'')} bytes]"),
        (Image(url="https://example.com/cat.png"), "[image, https://example.com/cat.png]"),
        (File(b"%PDF-" + b"x" * 2000), "[application/pdf, 2,005 bytes]"),
        (File(id="file-1", media_type="text/csv"), "[text/csv, file-1]"),
    ],
)
async def test_echo_tells_what_else_it_was_given(block: Image | File, told: str):
    said = [user("one"), assistant("1"), user(block)]
    assert (await answer("echo", Request(messages=said))).text == told
    said = [user("What is this?", block)]
    assert (await answer("echo", Request(messages=said))).text == f"What is this?\n{told}"


async def test_echo_passes_over_an_empty_message():
    said = [user("one"), assistant("1"), user("")]
    assert (await answer("echo", Request(messages=said))).text == "one"


async def test_echo_of_nothing_is_an_answer_without_blocks():
    message = await answer("echo", request(""))
    assert message.content == []
    assert message.stop_reason == "stop"


async def test_an_answer_is_told_token_by_token():
    events = await events_of(simulated_model("echo"), request("to be or not"))
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["to", " be", " or", " not"]


async def test_the_answer_names_its_model():
    first, *_, last = await events_of(simulated_model("echo"), request("hi"))
    assert isinstance(first, Start)
    assert isinstance(last, Done)
    assert (first.provider, first.model) == ("simulated", "echo")
    assert (last.message.provider, last.message.model) == ("simulated", "echo")
    assert first.id == last.message.id != ""


async def test_max_tokens_cuts_the_answer():
    message = await answer("echo", request("to be or not", max_tokens=2))
    assert message.text == "to be"
    assert message.stop_reason == "length"
    assert message.usage.output_tokens == 2


async def test_a_stop_string_ends_the_answer_before_it():
    message = await answer("echo", request("to be or not", stop=["not", " or"]))
    assert message.text == "to be"
    assert message.stop_reason == "stop_sequence"
    assert message.stop_sequence == " or"


async def test_lorem_has_the_length_asked_for_and_follows_the_seed():
    async def text(**options: object) -> str:
        asked = request("x", options=simulated(**options))
        message = await answer("lorem", asked)
        assert message.usage.output_tokens == options["tokens"] == len(message.text.split())
        return message.text

    assert await text(tokens=200, seed=1) == await text(tokens=200, seed=1)
    assert await text(tokens=200, seed=1) != await text(tokens=200, seed=2)
    assert await text(tokens=1) == "Lorem."


async def test_the_requests_seed_counts_where_the_options_have_none():
    asked = request("x", seed=7)
    again = request("x", options=simulated(seed=7))
    other = request("x")
    assert (await answer("lorem", asked)).text == (await answer("lorem", again)).text
    assert (await answer("lorem", asked)).text != (await answer("lorem", other)).text


@pytest.mark.parametrize("text", ["", "a", "  a  b \n", "\n", "x" * 100, "日本語" * 30, " " * 50])
def test_tokens_joined_are_the_text(text: str):
    assert "".join(pieces(text)) == text
    assert all(len(piece.strip()) <= 16 for piece in pieces(text))


async def test_usage_counts_all_input_and_costs_nothing():
    tool = ToolDefinition("clock", "tells time", {"type": "object"})
    asked = Request(messages=[user("one two", PICTURE)], system=[Text("be good")], tools=[tool])
    message = await answer("echo", asked)
    usage = message.usage
    schema = count('{"type":"object"}')
    assert usage.input_tokens == 2 + 100 + 2 + 1 + 2 + schema
    assert usage.output_tokens == count(message.text) == 5
    assert usage.basis == "reported"
    assert usage.cost == FREE


@pytest.mark.parametrize(
    ("model", "options", "text", "hint"),
    [
        ("lorem", {"token": 3}, "simulated/lorem has no option 'token'", "'tokens'"),
        ("echo", {"tokens": 3}, "simulated/echo has no option 'tokens'", "tokens_per_second"),
        ("lorem", {"tokens": "3"}, "Expected `int`, got `str`", None),
        ("lorem", {"tokens_per_second": 0}, "`tokens_per_second`", None),
        ("scripted", {"script": ["a", 1]}, "script[1] is no turn", None),
        ("scripted", {}, "has no script", "ScriptedModel"),
    ],
)
async def test_options_are_strict(
    model: str, options: dict[str, object], text: str, hint: str | None
):
    last = await failure(model, request("x", options=simulated(**options)))
    assert isinstance(last.error, BadRequestError)
    assert text in last.error.text.replace("$.", "`").replace("``", "`")
    assert hint is None or hint in (last.error.hint or "")
    assert (last.error.provider, last.error.model) == ("simulated", model)


async def test_an_interrupt_set_beforehand_ends_the_call_before_it_begins():
    interrupt = Interrupt()
    interrupt.set("not now")
    (last,) = await events_of(simulated_model("echo"), request("hi"), Call(interrupt=interrupt))
    assert isinstance(last, Failed)
    assert isinstance(last.error, AbortedError)
    assert last.error.text == "not now"
    assert last.message.stop_reason == "aborted"


@pytest.mark.parametrize(
    ("options", "kept"),
    [({"first_token_delay": 3600}, ""), ({"tokens_per_second": ONE_PER_HOUR}, "to")],
)
async def test_an_interrupt_wakes_a_waiting_model_and_keeps_what_it_said(
    options: dict[str, float], kept: str
):
    interrupt = Interrupt()
    events: list[Event] = []
    asked = request("to be or not", options=simulated(**options))
    model = simulated_model("echo")
    async for event in model.stream(asked, Call(interrupt=interrupt)):
        events.append(event)
        if isinstance(event, TextDelta if kept else Start):
            # From another thread, and only once the model waits for its next token.
            asyncio.get_running_loop().call_soon(
                asyncio.get_running_loop().run_in_executor, None, interrupt.set
            )
    check_grammar(events)
    last = events[-1]
    assert isinstance(last, Failed)
    assert isinstance(last.error, AbortedError)
    assert last.message.text == kept
    assert last.message.stop_reason == "aborted"
    assert last.message.usage.basis == "partial"
    assert last.message.usage.output_tokens == count(kept)
    assert fold(events[:-1]).text == kept


async def test_a_deadline_ends_a_waiting_model():
    asked = request("to be", options=simulated(tokens_per_second=ONE_PER_HOUR))
    last = await failure("echo", asked, Call.timeout(0.01))
    assert isinstance(last.error, RequestTimeoutError)
    assert last.error.phase == "total"
    assert last.message.stop_reason == "error"


async def test_a_deadline_in_the_past_ends_the_call_before_it_begins():
    events = await events_of(
        simulated_model("echo"), request("hi"), Call(deadline=time.monotonic() - 1)
    )
    assert len(events) == 1


async def test_cancelling_a_waiting_model_leaves_what_it_said_with_the_call():
    call = Call()
    waits = asyncio.Event()

    async def read() -> None:
        asked = request("to be", options=simulated(tokens_per_second=ONE_PER_HOUR))
        async for event in simulated_model("echo").stream(asked, call):
            if isinstance(event, TextDelta):
                waits.set()

    task = asyncio.create_task(read())
    await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.partial is not None
    assert call.partial.text == "to"
    assert call.partial.usage.basis == "partial"


async def test_closing_the_stream_leaves_what_was_said_with_the_call():
    call = Call()
    async with aclosing(simulated_model("echo").stream(request("to be"), call)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    assert call.partial is not None
    assert call.partial.text == "to"


async def test_a_finished_call_leaves_nothing_and_forgets_its_interrupt():
    interrupt = Interrupt()
    call = Call(interrupt=interrupt)
    await events_of(simulated_model("echo"), request("hi"), call)
    assert call.partial is None
    interrupt.set()  # nobody listens any more; a closed loop would be woken otherwise


async def test_a_broken_off_tool_call_is_not_executable():
    script = [
        {
            "message": {
                "content": [
                    {"type": "tool_call", "id": "1", "name": "rm", "arguments": {"path": "a b"}}
                ]
            }
        }
    ]
    interrupt = Interrupt()
    asked = request("x")
    events: list[Event] = []
    async for event in ScriptedModel(script).stream(asked, Call(interrupt=interrupt)):
        events.append(event)
        if isinstance(event, ToolCallDelta):
            interrupt.set()
    check_grammar(events)
    (call,) = fold(events).tool_calls
    assert not call.executable
    assert call.unparsed == '{"path":"a'


async def test_a_model_gives_others_their_turn():
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(count_turns())
    await events_of(simulated_model("lorem"), request("x", options=simulated(tokens=100)))
    task.cancel()
    assert turns >= 100


def test_models_are_found_by_full_and_by_short_name():
    assert set(SIMULATED) == {simulated_model(name).name for name in SIMULATED}
    assert simulated_model("tools").name == "simulated/tools"
    assert all(SIMULATED.values())


def priced(name: str, **prices: float) -> Model:
    full = f"simulated/{name}"
    return simulated_model(name, Catalog.load({full: prices}).find("simulated", name))


async def test_one_that_pretends_to_a_price_costs_that_and_is_quoted_it():
    call, asked = Call(), request("to be or not", max_tokens=3)
    model = priced("echo", input=2, output=10)
    message = fold(await events_of(model, asked, call))
    assert message.usage.cost.nanos == 4 * 2_000 + 3 * 10_000
    assert call.attempts[0].usage == message.usage
    quote = quote_of(model, asked)
    assert quote.output_tokens == 3
    assert quote.cost.nanos == quote.input_tokens * 2_000 + 3 * 10_000


async def test_what_is_broken_off_costs_what_was_said():
    call, asked = Call(), request("to be or not", options=simulated(tokens_per_second=ONE_PER_HOUR))
    async with aclosing(priced("echo", input=0, output=10).stream(asked, call)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    assert [attempt.usage.cost.nanos for attempt in call.attempts] == [10_000]


async def test_limits_beside_the_price_hold_and_without_a_price_it_stays_free():
    model, asked = priced("echo", max_output_tokens=2), request("to be or not")
    message = fold(await events_of(model, asked))
    assert (message.text, message.stop_reason, message.usage.cost) == ("to be", "length", FREE)
    quote = quote_of(model, asked)
    assert (quote.output_tokens, quote.cost) == (2, FREE)


async def test_a_script_may_know_better_what_its_answer_costs():
    usage = {"output_tokens": 7, "cost": {"status": "known", "nanos": 5}}
    asked = request("x", options=simulated(script=[{"message": {"content": "a", "usage": usage}}]))
    message = fold(await events_of(priced("scripted", input=1, output=1), asked))
    assert message.usage.cost.nanos == 5


def test_an_unknown_name_is_an_error_that_names_the_nearest():
    with pytest.raises(ConfigurationError, match="Did you mean 'simulated/lorem'"):
        simulated_model("simulated/lorm")


def test_importing_the_models_loads_no_http_client():
    code = (
        "import sys, polyvox.providers.simulated as s; [s.simulated_model(n) for n in s.SIMULATED]\n"
        "print([n for n in ('aiohttp', 'polyvox.testing') if n in sys.modules])"
    )
    source = Path(__file__).resolve().parents[2] / "src"
    # The room above imports its own things; only what the models themselves need is looked at.
    bare = (
        "import sys, types\n"
        "room = types.ModuleType('polyvox.providers')\n"
        f"room.__path__ = [{str(source / 'polyvox' / 'providers')!r}]\n"
        "import polyvox; sys.modules['polyvox.providers'] = room\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", bare + code],
        env={"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
