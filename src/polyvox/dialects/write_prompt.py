"""The prompt, written: what formats share in which a turn is a list of blocks, tools' results among them.

Those are Anthropic's and Amazon Bedrock's, in both of which Claude is asked.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from polyvox.dialects.base import Target
from polyvox.dialects.cache_marks import CacheMarks
from polyvox.dialects.ids import WORD, CallIds
from polyvox.dialects.schema import ANTHROPIC
from polyvox.dialects.strict import strict_tool
from polyvox.dialects.turns import BY_USER, as_users_text
from polyvox.handover import mend_request
from polyvox.messages import (
    AssistantMessage,
    Block,
    Image,
    Message,
    SystemMessage,
    Text,
    Thinking,
    ToolMessage,
    UserMessage,
    replayable,
)
from polyvox.request import Request, ToolDefinition

__all__ = ["PromptWriter"]

Json: TypeAlias = dict[str, Any]


class PromptWriter(ABC):
    """Writes the prompt of one request for one target; ``notes`` says what could not be told.

    ``request`` is the one given, mended. ``signed`` says that reasoning must bear its signature.
    """

    def __init__(
        self, request: Request, target: Target, marks: CacheMarks, *, signed: bool
    ) -> None:
        self.request, mended = mend_request(request)
        self.notes = list(mended)
        self._target = target
        self._marks = marks
        self._signed = signed
        self._ids = CallIds(WORD)

    def write(self) -> tuple[list[Json], list[Json], list[Json]]:
        """Tools, system, messages: the order of the prompt, in which cache marks are counted."""
        tools = self._tools()
        system = self._blocks("system", self.request.system)
        messages = self._messages()
        self._mark_caches(tools, system, messages)
        for note in self._marks.write():
            self.note("cache", note)
        return tools, system, messages

    def note(self, field: str, text: str) -> None:
        """Tell what became of a field."""
        self.notes.append((field, text))

    @abstractmethod
    def _tools(self) -> list[Json]: ...

    @abstractmethod
    def _messages(self) -> list[Json]: ...

    @abstractmethod
    def _blocks(self, where: str, blocks: Sequence[Block]) -> list[Json]:
        """The blocks that say anything."""

    @abstractmethod
    def _result(self, where: str, message: ToolMessage) -> Json: ...

    @abstractmethod
    def _mark_caches(self, tools: list[Json], system: list[Json], messages: list[Json]) -> None: ...

    def _strict(self, place: int, tool: ToolDefinition) -> ToolDefinition:
        """The tool with ``strict`` as it may be sent."""
        where = f"tools[{place}].strict"
        if self._target.quirks.strict_tools:
            tool, about = strict_tool(tool, ANTHROPIC)
            if about:
                self.note(where, about)
            return tool
        if tool.strict:
            self.note(where, "dropped: not known here")
        return msgspec.structs.replace(tool, strict=None)

    def _turn(self, where: str, message: Message) -> tuple[str, list[Json]]:
        """Whose turn the message belongs to, and its blocks."""
        match message:
            case UserMessage():
                return "user", self._blocks(f"{where}.content", message.content)
            case AssistantMessage():
                return "assistant", self._blocks(f"{where}.content", self._said(where, message))
            case ToolMessage():
                return "user", [self._result(where, message)]
            case SystemMessage():
                self.note(where, BY_USER)
                return "user", self._blocks(f"{where}.content", [Text(as_users_text(message))])

    def _said(self, where: str, message: AssistantMessage) -> list[Block]:
        """What of an answer may go back to this target."""
        quirks, producer = self._target.quirks, self._target.producer
        blocks: list[Block] = []
        for block in message.content:
            sent = replayable(block, producer, thinking_as_text=quirks.thinking_as_text)
            if sent is None:
                self.note(where, "reasoning of another model was dropped")
            elif isinstance(sent, Thinking) and self._signed and not sent.signature:
                self.note(where, "reasoning without a signature was dropped")
            elif isinstance(sent, Image):
                self.note(where, "a picture in an answer was dropped: it can't be sent back")
            else:
                blocks.append(sent)
        return blocks

    def _note_detail(self, where: str, block: Block) -> None:
        if isinstance(block, Image) and block.detail not in (None, "auto"):
            self.note(f"{where}.detail", "dropped: not known here")
