"""Turns, read: conversations in formats in which tools' results are blocks of the user's turns."""

from collections.abc import Callable
from typing import Any, TypeAlias

from polyvox.dialects.fields import Fields
from polyvox.messages import (
    AssistantMessage,
    Block,
    File,
    Image,
    Message,
    SystemMessage,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
)

__all__ = ["GIVEN", "TurnReader"]

ReadBlocks: TypeAlias = Callable[[list[Fields], tuple[type[Block], ...]], list[Any]]

GIVEN = (Text, Image, File)
"""The blocks that a user or a tool may give."""


class TurnReader:
    """Reads the ``messages`` of one request.

    Of the format it knows how the ``content`` of a turn is found, how its ``blocks`` are read, all
    of which must be of the kinds allowed, and which block is the ``result`` of a tool. ``texts`` are
    those of a turn that is nothing else, which is how most turns are, and soon read; else None.
    """

    def __init__(
        self,
        content: Callable[[Fields], list[Fields]],
        blocks: ReadBlocks,
        result: Callable[[Fields], ToolMessage | None],
        texts: Callable[[Fields], list[Any] | None] = lambda turn: None,
    ) -> None:
        self._content = content
        self._blocks = blocks
        self._result = result
        self._texts = texts
        self._names: dict[str, str] = {}  # of the tools called so far, by call id

    def read(self, fields: Fields) -> list[Message]:
        """The messages. Raises ``BadRequestError`` naming the field that is wrong."""
        if "messages" not in fields.rest:
            raise fields.wrong("messages", "is missing")
        return [message for each in fields.take_list("messages") for message in self._turn(each)]

    def _turn(self, turn: Fields) -> list[Message]:
        role, texts = turn.take("role", str), self._texts(turn)
        blocks = [] if texts else self._content(turn)
        match role:
            case "user":
                return [UserMessage(texts)] if texts else self._users(blocks)
            case "assistant":
                said = AssistantMessage(texts or self._blocks(blocks, (Text, Thinking, ToolCall)))
                if not texts:
                    self._names.update({call.id: call.name for call in said.tool_calls})
                return [said]
            case "system":
                return [SystemMessage(texts or self._blocks(blocks, (Text,)))]
            case _:
                raise turn.wrong("role", f"{role!r} is neither 'user' nor 'assistant'")

    def _users(self, blocks: list[Fields]) -> list[Message]:
        """A user's turn: tool results are messages of their own, what stands between them another."""
        messages: list[Message] = []
        content: list[Fields] = []
        for block in blocks:
            result = self._result(block)
            if result is None:
                content.append(block)
                continue
            result.tool_name = self._names.get(result.tool_call_id, "")
            messages += [*self._spoken(content), result]
            content = []
        return [*messages, *self._spoken(content)]

    def _spoken(self, blocks: list[Fields]) -> list[Message]:
        return [UserMessage(self._blocks(blocks, GIVEN))] if blocks else []
