"""The client half, outwards: a ``Request`` as the body of a call.

From "Generating content", "Function calling", "Structured outputs", "Thinking" and "Thought
signatures" in the Gemini API documentation. What is cached is the API's own decision ("Context
caching", implicit), so marks for it need not be told.
"""

from typing import Any

from polyvox.dialects.base import Target
from polyvox.dialects.gemini.parts_out import answer_part, media_part, result_part, takes_url
from polyvox.dialects.gemini.schema import fitted
from polyvox.dialects.gemini.thinking import ask_for
from polyvox.dialects.gemini.traits import traits_of
from polyvox.dialects.gemini.wire import FOREIGN_SIGNATURES, NAME, SIGNATURE, Json
from polyvox.dialects.media import checked
from polyvox.dialects.turns import BEGUN, BY_USER, ENDED, OPENING, as_users_text
from polyvox.handover import GO_ON, mend_request
from polyvox.messages import (
    AssistantMessage,
    File,
    Image,
    Message,
    SystemMessage,
    Thinking,
    ToolMessage,
    UserMessage,
    replayable,
)
from polyvox.request import NamedTool, Request, ToolDefinition

__all__ = ["RequestWriter"]

_MOST_STOPS = 5


class RequestWriter:
    """Writes one request for one target; afterwards ``notes`` says what could not be told."""

    def __init__(self, request: Request, target: Target) -> None:
        self._request, mended = mend_request(request)
        self.notes = list(mended)
        self._target = target
        self._traits = traits_of(target.model)
        self._names: dict[str, str] = {}  # of the tools called so far, by call id

    def body(self) -> Json:
        """The body, its keys always in the same order."""
        body: Json = {}
        system = [{"text": text.text} for text in self._request.system if text.text]
        if system:
            body["systemInstruction"] = {"parts": system}
        body["contents"] = self._contents()
        tools = self._tools()
        if tools:
            body["tools"] = tools
        self._choose(body)
        config = self._config()
        if config:
            body["generationConfig"] = config
        for name in self._request.metadata:
            self._note(f"metadata.{name}", "dropped: not known here")
        for options in self._options():
            body = _laid_over(body, options)
        if tools:
            body["tools"] = tools  # those of the options are among them already
        return body

    def _options(self) -> list[Json]:
        """The vendor's fields; of ``alt``, which is part of an address, the body says nothing."""
        given = [self._request.options.get(name, {}) for name in (NAME, self._target.provider)]
        return [{key: value for key, value in each.items() if key != "alt"} for each in given]

    # The prompt

    def _contents(self) -> list[Json]:
        """The turns. Neighbours of one role are one turn, except that results stay apart.

        The API counts the results against the calls of the turn before, and takes the last turn
        with anything else in it for the user's question.
        """
        contents: list[Json] = []
        waiting: list[Json] = []
        last = ""
        for place, message in enumerate(self._request.messages):
            kind, parts, after = self._message(f"messages[{place}]", message)
            if waiting and kind != "result":
                contents.append({"role": "user", "parts": waiting})
                waiting, last = [], "media"
            if parts and kind == last:
                contents[-1]["parts"] += parts
            elif parts:
                role = "model" if kind == "model" else "user"
                contents.append({"role": role, "parts": parts})
                last = kind
            waiting += after  # behind all results: they must not be parted
        if waiting:
            contents.append({"role": "user", "parts": waiting})
        return self._closed(self._opened(contents))

    def _opened(self, contents: list[Json]) -> list[Json]:
        """The turns, with one of the user before a function call that nothing precedes.

        The API takes a call only behind a turn of the user's, or behind results.
        """
        first = contents[0] if contents else {"role": "user"}
        if first["role"] == "user" or not any("functionCall" in part for part in first["parts"]):
            return contents
        self._note("messages[0]", BEGUN)
        return [{"role": "user", "parts": [{"text": OPENING}]}, *contents]

    def _closed(self, contents: list[Json]) -> list[Json]:
        """The turns, with one of the user behind an answer that the model does not go on with."""
        if self._traits.prefill or not contents or contents[-1]["role"] != "model":
            return contents
        self._note(f"messages[{len(self._request.messages) - 1}]", ENDED)
        return [*contents, {"role": "user", "parts": [{"text": GO_ON}]}]

    def _message(self, where: str, message: Message) -> tuple[str, list[Json], list[Json]]:
        """The kind of turn that a message belongs to, its parts, and what must follow in another."""
        match message:
            case UserMessage():
                return "user", self._user_parts(where, message.content), []
            case AssistantMessage():
                return "model", self._said(where, message), []
            case ToolMessage():
                part, after = self._result(where, message)
                return "result", [part], after
            case SystemMessage():
                self._note(where, BY_USER)
                return "user", [{"text": as_users_text(message)}], []

    def _user_parts(self, where: str, blocks: list[Any]) -> list[Json]:
        parts: list[Json] = []
        for place, block in enumerate(blocks):
            if isinstance(block, (Image, File)):
                parts.append(self._media(f"{where}.content[{place}]", block))
            elif block.text:
                parts.append({"text": block.text})
        return parts

    def _media(self, where: str, block: Image | File) -> Json:
        if isinstance(block, Image) and block.detail not in (None, "auto"):
            self._note(f"{where}.detail", "dropped: not known here")
        if isinstance(block, File) and block.name:
            self._note(f"{where}.name", "dropped: not known here")
        checked(block, where, self._target, takes_url)
        return media_part(block, where)

    def _said(self, where: str, message: AssistantMessage) -> list[Json]:
        quirks, producer = self._target.quirks, self._target.producer
        parts: list[Json] = []
        for block in message.content:
            sent = replayable(block, producer, thinking_as_text=quirks.thinking_as_text)
            if sent is None:
                self._note(where, "reasoning of another model was dropped")
            elif isinstance(sent, Thinking) and sent.redacted:
                self._note(where, "hidden reasoning was dropped: it is not of this API's making")
            elif (part := answer_part(sent)) is not None:
                parts.append(part)
        self._names.update({call.id: call.name for call in message.tool_calls})
        calls = [part for part in parts if "functionCall" in part]
        if calls and self._traits.signed:
            calls[0].setdefault(SIGNATURE, FOREIGN_SIGNATURES[0])
        return parts

    def _result(self, where: str, message: ToolMessage) -> tuple[Json, list[Json]]:
        """The part of a tool's result, and the pictures that this part can't hold."""
        media = [
            self._media(f"{where}.content[{place}]", block)
            for place, block in enumerate(message.content)
            if isinstance(block, (Image, File))
        ]
        fits = self._traits.result_media
        inside = [part for part in media if fits and "inlineData" in part]
        after = [part for part in media if not (fits and "inlineData" in part)]
        id = message.tool_call_id
        name = message.tool_name or self._names.get(id, "")
        if after:
            self._note(
                f"{where}.content", "what is no text was sent after the result, as the user's"
            )
            after.insert(0, {"text": f"Of the result of {name or id}:"})
        return result_part(message, name, id, inside), after

    def _tools(self) -> list[Json]:
        """Our tools as one entry, and those of the options, which the API runs itself."""
        declared = [self._tool(place, tool) for place, tool in enumerate(self._request.tools)]
        tools: list[Json] = [{"functionDeclarations": declared}] if declared else []
        for options in self._options():
            tools += options.get("tools", [])
        return tools

    def _tool(self, place: int, tool: ToolDefinition) -> Json:
        where = f"tools[{place}]"
        fields: Json = {"name": tool.name}
        if tool.description:
            fields["description"] = tool.description
        fields["parametersJsonSchema"] = self._schema(tool.parameters, f"{where}.parameters")
        if tool.strict:
            self._note(f"{where}.strict", "dropped: not known here")
        return fields

    def _schema(self, schema: Json, where: str) -> Json:
        dropped: list[str] = []
        fit = fitted(schema, where, dropped)
        for place in dropped:
            self._note(place, "dropped: the API does not take this keyword")
        return fit

    # What to do with it

    def _choose(self, body: Json) -> None:
        choice = self._request.tool_choice
        if self._request.parallel_tool_calls is False:
            self._note("parallel_tool_calls", "dropped: not known here")
        if choice is None:
            return
        if "tools" not in body:
            if choice not in ("auto", "none"):
                self._note("tool_choice", "dropped: there are no tools")
            return
        match choice:
            case NamedTool(name=name):
                fields: Json = {"mode": "ANY", "allowedFunctionNames": [name]}
            case "required":
                fields = {"mode": "ANY"}
            case "none":
                fields = {"mode": "NONE"}
            case "auto":
                fields = {"mode": "AUTO"}
        body["toolConfig"] = {"functionCallingConfig": fields}

    def _config(self) -> Json:
        request = self._request
        if len(request.stop) > _MOST_STOPS:
            self._note("stop", f"only the first {_MOST_STOPS} were sent: the API takes no more")
        sampling = self._traits.sampling
        for name in () if sampling else ("temperature", "top_p"):
            if getattr(request, name) is not None:
                self._note(name, "dropped: this model does not heed it")
        config: Json = {
            "maxOutputTokens": request.max_tokens,
            "temperature": request.temperature if sampling else None,
            "topP": request.top_p if sampling else None,
            "stopSequences": request.stop[:_MOST_STOPS] or None,
            "seed": request.seed,
        }
        self._format(config)
        asked = ask_for(request.reasoning, self._traits, request.max_tokens)
        config["thinkingConfig"] = asked.config
        if asked.note:
            self._note("reasoning", asked.note)
        return {name: value for name, value in config.items() if value is not None}

    def _format(self, config: Json) -> None:
        wanted = self._request.response_format
        if wanted is None:
            return
        config["responseMimeType"] = "application/json"
        if wanted.schema is not None and self._target.quirks.json_schema:
            config["responseJsonSchema"] = self._schema(wanted.schema, "response_format.schema")
        elif wanted.schema is not None:
            self._note("response_format.schema", "dropped: only JSON of any shape can be asked for")

    def _note(self, field: str, text: str) -> None:
        self.notes.append((field, text))


def _laid_over(body: Json, options: Json) -> Json:
    """The body with the options in it: objects are merged, anything else replaces what was there."""
    merged = dict(body)
    for key, value in options.items():
        here: Any = body.get(key)
        both = isinstance(here, dict) and isinstance(value, dict)
        merged[key] = _laid_over(here, value) if both else value  # pyright: ignore[reportUnknownArgumentType]
    return merged
