"""What happened in an agent's run, held against what should have, in a line of words."""

from collections.abc import Iterable, Sequence
from difflib import ndiff
from typing import Any

import msgspec

from polyvox.messages import AssistantMessage, Message, ToolMessage, UserMessage

__all__ = ["assert_events", "event_words"]

_ANY = "..."
_UPDATE = "message_update"


def assert_events(events: Iterable[msgspec.Struct], expected: str) -> None:
    """Raise ``AssertionError``, with a line for each event, unless these are the events of a run.

    Args:
        events: what a stream told: ``[event async for event in run]``.
        expected: their words (see ``event_words``), with blanks between them. A word may leave out
            what follows its colon; ``...`` stands for any number of events. Updates of messages are
            passed over where no word is "message_update".

    >>> from polyvox.agent import AgentEnd
    >>> assert_events([AgentEnd("done")], "... agent_end:done")
    """
    wanted = expected.split()
    words = event_words(events)
    if _UPDATE not in wanted:
        words = [word for word in words if word != _UPDATE]
    if not _fits(words, wanted):
        shown = [_shown(word, wanted) for word in words]
        raise AssertionError(
            "the events are not those expected (- expected, + happened):\n"
            + "\n".join(line.rstrip() for line in ndiff(wanted, shown) if line[0] != "?")
        )


def event_words(events: Iterable[msgspec.Struct]) -> list[str]:
    """Each event in a word: "turn_start", "message_end:assistant", "tool_execution_end:weather".

    After the colon stands whose message it is, which tool (with "!" if it failed), which agent, or
    how the run ended. What happens in an agent inside a tool has the way to it in front:
    "researcher/turn_start".
    """
    return [_word(event) for event in events]


def _word(event: Any) -> str:
    # By their tags, for the room of agents is above this one.
    tag = str(event.__struct_config__.tag)
    match tag:
        case "nested":
            return "/".join([*event.path, _word(event.event)])
        case "message_start" | "message_end":
            return f"{tag}:{_whose(event.message)}"
        case "tool_execution_end":
            return f"{tag}:{event.call.name}{'!' if event.result.is_error else ''}"
        case "tool_execution_start" | "tool_execution_update" | "approval_needed":
            return f"{tag}:{event.call.name}"
        case "handed_over":
            return f"{tag}:{event.to}"
        case "agent_end":
            return f"{tag}:{event.outcome}"
        case _:
            return tag


def _whose(message: Message) -> str:
    match message:
        case UserMessage():
            return "user"
        case AssistantMessage():
            return "assistant"
        case ToolMessage():
            return "tool"
        case _:
            return "system"


def _fits(words: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether the words are those wanted; as file names are matched, the earliest place is the best."""
    if _ANY not in wanted:
        return len(words) == len(wanted) and _same(words, wanted)
    parts: list[list[str]] = [[]]
    for word in wanted:
        if word == _ANY:
            parts.append([])
        else:
            parts[-1].append(word)
    first, *middle, last = parts
    end = len(words) - len(last)
    if len(first) > end or not (_same(words, first) and _same(words[end:], last)):
        return False
    place = len(first)
    for part in middle:
        while not _same(words[place : place + len(part)], part):
            place += 1
            if place + len(part) > end:
                return False
        place += len(part)
        if place > end:
            return False
    return True


def _same(words: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether the words begin with those wanted."""
    return len(words) >= len(wanted) and all(
        word == want or word.startswith(f"{want}:")
        for word, want in zip(words, wanted, strict=False)
    )


def _shown(word: str, wanted: Sequence[str]) -> str:
    """The word, no longer than somebody wrote it: only what differs is to be seen."""
    short = word.partition(":")[0]
    return short if short in wanted and word not in wanted else word
