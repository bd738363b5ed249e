"""What is said: messages made of blocks.

A message is a list of blocks. A block is a plain value; what only its producer understands
(signatures, item ids) stays on it as ``signature`` and ``meta``, together with the name of the
``producer`` ("provider/model"). ``replayable`` is the one rule for what may be sent back to whom.

Every type here turns into JSON and back with ``msgspec.json``; bytes become base64.
"""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, TypeVar

import msgspec

from polyvox import jsontext
from polyvox.media_types import sniff_media_type
from polyvox.trace import TraceNode
from polyvox.usage import NO_USAGE, Usage

CacheHint: TypeAlias = Literal["short", "long"]
"""How long a provider should keep the prompt up to here: about 5 minutes, or about an hour."""

COMPOSITE = "composite"
"""The producer of what a composite says of its own making."""

StopReason: TypeAlias = Literal[
    "stop",
    "stop_sequence",
    "length",
    "tool_calls",
    "content_filter",
    "refusal",
    "pause",
    "error",
    "aborted",
]
"""Why an answer ended.

``stop`` the model was done; ``stop_sequence`` it wrote one of the request's stop strings; ``length``
a token limit; ``tool_calls`` it waits for tool results; ``content_filter`` the provider cut it;
``refusal`` the model declined; ``pause`` the provider wants the same conversation sent again to go
on; ``error`` and ``aborted``: see the event that carried it.
"""


class Block(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    repr_omit_defaults=True,
    tag_field="type",
):
    """What all blocks share.

    ``cache`` asks the provider to cache the prompt up to and including this block. ``meta`` is
    opaque data of the ``producer`` ("provider/model"), never looked into by anyone else.
    """

    cache: CacheHint | None = None
    meta: dict[str, Any] | None = None
    producer: str | None = None


class Text(Block, frozen=True, kw_only=False, tag="text"):
    """Plain text."""

    text: str


class Thinking(Block, frozen=True, kw_only=False, tag="thinking"):
    """A model's reasoning.

    ``signature`` proves to the producer that the text is its own. With ``redacted`` the text is
    hidden and ``signature`` holds the provider's encrypted payload.
    """

    text: str = ""
    signature: str | None = None
    redacted: bool = False


def _check_bytes(data: object, name: str) -> None:
    if not isinstance(data, (bytes, type(None))):
        hint = (
            f"{name}(pathlib.Path(...).read_bytes()) reads a file, {name}(url=...) names an address"
        )
        raise TypeError(f"{name} takes bytes, not a {type(data).__name__}: {hint}")


class Image(Block, frozen=True, kw_only=False, tag="image"):
    """A picture, as bytes or as a URL (exactly one of both).

    ``media_type`` is read off the bytes when it is not given. ``detail`` is a hint of how closely
    to look, for providers that take one.
    """

    data: bytes | None = None
    url: str | None = None
    media_type: str = ""
    detail: Literal["auto", "low", "high"] | None = None

    def __post_init__(self) -> None:
        _check_bytes(self.data, "Image")
        if (self.data is None) == (self.url is None):
            raise ValueError("Image takes exactly one of data= (bytes) and url=")
        if self.data is not None and not self.media_type:
            sniffed = sniff_media_type(self.data)
            msgspec.structs.force_setattr(self, "media_type", sniffed)
            if not sniffed.startswith("image/"):
                raise ValueError(
                    "Image: the bytes are no PNG, JPEG, GIF or WebP; name their media_type="
                )


class File(Block, frozen=True, kw_only=False, tag="file"):
    """A document (PDF, text, ...) or sound, as bytes, as a URL or as the id of an upload (exactly one).

    ``media_type`` tells which: "audio/..." is sound. It is read off the bytes when it is not given.
    """

    data: bytes | None = None
    url: str | None = None
    id: str | None = None
    media_type: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        _check_bytes(self.data, "File")
        if sum(part is not None for part in (self.data, self.url, self.id)) != 1:
            raise ValueError("File takes exactly one of data= (bytes), url= and id=")
        if self.data is not None and not self.media_type:
            sniffed = sniff_media_type(self.data) or "application/octet-stream"
            msgspec.structs.force_setattr(self, "media_type", sniffed)


class ToolCall(Block, frozen=True, kw_only=False, tag="tool_call"):
    """A model's wish to have a tool run.

    ``unparsed`` is None for a whole call. Otherwise the arguments were cut off or are no JSON
    object: ``unparsed`` holds the text that came, ``arguments`` is empty, and nobody may run it.
    """

    id: str
    name: str
    arguments: dict[str, Any] = {}
    unparsed: str | None = None

    @property
    def executable(self) -> bool:
        """Whether the arguments came whole, so that the tool may be run with them."""
        return self.unparsed is None


UserBlock: TypeAlias = Text | Image | File
AssistantBlock: TypeAlias = Text | Thinking | Image | ToolCall
ToolResultBlock: TypeAlias = Text | Image | File


class _HasContent(Protocol):
    @property
    def content(self) -> Sequence[Block]: ...


class _Message(msgspec.Struct, omit_defaults=True, repr_omit_defaults=True, tag_field="role"):
    """What all messages share: the tag that tells them apart in JSON, and a text."""

    @property
    def text(self: _HasContent) -> str:
        """All text blocks, joined without a separator."""
        return "".join(block.text for block in self.content if isinstance(block, Text))


class SystemMessage(_Message, tag="system"):
    """Instructions given in the middle of a conversation (those at its start are ``Request.system``)."""

    role: ClassVar[Literal["system"]] = "system"
    content: list[Text]


class UserMessage(_Message, tag="user"):
    """What the person, or the program in their place, says."""

    role: ClassVar[Literal["user"]] = "user"
    content: list[UserBlock]


class ToolMessage(_Message, tag="tool"):
    """The result of one tool call."""

    role: ClassVar[Literal["tool"]] = "tool"
    tool_call_id: str
    content: list[ToolResultBlock]
    tool_name: str = ""
    is_error: bool = False
    cache: CacheHint | None = None


class AssistantMessage(_Message, tag="assistant"):
    """What the model said, and how it came to its end.

    ``provider`` and ``model`` say who was asked, ``response_model`` the exact model that the
    provider says answered. ``error`` is the text of the failure when ``stop_reason`` is "error" or
    "aborted": the message then holds all that arrived before it. ``cached`` is an answer that was
    given before and is given again, from a cache of ours: nobody was asked, ``usage`` is nothing.
    ``trace`` tells what a composite model has made it of.
    """

    role: ClassVar[Literal["assistant"]] = "assistant"
    content: list[AssistantBlock]
    stop_reason: StopReason = "stop"
    usage: Usage = NO_USAGE
    provider: str = ""
    model: str = ""
    response_model: str = ""
    id: str = ""
    request_id: str | None = None
    stop_sequence: str | None = None
    error: str | None = None
    cached: bool = False
    trace: TraceNode | None = None

    @property
    def thinking(self) -> str:
        """All readable reasoning, joined without a separator."""
        return "".join(block.text for block in self.content if isinstance(block, Thinking))

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tool calls in the order the model made them, executable or not."""
        return [block for block in self.content if isinstance(block, ToolCall)]


Message: TypeAlias = SystemMessage | UserMessage | AssistantMessage | ToolMessage

Prompt: TypeAlias = (
    str
    | UserBlock
    | Message
    | dict[str, Any]
    | Sequence[Message | UserBlock | dict[str, Any] | str]
)
"""What may be given where messages are wanted; see ``as_messages``."""


def user(*content: str | UserBlock) -> UserMessage:
    """A user message of texts, images and files.

    >>> user("What is this?", Image(url="https://example.com/cat.png"))
    UserMessage(content=[Text(text='What is this?'), Image(url='https://example.com/cat.png')])
    """
    return UserMessage(_blocks(content, _USER_BLOCKS, "user()"))


def assistant(*content: str | AssistantBlock) -> AssistantMessage:
    """An assistant message, for examples put before the real conversation."""
    return AssistantMessage(_blocks(content, _ASSISTANT_BLOCKS, "assistant()"))


def tool_result(
    call: ToolCall | str, *content: str | ToolResultBlock, is_error: bool = False
) -> ToolMessage:
    """The answer to a tool call (or to the call with that id)."""
    blocks = _blocks(content, _USER_BLOCKS, "tool_result()")
    if isinstance(call, str):
        return ToolMessage(call, blocks, is_error=is_error)
    return ToolMessage(call.id, blocks, tool_name=call.name, is_error=is_error)


_BlockT = TypeVar("_BlockT", bound=Block)


def _blocks(parts: Iterable[object], kinds: tuple[type[_BlockT], ...], name: str) -> list[_BlockT]:
    """Strings as ``Text``, blocks of these kinds as they are. Raises ``TypeError`` for all else."""
    blocks: list[Any] = [Text(part) if isinstance(part, str) else part for part in parts]
    for block in blocks:
        if not isinstance(block, kinds):
            known = ", ".join(kind.__name__ for kind in kinds)
            raise TypeError(
                f"{name} takes strings and {known}, not a {type(block).__name__}; "
                "other values go as text, such as json.dumps(value)"
            )
    return blocks


def dump_messages(messages: Sequence[Message]) -> bytes:
    """A conversation as JSON, to be kept in a file or a database; ``load_messages`` reads it."""
    return jsontext.encode(messages)


def load_messages(data: bytes | str) -> list[Message]:
    """The conversation that ``dump_messages`` wrote. Raises ``ValueError`` if it is none.

    >>> load_messages(dump_messages([user("Hello.")]))
    [UserMessage(content=[Text(text='Hello.')])]
    """
    try:
        return jsontext.decode(data, list[Message])
    except msgspec.DecodeError as error:
        raise ValueError(f"this is no conversation: {error}") from None


def as_messages(prompt: Prompt) -> list[Message]:
    """Messages out of whatever is handy: a string, a block, a message, its dict, or a list of those.

    Dicts have the shape that messages have in JSON; their ``content`` may be a plain string.
    Strings and blocks in a list that stand side by side make one user message.

    Raises ``ValueError`` naming the place of what is not a message.
    """
    parts: Sequence[Any] = prompt if isinstance(prompt, (list, tuple)) else [prompt]
    messages: list[Message] = []
    loose: list[UserBlock] = []
    for place, part in enumerate(parts):
        if isinstance(part, str):
            loose.append(Text(part))
        elif isinstance(part, (Text, Image, File)):
            loose.append(part)
        else:
            if loose:
                messages.append(UserMessage(loose))
                loose = []
            messages.append(_as_message(part, place))
    if loose:
        messages.append(UserMessage(loose))
    return messages


def _as_message(part: Any, place: int) -> Message:
    if isinstance(part, (SystemMessage, UserMessage, AssistantMessage, ToolMessage)):
        _check_content(part, place)
        return part
    if not isinstance(part, dict):
        kind = type(part).__name__
        raise ValueError(
            f"messages[{place}] is of type {kind}; give a message, a block, a string or a dict"
        )
    fields: dict[str, Any] = {str(key): value for key, value in part.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if fields.get("role") not in _ROLES:
        known = ", ".join(_ROLES)
        raise ValueError(
            f"messages[{place}] has the role {fields.get('role')!r}; there are {known}"
        )
    if isinstance(fields.get("content"), str):
        fields["content"] = [{"type": "text", "text": fields["content"]}]
    try:
        return msgspec.convert(fields, Message)
    except msgspec.ValidationError as error:
        raise ValueError(f"messages[{place}] is no message: {error}") from None


_ROLES = ("system", "user", "assistant", "tool")
_USER_BLOCKS = (Text, Image, File)
_ASSISTANT_BLOCKS = (Text, Thinking, Image, ToolCall)
_BLOCKS_OF: dict[type, tuple[type, ...]] = {
    SystemMessage: (Text,),
    UserMessage: _USER_BLOCKS,
    ToolMessage: _USER_BLOCKS,
    AssistantMessage: _ASSISTANT_BLOCKS,
}


def _check_content(message: Message, place: int) -> None:
    """Structs don't check what they are made of; what is wrong in them is said here."""
    kinds = next(kinds for kind, kinds in _BLOCKS_OF.items() if isinstance(message, kind))
    content: Any = message.content
    if not isinstance(content, list):
        raise ValueError(f"messages[{place}].content is no list of blocks")
    for index, block in enumerate(content):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if not isinstance(block, kinds):
            kind, known = type(block).__name__, ", ".join(each.__name__ for each in kinds)  # pyright: ignore[reportUnknownArgumentType]
            raise ValueError(
                f"messages[{place}].content[{index}] is of type {kind}; it may be {known}"
            )


def replayable(
    block: AssistantBlock, producer: str, *, thinking_as_text: bool = False
) -> AssistantBlock | None:
    """The form in which an assistant's block may be sent to ``producer`` ("provider/model"), or None.

    To the block's own producer, or when the block names none: as it is. To any other: without its
    opaque data; reasoning is dropped, or with ``thinking_as_text`` becomes text in think tags. The
    summary of a composite is for people, and never sent.
    """
    if block.producer == COMPOSITE:
        return (
            None if isinstance(block, Thinking) else msgspec.structs.replace(block, producer=None)
        )
    if block.producer is None or block.producer == producer:
        return block
    if not isinstance(block, Thinking):
        return msgspec.structs.replace(block, meta=None, producer=None)
    if thinking_as_text and block.text:
        return Text(f"<think>\n{block.text}\n</think>\n")
    return None
