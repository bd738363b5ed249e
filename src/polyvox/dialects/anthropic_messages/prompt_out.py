"""The client half, outwards: the prompt of a call, which is its tools, instructions and turns.

From the pages "Create a Message", "Tool use" and "Prompt caching" of Anthropic's API documentation.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from polyvox.dialects.anthropic_messages.blocks_out import content_block, takes_url
from polyvox.dialects.anthropic_messages.wire import NAME, Json, blank, cache_control
from polyvox.dialects.base import Target
from polyvox.dialects.cache import turn_ends
from polyvox.dialects.cache_marks import CacheMarks
from polyvox.dialects.claude_traits import traits_of
from polyvox.dialects.media import checked
from polyvox.dialects.write_prompt import PromptWriter
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
from polyvox.request import Request, ToolDefinition

__all__ = ["Prompt", "shortened"]


class Prompt(PromptWriter):
    """The prompt of a request. Pictures and documents in it are bytes still, not yet base64."""

    def __init__(self, request: Request, target: Target) -> None:
        marks = CacheMarks("cache_control", cache_control, long=target.quirks.long_cache)
        super().__init__(request, target, marks, signed=True)
        self._system_role = traits_of(target.model).system_role

    def _tools(self) -> list[Json]:
        """Our tools, and those of the options: laid over the one of the same name, or at the end.

        So neither a tool that the server runs nor a vendor's field on one of ours gets lost.
        """
        tools = [self._tool(place, tool) for place, tool in enumerate(self.request.tools)]
        by_name = {tool["name"]: tool for tool in tools}
        for name in (NAME, self._target.provider):
            for more in self.request.options.get(name, {}).get("tools", []):
                if more.get("name") in by_name:
                    by_name[more["name"]].update(more)
                else:
                    tools.append(dict(more))
        return tools

    def _tool(self, place: int, tool: ToolDefinition) -> Json:
        tool = self._strict(place, tool)
        fields: Json = {"name": tool.name}
        if tool.description:
            fields["description"] = tool.description
        fields["input_schema"] = tool.parameters
        if tool.strict is not None:
            fields["strict"] = tool.strict
        self._marks.add(fields, tool.cache)
        return fields

    def _messages(self) -> list[Json]:
        messages: list[Json] = []
        results: list[Json] | None = None  # of the message that tool results are collected in
        for place, message in enumerate(self.request.messages):
            role, content = self._placed(place, message)
            if not content:
                continue
            if results is not None and role == "user":
                results += content  # the answers to parallel calls belong into one message
            else:
                messages.append({"role": role, "content": content})
                results = content
            if not isinstance(message, ToolMessage):
                results = None
        return messages

    def _placed(self, place: int, message: Message) -> tuple[str, list[Json]]:
        """The turn of a message; instructions are one of their own where the API takes them."""
        where = f"messages[{place}]"
        if isinstance(message, SystemMessage) and self._system_role and self._may_stand(place):
            return "system", self._blocks(f"{where}.content", message.content)
        return self._turn(where, message)

    def _may_stand(self, place: int) -> bool:
        """Whether the API takes instructions here: after a user's turn, and before none of theirs."""
        messages = self.request.messages
        before = messages[place - 1] if place else None
        after = messages[place + 1] if place + 1 < len(messages) else None
        return isinstance(before, (UserMessage, ToolMessage)) and (
            after is None or isinstance(after, AssistantMessage)
        )

    def _result(self, where: str, message: ToolMessage) -> Json:
        result: Json = {"type": "tool_result", "tool_use_id": self._ids.of(message.tool_call_id)}
        content = self._blocks(f"{where}.content", message.content)
        if content:
            hinted = any(block.cache for block in message.content)
            result["content"] = content if hinted else shortened(content)
        if message.is_error:
            result["is_error"] = True
        self._marks.add(result, message.cache)
        return result

    def _blocks(self, where: str, blocks: Sequence[Block]) -> list[Json]:
        written: list[Json] = []
        for place, block in enumerate(blocks):
            if isinstance(block, Text) and not (block.meta or block.cache):  # nearly all are so
                written += [] if blank(block.text) else [{"type": "text", "text": block.text}]
                continue
            fields = self._block(f"{where}[{place}]", block)
            if fields["type"] != "text" or not blank(fields["text"]):
                written.append(fields)
        return written

    def _block(self, where: str, block: Block) -> Json:
        if isinstance(block, (Image, File)):
            checked(block, where, self._target, takes_url, never=("audio",))
        fields = content_block(block, where)
        if isinstance(block, ToolCall):
            fields["id"] = self._ids.of(block.id)
        self._note_detail(where, block)
        if block.cache and isinstance(block, Thinking):
            self.note(f"{where}.cache", "dropped: reasoning can't end a cached part")
        elif not (isinstance(block, Text) and blank(block.text)):
            self._marks.add(fields, block.cache)
        return fields

    def _mark_caches(self, tools: list[Json], system: list[Json], messages: list[Json]) -> None:
        cache = self.request.cache
        if cache is None:
            return
        markable = [_markable(message) for message in messages]
        if cache == "auto":
            ends = turn_ends([message["role"] for message in messages], list(map(bool, markable)))
            lasts = [markable[place][-1] for place in ends]
            loaded = [tool for tool in tools if not tool.get("defer_loading")]
            blocks = [block for message in messages for block in message["content"]]
            self._marks.add_automatically(
                [*tools, *system, *_nested(blocks)], [*lasts, *system[-1:], *loaded[-1:]]
            )
        else:
            for blocks in [blocks for blocks in markable if blocks][-1:]:
                self._marks.add(blocks[-1], cache)


def shortened(content: list[Json]) -> list[Json] | str:
    """A single plain text as a string, which is the same for the API."""
    first = content[0] if len(content) == 1 else {}
    return first["text"] if len(first) == 2 and "text" in first and "type" in first else content


def _markable(message: Json) -> list[Json]:
    """The blocks of a message that can bear a cache mark."""
    return [block for block in message["content"] if not block["type"].endswith("thinking")]


def _nested(blocks: list[Json]) -> Iterator[Json]:
    """Blocks in the prompt's order: what is in a tool's result stands before its end."""
    for block in blocks:
        inner: Any = block.get("content")
        if block["type"] == "tool_result" and isinstance(inner, list):
            yield from inner
        yield block
