"""Where a format is not content with any order of turns: how a conversation may begin, go on and end.

From "Prefill Claude's response" and "Extended thinking" in Anthropic's documentation, and its guide
to migrating to Claude 4.6, from which on models refuse a conversation that ends with their own turn,
whoever serves them.
"""

from typing import Any, TypeAlias

from polyvox.handover import GO_ON
from polyvox.messages import AssistantMessage, SystemMessage
from polyvox.request import Request

__all__ = ["BEGUN", "BY_USER", "ENDED", "OPENING", "as_users_text", "end_turn"]

Json: TypeAlias = dict[str, Any]

OPENING = "(The conversation begins here.)"
"""What the user is made to say before an answer with which a conversation can't begin."""

BEGUN = f"{OPENING!r} is sent before it: a user's turn must be"
ENDED = f"{GO_ON!r} is sent behind it: the last turn must be the user's here"
BY_USER = "instructions in mid-conversation were sent as the user's text"

_MODELS_OWN = frozenset(
    {
        *("text", "thinking", "redacted_thinking", "tool_use"),
        *("reasoningContent", "citationsContent", "toolUse"),
    }
)
"""The kinds of blocks that Claude writes itself, in the words of the formats that it is served in."""


def as_users_text(message: SystemMessage) -> str:
    """Instructions in mid-conversation as something that the user says."""
    text = "\n".join(block.text for block in message.content)
    return f"<system>\n{text}\n</system>"


def end_turn(
    request: Request, messages: list[Json], go_on: Json, *, prefill: bool
) -> list[tuple[str, str]]:
    """Make the end of the request's messages, as written, one that is taken; returns the notes.

    An answer that may be gone on with must not end with white space; behind any other the user says
    ``go_on``, a block. One in which the server ran tools is a paused turn, which goes back as it came.
    """
    said = request.messages[-1] if request.messages else None
    if not isinstance(said, AssistantMessage) or said.stop_reason == "pause":
        return []
    if not messages or messages[-1]["role"] != "assistant" or _paused(messages[-1]["content"]):
        return []
    where = f"messages[{len(request.messages) - 1}]"
    if not prefill:
        messages.append({"role": "user", "content": [go_on]})
        return [(where, ENDED)]
    last = messages[-1]["content"][-1]
    text = last.get("text", "")
    if text == text.rstrip():
        return []
    last["text"] = text.rstrip()
    return [(where, "white space at its end was dropped: the API refuses it there")]


def _paused(content: list[Json]) -> bool:
    return any((block.get("type") or next(iter(block))) not in _MODELS_OWN for block in content)
