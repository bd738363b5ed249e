"""A conversation, written as OpenAI's list of messages.

Where the format is narrower than our vocabulary: an assistant's blocks are sorted into its fields,
texts joined; a tool's result is one text, and pictures in it go into a user message after it; a
failed tool's result begins with "Error:"; a call whose arguments broke off is sent without
arguments, since no provider takes text there that is no JSON; an assistant's pictures are left out.
"""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any, TypeAlias

from polyvox.dialects.base import Target
from polyvox.dialects.data_urls import write_data_url
from polyvox.dialects.ids import FORTY, NINE, CallIds
from polyvox.dialects.media import (
    audio_format,
    checked,
    file_name,
    is_audio,
    on_the_web,
    with_bytes,
)
from polyvox.dialects.openai_chat.answer import reasoning_details, write_call
from polyvox.dialects.openai_chat.cache import cache_mark, mark_last
from polyvox.errors import BadRequestError
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
from polyvox.request import Request

_Json: TypeAlias = dict[str, Any]

_HEARD = "I have the results."
"""What the assistant is made to say where its turn must stand and it was never asked."""


def takes_url(block: Image | File, target: Target) -> bool:
    """Whether the provider fetches it: pictures mostly, files rarely, sound hardly ever."""
    quirks = target.quirks
    if not on_the_web(block):
        return False
    if is_audio(block):
        return quirks.audio_style == "plain"
    return quirks.image_urls if isinstance(block, Image) else quirks.file_urls


def write_messages(request: Request, target: Target) -> list[_Json]:
    """The system blocks and the messages. Raises ``BadRequestError`` for what can't be carried."""
    writer = _Writer(target)
    writer.add_instructions(request.system)
    for place, message in enumerate(request.messages):
        writer.add(message, place)
    writer.flush()
    if target.quirks.prefix and writer.written and writer.written[-1]["role"] == "assistant":
        writer.written[-1]["prefix"] = True
    mark = cache_mark(None if request.cache == "auto" else request.cache, target)
    if mark:
        mark_last(writer.written, mark)
    return writer.written


class _Writer:
    """Collects the messages; what a tool's result can't hold waits for the tools' results to end."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.quirks = target.quirks
        self.producer = target.producer
        self.written: list[_Json] = []
        self._waiting: list[_Json] = []
        self._ids = CallIds(NINE if target.quirks.call_ids == "nine" else FORTY)

    def add(self, message: Message, place: int) -> None:
        match message:
            case ToolMessage():
                self._add_result(message, place)
            case AssistantMessage():
                self.flush()
                self._add_answer(message)
            case UserMessage():
                self.flush()
                if not message.content:
                    raise BadRequestError(f"{_path(place)}: a user message is empty")
                self._add_user(self._content(message.content, place))
            case SystemMessage():
                self.flush()
                self.add_instructions(message.content)

    def flush(self) -> None:
        """Put what is waiting into a user message."""
        if self._waiting:
            self._add_user(self._waiting)
            self._waiting = []

    def _add_user(self, content: str | list[_Json]) -> None:
        if self.quirks.answer_after_results and self.written and self.written[-1]["role"] == "tool":
            self.written.append({"role": "assistant", "content": _HEARD})
        self.written.append({"role": "user", "content": content})

    def add_instructions(self, blocks: list[Text]) -> None:
        role = "developer" if self.quirks.developer_role else "system"
        if blocks:
            self.written.append({"role": role, "content": self._content(blocks, role)})

    def _content(self, blocks: Sequence[Block], place: int | str) -> str | list[_Json]:
        """A string where that says it all: every provider takes one."""
        only = blocks[0]
        if len(blocks) == 1 and isinstance(only, Text) and not self._marks(only):
            return only.text
        path = _path(place)
        return [self._part(block, f"{path}[{index}]") for index, block in enumerate(blocks)]

    def _marks(self, block: Block) -> bool:
        return self.quirks.cache_control and block.cache is not None

    def _part(self, block: Block, path: str) -> _Json:
        match block:
            case Text(text=text):
                part: _Json = {"type": "text", "text": text}
            case Image() | File():
                checked(block, path, self.target, takes_url)
                part = _image(block) if isinstance(block, Image) else self._file(block, path)
            case _:
                raise BadRequestError(f"{path}: a {type(block).__name__} can't stand here")
        return part | cache_mark(block.cache, self.target) if self._marks(block) else part

    def _file(self, file: File, path: str) -> _Json:
        if is_audio(file):
            return {"type": "input_audio", "input_audio": self._audio(file, path)}
        plain = self.quirks.file_style == "document_url"
        if file.id is not None:
            told = {"file_id": file.id}
            return {"type": "file", **told} if plain else {"type": "file", "file": told}
        data = file.url or write_data_url(file.media_type, file.data or b"")
        if plain:
            named = {"document_name": file.name} if file.name else {}
            return {"type": "document_url", "document_url": data, **named}
        return {"type": "file", "file": {"filename": file_name(file), "file_data": data}}

    def _audio(self, audio: File, path: str) -> _Json | str:
        plain, formats = self.quirks.audio_style == "plain", self.quirks.audio
        audio = with_bytes(audio, path)
        if audio.data is None:
            if audio.url is not None:  # one that may stand here, or it would have been refused
                return audio.url
            raise BadRequestError(
                f"{path}: sound can't be given by an id here",
                hint="Pass its bytes: File(data=...).",
            )
        word = audio_format(audio.media_type)
        if word not in formats:
            raise BadRequestError(
                f"{path}: {self.target.producer} takes sound as {' or '.join(formats)}, not {word}",
                hint="Convert it first, as ffmpeg does.",
            )
        data = b64encode(audio.data).decode()
        return data if plain else {"data": data, "format": word}

    # What the assistant said

    def _add_answer(self, message: AssistantMessage) -> None:
        """Nothing at all is written when nothing of it can be told to this target."""
        texts: list[Text] = []
        thoughts: list[Thinking] = []
        calls: list[_Json] = []
        as_text = self.quirks.thinking_as_text
        for block in message.content:
            match replayable(block, self.producer, thinking_as_text=as_text):
                case Text() as text:
                    texts.append(text)
                case ToolCall() as call:
                    calls.append(self._call(call))
                case Thinking() as thought:
                    thoughts.append(thought)
                case Image() | None:  # the format has no place for an assistant's pictures
                    pass
        body: _Json = {"role": "assistant", "content": self._said(texts)}
        if thoughts:
            body.update(self._thoughts(thoughts))
        if calls and self.quirks.reasoning_with_calls:
            # Nobody else's reasoning may stand here; nothing, and "", are refused as missing.
            body.setdefault(self.quirks.reasoning_replay, " ")
        if calls:
            body["content"] = body["content"] or None
            body["tool_calls"] = calls
        if texts or len(body) > 2:
            self.written.append(body)

    def _said(self, texts: list[Text]) -> str | list[_Json]:
        if self.quirks.cache_control and any(text.cache for text in texts):
            return [self._part(text, "") for text in texts]
        return "".join([text.text for text in texts])

    def _thoughts(self, thoughts: list[Thinking]) -> _Json:
        field = self.quirks.reasoning_replay
        if not field:
            return {}
        details = [entry for thought in thoughts for entry in reasoning_details(thought)]
        if details:  # they hold the text as well
            return {"reasoning_details": details}
        text = "".join(thought.text for thought in thoughts)
        return {field: text} if text else {}

    def _call(self, call: ToolCall) -> _Json:
        whole = call if call.executable else ToolCall(call.id, call.name, meta=call.meta)
        body = write_call(whole)
        body["id"] = self._ids.of(call.id)
        return body

    # What a tool said

    def _add_result(self, message: ToolMessage, place: int) -> None:
        body: _Json = {"role": "tool", "tool_call_id": self._ids.of(message.tool_call_id)}
        if message.tool_name and self.quirks.tool_result_name:
            body["name"] = message.tool_name
        body["content"] = self._result(message, place)
        if self.quirks.cache_control:
            self._mark_result(message, body)
        self.written.append(body)

    def _mark_result(self, message: ToolMessage, body: _Json) -> None:
        hints: list[CacheHint | None] = [message.cache, *(block.cache for block in message.content)]
        mark = cache_mark(next((hint for hint in hints if hint), None), self.target)
        if mark:
            mark_last([body], mark)

    def _result(self, message: ToolMessage, place: int) -> str | list[_Json]:
        text = "\n".join([block.text for block in message.content if isinstance(block, Text)])
        if message.is_error and not text.lower().startswith("error"):
            text = f"Error: {text}"
        inside: list[_Json] = []
        outside: list[_Json] = []
        for index, block in enumerate(message.content):
            if not isinstance(block, Text):
                fits = self.quirks.tool_result_images and isinstance(block, Image)
                part = self._part(block, f"{_path(place)}[{index}]")
                (inside if fits else outside).append(part)
        if outside:
            about = f"What the tool call {self._ids.of(message.tool_call_id)} gave besides text:"
            self._waiting += [{"type": "text", "text": about}, *outside]
            text = text or "(see the user message after this)"
        if not inside:
            return text
        return [{"type": "text", "text": text}, *inside] if text else inside


def _path(place: int | str) -> str:
    """Where a message's content stands, or that of the instructions with this role."""
    return f"messages[{place}].content" if isinstance(place, int) else place


def _image(image: Image) -> _Json:
    url = image.url or write_data_url(image.media_type, image.data or b"")
    detail = {"detail": image.detail} if image.detail else {}
    return {"type": "image_url", "image_url": {"url": url, **detail}}
