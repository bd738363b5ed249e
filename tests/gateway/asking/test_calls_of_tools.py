"""Calls of tools on their way through: in pieces, in parallel, by their ids, and never a broken one."""

import json
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from polyvox.events import Done, Event, Start, ToolCallDelta, ToolCallEnd, ToolCallStart
from polyvox.messages import AssistantMessage, ToolCall, ToolMessage, tool_result, user
from polyvox.request import ToolDefinition
from polyvox.testing import Knobs, MockProvider
from strategies import cuts, json_objects

from .rig import BEHIND, CALLERS, Acting, asking, callers, read, upstream
from .wire_grammar import check_wire

TOOL = ToolDefinition("weather", "The weather.", {"type": "object", "properties": {}})
AS_OBJECTS = {"gemini", "ollama"}
"""The dialects in which arguments are an object, and no text."""


@st.composite
def written(draw: st.DrawFn) -> str:
    """Arguments as a model might write them: the white space and the escapes are its own."""
    value = draw(json_objects.filter(bool))
    comma, colon = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,", " : ")]))
    indent = draw(st.none() | st.integers(0, 2))
    return json.dumps(
        value, separators=(comma, colon), indent=indent, ensure_ascii=draw(st.booleans())
    )


@st.composite
def calling(draw: st.DrawFn) -> tuple[list[str], list[Event]]:
    """The arguments of parallel calls, and a stream in which their pieces are mixed."""
    texts = draw(st.lists(written(), min_size=3, max_size=4))
    calls = [ToolCall(f"call_{n}", "weather", json.loads(text)) for n, text in enumerate(texts)]
    waiting = [
        [
            ToolCallStart(index, call.id, call.name),
            *(ToolCallDelta(index, piece) for piece in draw(cuts(text))),
            ToolCallEnd(index, call),
        ]
        for index, (call, text) in enumerate(zip(calls, texts, strict=True))
    ]
    running: list[list[Any]] = []
    events: list[Event] = [Start("mock", "m", "id_1")]
    while waiting or running:
        if waiting and (not running or draw(st.booleans())):
            running.append(waiting.pop(0))
            block = running[-1]
        else:
            block = draw(st.sampled_from(running))
        events.append(block.pop(0))
        running = [each for each in running if each]
    return texts, [*events, Done(AssistantMessage(list(calls), "tool_calls"))]


@pytest.mark.parametrize("behind", BEHIND)
@given(streams=st.lists(calling(), min_size=3, max_size=3), write_size=st.sampled_from([None, 7]))
@settings(
    max_examples=5,
    deadline=None,
    phases=(Phase.reuse, Phase.generate),  # each example is a gateway: too dear for more
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_pieces_of_parallel_calls_join_however_they_were_cut_and_mixed(
    serve, behind: str, streams: list[tuple[list[str], list[Event]]], write_size: int | None
) -> None:
    acting = Acting([])
    async with (
        MockProvider(behind, model=acting, knobs=Knobs(write_size=write_size)) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        for texts, events in streams:
            acting.acts[:] = [list(events)]
            for caller in CALLERS:
                answer = await asking(gateway, caller, stream=True, tools=[TOOL])
                assert (answer.status, check_wire(caller, answer.body)) == (200, "done")
                check_calls(
                    texts, read(caller, answer.body), exact=not AS_OBJECTS & {caller, behind}
                )


def check_calls(texts: list[str], events: list[Event], *, exact: bool) -> None:
    """The calls have these arguments; where nobody has to read them on the way, to the letter."""
    joined: dict[int, str] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            joined[event.index] = joined.get(event.index, "") + event.text
    if exact:
        assert [joined[index] for index in sorted(joined)] == texts
    done = events[-1]
    assert isinstance(done, Done)
    assert done.message.stop_reason == "tool_calls"
    calls = done.message.tool_calls
    assert [call.arguments for call in calls] == [json.loads(text) for text in texts]
    assert [call.name for call in calls] == ["weather"] * len(texts)
    assert len({call.id for call in calls}) == len(texts)


ODD = "call.with:odd/characters|" + "x" * 70
LIKE = ODD[:-1] + "y"  # what a provider with short ids would take for the same


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("home", ["openai-chat", "openai-responses", "ollama"])
@pytest.mark.parametrize("caller", CALLERS)
async def test_an_id_that_elsewhere_is_none_names_its_call_there_and_at_home(
    serve, caller: str, home: str, stream: bool
) -> None:
    calls = [ToolCall(name, "weather", {"city": name[-3:]}) for name in (ODD, LIKE, "call_3")]
    elsewhere = [dialect for dialect in BEHIND if dialect != home]
    async with (
        MockProvider(home, script=[AssistantMessage(calls, "tool_calls"), "Yes."]) as first,
        Providers(elsewhere) as others,
        upstream(first, *others.mocks) as client,
        serve(client) as gateway,
        callers(gateway.url) as asks,
    ):
        via = f"via-{caller}/"
        if stream:
            async with aclosing(asks.stream(f"{via}up/m", "Weather?", tools=[TOOL])) as events:
                async for _ in events:
                    pass
            said = events.message
        else:
            said = await asks.complete(f"{via}up/m", "Weather?", tools=[TOOL])
        results = [tool_result(call, call.arguments["city"]) for call in said.tool_calls]
        history = [user("Weather?"), said, *results]
        await asks.complete(f"{via}up/m", history, tools=[TOOL])
        for number in range(len(others.mocks)):
            await asks.complete(f"{via}up{number + 2}/m", history, tools=[TOOL])
    for mock in (first, *others.mocks):
        request = mock.requests[-1].request
        asked = [
            call for message in request.messages for call in getattr(message, "tool_calls", ())
        ]
        told = [message for message in request.messages if isinstance(message, ToolMessage)]
        assert [call.arguments for call in asked] == [call.arguments for call in calls]
        assert [call.id for call in asked] == [result.tool_call_id for result in told]
        assert [result.text for result in told] == [call.arguments["city"] for call in calls]
        assert len({call.id for call in asked}) == 3
        # Bedrock and Anthropic refuse whatever is none of these.
        if mock.dialect.name in ("anthropic-messages", "bedrock-converse"):
            assert all(len(call.id) <= 64 for call in asked)
            assert all(call.id.replace("_", "").replace("-", "").isalnum() for call in asked)


class Providers:
    """A provider of each of these dialects, which says yes."""

    def __init__(self, dialects: list[str]) -> None:
        self.mocks = [MockProvider(dialect, script=["Yes."]) for dialect in dialects]

    async def __aenter__(self) -> "Providers":
        for mock in self.mocks:
            await mock.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        for mock in self.mocks:
            await mock.__aexit__(None, None, None)
