"""JSON of a schema from models whose provider has no schemas: through a tool, or by asking for it.

``way_for`` is the one rule of which way is taken. A ``Detour`` changes the request accordingly and
turns the answer back, so that whoever reads it finds the JSON as plain text on every way.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal, TypeAlias

import msgspec

from polyvox import jsontext
from polyvox.assembly import arguments_text
from polyvox.dialects import Quirks
from polyvox.dialects.schema import ANTHROPIC, adapt
from polyvox.events import (
    Done,
    Event,
    Failed,
    Start,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    Warned,
)
from polyvox.messages import AssistantBlock, AssistantMessage, Text, ToolCall
from polyvox.model import Call
from polyvox.request import NamedTool, Reasoning, Request, ResponseFormat, ToolDefinition

Way: TypeAlias = Literal["native", "tool", "prompt"]

# Dialects that have no "any JSON object" to ask for, and what their schemas may hold at most.
_SCHEMAS_ONLY = {"anthropic-messages": ANTHROPIC, "bedrock-converse": ANTHROPIC}
_PROMPT = (
    "Answer with a single JSON value and nothing else: no other words, no code fence.{}".format
)
_OF_SCHEMA = " It must conform to this JSON schema:\n{}".format


def way_for(request: Request, quirks: Quirks, dialect: str) -> Way:
    """How this request's JSON is best had from such a provider.

    The provider's own schemas, where it has them and they can hold this one. Else, where it can be
    held to JSON at all, that with the schema in the prompt. Else a tool that must be called, unless
    that is out of the question: another tool must be, or the model is to think, which providers
    refuse beside a forced call. Else the prompt alone.
    """
    wanted = request.response_format
    limits = _SCHEMAS_ONLY.get(dialect)
    if wanted is None:
        return "native"
    if wanted.schema is None:
        return "native" if limits is None else "prompt"
    if quirks.json_schema and (limits is None or adapt(wanted.schema, limits).obstacle is None):
        return "native"
    if limits is None or _thinks(request.reasoning) or isinstance(request.tool_choice, NamedTool):
        return "prompt"
    return "tool" if wanted.schema.get("type") == "object" else "prompt"


class Detour:
    """One request on its way round, and its answer on the way back."""

    def __init__(self, request: Request, way: Way, dialect: str) -> None:
        self._wanted = request.response_format or ResponseFormat()
        self._tool = ""
        self._answers: dict[int, list[str]] = {}
        if way == "tool":
            self._tool = _unused_name(self._wanted.name, request)
            self.request = self._with_tool(request)
            self._about = f"asked for through the tool {self._tool!r}, which must be called"
        else:
            self.request = self._with_prompt(request, json_mode=dialect not in _SCHEMAS_ONLY)
            self._about = "asked for in the instructions"

    async def read(self, events: AsyncGenerator[Event], call: Call) -> AsyncGenerator[Event]:
        """The answer's events, those of the tool as those of a text."""
        try:
            async with aclosing(events):
                async for event in events:
                    for turned in self._turned(event):
                        yield turned
                    if type(event) is Start:
                        yield Warned(
                            f"{self._about}: a schema like this is not taken here",
                            "response_format",
                        )
        finally:
            left = call.left
            if left is not None:
                call.leave(lambda: self._message(left()))

    def _with_tool(self, request: Request) -> Request:
        tool = ToolDefinition(
            self._tool,
            self._wanted.description or "Takes your answer. Call it with the whole answer, once.",
            self._wanted.schema or {},
        )
        alone = not request.tools or request.tool_choice == "none"
        return msgspec.structs.replace(
            request,
            tools=[*request.tools, tool],
            tool_choice=NamedTool(self._tool) if alone else "required",
            response_format=None,
        )

    def _with_prompt(self, request: Request, *, json_mode: bool) -> Request:
        schema = self._wanted.schema
        told = "" if schema is None else _OF_SCHEMA(jsontext.encode(schema).decode())
        return msgspec.structs.replace(
            request,
            system=[*request.system, Text(_PROMPT(told))],
            response_format=ResponseFormat() if json_mode else None,
        )

    def _turned(self, event: Event) -> list[Event]:
        """What the reader gets for an event."""
        match event:
            case ToolCallStart(index=index, name=self._tool):
                self._answers[index] = []
                return [TextStart(index)]
            case ToolCallDelta(index=index, text=text) if index in self._answers:
                self._answers[index].append(text)
                return [TextDelta(index, text)]
            case ToolCallEnd(index=index, block=block) if index in self._answers:
                return self._end(index, block)
            case Done(message=message):
                return [Done(self._message(message))]
            case Failed(error=error, message=message):
                error.message = self._message(message)
                return [Failed(error, error.message)]
            case _:
                return [event]

    def _end(self, index: int, call: ToolCall) -> list[Event]:
        text = "".join(self._answers[index])
        if text:
            return [TextEnd(index, Text(text))]
        whole = arguments_text(call)  # the call came without a piece
        self._answers[index] = [whole]
        return [TextDelta(index, whole), TextEnd(index, Text(whole))]

    def _message(self, message: AssistantMessage) -> AssistantMessage:
        """The message with its answer as text."""
        content = [self._block(index, block) for index, block in enumerate(message.content)]
        called = any(isinstance(block, ToolCall) for block in content)
        ended = message.stop_reason == "tool_calls" and not called
        return msgspec.structs.replace(
            message, content=content, stop_reason="stop" if ended else message.stop_reason
        )

    def _block(self, index: int, block: AssistantBlock) -> AssistantBlock:
        if not isinstance(block, ToolCall) or block.name != self._tool:
            return block
        text = "".join(self._answers.get(index, ()))
        return Text(text or arguments_text(block))


def _thinks(reasoning: Reasoning | None) -> bool:
    return reasoning is not None and reasoning not in (Reasoning(), Reasoning(effort="none"))


def _unused_name(name: str, request: Request) -> str:
    taken = {tool.name for tool in request.tools}
    while name in taken:
        name += "_"
    return name
