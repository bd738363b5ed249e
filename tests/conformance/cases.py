"""What each dialect carries, for the laws that hold for all of them.

Every registered dialect has a record here: what it carries comes back exactly, and what becomes of the
rest is said beside its strategies, in `tests/dialects`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from hypothesis import strategies as st

from dialects import bedrock_converse_strategies as bedrock_converse
from dialects import gemini_strategies as gemini
from dialects import ollama_strategies as ollama
from dialects import openai_chat_strategies as openai_chat
from dialects import openai_responses_strategies as openai_responses
from polyvox.assembly import unfold
from polyvox.dialects import DIALECTS, Dialect, Place, Quirks, Target, find_route, get_dialect
from polyvox.events import Event
from polyvox.http import HttpRequest
from polyvox.messages import AssistantMessage
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

    def place_of(self, http: HttpRequest) -> Place:
        """What the address that this request was written to says."""
        parts = urlsplit(http.url)
        found = find_route(self.dialect, http.method, f"{parts.path}?{parts.query}")
        assert found is not None
        return found[1]

    def events(self, message: AssistantMessage) -> st.SearchStrategy[list[Event]]:
        """The events of streams that tell this message."""
        return event_streams(message) if self.interleaves else st.just(list(unfold(message)))


def equal(read: Any, written: Any) -> None:
    assert read == written


def equal_answers(read: AssistantMessage, written: AssistantMessage, whole: bool) -> None:
    assert read == written


# ----------------------------------------------------------------------------------------- records


def _openai_chat() -> Case:
    usage_too = {"openai-chat": {"stream_options": {"include_usage": True}}}
    return Case(
        dialect=get_dialect("openai-chat"),
        target=openai_chat.TARGET,
        requests=openai_chat.requests,
        answers=openai_chat.answers,
        streamed=_of_the_model_asked(openai_chat.answers, openai_chat.TARGET),
        same_request=_read_as(openai_chat.as_read),
        same_answer=_told_as(openai_chat.as_carried),
        asking=Request(messages=[], model=openai_chat.TARGET.model, options=usage_too),
    )


def _of_the_model_asked(
    answers: st.SearchStrategy[AssistantMessage], target: Target
) -> st.SearchStrategy[AssistantMessage]:
    """A stream names one model throughout: the one that was asked for."""
    return answers.map(
        lambda message: msgspec.structs.replace(message, response_model=target.model)
    )


def _read_as(as_read: Callable[[Request], Request]) -> Callable[[Request, Request], None]:
    def same(read: Request, written: Request) -> None:
        assert read == as_read(written)

    return same


def _told_as(
    as_told: Callable[..., AssistantMessage],
) -> Callable[[AssistantMessage, AssistantMessage, bool], None]:
    def same(read: AssistantMessage, written: AssistantMessage, whole: bool) -> None:
        assert read == as_told(written, whole=whole)

    return same


def _anthropic_messages() -> Case:
    common: dict[str, Any] = {
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "cache_hints": 4,
        "answer_at_end": False,
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


def _openai_responses() -> Case:
    def same_answer(read: AssistantMessage, written: AssistantMessage, whole: bool) -> None:
        # A stream tells ids of texts and calls that nobody needs again.
        read = read if whole else openai_responses.as_told(read, whole=False)
        assert read == openai_responses.as_told(written, whole=whole)

    said = openai_responses.own_answers()
    return Case(
        dialect=get_dialect("openai-responses"),
        target=openai_responses.TARGET,
        requests=openai_responses.own_requests(),
        answers=said,
        streamed=said,
        same_request=_read_as(openai_responses.as_read),
        same_answer=same_answer,
        asking=Request(messages=[], model=openai_responses.TARGET.model),
        interleaves=True,
    )


def _gemini() -> Case:
    target = gemini.target_of(gemini.ANSWERS)
    said = gemini.own_answers()
    return Case(
        dialect=get_dialect("gemini"),
        target=target,
        requests=gemini.own_requests(gemini.ANSWERS),
        answers=said,
        streamed=said,
        same_request=equal,
        same_answer=_told_as(gemini.as_told),
        asking=Request(messages=[], model=target.model),
        interleaves=True,
    )


def _ollama() -> Case:
    return Case(
        dialect=get_dialect("ollama"),
        target=ollama.TARGET,
        requests=ollama.chats,
        answers=ollama.answers,
        streamed=_of_the_model_asked(ollama.answers, ollama.TARGET),
        same_request=equal,
        same_answer=_told_as(ollama.as_carried),
        asking=Request(messages=[], model=ollama.TARGET.model),
    )


def _bedrock_converse() -> Case:
    return Case(
        dialect=get_dialect("bedrock-converse"),
        target=bedrock_converse.TARGET,
        requests=bedrock_converse.requests,
        answers=bedrock_converse.whole_answers,
        streamed=bedrock_converse.answers,
        same_request=_read_as(bedrock_converse.as_read),
        same_answer=_told_as(bedrock_converse.as_carried),
        asking=Request(messages=[], model=bedrock_converse.TARGET.model),
        interleaves=True,
    )


_RECORDS: dict[str, Callable[[], Case]] = {
    "openai-chat": _openai_chat,
    "anthropic-messages": _anthropic_messages,
    "openai-responses": _openai_responses,
    "gemini": _gemini,
    "ollama": _ollama,
    "bedrock-converse": _bedrock_converse,
}

CASES = {name: _RECORDS[name]() for name in DIALECTS}
