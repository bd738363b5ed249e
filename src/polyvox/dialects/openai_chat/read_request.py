"""Requests, read: what OpenAI's SDKs and everybody's clients send to a server of this dialect."""

from collections.abc import Iterator
from typing import Any

import msgspec

from polyvox.assembly import parse_arguments
from polyvox.dialects.base import ANYWHERE, Place
from polyvox.dialects.convert import convert, read_object
from polyvox.dialects.data_urls import read_data_url
from polyvox.dialects.media import read_audio
from polyvox.dialects.openai_chat import request_wire as wire
from polyvox.dialects.openai_chat.reasoning import details_text
from polyvox.errors import BadRequestError
from polyvox.messages import (
    AssistantBlock,
    AssistantMessage,
    CacheHint,
    File,
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
from polyvox.request import (
    NamedTool,
    Reasoning,
    Request,
    ResponseFormat,
    ToolChoice,
    ToolDefinition,
)

_UNDERSTOOD = frozenset(wire.WireRequest.__struct_fields__)
_OBSOLETE = {"functions": "tools", "function_call": "tool_choice"}


def decode_request(body: bytes, place: Place = ANYWHERE) -> Request:
    """The request, wherever it came in. Raises ``BadRequestError`` naming the field that is wrong."""
    fields = read_object(body)
    read = convert(fields, wire.WireRequest)
    extra: dict[str, Any] = {}
    if not fields.keys() <= _UNDERSTOOD:
        extra = {name: value for name, value in fields.items() if name not in _UNDERSTOOD}
        _refuse_obsolete(extra)
    reasoning = _reasoning(read, extra)
    messages = [_message(message, place) for place, message in enumerate(read.messages)]
    system: list[Text] = []
    if messages and isinstance(first := messages[0], SystemMessage):
        system = first.content
        del messages[0]
    if not messages and not system:
        raise BadRequestError("messages: there are none")
    limit = read.max_completion_tokens
    request = Request(
        messages=messages,
        model=read.model,
        system=system,
        max_tokens=read.max_tokens if limit is None else limit,
        temperature=read.temperature,
        top_p=read.top_p,
        seed=read.seed,
        reasoning=reasoning,
        stream=bool(read.stream),
    )
    if extra:
        request.options = {"openai-chat": extra}
    _add_rarer(request, read)
    return request


def _add_rarer(request: Request, read: wire.WireRequest) -> None:
    """What most requests don't say."""
    if read.tools:
        request.tools = [_tool(tool) for tool in read.tools]
    if read.tool_choice is not None:
        request.tool_choice = _tool_choice(read.tool_choice)
    if read.parallel_tool_calls is not None:
        request.parallel_tool_calls = read.parallel_tool_calls
    if read.response_format is not None:
        request.response_format = _response_format(read.response_format)
    if read.stop is not None:
        request.stop = [read.stop] if isinstance(read.stop, str) else read.stop
    if read.metadata:
        request.metadata = read.metadata


def _refuse_obsolete(extra: dict[str, Any]) -> None:
    for name, newer in _OBSOLETE.items():
        if extra.get(name) is not None:
            raise BadRequestError(f"{name}: no longer understood", hint=f"Use {newer}.")
    if extra.get("n") not in (None, 1):
        raise BadRequestError("n: only one answer is given", hint="Send the request n times.")


def _reasoning(read: wire.WireRequest, extra: dict[str, Any]) -> Reasoning | None:
    """From ``reasoning_effort``, or from OpenRouter's ``reasoning`` if it holds nothing else."""
    if read.reasoning_effort:
        return Reasoning(read.reasoning_effort)
    match extra.get("reasoning"):
        case {"effort": _} | {"max_tokens": _} as given if given.keys() <= {"effort", "max_tokens"}:
            del extra["reasoning"]
            fields = {"effort": given.get("effort"), "budget_tokens": given.get("max_tokens")}
            return convert(fields, Reasoning, "reasoning")
        case _:
            return None


def _tool(tool: wire.Tool) -> ToolDefinition:
    function = tool.function
    name, told = function.name, function.description or ""
    strict, cache = function.strict, _cache(tool.cache_control)
    if function.parameters is None:
        return ToolDefinition(name, told, strict=strict, cache=cache)
    return ToolDefinition(name, told, function.parameters, strict, cache)


def _tool_choice(choice: str | wire.ChosenTool) -> ToolChoice | None:
    match choice:
        case wire.ChosenTool(function=function):
            return NamedTool(function.name)
        case "required" | "any":
            return "required"
        case "auto" | "none":
            return choice
        case _:
            return None


def _response_format(wanted: wire.AnswerFormat) -> ResponseFormat | None:
    if wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return ResponseFormat()
    schema = wanted.json_schema
    if schema is None or schema.schema_ is None:
        raise BadRequestError("response_format.json_schema: the schema is missing")
    return ResponseFormat(
        schema.schema_, schema.name, schema.description or "", strict=bool(schema.strict)
    )


def _cache(mark: wire.CacheControl | None) -> CacheHint | None:
    if mark is None:
        return None
    return "long" if mark.ttl == "1h" else "short"


# Messages


def _message(message: wire.AnyMessage, place: int) -> Message:
    match message:
        case wire.Asked():
            return UserMessage(_content(message.content, place))
        case wire.Said():
            return AssistantMessage(_said(message), "tool_calls" if message.tool_calls else "stop")
        case wire.Result():
            blocks = _content(message.content or [], place)
            return ToolMessage(message.tool_call_id, blocks, message.name)
        case wire.Instructions():
            return SystemMessage(_texts(message.content))


def _texts(content: str | list[wire.TextPart]) -> list[Text]:
    if isinstance(content, str):
        return [Text(content)]
    return [Text(part.text, cache=_cache(part.cache_control)) for part in content]


def _content(content: str | list[wire.AnyPart], place: int) -> list[UserBlock]:
    if isinstance(content, str):
        return [Text(content)]
    return list(_blocks(content, f"messages[{place}]"))


def _blocks(content: list[wire.AnyPart], path: str) -> Iterator[UserBlock]:
    for index, part in enumerate(content):
        cache = _cache(part.cache_control)
        match part:
            case wire.TextPart(text=text):
                yield Text(text, cache=cache)
            case wire.ImagePart(image_url=image):
                yield _image(image, cache, f"{path}.content[{index}].image_url.url")
            case wire.FilePart(file=file):
                file = file or wire.FileData(file_id=part.file_id)
                yield _file(file, cache, f"{path}.content[{index}].file")
            case wire.DocumentPart(document_url=url, document_name=name):
                file = wire.FileData(url, filename=name or "")
                yield _file(file, cache, f"{path}.content[{index}].document_url")
            case wire.AudioPart(input_audio=audio):
                word, sound = ("", audio) if isinstance(audio, str) else (audio.format, audio.data)
                read = read_audio(sound, word, f"{path}.content[{index}].input_audio")
                yield msgspec.structs.replace(read, cache=cache)


def _said(said: wire.Said) -> list[AssistantBlock]:
    """The blocks of an assistant's message, in the order in which models make them."""
    blocks: list[AssistantBlock] = []
    details, content = said.reasoning_details, said.content
    thought = said.reasoning_content or said.reasoning or (details_text(details) if details else "")
    if thought or details:
        meta = {"reasoning_details": details} if details else None
        blocks.append(Thinking(thought, meta=meta))
    if isinstance(content, str):
        blocks += [Text(content)] if content else []
    elif content:
        blocks += map(_said_part, content)
    if said.refusal:
        blocks.append(Text(said.refusal))
    for call in said.tool_calls or ():
        arguments, unparsed = parse_arguments(call.function.arguments)
        meta = {"extra_content": call.extra_content} if call.extra_content else None
        blocks.append(ToolCall(call.id, call.function.name, arguments, unparsed, meta=meta))
    return blocks


def _said_part(part: wire.SaidPart) -> AssistantBlock:
    if isinstance(part, wire.ThinkingPart):
        return Thinking("".join(piece.text for piece in part.thinking))
    text = part.text if isinstance(part, wire.TextPart) else part.refusal
    return Text(text, cache=_cache(part.cache_control))


def _image(image: wire.ImageUrl | str, cache: CacheHint | None, path: str) -> Image:
    if isinstance(image, str):
        image = wire.ImageUrl(image)
    if not image.url.startswith("data:"):
        return Image(url=image.url, detail=image.detail, cache=cache)
    media_type, data = read_data_url(image.url, path)
    try:
        return Image(data, media_type=media_type, detail=image.detail, cache=cache)
    except ValueError as error:
        raise BadRequestError(f"{path}: {error}") from None


def _file(file: wire.FileData, cache: CacheHint | None, path: str) -> File:
    name, data = file.filename, file.file_data
    if data is None:
        if file.file_id is None:
            raise BadRequestError(f"{path}: needs file_data or file_id")
        return File(id=file.file_id, name=name, cache=cache)
    if data.startswith(("https://", "http://")):
        return File(url=data, name=name, cache=cache)
    media_type, content = read_data_url(data, f"{path}.file_data")
    return File(content, media_type=media_type, name=name, cache=cache)
