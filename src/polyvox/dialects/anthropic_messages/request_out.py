"""The client half, outwards: a ``Request`` as the body of a call.

From the pages "Create a Message", "Count tokens in a Message", "Tool use" and "Structured outputs"
of Anthropic's API documentation.
"""

from collections.abc import Iterator
from typing import Any

from polyvox.dialects.anthropic_messages.blocks_out import content_block, takes_url
from polyvox.dialects.anthropic_messages.wire import NAME, Json, blank, cache_control
from polyvox.dialects.base import Target, merge_options
from polyvox.dialects.cache import turn_ends
from polyvox.dialects.cache_marks import CacheMarks
from polyvox.dialects.claude_thinking import ask_for, default_max_tokens, samplers
from polyvox.dialects.claude_traits import traits_of
from polyvox.dialects.ids import WORD, CallIds
from polyvox.dialects.media import checked
from polyvox.dialects.schema import ANTHROPIC, adapt, schema_notes
from polyvox.dialects.strict_tools import strict_tool
from polyvox.dialects.turns import end_turn
from polyvox.errors import BadRequestError
from polyvox.handover import GO_ON, mend_request
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
    replayable,
)
from polyvox.request import NamedTool, Request, ToolDefinition

__all__ = ["COUNTED", "RequestWriter"]

COUNTED = (
    "model",
    "system",
    "messages",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "cache_control",
)
"""The fields that a call which only counts tokens may hold."""


class RequestWriter:
    """Writes one request for one target; afterwards ``notes`` says what could not be told.

    The body's values are plain JSON, except that pictures and documents are still bytes, which the
    JSON encoder writes in base64.
    """

    def __init__(self, request: Request, target: Target) -> None:
        self._request, mended = mend_request(request)
        self.notes = list(mended)
        self._target = target
        self._traits = traits_of(target.model)
        self._marks = CacheMarks("cache_control", cache_control, long=target.quirks.long_cache)
        self._ids = CallIds(WORD)

    def body(self) -> Json:
        """The body, its keys always in the same order."""
        request = self._request
        max_tokens = request.max_tokens
        if max_tokens is None:
            limit = self._target.max_output_tokens
            max_tokens = default_max_tokens(request.reasoning, limit, self._traits)
        body: Json = {"model": self._target.model, "max_tokens": max_tokens}
        # Tools, system, messages: the order of the prompt, in which cache marks are counted.
        tools = self._tools()
        system = self._blocks("system", request.system)
        messages = self._messages()
        self._mark_caches(tools, system, messages)
        if system:
            body["system"] = _shortened(system)
        body["messages"] = messages
        if tools:
            body["tools"] = tools
        self._choose(body)
        thinking = self._think(body, max_tokens)
        self._sample(body, thinking=thinking)
        prefill = self._traits.prefill and not thinking
        self.notes += end_turn(request, messages, {"type": "text", "text": GO_ON}, prefill=prefill)
        body["messages"] = [_short(message) for message in messages]
        self._format(body)
        self._say_the_rest(body)
        merge_options(body, request, NAME, self._target.provider)
        if tools:
            body["tools"] = tools  # those of the options are among them already
        return body

    # The prompt

    def _tools(self) -> list[Json]:
        """Our tools, and those of the options: laid over the one of the same name, or at the end.

        So neither a tool that the server runs nor a vendor's field on one of ours gets lost.
        """
        tools = [self._tool(place, tool) for place, tool in enumerate(self._request.tools)]
        by_name = {tool["name"]: tool for tool in tools}
        for name in (NAME, self._target.provider):
            for more in self._request.options.get(name, {}).get("tools", []):
                if more.get("name") in by_name:
                    by_name[more["name"]].update(more)
                else:
                    tools.append(dict(more))
        return tools

    def _tool(self, place: int, tool: ToolDefinition) -> Json:
        if self._target.quirks.strict_tools:
            tool, about = strict_tool(tool, ANTHROPIC)
            if about:
                self._note(f"tools[{place}].strict", about)
        fields: Json = {"name": tool.name}
        if tool.description:
            fields["description"] = tool.description
        fields["input_schema"] = tool.parameters
        if tool.strict is not None and self._target.quirks.strict_tools:
            fields["strict"] = tool.strict
        elif tool.strict:
            self._note(f"tools[{place}].strict", "dropped: not known here")
        self._marks.add(fields, tool.cache)
        return fields

    def _messages(self) -> list[Json]:
        messages: list[Json] = []
        results: list[Json] | None = None  # of the message that tool results are collected in
        for place, message in enumerate(self._request.messages):
            where = f"messages[{place}]"
            role, content = self._message(place, where, message)
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

    def _message(self, place: int, where: str, message: Message) -> tuple[str, list[Json]]:
        match message:
            case UserMessage():
                return "user", self._blocks(f"{where}.content", message.content)
            case AssistantMessage():
                return "assistant", self._said(where, message)
            case ToolMessage():
                return "user", [self._result(where, message)]
            case SystemMessage():
                if self._traits.system_role and self._may_stand(place):
                    return "system", self._blocks(f"{where}.content", message.content)
                self._note(where, "instructions in mid-conversation were sent as the user's text")
                text = "\n".join(block.text for block in message.content)
                return "user", self._blocks(
                    f"{where}.content", [Text(f"<system>\n{text}\n</system>")]
                )

    def _may_stand(self, place: int) -> bool:
        """Whether the API takes instructions here: after a user's turn, and before none of theirs."""
        messages = self._request.messages
        before = messages[place - 1] if place else None
        after = messages[place + 1] if place + 1 < len(messages) else None
        return isinstance(before, (UserMessage, ToolMessage)) and (
            after is None or isinstance(after, AssistantMessage)
        )

    def _said(self, where: str, message: AssistantMessage) -> list[Json]:
        quirks, producer = self._target.quirks, self._target.producer
        blocks: list[Block] = []
        for block in message.content:
            sent = replayable(block, producer, thinking_as_text=quirks.thinking_as_text)
            if sent is None:
                self._note(where, "reasoning of another model was dropped")
            elif isinstance(sent, Thinking) and not sent.signature:
                self._note(where, "reasoning without a signature was dropped")
            elif isinstance(sent, Image):
                self._note(where, "a picture in an answer was dropped: it can't be sent back")
            else:
                blocks.append(sent)
        return self._blocks(f"{where}.content", blocks)

    def _result(self, where: str, message: ToolMessage) -> Json:
        result: Json = {"type": "tool_result", "tool_use_id": self._ids.of(message.tool_call_id)}
        content = self._blocks(f"{where}.content", message.content)
        if content:
            hinted = any(block.cache for block in message.content)
            result["content"] = content if hinted else _shortened(content)
        if message.is_error:
            result["is_error"] = True
        self._marks.add(result, message.cache)
        return result

    def _blocks(self, where: str, blocks: list[Any]) -> list[Json]:
        written: list[Json] = []
        for place, block in enumerate(blocks):
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
        if isinstance(block, Image) and block.detail not in (None, "auto"):
            self._note(f"{where}.detail", "dropped: not known here")
        if block.cache and isinstance(block, Thinking):
            self._note(f"{where}.cache", "dropped: reasoning can't end a cached part")
        elif not (isinstance(block, Text) and blank(block.text)):
            self._marks.add(fields, block.cache)
        return fields

    def _mark_caches(self, tools: list[Json], system: list[Json], messages: list[Json]) -> None:
        cache = self._request.cache
        if cache == "auto":
            markable = [_markable(message) for message in messages]
            ends = turn_ends([message["role"] for message in messages], list(map(bool, markable)))
            lasts = [markable[place][-1] for place in ends]
            loaded = [tool for tool in tools if not tool.get("defer_loading")]
            blocks = [block for message in messages for block in message["content"]]
            self._marks.add_automatically(
                [*tools, *system, *_nested(blocks)], [*lasts, *system[-1:], *loaded[-1:]]
            )
        else:
            for message in reversed(messages):
                if blocks := _markable(message):
                    self._marks.add(blocks[-1], cache)
                    break
        for note in self._marks.write():
            self._note("cache", note)

    # What to do with it

    def _choose(self, body: Json) -> None:
        choice, parallel = self._request.tool_choice, self._request.parallel_tool_calls
        if not self._target.quirks.parallel_tool_calls and parallel is not None:
            self._note("parallel_tool_calls", "dropped: not known here")
            parallel = None
        if choice is None and parallel is None:
            return
        if "tools" not in body:
            if choice not in (None, "auto", "none"):
                self._note("tool_choice", "dropped: there are no tools")
            return
        if not self._traits.forced_calls and choice not in (None, "auto", "none"):
            self._note("tool_choice", "sent as 'auto': this model can't be made to call a tool")
            choice = "auto"
        match choice:
            case NamedTool(name=name):
                fields: Json = {"type": "tool", "name": name}
            case "required":
                fields = {"type": "any"}
            case "none":
                fields = {"type": "none"}
            case _:
                fields = {"type": "auto"}
        if parallel is not None and choice != "none":
            fields["disable_parallel_tool_use"] = not parallel
        body["tool_choice"] = fields

    def _think(self, body: Json, max_tokens: int) -> bool:
        asked = ask_for(self._request.reasoning, self._traits, max_tokens)
        if asked.note:
            self._note("reasoning", asked.note)
        forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
        if asked.on and forced and not self._traits.always_thinks:
            self._note("reasoning", "dropped: the API refuses it together with a forced tool call")
            body["thinking"] = {"type": "disabled"}
            return False
        if asked.thinking is not None:
            body["thinking"] = asked.thinking
        if asked.effort is not None:
            body["output_config"] = {"effort": asked.effort}
        return asked.on

    def _sample(self, body: Json, *, thinking: bool) -> None:
        chosen = samplers(self._request, self._traits, thinking=thinking)
        self.notes += chosen.notes
        if chosen.temperature is not None:
            body["temperature"] = chosen.temperature
        if chosen.top_p is not None:
            body["top_p"] = chosen.top_p
        if self._request.stop:
            body["stop_sequences"] = self._request.stop

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
                hint="Anthropic's structured outputs can't hold that; offer it as a tool instead.",
            )
        self.notes += schema_notes(adapted.notes)
        output = body.setdefault("output_config", {})
        output["format"] = {"type": "json_schema", "schema": adapted.schema}

    def _say_the_rest(self, body: Json) -> None:
        request = self._request
        if "user_id" in request.metadata:
            body["metadata"] = {"user_id": request.metadata["user_id"]}
        for name in request.metadata:
            if name != "user_id":
                self._note(f"metadata.{name}", "dropped: only user_id is known here")
        if request.seed is not None:
            self._note("seed", "dropped: not known here")
        if request.stream:
            body["stream"] = True

    def _note(self, field: str, text: str) -> None:
        self.notes.append((field, text))


def _shortened(content: list[Json]) -> list[Json] | str:
    """A single plain text as a string, which is the same for the API."""
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        return content[0]["text"]
    return content


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


def _short(message: Json) -> Json:
    return {"role": message["role"], "content": _shortened(message["content"])}
