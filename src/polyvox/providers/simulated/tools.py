"""``simulated/tools``: calls the tools it is offered, then uses what they said."""

from collections.abc import Iterable
from random import Random

from polyvox import jsontext
from polyvox.assembly import unfold
from polyvox.errors import BadRequestError
from polyvox.events import Event
from polyvox.messages import AssistantMessage, Text, ToolCall, ToolMessage
from polyvox.providers.simulated.arguments import make_arguments, make_value
from polyvox.providers.simulated.clues import Clues, words_of
from polyvox.providers.simulated.stage import Options, SimulatedModel, last_user_text
from polyvox.providers.simulated.tokens import pieces
from polyvox.request import NamedTool, Request, ToolDefinition
from polyvox.suggestions import hint_for

# These say that something is done, not with what.
_VERBS = frozenset(
    {"calculate", "check", "do", "fetch", "find", "get", "look", "lookup", "make", "query", "read"}
    | {"run", "search", "show"}
)


class ToolsOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pace, and ``seed``, by which arguments are made that the text does not give."""

    seed: int | None = None


class Tools(SimulatedModel[ToolsOptions]):
    """Call the tools that the user's text names, else the likeliest one; then answer with the results.

    Tool results that end the conversation are always answered with a text, so that a loop of calls
    ends; a ``response_format`` with a schema is kept.
    """

    def __init__(self) -> None:
        super().__init__("simulated/tools", ToolsOptions)

    def compose(self, request: Request, options: ToolsOptions) -> Iterable[Event]:
        """Calls, or a text, as events."""
        seed = request.seed if options.seed is None else options.seed
        results = _results(request)
        chosen = [] if results else choose_tools(request)
        if chosen:
            calls = _calls(chosen, request, seed or 0)
            return unfold(self.say(request, [*calls], "tool_calls"), pieces)
        return self.say_text(request, _answer(request, results, seed or 0))


def choose_tools(request: Request) -> list[ToolDefinition]:
    """The tools to call, in the order they were offered. Raises ``BadRequestError`` for a wrong choice."""
    choice, tools = request.tool_choice, request.tools
    if isinstance(choice, NamedTool):
        named = [tool for tool in tools if tool.name == choice.name]
        if not named:
            hint = hint_for(choice.name, (tool.name for tool in tools), "")
            raise BadRequestError(
                f"tool_choice names {choice.name!r}, which is not offered", hint=hint
            )
        return named
    if choice == "required" and not tools:
        raise BadRequestError("tool_choice requires a call, but no tool is offered")
    if choice == "none" or not tools:
        return []
    clues = Clues(last_user_text(request))
    named = [tool for tool in tools if _is_named(tool, clues)]
    chosen = named or [max(tools, key=lambda tool: _likeness(tool, clues))]
    return chosen[:1] if request.parallel_tool_calls is False else chosen


def _is_named(tool: ToolDefinition, clues: Clues) -> bool:
    words = words_of(tool.name)
    telling = [word for word in words if word not in _VERBS] or words
    return clues.says(tool.name) or all(_has(word, clues) for word in telling)


def _has(word: str, clues: Clues) -> bool:
    forms = {word, word + "s", word.removesuffix("s")}
    return bool(forms & clues.words)


def _likeness(tool: ToolDefinition, clues: Clues) -> int:
    """How many telling words the tool and the text share."""
    parameters = tool.parameters.get("properties", {})
    words = {word for text in (tool.name, *parameters) for word in words_of(text)}
    words |= {word for word in words_of(tool.description) if len(word) > 3}
    calculates = any(clues.sum_for(name) for name in parameters)
    return sum(_has(word, clues) for word in words) + (2 if calculates else 0)


def _calls(tools: list[ToolDefinition], request: Request, seed: int) -> list[ToolCall]:
    text = last_user_text(request)
    random = Random(f"{seed} {len(request.messages)} {text}")
    return [
        ToolCall(
            f"call_{random.getrandbits(96):024x}",
            tool.name,
            make_arguments(tool.parameters, text, random.getrandbits(32)),
        )
        for tool in tools
    ]


def _results(request: Request) -> list[tuple[str, ToolMessage]]:
    """The tool results that end the conversation, with the tools' names."""
    names: dict[str, str] = {}
    results: list[ToolMessage] = []
    for message in request.messages:
        if isinstance(message, ToolMessage):
            results.append(message)
            continue
        results = []
        if isinstance(message, AssistantMessage):
            names |= {call.id: call.name for call in message.tool_calls}
    return [(m.tool_name or names.get(m.tool_call_id, "the tool"), m) for m in results]


def _answer(request: Request, results: list[tuple[str, ToolMessage]], seed: int) -> str:
    said = "\n".join(_report(name, result) for name, result in results)
    wanted = request.response_format
    if wanted is not None:
        made = make_value(
            wanted.schema or {"type": "object"}, said or last_user_text(request), seed
        )
        return jsontext.encode(made).decode()
    return said or f"There is no tool to call. You said: {last_user_text(request)}".strip()


def _report(name: str, result: ToolMessage) -> str:
    text = " ".join(block.text for block in result.content if isinstance(block, Text))
    return f"{name} {'failed' if result.is_error else 'says'}: {text or '(nothing)'}"
