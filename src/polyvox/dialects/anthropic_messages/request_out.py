"""The client half, outwards: a ``Request`` as the body of a call.

From the pages "Create a Message", "Count tokens in a Message" and "Structured outputs" of
Anthropic's API documentation.
"""

from polyvox.dialects.anthropic_messages.prompt_out import Prompt, shortened
from polyvox.dialects.anthropic_messages.wire import NAME, Json
from polyvox.dialects.base import Target, merge_options
from polyvox.dialects.claude_thinking import ask_for, default_max_tokens, samplers
from polyvox.dialects.claude_traits import traits_of
from polyvox.dialects.schema import ANTHROPIC
from polyvox.dialects.strict import only_schema
from polyvox.dialects.turns import end_turn
from polyvox.handover import GO_ON
from polyvox.request import NamedTool, Request

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
        self._prompt = Prompt(request, target)
        self._request = self._prompt.request
        self.notes = self._prompt.notes
        self._note = self._prompt.note
        self._target = target
        self._traits = traits_of(target.model)

    def body(self) -> Json:
        """The body, its keys always in the same order."""
        request = self._request
        max_tokens = request.max_tokens
        if max_tokens is None:
            limit = self._target.max_output_tokens
            max_tokens = default_max_tokens(request.reasoning, limit, self._traits)
        body: Json = {"model": self._target.model, "max_tokens": max_tokens}
        tools, system, messages = self._prompt.write()
        if system:
            body["system"] = shortened(system)
        body["messages"] = messages
        if tools:
            body["tools"] = tools
        self._choose(body)
        thinking = self._think(body, max_tokens)
        self._sample(body, thinking=thinking)
        prefill = self._traits.prefill and not thinking
        self.notes += end_turn(request, messages, {"type": "text", "text": GO_ON}, prefill=prefill)
        for message in messages:
            message["content"] = shortened(message["content"])
        self._format(body)
        self._say_the_rest(body)
        merge_options(body, request, NAME, self._target.provider)
        if tools:
            body["tools"] = tools  # those of the options are among them already
        return body

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
        schema, notes = only_schema(wanted, self._target.quirks, ANTHROPIC)
        self.notes += notes
        if schema is not None:
            output = body.setdefault("output_config", {})
            output["format"] = {"type": "json_schema", "schema": schema}

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
