"""Requests, read: what Ollama's own clients and others send to a server of this dialect."""

from base64 import b64decode
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from polyvox.assembly import parse_arguments
from polyvox.dialects.base import ANYWHERE, Place
from polyvox.dialects.convert import read_object
from polyvox.dialects.ollama import request_wire as wire
from polyvox.dialects.ollama.endpoint import GENERATE, OPTION
from polyvox.errors import BadRequestError
from polyvox.messages import (
    AssistantBlock,
    AssistantMessage,
    Image,
    Message,
    SystemMessage,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserBlock,
    UserMessage,
)
from polyvox.request import Reasoning, Request, ResponseFormat, ToolDefinition

_T = TypeVar("_T")
_AskedT = TypeVar("_AskedT", bound=wire.Asked)


def decode_request(body: bytes, place: Place = ANYWHERE) -> Request:
    """The request, for ``/api/generate`` if the place says so.

    Raises ``BadRequestError`` naming the field that is wrong.
    """
    fields = read_object(body)
    return _generate(fields) if place.path == GENERATE else _chat(fields)


def _chat(fields: dict[str, Any]) -> Request:
    read, extra = _split(fields, wire.ChatAsked)
    conversation = _Conversation()
    messages = [
        conversation.read(message, f"messages[{place}]")
        for place, message in enumerate(read.messages or ())
    ]
    system: list[Text] = []
    if messages and isinstance(messages[0], SystemMessage):
        system = messages[0].content
        del messages[0]
    if not messages and not system:
        raise BadRequestError("messages: there are none", hint="A model can't only be loaded here.")
    request = _request(read, messages, system, extra)
    request.tools = [_tool(tool) for tool in read.tools or ()]
    return request


def _generate(fields: dict[str, Any]) -> Request:
    read, extra = _split(fields, wire.GenerateAsked)
    content: list[UserBlock] = [Text(read.prompt)] if read.prompt else []
    content += _images(read.images, "images")
    if not content:
        raise BadRequestError("prompt: there is none", hint="A model can't only be loaded here.")
    system = [Text(read.system)] if read.system else []
    return _request(read, [UserMessage(content)], system, {OPTION: "generate", **extra})


def _split(fields: dict[str, Any], kind: type[_AskedT]) -> tuple[_AskedT, dict[str, Any]]:
    """What of the body is understood, and the rest; our own option is none of it."""
    known = {*kind.__struct_fields__, OPTION}
    extra = {name: value for name, value in fields.items() if name not in known}
    return _convert(fields, kind), extra


def _request(
    read: wire.Asked, messages: list[Message], system: list[Text], extra: dict[str, Any]
) -> Request:
    given = read.options or {}
    options = _convert(given, wire.Options, "options.")
    known = set(wire.Options.__struct_fields__)
    limit = options.num_predict
    if limit is not None and limit < 0:  # as many as it likes, or as fit
        limit = None
        known.discard("num_predict")
    more = {name: value for name, value in given.items() if name not in known}
    if more:
        extra = {**extra, "options": more}
    return Request(
        messages=messages,
        model=read.model,
        system=system,
        response_format=_response_format(read.format),
        max_tokens=limit,
        temperature=options.temperature,
        top_p=options.top_p,
        stop=[options.stop] if isinstance(options.stop, str) else options.stop or [],
        seed=options.seed,
        reasoning=_reasoning(read.think),
        options={"ollama": extra} if extra else {},
        stream=read.stream is not False,
    )


def _convert(value: Any, type: type[_T], path: str = "") -> _T:
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        where = f"{path}{place.rstrip('`').lstrip('.')}".rstrip(".")
        raise BadRequestError(f"{where or 'the body'}: {what}") from None


def _response_format(wanted: str | dict[str, Any] | None) -> ResponseFormat | None:
    if isinstance(wanted, dict):
        return ResponseFormat(wanted)
    if wanted not in (None, "", "json"):
        raise BadRequestError(f"format: is 'json' or a JSON schema, not {wanted!r}")
    return ResponseFormat() if wanted else None


def _reasoning(think: wire.Think | None) -> Reasoning | None:
    """Plain "on" is the middle of the scale, as in Ollama itself."""
    if think is None:
        return None
    if isinstance(think, bool):
        return Reasoning("medium" if think else "none")
    return Reasoning(think)


def _tool(tool: wire.Tool) -> ToolDefinition:
    function = tool.function
    described = ToolDefinition(function.name, function.description or "")
    if function.parameters is None:
        return described
    return msgspec.structs.replace(described, parameters=function.parameters)


def _images(images: Iterable[str] | None, path: str) -> list[Image]:
    return [_image(image, f"{path}[{place}]") for place, image in enumerate(images or ())]


def _image(text: str, path: str) -> Image:
    try:
        return Image(b64decode(text, validate=True))
    except ValueError:
        raise BadRequestError(f"{path}: is no PNG, JPEG, GIF or WebP in base64") from None


class _Conversation:
    """Reads messages, and gives calls and results that have no ids some that match.

    A result belongs to the first call of its tool's name, in the answer before it, that waits for
    one. The ids are always the same for the same conversation, so that a prompt passed on is found
    in caches.
    """

    def __init__(self) -> None:
        self._made = 0
        self._waiting: list[ToolCall] = []

    def read(self, message: wire.WireMessage, path: str) -> Message:
        content = message.content or ""
        match message.role.lower():
            case "system":
                return SystemMessage([Text(content)])
            case "user":
                images = _images(message.images, f"{path}.images")
                texts = [Text(content)] if content or not images else []
                return UserMessage([*texts, *images])
            case "assistant":
                return self._answer(message)
            case "tool":
                images = _images(message.images, f"{path}.images")
                return self._result(message, [Text(content)] if content else [], images)
            case _:
                raise BadRequestError(f"{path}.role: there is no role {message.role!r}")

    def _answer(self, message: wire.WireMessage) -> AssistantMessage:
        blocks: list[AssistantBlock] = []
        if message.thinking:
            blocks.append(Thinking(message.thinking))
        if message.content:
            blocks.append(Text(message.content))
        calls = [self._call(call) for call in message.tool_calls or ()]
        self._waiting = calls.copy()
        return AssistantMessage([*blocks, *calls], "tool_calls" if calls else "stop")

    def _call(self, call: wire.Call) -> ToolCall:
        given = call.function.arguments or {}
        arguments, broken = parse_arguments(given) if isinstance(given, str) else (given, None)
        return ToolCall(call.id or self._new_id(), call.function.name, arguments, broken)

    def _result(
        self, message: wire.WireMessage, texts: list[Text], images: list[Image]
    ) -> ToolMessage:
        call = self._answered(message)
        id = message.tool_call_id or (call.id if call else self._new_id())
        name = message.tool_name or (call.name if call else "")
        return ToolMessage(id, [*texts, *images], name)

    def _answered(self, message: wire.WireMessage) -> ToolCall | None:
        """The call that this is the result of, which no longer waits for one."""
        id, name = message.tool_call_id, message.tool_name
        for place, call in enumerate(self._waiting):
            if (id and id == call.id) or (not id and name in (None, "", call.name)):
                return self._waiting.pop(place)
        return None

    def _new_id(self) -> str:
        self._made += 1
        return f"call_{self._made}"
