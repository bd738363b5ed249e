"""The client half, outwards: a ``Request`` as the body of a call.

From the pages "Converse", "ToolConfiguration" and "OutputConfig" of the Amazon Bedrock API reference.
"""

from polyvox import jsontext
from polyvox.dialects.base import Target, merge_options
from polyvox.dialects.bedrock_converse.prompt_out import Prompt, spread
from polyvox.dialects.bedrock_converse.reasoning import Asked, ask_to_think, goes_on
from polyvox.dialects.bedrock_converse.wire import NAME, Json
from polyvox.dialects.claude_thinking import samplers
from polyvox.dialects.schema import ANTHROPIC
from polyvox.dialects.strict import only_schema
from polyvox.dialects.turns import end_turn
from polyvox.handover import GO_ON
from polyvox.request import NamedTool, Request

__all__ = ["COUNTED", "STOP_PATH", "RequestWriter"]

COUNTED = ("messages", "system", "toolConfig", "additionalModelRequestFields")
"""The fields that a call which only counts tokens may hold."""

STOP_PATH = "/stop_sequence"
"""Where a model says which stop string it wrote; it is told when it is asked for."""


class RequestWriter:
    """Writes one request for one target; afterwards ``notes`` says what could not be told.

    The body's values are plain JSON, except that files are still bytes, which the JSON encoder
    writes in base64.
    """

    def __init__(self, request: Request, target: Target) -> None:
        self._prompt = Prompt(request, target)
        self._request = self._prompt.request
        self.notes = self._prompt.notes
        self._note = self._prompt.note
        self._target = target

    def body(self) -> Json:
        """The body, its keys always in the same order."""
        request = self._request
        tools, system, messages = self._prompt.write()
        body: Json = {"messages": messages}
        if system:
            body["system"] = spread(system)
        choice = self._choice()
        thinking = self._infer(body, forced="any" in choice or "tool" in choice)
        prefill = goes_on(self._target.model) and not thinking
        self.notes += end_turn(request, messages, {"text": GO_ON}, prefill=prefill)
        for message in messages:
            message["content"] = spread(message["content"])
        if tools:
            config: Json = {"tools": spread(tools)}
            body["toolConfig"] = {**config, "toolChoice": choice} if choice else config
        self._format(body)
        self._say_the_rest(body)
        return merge_options(body, request, NAME, self._target.provider)

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
        adapted, notes = only_schema(wanted, self._target.quirks, ANTHROPIC)
        self.notes += notes
        if wanted is None or adapted is None:
            return
        schema: Json = {"schema": jsontext.encode(adapted).decode(), "name": wanted.name}
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
