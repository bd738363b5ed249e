"""The arguments of a call, said once for every method that takes them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypedDict, cast, get_args

import msgspec

from polyvox.client.openai_shapes import is_openai_message, openai_message, openai_tool
from polyvox.client.shapes import is_type, shape_of
from polyvox.embedding import Task
from polyvox.errors import BadRequestError
from polyvox.messages import (
    CacheHint,
    Message,
    Prompt,
    SystemMessage,
    Text,
    ToolMessage,
    as_messages,
)
from polyvox.model import Caching, Call, Interrupt
from polyvox.request import (
    Effort,
    NamedTool,
    Reasoning,
    Request,
    ResponseFormat,
    ToolChoice,
    ToolDefinition,
)
from polyvox.suggestions import hint_for
from polyvox.tools.tool import as_tool


class HasDefinition(Protocol):
    """Anything that can tell its tool definition."""

    @property
    def definition(self) -> ToolDefinition:
        """How the tool is described to a model."""
        ...


ToolLike: TypeAlias = ToolDefinition | HasDefinition | Mapping[str, Any] | Callable[..., Any]


class CallSettings(TypedDict, total=False):
    """What may be said about a call, whatever it asks for.

    interrupt: a switch that ends the call from anywhere.
    timeout: seconds for the whole call.
    tenant: for whom it is; nothing cached for one tenant is given to another.
    session: a word by which the calls of one conversation or run are found again.
    tags: words by which costs and logs are sorted: ``{"feature": "search"}``.
    fallbacks: whether a router may ask another model in place of the one that was meant.
    caching: what a cache of answers may do: "use" (the default), "skip" or "refresh".
    caching_ttl: how many seconds a cache may keep the answer.
    """

    interrupt: Interrupt | None
    timeout: float | None
    tenant: str
    session: str | None
    tags: dict[str, str]
    fallbacks: bool
    caching: Caching
    caching_ttl: float


class ModelSettings(TypedDict, total=False):
    """What may be said about the answer. Whatever is left out is the provider's default.

    tool_choice: "auto", "none", "required", or the name of the tool to call.
    parallel_tool_calls: whether several tools may be called at once.
    max_tokens: the most tokens to be written, reasoning included.
    temperature: 0 is the most predictable; the range is the provider's (mostly 0 to 2).
    top_p: sample only from the most likely tokens that make up this share of probability (0 to 1).
    stop: a string, or several, at which to stop.
    seed: for repeatable sampling, where there is any.
    reasoning: an effort ("none", "minimal", "low", ... "max"), a budget in tokens, or a ``Reasoning``.
    cache: "short" or "long": ask the provider to cache the whole prompt; "auto": to cache whatever of
        it is likely to come again, if the provider does not do so by itself.
    metadata: strings to be kept with the request by the provider; ``user_id`` names the end user.
    options: vendor fields by provider or dialect, put into the body as they are.
    """

    tool_choice: ToolChoice | str
    parallel_tool_calls: bool
    max_tokens: int
    temperature: float
    top_p: float
    stop: str | Sequence[str]
    seed: int
    reasoning: Effort | int | Reasoning
    cache: CacheHint | Literal["auto"]
    metadata: dict[str, str]
    options: dict[str, dict[str, Any]]


class CommonSettings(CallSettings, ModelSettings, total=False):
    """``Settings`` without ``response_format``: ``CallSettings``, ``ModelSettings``, and this.

    system: instructions, as a string or as text blocks.
    tools: tools, typed functions, tool definitions, or dicts with name, description, parameters.
    """

    system: str | Sequence[Text | str]
    tools: Sequence[ToolLike]


class Settings(CommonSettings, total=False):
    """What may be said about a request besides its prompt: ``CommonSettings``, ``CallSettings`` and this.

    response_format: a type (msgspec Struct, dataclass, TypedDict, pydantic model, ...), a JSON schema
        as a dict, or a ``ResponseFormat``.
    """

    response_format: ResponseFormat | dict[str, Any] | type[object]


def make_request(prompt: Prompt, settings: Settings) -> Request:
    """The request for a prompt with these settings.

    System messages at the head of the prompt become part of ``Request.system``.

    Raises ``BadRequestError`` naming the setting that is unknown or of the wrong kind.
    """
    for name in settings:
        if name not in Settings.__annotations__:
            raise BadRequestError(f"no setting is called {name!r}", hint=_nearest(name))
    try:
        messages = as_messages(_ours(prompt))
    except ValueError as error:
        raise BadRequestError(str(error)) from None
    system = [*_system(settings.get("system", ())), *_leading_system(messages)]
    if not any(_says_something(message) for message in messages):
        raise BadRequestError("the prompt is empty: there is nothing to ask")
    fields: dict[str, Any] = {
        name: _SHAPES[name](said) if name in _SHAPES else said
        for name, said in settings.items()
        if name not in CallSettings.__annotations__
    }
    fields["messages"], fields["system"] = [], system
    try:
        request = msgspec.convert(fields, Request)
    except msgspec.ValidationError as error:
        raise wrong_setting(error) from None
    if request.max_tokens is not None and request.max_tokens < 1:
        raise BadRequestError(f"max_tokens is {request.max_tokens}; it must be 1 or more")
    budget = request.reasoning.budget_tokens if request.reasoning else None
    if budget is not None and budget < 0:
        raise BadRequestError(
            f"reasoning.budget_tokens is {budget}; it must be 0 or more",
            hint="Leave reasoning out to let the model decide.",
        )
    request.messages = messages
    return request


class _About(msgspec.Struct):
    """What a call is about, in the types it should have."""

    tenant: str = ""
    session: str | None = None
    tags: dict[str, str] = {}
    fallbacks: bool = True
    caching: Caching = "use"
    caching_ttl: float | None = None


def make_call(settings: CallSettings) -> Call:
    """The call that these settings are about. Raises ``BadRequestError`` for one of the wrong kind."""
    call = Call.timeout(settings.get("timeout"), settings.get("interrupt"))
    given = {name: said for name, said in settings.items() if name in _About.__struct_fields__}
    if not given:
        return call
    try:
        about = msgspec.convert(given, _About)
    except msgspec.ValidationError as error:
        raise wrong_setting(error) from None
    for name in given:
        setattr(call, name, getattr(about, name))
    return call


def _ours(prompt: Prompt) -> list[Any]:
    """The prompt's parts, with what is in OpenAI's form put into ours."""
    parts: list[Any] = list(prompt) if isinstance(prompt, (list, tuple)) else [prompt]
    return [
        openai_message(part, place) if is_openai_message(part) else part
        for place, part in enumerate(parts)
    ]


def wrong_setting(error: msgspec.ValidationError) -> BadRequestError:
    """The error that a setting is of the wrong kind, with the words that it may be."""
    text = str(error).replace("`$.", "`")
    choices = next((words for field, words in _WORDS.items() if f"`{field}`" in text), ())
    hint = f"It may be {', '.join(repr(word) for word in choices)}." if choices else None
    return BadRequestError(f"a setting is not right: {text}", hint=hint)


def _says_something(message: Message) -> bool:
    """Whether a message is more than blank text. A tool may well have nothing to say."""
    if isinstance(message, ToolMessage):
        return True
    return any(not isinstance(block, Text) or block.text.strip() for block in message.content)


def _leading_system(messages: list[Message]) -> list[Text]:
    """Takes the system messages off the head of the list."""
    blocks: list[Text] = []
    while messages and isinstance(messages[0], SystemMessage):
        blocks.extend(messages[0].content)
        del messages[0]
    return blocks


def _system(value: str | Sequence[Text | str]) -> list[Text]:
    parts = [value] if isinstance(value, str) else value
    return [Text(part) if isinstance(part, str) else part for part in parts]


def _tools(tools: Sequence[ToolLike]) -> list[Any]:
    definitions: list[Any] = [openai_tool(_definition(tool)) for tool in tools]
    for place, tool in enumerate(definitions):
        if not isinstance(tool, (ToolDefinition, Mapping)):
            kind = type(tool).__name__
            raise BadRequestError(
                f"tools[{place}] is a {kind}",
                hint="Give a tool, a function, a ToolDefinition or a dict of its fields.",
            )
    return definitions


def _definition(tool: ToolLike) -> object:
    """What a tool tells of itself; what is no tool stays as it is."""
    if callable(tool) and not hasattr(tool, "definition"):
        return as_tool(tool).definition
    return getattr(tool, "definition", tool)


def _tool_choice(choice: ToolChoice | str) -> ToolChoice:
    if isinstance(choice, str) and choice not in ("auto", "none", "required"):
        return NamedTool(choice)
    return choice


def _response_format(wanted: ResponseFormat | dict[str, Any] | type[object]) -> ResponseFormat:
    if isinstance(wanted, dict):
        return ResponseFormat(wanted)
    if is_type(wanted):
        return shape_of(cast("type[object]", wanted)).format
    return cast("ResponseFormat", wanted)


def _stop(stop: str | Sequence[str]) -> list[str]:
    return [stop] if isinstance(stop, str) else list(stop)


def _reasoning(wanted: Effort | int | Reasoning) -> Any:
    if isinstance(wanted, str):
        return {"effort": wanted}
    return {"budget_tokens": wanted} if isinstance(wanted, int) else wanted


_WORDS: dict[str, tuple[str, ...]] = {
    "reasoning.effort": get_args(Effort),
    "task": get_args(Task),
    "cache": (*get_args(CacheHint), "auto"),
    "caching": get_args(Caching),
}

_SHAPES: dict[str, Callable[[Any], Any]] = {
    "tools": _tools,
    "tool_choice": _tool_choice,
    "response_format": _response_format,
    "stop": _stop,
    "reasoning": _reasoning,
}


_ELSEWHERE = {
    "stream": "Ask with client.stream(...): the answer comes as events.",
    "n": "Ask so many times: AsyncClient and asyncio.gather do it at once.",
    "api_key": 'Keys are the client\'s: Client(keys={"<provider>": "..."}).',
    "api_base": 'Addresses are the client\'s: Client(base_urls={"<provider>": "..."}).',
    "base_url": 'Addresses are the client\'s: Client(base_urls={"<provider>": "..."}).',
    "num_retries": "Put it around the model: Retrying(client.model(...)).",
    "max_retries": "Put it around the model: Retrying(client.model(...)).",
    "max_completion_tokens": "Did you mean 'max_tokens'?",
    "reasoning_effort": "Did you mean 'reasoning'?",
    "user": 'Say metadata={"user_id": "..."}; tenant says who is to be charged.',
    "functions": "Did you mean 'tools'?",
    "deadline": "Did you mean 'timeout'?",
}
"""Names by which other libraries know what is had in another way here."""


def _nearest(name: str) -> str:
    otherwise = 'A provider\'s own fields go into options={"<provider>": {...}}.'
    return _ELSEWHERE.get(name) or hint_for(name, Settings.__annotations__, otherwise)
