"""A session as a story: what was said, with the results of calls at the calls, and what else happened."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

import msgspec

from polyvox import jsontext
from polyvox.agent.events import (
    AgentEnd,
    AgentEvent,
    ApprovalNeeded,
    Compacted,
    HandedOver,
    MessageEnd,
    ToolExecutionEnd,
)
from polyvox.agent.sessions.entries import Record
from polyvox.agent.sessions.info import SessionInfo
from polyvox.messages import (
    AssistantMessage,
    File,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
)
from polyvox.tools.result import ToolResult

__all__ = ["Marks", "Note", "Result", "Said", "Transcript", "blocks", "data_url", "transcript"]

Result: TypeAlias = ToolMessage | ToolResult


class Said(msgspec.Struct):
    """A message; an answer's has what came of its calls, by their ids."""

    message: Message
    results: dict[str, Result] = {}

    @property
    def speaker(self) -> str:
        """Who says it."""
        message = self.message
        if isinstance(message, AssistantMessage):
            model = message.response_model or message.model
            return f"Assistant ({model})" if model else "Assistant"
        if isinstance(message, ToolMessage):
            return f"Tool {message.tool_name}".rstrip()
        return type(message).__name__.removesuffix("Message")


class Note(msgspec.Struct):
    """Something that happened between two messages; with the messages that it is about."""

    text: str
    about: list[Said] = []


class Transcript(msgspec.Struct):
    """A session, to be shown."""

    info: SessionInfo
    story: list[Said | Note]

    @property
    def title(self) -> str:
        """What stands above it."""
        return _line(self.info.title or self.info.id)

    @property
    def facts(self) -> str:
        """What there is to know of it, on one line."""
        info = self.info
        began, ended = (_time(at) for at in (info.created, info.updated))
        forked = f"forked from {info.parent}" if info.parent else ""
        parts = (f"Session {info.id}", info.agent, forked, f"{began} to {ended}", info.outcome)
        return _line(" · ".join(part for part in parts if part))

    @property
    def sums(self) -> str:
        """What it took, on one line."""
        info, usage = self.info, self.info.usage
        return (
            f"Cost: {info.cost} · {usage.input_tokens:,} tokens in, {usage.output_tokens:,} out · "
            f"turns: {info.turns} · messages: {info.messages}"
        )


class Marks(NamedTuple):
    """How a page marks what was said, as functions of the texts.

    ``arguments`` is for what a tool got (JSON), ``code`` for what it gave, ``word`` for a word of ours;
    ``folded`` puts parts below a summary.
    """

    text: Callable[[str], str]
    arguments: Callable[[str], str]
    code: Callable[[str], str]
    word: Callable[[str], str]
    attached: Callable[[Image | File], str]
    folded: Callable[[str, Iterable[str]], str]


def blocks(said: Said, marks: Marks) -> Iterator[str]:
    """The blocks of a message, as they stand on a page."""
    for block in said.message.content:
        match block:
            case Text():
                yield marks.text(block.text)
            case Thinking():
                yield marks.folded("Thinking", [marks.text(block.text or "(hidden)")])
            case ToolCall():
                parts = _call(block, said.results.get(block.id), marks)
                yield marks.folded(f"Tool: {block.name}", parts)
            case _:
                yield marks.attached(block)


def _call(call: ToolCall, result: Result | None, marks: Marks) -> Iterator[str]:
    yield marks.arguments(_arguments(call))
    if result is None:
        yield marks.word("No result.")
        return
    yield marks.word("Error:" if result.is_error else "Result:")
    for block in result.content:
        yield marks.code(block.text) if isinstance(block, Text) else marks.attached(block)


def transcript(record: Record) -> Transcript:
    """The whole session from its beginning, compacted or not."""
    story: list[Said | Note] = []
    calls: dict[str, dict[str, Result]] = {}  # of the last answer: where their results go
    for _, event in record.events():
        match event:
            case MessageEnd(message=ToolMessage() as message) if message.tool_call_id in calls:
                calls[message.tool_call_id][message.tool_call_id] = message
            case ToolExecutionEnd(call=call) if call.id in calls:
                calls[call.id].setdefault(call.id, event.result)
            case MessageEnd(message=message):
                story.append(said := Said(message))
                if isinstance(message, AssistantMessage):
                    calls = {call.id: said.results for call in message.tool_calls}
            case _:
                story.extend(_notes(event))
    return Transcript(record.info(), story)


def _notes(event: AgentEvent) -> Iterator[Note]:
    match event:
        case Compacted():
            text = (
                f"Compacted, from about {event.tokens_before:,} tokens to {event.tokens_after:,}: "
                f"instead of the first {event.replaced} messages the model reads these."
            )
            yield Note(text, [Said(message) for message in event.messages])
        case HandedOver():
            yield Note(f"{event.agent} handed over to {event.to}.")
        case ApprovalNeeded():
            reason = f": {event.reason}" if event.reason else "."
            yield Note(f"{event.call.name} needs an approval{reason}")
        case AgentEnd() if event.outcome != "done":
            yield Note(f"The run ended: {event.outcome}: {event.detail}".rstrip(": "))
        case _:
            return


def _arguments(call: ToolCall) -> str:
    """The arguments as the model wrote them, or laid out to be read."""
    if call.unparsed is not None:
        return call.unparsed
    return msgspec.json.format(jsontext.encode(call.arguments), indent=2).decode()


def data_url(block: Image | File) -> str:
    """The block's bytes as an address."""
    data = b64encode(block.data or b"").decode()
    return f"data:{block.media_type};base64,{data}"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _line(text: str) -> str:
    return " ".join(text.split())
