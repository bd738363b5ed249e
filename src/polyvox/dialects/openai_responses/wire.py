"""What is read of an answer: the events of a stream, and the response that most of it repeats.

From "The response object" and "Streaming events" in OpenAI's API reference. Items and their parts
stay plain JSON: what of them is not ours to read is kept for their maker.
"""

from typing import Any, TypeAlias

import msgspec

from polyvox.dialects.bills import Bill

Json: TypeAlias = dict[str, Any]
Count: TypeAlias = int | float | None
"""A count of tokens; some write 12.0."""


class CacheWrites(msgspec.Struct):
    """``input_tokens_details.cache_write_tokens_details``."""

    ttl_12h_tokens: Count = None


class InputDetails(msgspec.Struct):
    """``usage.input_tokens_details``."""

    cached_tokens: Count = None
    cache_write_tokens: Count = None
    cache_write_tokens_details: CacheWrites | None = None


class OutputDetails(msgspec.Struct):
    """``usage.output_tokens_details``."""

    reasoning_tokens: Count = None


class WireUsage(Bill):
    """``usage``."""

    input_tokens: Count = None
    output_tokens: Count = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class IncompleteDetails(msgspec.Struct):
    """Why an answer is not whole."""

    reason: str | None = None


class Response(msgspec.Struct):
    """An answer as it stands; whole, or in the events that begin and end a streamed one."""

    id: str | None = None
    model: str | None = None
    status: str | None = None
    output: list[Json] | None = None
    usage: msgspec.Raw = msgspec.Raw()  # read apart, so that a bad one spoils no answer
    error: Any = None
    incomplete_details: IncompleteDetails | None = None


class _Event(msgspec.Struct, tag_field="type", gc=False):
    """An event. They live for one frame."""


class TextPiece(_Event, tag="response.output_text.delta"):
    """A piece of text."""

    output_index: int
    delta: str
    content_index: int = 0


class RefusalPiece(_Event, tag="response.refusal.delta"):
    """A piece of a refusal."""

    output_index: int
    delta: str
    content_index: int = 0


class ArgumentsPiece(_Event, tag="response.function_call_arguments.delta"):
    """A piece of a call's arguments."""

    output_index: int
    delta: str


class SummaryPiece(_Event, tag="response.reasoning_summary_text.delta"):
    """A piece of a summary of the reasoning."""

    output_index: int
    delta: str
    summary_index: int = 0


class ReasoningPiece(_Event, tag="response.reasoning_text.delta"):
    """A piece of the reasoning itself, which open models show."""

    output_index: int
    delta: str
    content_index: int = 0


class PartAdded(_Event, tag="response.content_part.added"):
    """A part of a message begins."""

    output_index: int
    part: Json
    content_index: int = 0


class ItemAdded(_Event, tag="response.output_item.added"):
    """An item begins."""

    output_index: int
    item: Json | None = None  # a few servers begin with nothing


class ItemDone(_Event, tag="response.output_item.done"):
    """An item is complete: here it is, whole."""

    output_index: int
    item: Json


class Created(_Event, tag="response.created"):
    """The answer begins."""

    response: Response


class Completed(_Event, tag="response.completed"):
    """The answer is complete: here it is, whole."""

    response: Response


class Incomplete(_Event, tag="response.incomplete"):
    """The answer ends before its time."""

    response: Response


class Failure(_Event, tag="response.failed"):
    """The answer broke off."""

    response: Response


Piece: TypeAlias = TextPiece | RefusalPiece | ArgumentsPiece | SummaryPiece | ReasoningPiece
Event: TypeAlias = (
    Piece | PartAdded | ItemAdded | ItemDone | Created | Completed | Incomplete | Failure
)

REPEATED = frozenset(
    {
        *("response.queued", "response.in_progress", "response.content_part.done"),
        *("response.output_text.done", "response.output_text.annotation.added"),
        *("response.refusal.done", "response.function_call_arguments.done"),
        *("response.reasoning_summary_part.added", "response.reasoning_summary_part.done"),
        *("response.reasoning_summary_text.done", "response.reasoning_text.done"),
        "keepalive",
    }
)
"""Events that say nothing which the item, when it is complete, does not say again."""

EVENTS: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
RESPONSE = msgspec.json.Decoder(Response)
USAGE = msgspec.json.Decoder(WireUsage)


def objects(values: Any) -> list[Json]:
    """The entries of a list that should hold objects; whatever is none counts as an empty one."""
    if not isinstance(values, list):
        return []
    entries: list[Any] = values  # pyright: ignore[reportUnknownVariableType]
    return [entry if isinstance(entry, dict) else {} for entry in entries]


def text_of(fields: Json, name: str) -> str:
    """A field that should be a string; "" if it is none."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""
