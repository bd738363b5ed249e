"""Messages as they come in and go out: a list of dicts, lines of JSON, OpenAI's form."""

from collections.abc import Sequence
from typing import Any

from polyvox import jsontext
from polyvox.client.openai_shapes import is_openai_message, openai_message
from polyvox.dialects.base import Target
from polyvox.dialects.openai_chat.write_messages import write_messages
from polyvox.errors import BadRequestError
from polyvox.gateway.contexts.shapes import Export
from polyvox.messages import Message, SystemMessage, Text, UserMessage, as_messages
from polyvox.request import Request

__all__ = ["read_messages", "title_of", "with_instructions", "written_lines"]

_NOBODY = Target(provider="openai", model="export", base_url="")
_TITLE_CHARACTERS = 60


def read_messages(parts: Sequence[dict[str, Any]]) -> list[Message]:
    """The messages, in our form or in OpenAI's. Raises ``BadRequestError`` naming the place."""
    try:
        return as_messages(
            [
                openai_message(part, place) if is_openai_message(part) else part
                for place, part in enumerate(parts)
            ]
        )
    except ValueError as error:
        raise BadRequestError(str(error)) from None


def with_instructions(system: str, messages: list[Message]) -> tuple[list[Text], list[Message]]:
    """Instructions and the rest: where none are given, those with which the messages begin."""
    if not system and messages and isinstance(messages[0], SystemMessage):
        return messages[0].content, messages[1:]
    return [Text(system)] if system else [], messages


def written_lines(system: Sequence[Text], messages: Sequence[Message], form: Export) -> bytes:
    """A conversation as lines of JSON, the instructions first."""
    lines: Sequence[Any]
    if form == "openai":
        lines = write_messages(Request(messages=list(messages), system=list(system)), _NOBODY)
    else:
        lines = [*([SystemMessage(list(system))] if system else []), *messages]
    return b"".join(jsontext.encode(line) + b"\n" for line in lines)


def title_of(messages: Sequence[Message]) -> str:
    """How the first user message begins."""
    said = next((each for each in messages if isinstance(each, UserMessage) and each.text), None)
    words = " ".join(said.text[: _TITLE_CHARACTERS * 20].split()) if said else ""
    if len(words) <= _TITLE_CHARACTERS:
        return words
    cut = words[:_TITLE_CHARACTERS]
    return f"{cut.rpartition(' ')[0] or cut} ..."
