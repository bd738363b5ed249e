"""What each dialect carries, for the laws that hold for all of them.

A dialect that is registered but has no record here is held to the same laws with plain
conversations, and answers are compared by their text and their tool calls.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from dialects import openai_chat_strategies as openai_chat
from polyvox.assembly import unfold
from polyvox.dialects import DIALECTS, Dialect, Place, Quirks, Target, get_dialect
from polyvox.events import Event
from polyvox.messages import AssistantMessage, Message, Text, ToolMessage
from polyvox.request import Reasoning, Request
from strategies import (
    Carries,
    answers,
    event_streams,
    fractions,
    ids,
    requests,
    usages,
)


@dataclass(frozen=True, kw_only=True, repr=False)
class Case:
    """A dialect under the laws.

    `same_request` and `same_answer` say whether what was read is what was written, as far as the
    format can tell it; `asking` is the request whose answers are streamed.
    """

    dialect: Dialect
    target: Target
    requests: st.SearchStrategy[Request]
    answers: st.SearchStrategy[AssistantMessage]
    streamed: st.SearchStrategy[AssistantMessage]
    same_request: Callable[[Request, Request], None]
    same_answer: Callable[[AssistantMessage, AssistantMessage, bool], None]
    asking: Request
    interleaves: bool = False

    def __repr__(self) -> str:
        return f"Case({self.dialect.name})"

    @property
    def place(self) -> Place:
        """What the address says."""
        return Place(self.target.model)

    def place_of(self, request: Request) -> Place:
        """What the address of this request says."""
        return Place(self.target.model, request.stream)

    def events(self, message: AssistantMessage) -> st.SearchStrategy[list[Event]]:
        """The events of streams that tell this message."""
        return event_streams(message) if self.interleaves else st.just(list(unfold(message)))


def equal(read: Any, written: Any) -> None:
    assert read == written


def equal_answers(read: AssistantMessage, written: AssistantMessage, whole: bool) -> None:
    assert read == written


def essence(messages: list[Message]) -> list[Any]:
    """Texts, calls and results, without what formats tell apart differently."""
    told: list[Any] = []
    for message in messages:
        texts = "".join(block.text for block in message.content if isinstance(block, Text))
        words = "".join(texts.split())  # joined with or without a space or a new line
        if told and isinstance(told[-1], str) and not isinstance(message, ToolMessage):
            told[-1] += words  # neighbours of a role may be one message
        else:
            told.append(words)
        if isinstance(message, AssistantMessage):
            told += [(call.name, call.arguments) for call in message.tool_calls]
        elif isinstance(message, ToolMessage):
            told.append(("result",))
    return told


def alike_requests(read: Request, written: Request) -> None:
    assert essence(read.messages) == essence(written.messages)
    if written.tool_choice != "none":  # some then tell of no tools
        assert [tool.name for tool in read.tools] == [tool.name for tool in written.tools]
    assert (read.max_tokens, read.model) == (written.max_tokens, written.model)


def alike_answers(read: AssistantMessage, written: AssistantMessage, whole: bool) -> None:
    assert read.text == written.text
    assert [(call.name, call.arguments) for call in read.tool_calls] == [
        (call.name, call.arguments) for call in written.tool_calls
    ]
    assert read.usage == written.usage


# ----------------------------------------------------------------------------------------- records


def _openai_chat() -> Case:
    def same_request(read: Request, written: Request) -> None:
        assert read == openai_chat.as_read(written)

    def same_answer(read: AssistantMessage, written: AssistantMessage, whole: bool) -> None:
        assert read == openai_chat.as_carried(written, whole=whole)

    usage_too = {"openai-chat": {"stream_options": {"include_usage": True}}}
    # A stream names one model throughout: the one that was asked for.
    streamed = openai_chat.answers.map(_of_the_model_asked)
    return Case(
        dialect=get_dialect("openai-chat"),
        target=openai_chat.TARGET,
        requests=openai_chat.requests,
        answers=openai_chat.answers,
        streamed=streamed,
        same_request=same_request,
        same_answer=same_answer,
        asking=Request(messages=[], model=openai_chat.TARGET.model, options=usage_too),
    )


def _of_the_model_asked(message: AssistantMessage) -> AssistantMessage:
    message.response_model = openai_chat.TARGET.model
    return message


def _anthropic_messages() -> Case:
    common: dict[str, Any] = {
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "cache_hints": 4,
        "metadata": st.just({}) | st.fixed_dictionaries({"user_id": ids}),
        "max_tokens": st.integers(2048, 10**5),
        "temperature": st.none() | fractions,
        "top_p": st.none() | fractions,
        "samplers": 1,
        "reasoning": st.none() | st.just(Reasoning(budget_tokens=1024)),
        "reasoning_excludes_sampling": True,
        "reasoning_excludes_forced_tools": True,
        "stop_reasons": ("stop", "length", "tool_calls", "stop_sequence", "pause", "refusal"),
        "usage": usages(),
    }
    target = Target(
        provider="anthropic",
        model="claude-sonnet-4-5",
        base_url="https://api.example",
        quirks=Quirks(strict_tools=True),
    )
    return Case(
        dialect=get_dialect("anthropic-messages"),
        target=target,
        requests=requests(Carries(**common)),
        answers=answers(Carries(broken_calls=False, **common)),
        streamed=answers(Carries(**common)),
        same_request=equal,
        same_answer=equal_answers,
        asking=Request(messages=[], model=target.model),
        interleaves=True,
    )


def _plain(name: str) -> Case:
    """The case of a dialect without a record."""
    carries = Carries(
        provider=name,
        blocks=(Text,),
        result_blocks=(Text,),
        replays_thinking=False,
        tool_errors=False,
        strict_tools=False,
        parallel_tool_calls=False,
        max_tokens=st.integers(2048, 10**5),
        broken_calls=False,
        stop_reasons=("stop", "tool_calls"),
    )
    target = Target(provider=name, model=carries.model, base_url="https://api.example")
    said = answers(carries).filter(lambda message: bool(message.content))
    return Case(
        dialect=get_dialect(name),
        target=target,
        requests=requests(carries),
        answers=said,
        streamed=said,
        same_request=alike_requests,
        same_answer=alike_answers,
        asking=Request(messages=[], model=target.model),
    )


_RECORDS: dict[str, Callable[[], Case]] = {
    "openai-chat": _openai_chat,
    "anthropic-messages": _anthropic_messages,
}

CASES = {name: _RECORDS[name]() if name in _RECORDS else _plain(name) for name in DIALECTS}
