"""A conversation, written as a list of input items.

What the provider itself said goes back as it came: an item it made keeps its id, encrypted reasoning
its payload, and items that are nothing to us are passed on whole. Two rules of OpenAI's decide what
of that may go ("Keeping reasoning items in context" in its documentation):

- An item of reasoning must bring its encrypted content, or its text, unless the provider stored it;
  and something of the same turn must follow it. Else it is left out.
- An item that was made after such reasoning is not known without it, so it goes without its id.

A failed tool's result begins with "Error:". A call whose arguments broke off is sent with none.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from polyvox.dialects.base import Target
from polyvox.dialects.data_urls import write_data_url
from polyvox.dialects.ids import CallIds, IdRule
from polyvox.dialects.media import checked, file_name, on_the_web, with_bytes
from polyvox.dialects.openai_responses import items
from polyvox.dialects.openai_responses.items import extras
from polyvox.dialects.openai_responses.wire import Json
from polyvox.errors import BadRequestError
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
from polyvox.request import Request

_CALL_IDS = IdRule(longest=64)


def takes_url(block: Image | File, target: Target) -> bool:
    """Whether the provider fetches it: pictures and files."""
    return on_the_web(block) and (target.quirks.image_urls or isinstance(block, File))


def write_input(request: Request, target: Target, *, stored: bool) -> list[Json]:
    """The items. ``stored``: the provider keeps what it said, so an id may stand for it.

    Raises ``BadRequestError`` for what can't be carried.
    """
    writer = _Writer(target, stored)
    for place, message in enumerate(request.messages):
        writer.add(message, f"messages[{place}].content")
    return writer.written


class _Writer:
    def __init__(self, target: Target, stored: bool) -> None:
        self.written: list[Json] = []
        self._target = target
        self._producer = target.producer
        self._stored = stored
        self._ids = CallIds(_CALL_IDS)

    def add(self, message: Message, path: str) -> None:
        match message:
            case SystemMessage(content=content):
                role = "developer" if self._target.quirks.developer_role else "system"
                self.written.append({"role": role, "content": self._content(content, path)})
            case UserMessage(content=content):
                if not content:
                    raise BadRequestError(f"{path}: a user message is empty")
                self.written.append({"role": "user", "content": self._content(content, path)})
            case AssistantMessage():
                self._add_answer(message)
            case ToolMessage():
                self._add_result(message, path)

    def _add_answer(self, message: AssistantMessage) -> None:
        sent = [block for block in self._sent(message) if not self._is_lost(block)]
        while sent and isinstance(sent[-1], Thinking):
            sent.pop()
        known = len(sent) == len(message.content)
        for id, group in groupby(sent, lambda block: _message_id(block) if known else None):
            if id:
                self._add_message(id, [text for text in group if isinstance(text, Text)])
                continue
            for block in group:
                self._add_block(block, known=known)

    def _sent(self, message: AssistantMessage) -> Iterable[Text | Thinking | ToolCall]:
        as_text = self._target.quirks.thinking_as_text
        for block in message.content:
            sent = replayable(block, self._producer, thinking_as_text=as_text)
            if isinstance(sent, (Text, Thinking, ToolCall)):
                yield sent

    def _is_lost(self, block: Text | Thinking | ToolCall) -> bool:
        """Whether this is reasoning that the provider would not know again."""
        if not isinstance(block, Thinking):
            return False
        kept = extras(block)
        return not kept.get("id") or not (block.signature or "content" in kept or self._stored)

    def _add_message(self, id: str, texts: list[Text]) -> None:
        parts = [items.part_of(text) for text in texts]
        self.written.append(items.message_item(id, parts, extras(texts[0]).get("phase")))

    def _add_block(self, block: Text | Thinking | ToolCall, *, known: bool) -> None:
        opaque = items.opaque_item(block)
        match block:
            case Text() if opaque:
                self.written.append(opaque)
            case Text(text=text):
                if text:
                    phase = {"phase": extras(block)["phase"]} if "phase" in extras(block) else {}
                    self.written.append({"role": "assistant", **phase, "content": text})
            case Thinking():
                self.written.append(items.reasoning_item(block))
            case ToolCall():
                whole = block if block.executable else ToolCall(block.id, block.name)
                item = {**items.call_item(whole), "call_id": self._ids.of(block.id)}
                if not known:
                    item.pop("id", None)
                self.written.append(item)

    def _add_result(self, message: ToolMessage, path: str) -> None:
        content = self._content(message.content, path) if message.content else ""
        if message.is_error:
            content = _as_error(content)
        item = {"type": "function_call_output", "call_id": self._ids.of(message.tool_call_id)}
        self.written.append({**item, "output": content})

    def _content(self, blocks: Sequence[Block], path: str) -> str | list[Json]:
        """A string where that says it all."""
        if len(blocks) == 1 and isinstance(only := blocks[0], Text):
            return only.text
        return [self._part(block, f"{path}[{index}]") for index, block in enumerate(blocks)]

    def _part(self, block: Block, path: str) -> Json:
        match block:
            case Text(text=text):
                return {"type": "input_text", "text": text}
            case Image() | File():
                checked(block, path, self._target, takes_url, never=("audio",))
                return _image(block) if isinstance(block, Image) else _file(block, path)
            case _:
                raise BadRequestError(f"{path}: a {type(block).__name__} can't stand here")


def _message_id(block: Text | Thinking | ToolCall) -> str:
    """The id of the message that a text is part of; "" for all else."""
    if isinstance(block, Text) and not items.opaque_item(block):
        return str(extras(block).get("id", ""))
    return ""


def _as_error(content: str | list[Json]) -> str | list[Json]:
    if isinstance(content, str):
        return content if content.lower().startswith("error") else f"Error: {content}"
    return [{"type": "input_text", "text": "Error:"}, *content]


def _image(image: Image) -> Json:
    url = image.url or write_data_url(image.media_type, image.data or b"")
    return {"type": "input_image", "detail": image.detail or "auto", "image_url": url}


def _file(file: File, path: str) -> Json:
    file = with_bytes(file, path)
    if file.id is not None:
        return {"type": "input_file", "file_id": file.id}
    if file.url is not None:
        return {"type": "input_file", "file_url": file.url}
    data = write_data_url(file.media_type, file.data or b"")
    return {"type": "input_file", "filename": file_name(file), "file_data": data}
