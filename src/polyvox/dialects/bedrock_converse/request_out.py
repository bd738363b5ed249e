"""The client half, outwards: a ``Request`` as the body of a call.

From the pages "Converse", "ToolConfiguration", "CachePointBlock", "OutputConfig" and "Prompt caching"
of the Amazon Bedrock API reference and user guide.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.dialects.base import Target, merge_options
from polyvox.dialects.bedrock_converse.blocks_out import content_block, is_opaque, takes_url
from polyvox.dialects.bedrock_converse.reasoning import Asked, ask_to_think, goes_on, is_claude
from polyvox.dialects.bedrock_converse.wire import CACHE_POINT, NAME, Json, cache_point
from polyvox.dialects.cache import turn_ends
from polyvox.dialects.cache_marks import CacheMarks
from polyvox.dialects.claude_thinking import samplers
from polyvox.dialects.ids import WORD, CallIds
from polyvox.dialects.media import checked
from polyvox.dialects.schema import ANTHROPIC, adapt, schema_notes
from polyvox.dialects.strict_tools import strict_tool
from polyvox.dialects.turns import BEGUN, OPENING, end_turn
from polyvox.errors import BadRequestError
from polyvox.handover import GO_ON, mend_request
from polyvox.messages import (
    AssistantMessage,
    Block,
    CacheHint,
    File,
    Image,
    Message,
    SystemMessage,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
    replayable,
)
from polyvox.request import NamedTool, Request, ToolDefinition

__all__ = ["COUNTED", "GONE", "SEE", "STOP_PATH", "RequestWriter"]

COUNTED = ("messages", "system", "toolConfig", "additionalModelRequestFields")
"""The fields that a call which only counts tokens may hold."""

GONE = "Called earlier in this conversation; it can't be called any more."
"""What the model is told of a tool that the conversation shows and the request does not offer."""

SEE = "(See the document.)"
"""What the user is made to say beside a document that nothing was said of."""

STOP_PATH = "/stop_sequence"
"""Where a model says which stop string it wrote; it is told when it is asked for."""


class RequestWriter:
    """Writes one request for one target; afterwards ``notes`` says what could not be told.

    The body's values are plain JSON, except that files are still bytes, which the JSON encoder
    writes in base64. While the body is made, a cache point is a field of the block that it stands
    behind.
    """

    def __init__(self, request: Request, target: Target) -> None:
        self._request, mended = mend_request(request)
        self.notes = list(mended)
        self._target = target
        self._marks = CacheMarks(CACHE_POINT, cache_point, long=target.quirks.long_cache)
        self._ids = CallIds(WORD)

    def body(self) -> Json:
        """The body, its keys always in the same order."""
        request = self._request
        # Tools, system, messages: the order of the prompt, in which cache points are counted.
        tools = self._tools()
        system = self._blocks("system", request.system)
        messages = self._messages()
        self._mark_caches(tools, system, messages)
        body: Json = {"messages": messages}
        if system:
            body["system"] = _spread(system)
        choice = self._choice()
        thinking = self._infer(body, forced="any" in choice or "tool" in choice)
        prefill = goes_on(self._target.model) and not thinking
        self.notes += end_turn(request, messages, {"text": GO_ON}, prefill=prefill)
        for message in messages:
            message["content"] = _spread(message["content"])
        if tools:
            config: Json = {"tools": _spread(tools)}
            body["toolConfig"] = {**config, "toolChoice": choice} if choice else config
        self._format(body)
        self._say_the_rest(body)
        return merge_options(body, request, NAME, self._target.provider)

    # The prompt

    def _tools(self) -> list[Json]:
        """The tools offered, and those that the conversation shows: the API wants all of them."""
        offered = self._request.tools
        if self._request.tool_choice == "none" and offered:
            self._note("tool_choice", "the format has no 'none': the tools are left out instead")
            offered = []
        tools = [self._tool(place, tool) for place, tool in enumerate(offered)]
        known = {tool.name for tool in offered}
        shown = [call.name for each in self._request.messages for call in _calls(each)]
        gone = [ToolDefinition(name, GONE) for name in dict.fromkeys(shown) if name not in known]
        return tools + [self._tool(0, tool) for tool in gone]

    def _tool(self, place: int, tool: ToolDefinition) -> Json:
        if self._target.quirks.strict_tools:
            tool, about = strict_tool(tool, ANTHROPIC)
            if about:
                self._note(f"tools[{place}].strict", about)
        spec: Json = {"name": tool.name}
        if tool.description:
            spec["description"] = tool.description
        spec["inputSchema"] = {"json": tool.parameters}
        if tool.strict is not None and self._target.quirks.strict_tools:
            spec["strict"] = tool.strict
        elif tool.strict:
            self._note(f"tools[{place}].strict", "dropped: not known here")
        fields = {"toolSpec": spec}
        self._mark(fields, tool.cache, f"tools[{place}]")
        return fields

    def _messages(self) -> list[Json]:
        """Turns, which must alternate, the user's first: neighbours of a role are one."""
        messages: list[Json] = []
        for place, message in enumerate(self._request.messages):
            role, content = self._message(f"messages[{place}]", message)
            if messages and messages[-1]["role"] == role:
                messages[-1]["content"] += content
            elif content:
                messages.append({"role": role, "content": content})
        if messages and messages[0]["role"] == "assistant":
            self._note("messages[0]", BEGUN)
            messages.insert(0, {"role": "user", "content": [{"text": OPENING}]})
        for blocks in [message["content"] for message in messages]:
            kinds = {kind for block in blocks for kind in block}
            if "document" in kinds and "text" not in kinds:
                self._note("messages", f"{SEE!r} is sent behind a document: a text must be there")
                blocks.append({"text": SEE})
        return messages

    def _message(self, where: str, message: Message) -> tuple[str, list[Json]]:
        match message:
            case UserMessage():
                return "user", self._blocks(f"{where}.content", message.content)
            case AssistantMessage():
                return "assistant", self._said(where, message)
            case ToolMessage():
                return "user", [self._result(where, message)]
            case SystemMessage():
                self._note(where, "instructions in mid-conversation were sent as the user's text")
                text = "\n".join(block.text for block in message.content)
                told = [Text(f"<system>\n{text}\n</system>")]
                return "user", self._blocks(f"{where}.content", told)

    def _said(self, where: str, message: AssistantMessage) -> list[Json]:
        quirks, producer = self._target.quirks, self._target.producer
        blocks: list[Block] = []
        for block in message.content:
            sent = replayable(block, producer, thinking_as_text=quirks.thinking_as_text)
            if sent is None:
                self._note(where, "reasoning of another model was dropped")
            elif isinstance(sent, Image):
                self._note(where, "a picture in an answer was dropped: it can't be sent back")
            elif (
                isinstance(sent, Thinking) and not sent.signature and is_claude(self._target.model)
            ):
                self._note(where, "reasoning without a signature was dropped")
            else:
                blocks.append(sent)
        return self._blocks(f"{where}.content", blocks)

    def _result(self, where: str, message: ToolMessage) -> Json:
        hints: list[CacheHint] = [
            block.cache for block in message.content if block.cache
        ]  # none can stand inside
        unmarked = [msgspec.structs.replace(block, cache=None) for block in message.content]
        content = self._blocks(f"{where}.content", unmarked)
        result: Json = {"toolUseId": self._ids.of(message.tool_call_id), "content": content}
        if message.is_error:
            result["status"] = "error"
        fields: Json = {"toolResult": result}
        self._mark(fields, message.cache or next(reversed(hints), None), where)
        return fields

    def _blocks(self, where: str, blocks: Iterable[Any]) -> list[Json]:
        written: list[Json] = []
        for place, block in enumerate(blocks):
            if not isinstance(block, Text) or block.text.strip() or is_opaque(block):
                written.append(self._block(f"{where}[{place}]", block))
        return written

    def _block(self, where: str, block: Block) -> Json:
        if isinstance(block, (Image, File)):
            checked(block, where, self._target, takes_url)
        fields = content_block(block, where)
        if isinstance(block, ToolCall):
            fields["toolUse"]["toolUseId"] = self._ids.of(block.id)
        if isinstance(block, Image) and block.detail not in (None, "auto"):
            self._note(f"{where}.detail", "dropped: not known here")
        if block.cache and not _may_end_cached(fields):
            what = "reasoning" if isinstance(block, Thinking) else "a document other than PDF"
            self._note(f"{where}.cache", f"dropped: {what} can't end a cached part")
        else:
            self._mark(fields, block.cache, where)
        return fields

    # Caches

    def _mark(self, fields: Json, hint: CacheHint | None, where: str) -> None:
        if hint is None:
            return
        unknown = "toolSpec" in fields and not is_claude(self._target.model)
        if unknown or not self._target.quirks.cache_control:
            self._note(f"{where}.cache", "dropped: this model knows no cache point here")
        else:
            self._marks.add(fields, hint)

    def _mark_caches(self, tools: list[Json], system: list[Json], messages: list[Json]) -> None:
        cache = self._request.cache
        markable = [
            [block for block in message["content"] if _may_end_cached(block)]
            for message in messages
        ]
        if cache == "auto" and self._target.quirks.cache_control:
            ends = turn_ends([message["role"] for message in messages], list(map(bool, markable)))
            lasts = [markable[place][-1] for place in ends]
            loaded = tools[-1:] if is_claude(self._target.model) else []
            blocks = [block for message in messages for block in message["content"]]
            self._marks.add_automatically(
                [*tools, *system, *blocks], [*lasts, *system[-1:], *loaded]
            )
        elif cache != "auto":
            for blocks in [blocks for blocks in markable if blocks][-1:]:
                self._mark(blocks[-1], cache, "request")
        for note in self._marks.write():
            self._note("cache", note)

    # What to do with it

    def _choice(self) -> Json:
        choice, parallel = self._request.tool_choice, self._request.parallel_tool_calls
        if parallel is not None:
            self._note("parallel_tool_calls", "dropped: not known here")
        if choice in (None, "none"):
            return {}
        if not self._request.tools:
            if choice != "auto":
                self._note("tool_choice", "dropped: there are no tools")
            return {}
        match choice:
            case NamedTool(name=name):
                return {"tool": {"name": name}}
            case "required":
                return {"any": {}}
            case _:
                return {"auto": {}}

    def _infer(self, body: Json, *, forced: bool) -> bool:
        """The limits of the answer, and how much to think, which bears on them; whether it thinks."""
        request, target = self._request, self._target
        asked = ask_to_think(
            request.reasoning, target.model, request.max_tokens, target.max_output_tokens
        )
        self.notes += asked.notes
        if asked.thinking and forced and not asked.traits.always_thinks:
            self._note("reasoning", "dropped: the API refuses it together with a forced tool call")
            asked = Asked(max_tokens=request.max_tokens, traits=asked.traits)
        chosen = samplers(request, asked.traits, thinking=asked.thinking)
        self.notes += chosen.notes
        said = {
            "maxTokens": asked.max_tokens,
            "temperature": chosen.temperature,
            "topP": chosen.top_p,
            "stopSequences": request.stop or None,
        }
        if config := {name: value for name, value in said.items() if value is not None}:
            body["inferenceConfig"] = config
        if asked.fields:
            body["additionalModelRequestFields"] = asked.fields
        if asked.effort is not None:
            body["outputConfig"] = {"effort": asked.effort}
        return asked.thinking

    def _format(self, body: Json) -> None:
        wanted = self._request.response_format
        if wanted is None:
            return
        if wanted.schema is None or not self._target.quirks.json_schema:
            self._note("response_format", "dropped: only JSON of a given schema can be asked for")
            return
        adapted = adapt(wanted.schema, ANTHROPIC)
        if adapted.obstacle is not None:
            path, text = adapted.obstacle
            raise BadRequestError(
                f"response_format.schema{'.' if path else ''}{path} {text}",
                hint="Structured outputs can't hold that here; offer it as a tool instead.",
            )
        self.notes += schema_notes(adapted.notes)
        schema: Json = {"schema": jsontext.encode(adapted.schema).decode(), "name": wanted.name}
        if wanted.description:
            schema["description"] = wanted.description
        output = body.setdefault("outputConfig", {})
        output["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": schema}}

    def _say_the_rest(self, body: Json) -> None:
        request = self._request
        if request.metadata:
            body["requestMetadata"] = request.metadata
        if request.stop:
            body["additionalModelResponseFieldPaths"] = [STOP_PATH]
        if request.seed is not None:
            self._note("seed", "dropped: not known here")

    def _note(self, field: str, text: str) -> None:
        self.notes.append((field, text))


def _calls(message: Message) -> list[ToolCall]:
    return message.tool_calls if isinstance(message, AssistantMessage) else []


def _may_end_cached(block: Json) -> bool:
    """Whether a cache point may stand behind the block.

    Claude refuses one behind a document other than PDF (strands-agents/harness-sdk, issue 1966).
    """
    other = block.get("document", {}).get("format", "pdf") != "pdf"
    return "reasoningContent" not in block and not other


def _spread(blocks: list[Json]) -> list[Json]:
    """The blocks, each cache point as a block of its own behind the one that bore it."""
    spread: list[Json] = []
    for block in blocks:
        point = block.pop(CACHE_POINT, None)
        spread += [block] if point is None else [block, {CACHE_POINT: point}]
    return spread
