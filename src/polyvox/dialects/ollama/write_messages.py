"""A conversation, written as Ollama's list of messages.

Where the format is narrower than our vocabulary: a message has one text, and its pictures beside it;
the texts of a user's or a tool's turn stand in lines of their own; a failed tool's result begins with
"Error:"; pictures of a tool go into a user message after all results, unless the target's quirks say
that it sees them; a call whose arguments broke off is sent without arguments; pictures of the
assistant are left out.
"""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any, TypeAlias

from polyvox.dialects.base import Target
from polyvox.dialects.media import checked, with_bytes
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

_Json: TypeAlias = dict[str, Any]


def write_messages(request: Request, target: Target) -> list[_Json]:
    """The system blocks and the messages. Raises ``BadRequestError`` for what can't be carried."""
    writer = _Writer(target)
    writer.add_instructions(request.system)
    for place, message in enumerate(request.messages):
        writer.add(message, f"messages[{place}].content")
    writer.flush()
    return writer.written


def takes_url(block: Image | File, target: Target) -> bool:
    """Ollama fetches nothing."""
    return False


def write_content(blocks: Sequence[Block], path: str, target: Target) -> tuple[str, list[str]]:
    """The text of these blocks, and their pictures in base64."""
    texts = [block.text for block in blocks if isinstance(block, Text)]
    others = ((i, block) for i, block in enumerate(blocks) if not isinstance(block, Text))
    return "\n".join(texts), [_image(block, f"{path}[{i}]", target) for i, block in others]


class _Writer:
    """Collects the messages; a tool's pictures wait for the results to end."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.written: list[_Json] = []
        self._waiting: list[str] = []
        self._tools: dict[str, str] = {}  # the names of the tools by the ids of their calls

    def add(self, message: Message, path: str) -> None:
        if not isinstance(message, ToolMessage):
            self.flush()
        match message:
            case SystemMessage(content=content):
                self.add_instructions(content)
            case UserMessage(content=content):
                if not content:
                    raise BadRequestError(f"{path}: a user message is empty")
                text, images = write_content(content, path, self.target)
                self._put({"role": "user", "content": text}, images)
            case AssistantMessage():
                self._add_answer(message)
            case ToolMessage():
                self._add_result(message, path)

    def flush(self) -> None:
        """Put the pictures that are waiting into a user message."""
        if self._waiting:
            text = "What the tools gave besides text:"
            self._put({"role": "user", "content": text}, self._waiting)
            self._waiting = []

    def add_instructions(self, blocks: list[Text]) -> None:
        if blocks:
            text = "\n".join(block.text for block in blocks)
            self.written.append({"role": "system", "content": text})

    def _put(self, body: _Json, images: list[str]) -> None:
        self.written.append({**body, "images": images} if images else body)

    def _add_answer(self, message: AssistantMessage) -> None:
        """Nothing at all is written when nothing of it can be told to this target."""
        text = thinking = ""
        calls: list[_Json] = []
        as_text = self.target.quirks.thinking_as_text
        for block in message.content:
            match replayable(block, self.target.producer, thinking_as_text=as_text):
                case Text(text=more):
                    text += more
                case Thinking(text=more):
                    thinking += more
                case ToolCall() as call:
                    calls.append(self._call(call, len(calls)))
                case _:
                    pass
        fields = {"thinking": thinking, "tool_calls": calls}
        said = {name: value for name, value in fields.items() if value}
        if text or said:
            self.written.append({"role": "assistant", "content": text, **said})

    def _call(self, call: ToolCall, index: int) -> _Json:
        self._tools[call.id] = call.name
        return write_call(call, index)

    def _add_result(self, message: ToolMessage, path: str) -> None:
        text, images = write_content(message.content, path, self.target)
        if message.is_error and not text.lower().startswith("error"):
            text = f"Error: {text}"
        if images and not self.target.quirks.tool_result_images:
            self._waiting += images
            images, text = [], text or "(see the user message after this)"
        body: _Json = {"role": "tool", "content": text}
        name = message.tool_name or self._tools.get(message.tool_call_id, "")
        if name:
            body["tool_name"] = name
        self._put({**body, "tool_call_id": message.tool_call_id}, images)


def write_call(call: ToolCall, index: int) -> _Json:
    """A tool call; newer servers know its id, older ones go by the order."""
    function = {"index": index, "name": call.name, "arguments": call.arguments}
    return {"id": call.id, "function": function}


def _image(block: Block, path: str, target: Target) -> str:
    if not isinstance(block, (Image, File)):
        raise BadRequestError(f"{path}: a {type(block).__name__} can't stand here")
    checked(block, path, target, takes_url, never=("audio", "file"))
    return b64encode(with_bytes(block, path).data or b"").decode()
