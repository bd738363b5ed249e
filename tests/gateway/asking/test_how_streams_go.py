"""Every stream keeps the grammar of its caller's dialect, whoever answers and however it ends."""

import asyncio
from typing import Any

import pytest

from polyvox import AsyncClient
from polyvox.assembly import unfold
from polyvox.errors import (
    NetworkError,
    PolyvoxError,
    ProtocolError,
    RequestTimeoutError,
    ServerError,
)
from polyvox.events import (
    Done,
    Failed,
    Start,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCallDelta,
    ToolCallStart,
)
from polyvox.http import Timeouts
from polyvox.jsontext import decode, encode
from polyvox.messages import AssistantMessage, Text, Thinking, ToolCall
from polyvox.providers.simulated.tokens import pieces
from polyvox.routing import Retrying, RetryPolicy, Router
from polyvox.testing import Knobs, MockProvider
from waiting import soon

from .rig import BEHIND, CALLERS, Acting, asking, callers, read, upstream
from .wire_grammar import check_wire

SAID = "It rains in Oslo, and it will rain tomorrow."
ANSWER: dict[str, Any] = {"message": {"content": SAID}, "repeat": True}
FINE = {"text_piece": 4}
CALLING = [ToolCall(f"call_{n}", "weather", {"city": "Oslo"}) for n in range(3)]
ANSWERS = {
    "text": [Text(SAID)],
    "nothing": [],
    "an empty text": [Text("")],
    "reasoning and text": [Thinking("Hm, well."), Text(SAID)],
    "calls": CALLING,
    "all of it": [Thinking("Hm, well."), Text("Let me see."), *CALLING],
}


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("caller", CALLERS)
async def test_an_answer_of_any_kind_has_one_beginning_and_one_end(
    serve, caller: str, behind: str
) -> None:
    acting = Acting([])
    async with (
        MockProvider(behind, model=acting) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        for content in ANSWERS.values():
            calls = any(isinstance(block, ToolCall) for block in content)
            message = AssistantMessage(list(content), "tool_calls" if calls else "stop")
            acting.acts[:] = [list(unfold(message, pieces))]
            answer = await asking(gateway, caller, stream=True)
            assert answer.status == 200
            assert check_wire(caller, answer.body) == "done"
            *_, done = read(caller, answer.body)
            assert isinstance(done, Done)
            assert done.message.text == message.text
            assert done.message.stop_reason == message.stop_reason


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("behind", BEHIND)
async def test_streams_of_another_form_keep_the_same_grammar(
    serve, behind: str, fails: bool
) -> None:
    knobs = await bent(behind, AFTER["an error"][0] if fails else {})
    wanted = "error" if fails else "done"
    async with (
        MockProvider(behind, [ANSWER], knobs=knobs) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        headers = {"authorization": "Bearer good"}
        body = {"model": "up/m", "prompt": "Hi", "stream": True}
        url = f"{gateway.url}/api/generate"
        async with gateway.http.post(url, json=body, headers=headers) as answer:
            assert check_wire("ollama", await answer.read()) == wanted
        url = f"{gateway.url}/v1beta/models/up/m:streamGenerateContent"
        body = {"contents": [{"parts": [{"text": "Hi"}]}]}
        async with gateway.http.post(url, json=body, headers=headers) as answer:
            frames = [b"data: %b\n\n" % encode(each) for each in decode(await answer.read())]
            assert check_wire("gemini", b"".join(frames)) == wanted


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("caller", CALLERS)
async def test_every_piece_is_there_before_the_next_one_is_written(
    serve, caller: str, behind: str
) -> None:
    gates = [asyncio.Event() for _ in range(8)]
    said = [cue for i, gate in enumerate(gates) for cue in (TextDelta(0, f"{i} "), gate)]
    acting = Acting([Start(), TextStart(0), *said, TextEnd(0, Text(""))])
    async with (
        MockProvider(behind, model=acting) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
        callers(gateway.url) as asks,
        asks.stream(f"via-{caller}/up/m", "Count.", max_tokens=99) as stream,
    ):
        for i, gate in enumerate(gates):
            assert await soon(anext(stream.text())) == f"{i} "
            gate.set()


# -------------------------------------------------------------------------- failures on the way

BEFORE: dict[str, tuple[dict[str, Any], type[PolyvoxError]]] = {
    "status 500": ({"status": 500}, ServerError),
    "an end": ({"cut_after": 0}, NetworkError),
    "a reset": ({"cut_after": 0, "cut_mode": "rst"}, NetworkError),
    "broken JSON": ({"malformed_chunk": 0}, ProtocolError),
    "an error": ({"error_after_chunks": 0}, ServerError),
    "an empty body": ({"body": "empty"}, ProtocolError),
    "a web page": ({"body": "html"}, ProtocolError),
}
AFTER: dict[str, tuple[dict[str, Any], type[PolyvoxError]]] = {
    "an end": ({"cut_after": "after"}, NetworkError),
    "a reset": ({"cut_after": "after", "cut_mode": "rst"}, NetworkError),
    "broken JSON": ({"malformed_chunk": 7}, ProtocolError),
    "an error": ({"error_after_chunks": 7}, ServerError),
}
"""What a provider does before its first content, or after it."""


async def bent(behind: str, knobs: dict[str, Any]) -> Knobs:
    """These knobs; "after" is a place in the middle of the answer."""
    if knobs.get("cut_after") != "after":
        return Knobs(**FINE, **knobs)
    async with (
        MockProvider(behind, [ANSWER], knobs=Knobs(**FINE)) as mock,
        upstream(mock) as client,
    ):
        async with client.stream("up/m", "Hi.", max_tokens=99) as stream:
            async for _ in stream:
                pass
        length = len(mock.answers[0].body)
    return Knobs(**FINE, **{**knobs, "cut_after": length * 2 // 3})


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("caller", CALLERS)
async def test_a_failure_before_the_first_content_is_an_error_or_anothers_answer(
    serve, caller: str, behind: str
) -> None:
    async with (
        MockProvider(behind, [ANSWER]) as mock,
        MockProvider("openai-chat", [ANSWER]) as good,
        upstream(mock, good) as client,
        serve(client) as gateway,
    ):
        for name, (knobs, kind) in BEFORE.items():
            mock.knobs = await bent(behind, knobs)
            for stream in (True,) if name == "an error" else (True, False):
                answer = await asking(gateway, caller, stream=stream)
                assert answer.status >= 500, (name, answer)
                assert gateway.books.ended[-1].error == kind.kind, name
            router = Router([client.model("up/m")], fallbacks=[client.model("up2/m")])
            gateway.asking.models.add("both", router)
            answer = await asking(gateway, caller, "both", stream=True)
            assert (answer.status, check_wire(caller, answer.body)) == (200, "done"), name
            assert read(caller, answer.body)[-1].message.text == SAID
        assert len(good.requests) == len(BEFORE)


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("caller", CALLERS)
async def test_a_failure_after_the_first_content_is_an_error_and_nobody_goes_on_with_it(
    serve, caller: str, behind: str
) -> None:
    async with (
        MockProvider(behind, [ANSWER]) as mock,
        MockProvider("openai-chat", [ANSWER]) as good,
        upstream(mock, good) as client,
        serve(client) as gateway,
    ):
        for name, (knobs, kind) in AFTER.items():
            mock.knobs = await bent(behind, knobs)
            failed, body = await failing(gateway, client, caller)
            assert SAID.startswith(failed.message.text)
            assert failed.message.text
            ended = gateway.books.ended[-1]
            assert (ended.error, ended.partial) == (kind.kind, True), name
            if (
                caller != behind
            ):  # else a frame may have come through that was broken from the start
                assert check_wire(caller, body) == "error", name
        assert (len(mock.requests), good.requests) == (len(AFTER), [])


async def failing(gateway: Any, client: AsyncClient, caller: str) -> tuple[Failed, bytes]:
    """How an answer ends that begins well; it could be asked again, and somebody else, too."""
    again = Retrying(client.model("up/m"), RetryPolicy(attempts=3, base=0))
    router = Router([again], fallbacks=[client.model("up2/m")])
    gateway.asking.models.add("both", router)
    answer = await asking(gateway, caller, "both", stream=True)
    assert answer.status == 200
    failed = read(caller, answer.body)[-1]
    assert isinstance(failed, Failed)
    return failed, answer.body


PATIENT = {"first": Timeouts(first_byte=0.5, idle=30), "later": Timeouts(first_byte=30, idle=0.5)}


@pytest.mark.parametrize(("caller", "behind"), [*zip(CALLERS, BEHIND[:0:-1], strict=True)])
async def test_a_provider_that_falls_silent_is_given_up(serve, caller: str, behind: str) -> None:
    async with (
        MockProvider(behind, [ANSWER]) as mock,
        MockProvider("openai-chat", [ANSWER]) as good,
        upstream(mock, timeouts=PATIENT["first"]) as hasty,
        upstream(mock, good, timeouts=PATIENT["later"]) as client,
        serve(client) as gateway,
    ):
        mock.knobs = Knobs(cut_after=0, cut_mode="stall")
        router = Router([hasty.model("up/m")], fallbacks=[client.model("up2/m")])
        gateway.asking.models.add("hasty", router)
        answer = await asking(gateway, caller, "hasty", stream=True)
        assert (answer.status, check_wire(caller, answer.body)) == (200, "done")
        assert len(good.requests) == 1
        mock.knobs = await bent(behind, {"cut_mode": "stall", "cut_after": "after"})
        failed, body = await failing(gateway, client, caller)
        assert check_wire(caller, body) == "error"
        assert (SAID.startswith(failed.message.text), len(good.requests)) == (True, 1)
        assert gateway.books.ended[-1].error == RequestTimeoutError.kind


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("caller", CALLERS)
async def test_a_call_that_broke_off_is_none_and_nobody_completes_it(
    serve, caller: str, behind: str
) -> None:
    begun = [Start(), ToolCallStart(0, "call_1", "weather"), ToolCallDelta(0, '{"city": "Os')]
    broken = Failed(ServerError("the power is out"), AssistantMessage([], "error"))
    before = [TextStart(1), TextDelta(1, "Well. "), TextEnd(1, Text("Well. "))]
    async with (
        MockProvider(behind, model=Acting([begun[0], *before, *begun[1:], broken])) as mock,
        MockProvider("openai-chat", [ANSWER]) as good,
        upstream(mock, good) as client,
        serve(client) as gateway,
    ):
        failed, body = await failing(gateway, client, caller)
        assert check_wire(caller, body) == "error"
        assert not any(call.executable for call in failed.message.tool_calls)
        assert good.requests == []
