"""Input items, read as a conversation.

What stands side by side and comes from the model (messages, reasoning, calls) is one answer. An item
of a type that is not read here, such as a web search, is kept whole in the answer that it stands in.
"""

import msgspec

from polyvox.assembly import parse_arguments
from polyvox.dialects.convert import convert
from polyvox.dialects.data_urls import read_data_url
from polyvox.dialects.media import read_audio
from polyvox.dialects.openai_responses import items
from polyvox.dialects.openai_responses.items import NAME
from polyvox.dialects.openai_responses.wire import Json
from polyvox.errors import BadRequestError
from polyvox.messages import (
    AssistantBlock,
    AssistantMessage,
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


class _Message(msgspec.Struct):
    """A message of anyone."""

    role: str
    content: str | list[Json]


class _Call(msgspec.Struct):
    """A function call."""

    call_id: str
    name: str
    arguments: str = ""


class _Output(msgspec.Struct):
    """What a function gave."""

    call_id: str
    output: str | list[Json]


class _InputText(msgspec.Struct):
    """Text; assistants' is called ``output_text``."""

    text: str


class _Refusal(msgspec.Struct):
    """A refusal that the assistant wrote earlier."""

    refusal: str


class _InputImage(msgspec.Struct):
    """A picture."""

    image_url: str
    detail: str | None = None


class _InputAudio(msgspec.Struct):
    """Sound in base64, and the word for its format."""

    data: str
    format: str


class _InputFile(msgspec.Struct):
    """A file, in one of three ways."""

    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None


def read_input(given: str | list[Json]) -> list[Message]:
    """The messages. Raises ``BadRequestError`` naming the place of what is wrong."""
    reader = _Reader()
    if isinstance(given, str):
        return [UserMessage([Text(given)])] if given else []
    for index, item in enumerate(given):
        reader.read(item, f"input[{index}]")
    return reader.messages


class _Reader:
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._names: dict[str, str] = {}  # the called functions' names, by call

    def read(self, item: Json, path: str) -> None:
        match item.get("type", "message"):
            case "message":
                self._read_message(convert(item, _Message, path), item, path)
            case "function_call":
                self._said(self._call(item, path))
            case "function_call_output":
                self._read_output(convert(item, _Output, path), path)
            case "reasoning":
                self._said(_thinking(items.with_true_id(item)))
            case str():
                self._said(Text("", meta={NAME: {"item": item}}))
            case kind:
                raise BadRequestError(f"{path}.type: {kind!r} is none")

    def _read_message(self, message: _Message, item: Json, path: str) -> None:
        match message.role:
            case "user":
                self.messages.append(UserMessage(_blocks(message.content, path)))
            case "system" | "developer":
                blocks = _blocks(message.content, path)
                texts = [block for block in blocks if isinstance(block, Text)]
                if len(texts) < len(blocks):
                    raise BadRequestError(f"{path}.content: instructions are text")
                self.messages.append(SystemMessage(texts))
            case "assistant":
                self._said(*_texts(message.content, item, path))
            case role:
                raise BadRequestError(f"{path}.role: {role!r} is none")

    def _read_output(self, output: _Output, path: str) -> None:
        content = _blocks(output.output, path, "output") if output.output else []
        name = self._names.get(output.call_id, "")
        self.messages.append(ToolMessage(output.call_id, content, name))

    def _call(self, item: Json, path: str) -> ToolCall:
        call = convert(item, _Call, path)
        self._names[call.call_id] = call.name
        arguments, unparsed = parse_arguments(call.arguments)
        kept = items.call_extras(item)
        meta = {NAME: kept} if kept else None
        return ToolCall(call.call_id, call.name, arguments, unparsed, meta=meta)

    def _said(self, *blocks: AssistantBlock) -> None:
        last = self.messages[-1] if self.messages else None
        if not isinstance(last, AssistantMessage):
            last = AssistantMessage([])
            self.messages.append(last)
        last.content.extend(blocks)
        if last.tool_calls:
            last.stop_reason = "tool_calls"


def _thinking(item: Json) -> Thinking:
    signature = item.get("encrypted_content")
    kept = items.reasoning_extras(item)
    return Thinking(
        items.reasoning_text(item),
        signature if isinstance(signature, str) and signature else None,
        items.is_hidden(item),
        meta={NAME: kept} if kept else None,
    )


def _texts(content: str | list[Json], item: Json, path: str) -> list[Text]:
    parts = [{"type": "output_text", "text": content}] if isinstance(content, str) else content
    texts: list[Text] = []
    for index, part in enumerate(parts):
        place = f"{path}.content[{index}]"
        match part.get("type"):
            case "output_text" | "input_text":
                text = convert(part, _InputText, place).text
            case "refusal":
                text = convert(part, _Refusal, place).refusal
            case kind:
                raise BadRequestError(f"{place}.type: {kind!r} is none of an assistant")
        kept = items.message_extras(item, part)
        texts.append(Text(text, meta={NAME: kept} if kept else None))
    return texts


def _blocks(content: str | list[Json], path: str, field: str = "content") -> list[UserBlock]:
    if isinstance(content, str):
        return [Text(content)]
    return [_block(part, f"{path}.{field}[{index}]") for index, part in enumerate(content)]


def _block(part: Json, path: str) -> UserBlock:
    match part.get("type"):
        case "input_text" | "output_text":
            return Text(convert(part, _InputText, path).text)
        case "input_image":
            return _image(part, path)
        case "input_file":
            return _file(convert(part, _InputFile, path), path)
        case "input_audio":
            audio = convert(part.get("input_audio"), _InputAudio, f"{path}.input_audio")
            return read_audio(audio.data, audio.format, f"{path}.input_audio.data")
        case kind:
            raise BadRequestError(f"{path}.type: {kind!r} is not known here")


def _image(part: Json, path: str) -> Image:
    if part.get("file_id") and not part.get("image_url"):
        raise BadRequestError(f"{path}.file_id: pictures are taken as image_url only")
    image = convert(part, _InputImage, path)
    # "auto" is what it means to say nothing, and newer words than these are hints as well.
    detail = image.detail if image.detail in ("low", "high") else None
    if not image.image_url.startswith("data:"):
        return Image(url=image.image_url, detail=detail)
    media_type, data = read_data_url(image.image_url, f"{path}.image_url")
    try:
        return Image(data, media_type=media_type, detail=detail)
    except ValueError as error:
        raise BadRequestError(f"{path}.image_url: {error}") from None


def _file(file: _InputFile, path: str) -> File:
    name = file.filename or ""
    if file.file_id:
        return File(id=file.file_id, name=name)
    if file.file_url:
        return File(url=file.file_url, name=name)
    if file.file_data is None:
        raise BadRequestError(f"{path}: needs file_data, file_id or file_url")
    media_type, data = read_data_url(file.file_data, f"{path}.file_data")
    return File(data, media_type=media_type, name=name)
