"""Our blocks as the format writes them, in requests and in answers."""

from typing import Any

from polyvox.dialects.anthropic_messages.wire import NAME, Json
from polyvox.dialects.base import Target
from polyvox.dialects.media import is_audio, url_type, with_bytes
from polyvox.errors import BadRequestError
from polyvox.messages import Block, File, Image, Text, Thinking, ToolCall

__all__ = ["content_block", "extras", "takes_url"]

_PERHAPS_PDF = ("application/pdf", "")
_TEXT_TYPES = frozenset(
    {"application/json", "application/xml", "application/yaml", "application/javascript"}
)


def extras(block: Block) -> Json:
    """The fields of this format that came with the block and that our vocabulary has no word for."""
    kept: Any = (block.meta or {}).get(NAME)
    return dict(kept) if isinstance(kept, dict) else {}  # pyright: ignore[reportUnknownArgumentType]


def content_block(block: Block, place: str = "") -> Json:
    """The block as a content block. A block of a kind unknown to us goes back as it came.

    Raises ``BadRequestError`` for a file that the format can't carry, naming its ``place``.
    """
    more = extras(block) if block.meta else {}
    if "type" in more:
        return more
    plain = _plain(block, place)
    return plain | more if more else plain


def _plain(block: Block, place: str) -> Json:
    match block:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Thinking(redacted=True, signature=signature):
            return {"type": "redacted_thinking", "data": signature or ""}
        case Thinking(text=text, signature=signature):
            return {"type": "thinking", "thinking": text, "signature": signature or ""}
        case ToolCall(id=id, name=name, arguments=arguments):
            return {"type": "tool_use", "id": id, "name": name, "input": arguments}
        case Image():
            return {"type": "image", "source": _image_source(with_bytes(block, place))}
        case File():
            return _document(with_bytes(block, place), place)
        case _:
            raise TypeError(f"{place}: {type(block).__name__} is no content block")


def takes_url(block: Image | File, target: Target) -> bool:
    """Whether the API fetches it: pictures and PDF, by https."""
    if not (block.url or "").startswith("https://") or is_audio(block):
        return False
    if isinstance(block, Image):
        return target.quirks.image_urls
    return (block.media_type or url_type(block.url or "")) in _PERHAPS_PDF


def _image_source(image: Image) -> Json:
    if image.data is not None:
        return {"type": "base64", "media_type": image.media_type, "data": image.data}
    return {"type": "url", "url": image.url}


def _document(file: File, place: str) -> Json:
    if file.media_type.startswith("image"):
        return {"type": "image", "source": _file_source(file, place)}
    document: Json = {"type": "document", "source": _file_source(file, place)}
    if file.name:
        document["title"] = file.name
    return document


def _file_source(file: File, place: str) -> Json:
    if file.id is not None:
        return {"type": "file", "file_id": file.id}
    if file.data is None:
        return {"type": "url", "url": file.url}
    if file.media_type == "application/pdf" or file.media_type.startswith("image/"):
        return {"type": "base64", "media_type": file.media_type, "data": file.data}
    if file.media_type.startswith("text/") or file.media_type in _TEXT_TYPES:
        text = file.data.decode("utf-8", "replace")
        return {"type": "text", "media_type": "text/plain", "data": text}
    raise BadRequestError(
        f"{place}: a file of type {file.media_type} can't be sent",
        hint="This API takes PDF and text (is it text? then say media_type='text/plain'); anything "
        "else must be uploaded first and sent by its id.",
    )
