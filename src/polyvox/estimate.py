"""How many tokens a text may have, when nobody can be asked.

A rule of thumb that holds within some tens of percent for the tokenizers of current models: four
ASCII characters to a token, one token for each other character, a flat amount for pictures. Exact
counts come from a provider's own endpoint; see ``Client.count_tokens``.
"""

from collections.abc import Iterable, Sequence

from polyvox import jsontext
from polyvox.assembly import arguments_text
from polyvox.messages import (
    AssistantBlock,
    File,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolResultBlock,
)
from polyvox.request import Request

TOKENS_PER_MESSAGE = 4
TOKENS_PER_IMAGE = 1_000
BYTES_PER_FILE_TOKEN = 40
"""A PDF page of about 2,500 tokens takes some 100 KB; text files are better counted by their text."""


def text_tokens(text: str) -> int:
    """The estimate for a plain text."""
    size = len(text)
    return (size + 3) // 4 if text.isascii() else _tokens(size, _utf8_bytes(text))


def joined_tokens(pieces: Sequence[str]) -> int:
    """The estimate for a text in pieces, which are not joined for it."""
    size = sum(map(len, pieces))
    if all(map(str.isascii, pieces)):
        return (size + 3) // 4
    return _tokens(size, sum(map(_utf8_bytes, pieces)))


def content_tokens(content: Iterable[AssistantBlock | ToolResultBlock]) -> int:
    """The estimate for the blocks of one message."""
    return sum(map(_block_tokens, content))


def message_tokens(message: Message) -> int:
    """The estimate for one message, with what its frame takes."""
    return TOKENS_PER_MESSAGE + content_tokens(message.content)


def request_tokens(request: Request) -> int:
    """The estimate for all input of a request: instructions, tools, messages."""
    tokens = TOKENS_PER_MESSAGE * len(request.messages)
    for message in request.messages:
        for block in message.content:
            # Nearly always a text.
            tokens += text_tokens(block.text) if type(block) is Text else _block_tokens(block)
    if request.system:
        tokens += content_tokens(request.system)
    for tool in request.tools:
        tokens += text_tokens(tool.name + tool.description)
        tokens += len(jsontext.encode(tool.parameters)) // 4
    return tokens


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _tokens(size: int, utf8_bytes: int) -> int:
    others = (utf8_bytes - size + 1) // 2
    return (max(size - others, 0) + 3) // 4 + others


def _block_tokens(block: AssistantBlock | ToolResultBlock) -> int:
    match block:
        case Text() | Thinking():
            return text_tokens(block.text)
        case ToolCall():
            return TOKENS_PER_MESSAGE + text_tokens(block.name) + text_tokens(arguments_text(block))
        case Image():
            return TOKENS_PER_IMAGE
        case File():
            return len(block.data or b"") // BYTES_PER_FILE_TOKEN + TOKENS_PER_IMAGE
