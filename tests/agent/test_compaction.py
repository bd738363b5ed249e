"""A conversation that becomes too long is made shorter, and nothing in it comes apart by that."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox import AsyncClient, Usage
from polyvox.agent import (
    Agent,
    Compacted,
    Compaction,
    KeepLast,
    RunState,
    TrimToolResults,
    decode_agent_event,
    encode_agent_event,
)
from polyvox.agent import compaction as module
from polyvox.agent.role import Role
from polyvox.agent.sessions import JsonlSessions
from polyvox.agent.summary import is_summary, summary_message
from polyvox.assembly import failed, unfold
from polyvox.dialects import DIALECTS
from polyvox.errors import ConfigurationError, ContextWindowExceededError, ServerError
from polyvox.estimate import message_tokens, request_tokens
from polyvox.events import Event
from polyvox.handover import mend
from polyvox.messages import (
    AssistantMessage,
    File,
    Image,
    Message,
    SystemMessage,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
    assistant,
    tool_result,
    user,
)
from polyvox.model import Call
from polyvox.request import Request
from polyvox.routing import Retrying
from polyvox.testing import MockProvider
from polyvox.tools import tool

from .rig import agent_of, calls, trace, without_updates


class Says:
    """A model that answers as a function of the request says; it knows what it was asked."""

    name = "test/says"

    def __init__(self, answer: Callable[[Request], Any], window: int | None = None) -> None:
        self.requests: list[Request] = []
        self._answer = answer
        self._window = window

    @property
    def prompts(self) -> list[str]:
        return [each.messages[-1].content[0].text for each in self.requests]

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        self.requests.append(request)
        said = self._answer(request)
        if self._window is not None and request_tokens(request) > self._window:
            said = ContextWindowExceededError("the prompt is too long: 9 tokens > 8 maximum")
        if isinstance(said, Exception):
            yield failed(said)
            return
        message = AssistantMessage([Text(said)]) if isinstance(said, str) else said
        for event in unfold(message):
            yield event


def summariser(text: Any = "In short: so it was.") -> Says:
    return Says(lambda request: text)


def worker(window: int | None = None, turns: int = 6) -> Says:
    """Calls the tool so many times, then is done."""

    def answer(request: Request) -> Any:
        if request.system:  # it is asked for a summary
            return "In short: looked a few times."
        done = model.looks
        if window is None or request_tokens(request) <= window:
            model.looks += 1
        return "Done." if done >= turns else calls(ToolCall(f"look-{done}", "look"))

    model = Says(answer, window)
    model.looks = 0
    return model


@tool
def look() -> str:
    """Look."""
    return "word " * 400


def long_talk(turns: int = 8, words: int = 200) -> list[Message]:
    messages: list[Message] = [user("Find the key.")]
    for number in range(turns):
        call = ToolCall(f"c{number}", "look", {"at": number})
        messages += [assistant(Text("Hm."), call), tool_result(call, f"{number} " * words)]
    return [*messages, assistant("Not found."), user("Look again.")]


async def role_for(compaction: Any, model: Any = None, **options: Any) -> Role:
    agent = Agent(model or summariser(), compaction=compaction, **options)
    return await agent.role_of("agent")


async def compacted(compaction: Any, messages: Sequence[Message], model: Any = None) -> Any:
    return await compaction.compact(messages, await role_for(compaction, model), Call())


def applied(messages: Sequence[Message], event: Compacted) -> list[Message]:
    state = RunState(messages=list(messages))
    state.apply(event)
    return state.messages


# -------------------------------------------------------------------------------------------- laws

KINDS: dict[str, Callable[[], Any]] = {
    "summary": lambda: Compaction(summariser("s"), keep=30, window=100),
    "failed summary": lambda: Compaction(summariser(ServerError("no")), keep=30, window=100),
    "without results": lambda: TrimToolResults(keep=30, window=100),
    "the last": lambda: KeepLast(keep=30, window=100),
}

texts = st.integers(0, 300).map("x ".__mul__).map(Text)
few_ids = st.sampled_from(["a", "b", "c"])  # they come again, as with providers that count calls
tool_calls = st.builds(ToolCall, few_ids, st.just("look"))
said = st.lists(texts | tool_calls | st.just(Thinking("hm")), max_size=3).map(AssistantMessage)
results = st.builds(
    ToolMessage, few_ids, st.lists(texts | st.just(Image(url="https://i.example")), max_size=2)
)
conversations = st.lists(texts.map(user) | said | results, min_size=1, max_size=14)


@pytest.mark.parametrize("kind", KINDS)
@given(raw=conversations)
def test_what_is_left_is_in_order_shorter_and_ends_as_before(kind: str, raw: list[Message]):
    for messages in (mend(raw).messages, raw):
        if not messages:
            continue
        event = asyncio.run(compacted(KINDS[kind](), messages))
        if event is None:
            continue
        left = applied(messages, event)
        assert left == [*event.messages, *messages[event.replaced :]]
        assert left[-1] is messages[-1]
        assert decode_agent_event(encode_agent_event(event)) == event
        if mend(messages).messages is messages:
            assert mend(left).messages is left, mend(left).notes
        if event.replaced:
            assert sum(map(message_tokens, left)) < sum(map(message_tokens, messages))
            assert event.tokens_after < event.tokens_before
        else:
            assert left == messages
            assert event.detail


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turns", [1, 2, 3, 30])
async def test_a_long_conversation_becomes_shorter_and_keeps_its_task(kind: str, turns: int):
    messages = long_talk(turns)
    event = await compacted(KINDS[kind](), messages)
    assert event.replaced
    left = applied(messages, event)
    assert left[-1] is messages[-1]
    assert mend(left).messages is left
    if kind != "summary":
        assert left[0] is messages[0]


@pytest.mark.parametrize("usage", [Usage(5_000, 10), None])
async def test_a_turn_looks_at_new_messages_alone(
    monkeypatch: pytest.MonkeyPatch, usage: Usage | None
):
    seen: list[Message] = []
    monkeypatch.setattr(
        module, "message_tokens", lambda each: seen.append(each) or message_tokens(each)
    )
    compaction = Compaction(window=10_000_000)
    role = await role_for(compaction)
    options = {"usage": usage} if usage else {}
    messages: list[Message] = []
    for number in range(5_000):
        messages += [user("And?"), AssistantMessage([Text(str(number))], **options)]
    assert not compaction.due(messages, role)
    assert len(seen) == (0 if usage else 10_000)
    for _ in range(20):
        seen.clear()
        messages += [user("And?"), AssistantMessage([Text("Yes.")], **options), user("So?")]
        assert not compaction.due(messages, role)
        assert len(seen) == (1 if usage else 3)


# ---------------------------------------------------------------------------------------- when it is


async def test_it_is_time_when_what_the_model_says_it_read_comes_near_the_window():
    compaction = Compaction(window=1_000, at=0.8)
    messages: list[Message] = [user("?"), AssistantMessage([Text("!")], usage=Usage(700, 50))]
    assert not compaction.due(messages, await role_for(compaction))
    more = [*messages, user("word " * 60)]
    assert compaction.due(more, await role_for(compaction))


async def test_instructions_and_tools_count_while_no_answer_has_told():
    compaction = Compaction(window=1_000)
    role = await role_for(compaction, system="word " * 800)
    assert compaction.due([user("Hi.")], role)


async def test_the_catalog_knows_the_window_of_a_model_within_layers():
    compaction = Compaction()
    async with AsyncClient(keys={"openai": "sk-none"}) as client:
        model = Retrying(client.model("openai/gpt-5-mini"))
        for each in ("openai/gpt-5-mini", model):
            role = await Agent(each, client=client, compaction=compaction).role_of("agent")
            for tokens, due in ((310_000, False), (330_000, True)):
                said = AssistantMessage([Text("!")], usage=Usage(tokens, 10))
                role = await role.agent.role_of("agent")
                assert compaction.due([user("?"), said], role) is due


async def test_without_a_window_only_the_model_tells_that_it_is_too_long():
    compaction = Compaction()
    said = AssistantMessage([Text("!")], usage=Usage(10**9, 10))
    assert not compaction.due([user("?"), said], await role_for(compaction))


@pytest.mark.parametrize(
    ("wrong", "word"),
    [({"at": 0}, "at is 0"), ({"keep": 0}, "keep is 0"), ({"window": -1}, "window")],
)
def test_a_wrong_number_is_told_at_once(wrong: dict[str, Any], word: str):
    with pytest.raises(ConfigurationError, match=word):
        Compaction(**wrong)


# ----------------------------------------------------------------------------------- the summary


async def test_the_summary_stands_between_the_task_and_the_newest_turns():
    messages = long_talk()
    event = await compacted(Compaction(summariser("The key is not in 1 to 6."), keep=400), messages)
    left = applied(messages, event)
    assert left[0] is messages[0]
    assert is_summary(left[1])
    assert "The key is not in 1 to 6." in left[1].content[0].text
    assert [each.tool_call_id for each in left if isinstance(each, ToolMessage)] == [
        "c5",
        "c6",
        "c7",
    ]
    assert event.detail == ""


async def test_a_long_first_message_and_an_earlier_summary_are_summarised_along():
    model = summariser()
    messages = [summary_message("It is under the mat."), *long_talk()]
    messages[1] = user("Find it. " + "Really. " * 2_000)
    event = await compacted(Compaction(model, keep=400), messages)
    left = applied(messages, event)
    assert [is_summary(each) for each in left[:2]] == [True, False]
    assert sum(map(is_summary, left)) == 1
    assert "It is under the mat." in model.prompts[0]
    assert "Find it." in model.prompts[0]
    assert "[calls look with" in model.prompts[0]
    assert "Result of look: 1 1" in model.prompts[0]


@pytest.mark.parametrize(
    "block",
    [
        Image(b"\x89PNG\r\n\x1a\n" + bytes(100_000)),
        Image(url="data:image/png;base64," + "A" * 100_000),
        File(b"%PDF-" + bytes(100_000), name="plan.pdf"),
        File(url="data:application/pdf;base64," + "A" * 100_000),
    ],
    ids=["picture", "picture as address", "file", "file as address"],
)
async def test_of_pictures_and_files_the_summarising_model_only_hears_that_they_were_there(
    block: Image | File,
):
    model = summariser()
    await compacted(Compaction(model, keep=400), [UserMessage([block]), *long_talk()])
    (prompt,) = model.prompts
    assert "User: [" in prompt
    assert len(prompt) < 10_000
    assert all(isinstance(each, Text) for each in model.requests[0].messages[0].content)


@pytest.mark.parametrize(
    "kind", [lambda: Compaction(summariser(), keep=400), lambda: KeepLast(keep=400)]
)
async def test_instructions_in_the_conversation_stay_where_there_is_room_the_newest_first(
    kind: Callable[[], Any],
):
    old, long, new = (SystemMessage([Text(each * 50)]) for each in ("Hm. ", "Long. " * 50, "No. "))
    talk = long_talk()
    event = await compacted(kind(), [*talk[:3], old, long, new, *talk[3:]])
    assert event.messages[:3] == [talk[0], old, new]
    assert len(event.messages) == 4
    many = [message for each in talk for message in (SystemMessage([Text("Now. " * 20)]), each)]
    event = await compacted(kind(), many)
    assert sum(map(message_tokens, event.messages[:-1])) <= 200


async def test_what_is_too_long_for_the_summarising_model_is_read_in_parts():
    parts = iter(range(100))
    model = Says(lambda request: f"Summary {next(parts)}.", window=1_200)
    messages = long_talk(turns=20)
    event = await compacted(Compaction(model, keep=400, window=2_000), messages)
    assert is_summary(event.messages[1])
    assert event.detail == ""
    read = [
        each
        for each, request in zip(model.prompts, model.requests, strict=True)
        if request_tokens(request) <= 1_200
    ]
    assert len(read) > 2
    assert "<summary>" not in read[0]
    assert all("<summary>\nSummary " in each for each in read[1:])
    for number in range(18):
        assert f"{number} {number} " in "".join(read)


@pytest.mark.parametrize(
    "answer",
    [
        ServerError("it is down"),
        "",
        "longer " * 10_000,
        AssistantMessage([Text("Cut o")], stop_reason="length"),
        AssistantMessage([Text("No.")], stop_reason="refusal"),
    ],
    ids=["error", "empty", "longer", "cut off", "refused"],
)
async def test_a_summary_that_fails_loses_nothing_but_old_results(answer: Any):
    messages = long_talk()
    event = await compacted(Compaction(summariser(answer), keep=400), messages)
    left = applied(messages, event)
    assert "not summarised" in event.detail
    assert len(left) == len(messages)
    stubs = [each.content[0].text for each in left if isinstance(each, ToolMessage)]
    assert stubs[:5] == ["[removed: 400 characters]"] * 5
    assert left[-8:] == messages[-8:]
    assert left[0] is messages[0]


async def test_a_failure_with_nothing_to_take_out_is_told_and_not_paid_for_each_turn():
    model = summariser(ServerError("it is down"))
    compaction = Compaction(model, window=1_000)
    role = await role_for(compaction)
    messages: list[Message] = [
        user("Hi."),
        assistant("word " * 400),
        user("And?"),
        assistant("word " * 400),
        user("So?"),
    ]
    assert compaction.due(messages, role)
    event = await compaction.compact(messages, role, Call())
    assert (event.replaced, event.messages) == (0, [])
    assert "it is down" in event.detail
    messages += [assistant("Yes."), user("So?")]
    assert not compaction.due(messages, role)
    messages += [assistant("word " * 100), user("So?")]
    assert compaction.due(messages, role)


async def test_the_measure_goes_on_from_what_is_left():
    compaction = Compaction(summariser(), window=3_000)
    role = await role_for(compaction)
    messages = [*long_talk(), AssistantMessage([Text("Hm.")], usage=Usage(2_900, 1)), user("So?")]
    assert compaction.due(messages, role)
    event = await compaction.compact(messages, role, Call())
    assert event.tokens_before > 2_900
    assert event.tokens_after < 1_500
    messages = [*applied(messages, event), user("Go on.")]
    assert any(isinstance(each, AssistantMessage) and each.usage.input_tokens for each in messages)
    assert not compaction.due(messages, role), "an answer from before tells nothing any more"


# ---------------------------------------------------------------------------------------- in a run


async def test_a_run_goes_on_in_a_window_far_smaller_than_what_it_reads():
    model = worker(window=2_500, turns=20)
    agent = Agent(model, tools=[look], compaction=Compaction(window=2_500))
    run = agent.stream("Look often.")
    events = [event async for event in run]
    assert run.result.text == "Done."
    shortened = [each for each in events if isinstance(each, Compacted)]
    assert len(shortened) > 2
    assert all(each.tokens_after < each.tokens_before for each in shortened)
    assert run.state.messages[0].content[0].text == "Look often."
    asked = [each for each in model.requests if not each.system]
    assert all(request_tokens(each) <= 2_500 for each in asked)
    folded = RunState()
    for event in events:
        folded.apply(event)
    assert folded.messages == run.state.messages


async def test_when_the_model_says_it_is_too_long_it_is_asked_once_more_and_later_once_a_turn():
    model = worker(window=2_500, turns=6)
    run = Agent(model, tools=[look], compaction=Compaction()).stream("Look.")
    line = without_updates(await trace(run))
    assert run.result.text == "Done."
    assert line.count("compacted") == 1
    asked = [each for each in model.requests if not each.system]
    assert len(asked) == 7 + 1, "each turn once, and once more the one that was too long"


async def test_what_stays_too_long_is_an_error_after_one_more_try():
    script = [{"error": {"kind": "context_window_exceeded", "text": "too long"}}] * 2
    run = agent_of(script, compaction=KeepLast()).stream("Hi.")
    line = await trace(run)
    assert isinstance(run.result.error, ContextWindowExceededError)
    assert line.endswith("agent_end:error")
    assert run.state.messages[0].content[0].text == "Hi."


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_error_of_each_dialect_is_understood_and_the_summary_is_on_the_books(
    dialect: str,
):
    async with MockProvider(dialect, model=worker(window=1_500, turns=3)) as mock:
        row = {"dialect": dialect, "base_url": mock.url, "local": True}
        async with AsyncClient(providers={"lab": row}) as client:
            agent = Agent("lab/one", client=client, tools=[look], compaction=Compaction())
            run = agent.stream("Look.")
            events = [event async for event in run]
    assert run.result.text == "Done."
    assert sum(isinstance(each, Compacted) for each in events) == 1
    assert len(mock.requests) == 4 + 1 + 1
    assert len(run.result.attempts) == len(mock.requests)


async def test_an_interrupt_while_the_summary_is_written_ends_the_run_and_changes_nothing():
    def answer(request: Request) -> Any:
        run.abort("enough")
        return ServerError("gone")

    compaction = Compaction(Says(answer), window=500)
    run = agent_of(["Never."], compaction=compaction).stream(
        "So?", state=RunState(messages=long_talk())
    )
    line = await trace(run)
    assert line.endswith("agent_end:aborted")
    assert "compacted" not in line
    assert run.state.messages[: len(long_talk())] == long_talk()


async def test_a_session_knows_the_shorter_conversation(tmp_path: Path):
    agent = Agent(worker(turns=12), tools=[look], compaction=Compaction(window=2_500))
    async with JsonlSessions(tmp_path) as sessions, await sessions.open("s") as session:
        result = await agent.run("Look often.", session=session)
    async with JsonlSessions(tmp_path) as sessions, await sessions.open("s") as session:
        assert session.state.messages == result.state.messages
        assert is_summary(session.state.messages[1])
