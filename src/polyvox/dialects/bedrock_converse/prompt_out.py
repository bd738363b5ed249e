"""The client half, outwards: the prompt of a call, which is its tools, instructions and turns.

From the pages "Converse", "ToolConfiguration", "CachePointBlock" and "Prompt caching" of the Amazon
Bedrock API reference and user guide.
"""

from collections.abc import Sequence

import msgspec

from polyvox.dialects.base import Target
from polyvox.dialects.bedrock_converse.blocks_out import content_block, is_opaque, takes_url
from polyvox.dialects.bedrock_converse.reasoning import is_claude
from polyvox.dialects.bedrock_converse.wire import CACHE_POINT, Json, cache_point
from polyvox.dialects.cache import turn_ends
from polyvox.dialects.cache_marks import CacheMarks
from polyvox.dialects.media import checked
from polyvox.dialects.turns import BEGUN, OPENING
from polyvox.dialects.write_prompt import PromptWriter
from polyvox.messages import (
    AssistantMessage,
    Block,
    CacheHint,
    File,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
)
from polyvox.request import Request, ToolDefinition

__all__ = ["GONE", "SEE", "Prompt", "spread"]

GONE = "Called earlier in this conversation; it can't be called any more."
"""What the model is told of a tool that the conversation shows and the request does not offer."""

SEE = "(See the document.)"
"""What the user is made to say beside a document that nothing was said of."""


class Prompt(PromptWriter):
    """The prompt of a request. Files in it are bytes still, not yet base64.

    A cache point is a field of the block that it stands behind; ``spread`` makes it one of its own.
    """

    def __init__(self, request: Request, target: Target) -> None:
        marks = CacheMarks(CACHE_POINT, cache_point, long=target.quirks.long_cache)
        self._claude = is_claude(target.model)
        super().__init__(request, target, marks, signed=self._claude)

    def _tools(self) -> list[Json]:
        """The tools offered, and those that the conversation shows: the API wants all of them."""
        offered = self.request.tools
        if self.request.tool_choice == "none" and offered:
            self.note("tool_choice", "the format has no 'none': the tools are left out instead")
            offered = []
        tools = [self._tool(place, tool) for place, tool in enumerate(offered)]
        known = {tool.name for tool in offered}
        shown = [call.name for each in self.request.messages for call in _calls(each)]
        gone = [ToolDefinition(name, GONE) for name in dict.fromkeys(shown) if name not in known]
        return tools + [self._tool(0, tool) for tool in gone]

    def _tool(self, place: int, tool: ToolDefinition) -> Json:
        tool = self._strict(place, tool)
        spec: Json = {"name": tool.name}
        if tool.description:
            spec["description"] = tool.description
        spec["inputSchema"] = {"json": tool.parameters}
        if tool.strict is not None:
            spec["strict"] = tool.strict
        fields = {"toolSpec": spec}
        self._mark(fields, tool.cache, f"tools[{place}]")
        return fields

    def _messages(self) -> list[Json]:
        """Turns, which must alternate, the user's first: neighbours of a role are one."""
        messages: list[Json] = []
        for place, message in enumerate(self.request.messages):
            role, content = self._turn(f"messages[{place}]", message)
            if messages and messages[-1]["role"] == role:
                messages[-1]["content"] += content
            elif content:
                messages.append({"role": role, "content": content})
        if messages and messages[0]["role"] == "assistant":
            self.note("messages[0]", BEGUN)
            messages.insert(0, {"role": "user", "content": [{"text": OPENING}]})
        for blocks in [message["content"] for message in messages]:
            kinds = {kind for block in blocks for kind in block}
            if "document" in kinds and "text" not in kinds:
                self.note("messages", f"{SEE!r} is sent behind a document: a text must be there")
                blocks.append({"text": SEE})
        return messages

    def _result(self, where: str, message: ToolMessage) -> Json:
        hints: list[CacheHint] = [
            block.cache for block in message.content if block.cache
        ]  # none can stand inside
        unmarked = [
            msgspec.structs.replace(block, cache=None) if block.cache else block
            for block in message.content
        ]
        content = self._blocks(f"{where}.content", unmarked)
        result: Json = {"toolUseId": self._ids.of(message.tool_call_id), "content": content}
        if message.is_error:
            result["status"] = "error"
        fields: Json = {"toolResult": result}
        self._mark(fields, message.cache or next(reversed(hints), None), where)
        return fields

    def _blocks(self, where: str, blocks: Sequence[Block]) -> list[Json]:
        written: list[Json] = []
        for place, block in enumerate(blocks):
            if isinstance(block, Text) and not (block.meta or block.cache):  # nearly all are so
                written += [{"text": block.text}] if block.text.strip() else []
            elif not isinstance(block, Text) or block.text.strip() or is_opaque(block):
                written.append(self._block(f"{where}[{place}]", block))
        return written

    def _block(self, where: str, block: Block) -> Json:
        if isinstance(block, (Image, File)):
            checked(block, where, self._target, takes_url)
        fields = content_block(block, where)
        if isinstance(block, ToolCall):
            fields["toolUse"]["toolUseId"] = self._ids.of(block.id)
        self._note_detail(where, block)
        if block.cache and not _may_end_cached(fields):
            what = "reasoning" if isinstance(block, Thinking) else "a document other than PDF"
            self.note(f"{where}.cache", f"dropped: {what} can't end a cached part")
        else:
            self._mark(fields, block.cache, where)
        return fields

    def _mark(self, fields: Json, hint: CacheHint | None, where: str) -> None:
        if hint is None:
            return
        unknown = "toolSpec" in fields and not self._claude
        if unknown or not self._target.quirks.cache_control:
            self.note(f"{where}.cache", "dropped: this model knows no cache point here")
        else:
            self._marks.add(fields, hint)

    def _mark_caches(self, tools: list[Json], system: list[Json], messages: list[Json]) -> None:
        cache = self.request.cache
        if cache is None:
            return
        markable = [
            [block for block in message["content"] if _may_end_cached(block)]
            for message in messages
        ]
        if cache == "auto" and self._target.quirks.cache_control:
            ends = turn_ends([message["role"] for message in messages], list(map(bool, markable)))
            lasts = [markable[place][-1] for place in ends]
            loaded = tools[-1:] if self._claude else []
            blocks = [block for message in messages for block in message["content"]]
            self._marks.add_automatically(
                [*tools, *system, *blocks], [*lasts, *system[-1:], *loaded]
            )
        elif cache != "auto":
            for blocks in [blocks for blocks in markable if blocks][-1:]:
                self._mark(blocks[-1], cache, "request")


def _calls(message: Message) -> list[ToolCall]:
    return message.tool_calls if isinstance(message, AssistantMessage) else []


def _may_end_cached(block: Json) -> bool:
    """Whether a cache point may stand behind the block.

    Claude refuses one behind a document other than PDF (strands-agents/harness-sdk, issue 1966).
    """
    other = block.get("document", {}).get("format", "pdf") != "pdf"
    return "reasoningContent" not in block and not other


def spread(blocks: list[Json]) -> list[Json]:
    """The blocks, each cache point as a block of its own behind the one that bore it."""
    spread: list[Json] = []
    for block in blocks:
        point = block.pop(CACHE_POINT, None)
        spread += [block] if point is None else [block, {CACHE_POINT: point}]
    return spread
