"""What is read of an answer: only the fields that mean something here; all others are ignored.

A line of a stream and a whole answer have the same shape. ``/api/chat`` puts what is said into
``message``, ``/api/generate`` beside the other fields.
"""

from typing import Any

import msgspec

ABSENT = msgspec.Raw()
"""Stands for arguments that are not there. Apart from them the line is read before they are."""


class Wire(msgspec.Struct, gc=False):
    """What all of them share. They live for one line and hold no cycles."""


class Function(Wire):
    """A tool call's name and arguments: an object; a JSON text in it from careless servers."""

    name: str | None = None
    arguments: msgspec.Raw = ABSENT


class WireCall(Wire):
    """A tool call, always whole. Older servers give it no id."""

    function: Function | None = None
    id: str | None = None


class Said(Wire):
    """A piece of the answer, or all of it."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[WireCall] | None = None
    images: list[Any] | None = None


class Line(Wire):
    """One line of a stream, or a whole answer; ``error`` stands in the place of either."""

    message: Said | None = None
    done: bool | None = None
    response: str | None = None
    thinking: str | None = None
    tool_calls: list[WireCall] | None = None
    image: str | None = None
    done_reason: str | None = None
    prompt_eval_count: Any = None  # read apart, so that a bad count spoils no answer
    eval_count: Any = None
    model: str | None = None
    error: Any = None


LINE = msgspec.json.Decoder(Line)
