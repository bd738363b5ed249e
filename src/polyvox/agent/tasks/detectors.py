"""Whether the model thinks that it is done, or that it can't be done."""

import re
from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from polyvox.errors import ConfigurationError
from polyvox.messages import AssistantMessage, Text
from polyvox.tools import Tool, ToolResult, tool

__all__ = ["Claim", "CompletionDetector", "PhraseDetector", "ToolDetector", "Verdict", "verdict_of"]

Claim: TypeAlias = Literal["complete", "give_up"]


class Verdict(msgspec.Struct, frozen=True):
    """What the model says about the task, and in which words."""

    claim: Claim
    detail: str = ""


class CompletionDetector(Protocol):
    """Reads the verdict off the last message of an attempt. Any function of a message is one.

    It may have ``instructions``, which tell the model how to say it, and ``tools`` by which it does.
    """

    def __call__(self, message: AssistantMessage, /) -> Verdict | Claim | None:
        """The verdict, or just its claim; None if the model claims nothing."""
        ...


class PhraseDetector:
    """The model writes TASK COMPLETE or GIVE UP: as these very words, in capitals, anywhere.

    When it writes both, it is complete: the status will tell.

    >>> detect = PhraseDetector()
    >>> detect(AssistantMessage([Text("All is well. TASK COMPLETE")])).claim
    'complete'
    >>> detect(AssistantMessage([Text("The TASK COMPLETED half of it.")]))
    """

    def __init__(self, complete: str = "TASK COMPLETE", give_up: str = "GIVE UP") -> None:
        self.instructions = (
            f"When the task is done, write {complete}."
            f" If it can't be done, write {give_up}, and say why."
        )
        self._phrases: list[tuple[Claim, re.Pattern[str]]] = [
            ("complete", _words(complete)),
            ("give_up", _words(give_up)),
        ]

    def __call__(self, message: AssistantMessage, /) -> Verdict | None:
        """The verdict in the message's text."""
        for claim, phrase in self._phrases:
            if phrase.search(message.text):
                return Verdict(claim, message.text)
        return None


class ToolDetector:
    """The model calls ``task_complete(summary)`` or ``give_up(reason)``, which end the attempt."""

    instructions = (
        "When the task is done, call task_complete. If it can't be done, call give_up, and say why."
    )

    def __init__(self) -> None:
        self.tools: Sequence[Tool] = _closing_tools()

    def __call__(self, message: AssistantMessage, /) -> Verdict | None:
        """The verdict among the message's calls."""
        calls = {call.name: call for call in message.tool_calls if call.executable}
        if done := calls.get("task_complete"):
            return Verdict("complete", str(done.arguments.get("summary", "")))
        if gave_up := calls.get("give_up"):
            return Verdict("give_up", str(gave_up.arguments.get("reason", "")))
        return None


def verdict_of(detector: CompletionDetector, message: AssistantMessage | None) -> Verdict | None:
    """What the detector reads off the message. Raises ``ConfigurationError`` when it fails."""
    if message is None:
        return None
    try:
        read: Any = detector(message)
    except Exception as error:
        raise ConfigurationError(f"the detector failed: {error!r}") from error
    if read in ("complete", "give_up"):
        return Verdict(read, message.text)
    if read is None or isinstance(read, Verdict):
        return read
    raise ConfigurationError(
        f"the detector answered {read!r}",
        hint="It may answer 'complete', 'give_up', a Verdict, or None for neither.",
    )


def _words(phrase: str) -> re.Pattern[str]:
    """The words of a phrase one after another, none of them part of a longer one; "__" is emphasis."""
    words = r"\s+".join(re.escape(word) for word in phrase.split())
    return re.compile(rf"(?<![^\W_]){words}(?![^\W_])")


def _closing_tools() -> list[Tool]:
    @tool
    async def task_complete(summary: str) -> ToolResult:
        """Say that the task is done; whether it is will be checked.

        Args:
            summary: What was done.
        """
        return ToolResult(content=[Text("The status of the task is checked.")], terminate=True)

    @tool
    async def give_up(reason: str) -> ToolResult:
        """Say that the task can't be done.

        Args:
            reason: Why not.
        """
        return ToolResult(content=[Text("The task is given up.")], terminate=True)

    return [task_complete, give_up]
