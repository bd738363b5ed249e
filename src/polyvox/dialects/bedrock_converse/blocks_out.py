"""Our blocks as the format writes them, in requests and in answers.

From the pages "ContentBlock", "DocumentBlock" and "ReasoningContentBlock" of the Amazon Bedrock API
reference.
"""

import re
from typing import Any

from polyvox.dialects.base import Target
from polyvox.dialects.bedrock_converse.wire import MEDIA, NAME, Json, blob
from polyvox.dialects.media import audio_format, url_type, with_bytes
from polyvox.errors import BadRequestError
from polyvox.messages import Block, File, Image, Text, Thinking, ToolCall

__all__ = ["content_block", "document_name", "extras", "is_opaque", "takes_url"]

_LONGEST_NAME = 200
_FOREIGN = re.compile(r"[^a-zA-Z0-9\s()\[\]-]+")
_EXTENSION = re.compile(r"\.\w{1,5}$")
_TEXT_TYPES = frozenset(
    {"application/json", "application/xml", "application/yaml", "application/javascript"}
)


def extras(block: Block) -> Json:
    """What of this format came with the block and our vocabulary has no word for."""
    kept: Any = (block.meta or {}).get(NAME)
    return dict(kept) if isinstance(kept, dict) else {}  # pyright: ignore[reportUnknownArgumentType]


def is_opaque(block: Block) -> bool:
    """Whether the block is of a kind unknown to us, kept as it came."""
    return isinstance(block, Text) and "citations" not in extras(block) and bool(extras(block))


def content_block(block: Block, place: str = "") -> Json:
    """The block as a content block. A block of a kind unknown to us goes back as it came.

    Raises ``BadRequestError`` for a file that the format can't carry, naming its ``place``.
    """
    match block:
        case Text() if is_opaque(block):
            return extras(block)
        case Text(text=text) if citations := extras(block).get("citations"):
            return {"citationsContent": {"content": [{"text": text}], "citations": citations}}
        case Text(text=text):
            return {"text": text}
        case Thinking(redacted=True, signature=signature):
            return {"reasoningContent": {"redactedContent": blob(signature)}}
        case Thinking(text=text, signature=signature):
            signed: Json = {"signature": signature} if signature else {}
            return {"reasoningContent": {"reasoningText": {"text": text, **signed}}}
        case ToolCall(id=id, name=name, arguments=arguments):
            return {"toolUse": {"toolUseId": id, "name": name, "input": arguments}}
        case Image() | File():
            return _media(block, place)
        case _:
            raise TypeError(f"{place}: {type(block).__name__} is no content block")


def takes_url(block: Image | File, target: Target) -> bool:
    """Whether Bedrock itself fetches what stands at the block's URL: only out of S3."""
    return (block.url or "").startswith("s3://")


def document_name(name: str) -> str:
    """The name as a document may have it: letters, digits, single spaces, hyphens and brackets.

    >>> document_name("Q3_report (final).pdf"), document_name("")
    ('Q3-report (final)', 'document')
    """
    plain = _FOREIGN.sub("-", _EXTENSION.sub("", name))
    return " ".join(plain.split())[:_LONGEST_NAME].strip() or "document"


def _media(block: Image | File, place: str) -> Json:
    media_type, source = _source(with_bytes(block, place), place)
    kind, format = _format(media_type, place)
    fields: Json = {"format": format, "source": source}
    if kind == "document":
        name = block.name if isinstance(block, File) else ""
        fields = {"format": format, "name": document_name(name), "source": source}
    return {kind: {**fields, **extras(block)}}


def _source(block: Image | File, place: str) -> tuple[str, Json]:
    """The media type and where the bytes are."""
    if block.data is not None:
        return block.media_type, {"bytes": block.data}
    url = block.url or ""
    if url.startswith("s3://"):
        media_type = block.media_type or url_type(url)
        return media_type, {"s3Location": {"uri": url}}
    what = "an upload's id" if url == "" else "this URL"
    raise BadRequestError(
        f"{place}: {what} can't be sent here",
        hint="Amazon Bedrock takes the bytes themselves (data=...) or an s3:// URI (url=...).",
    )


def _format(media_type: str, place: str) -> tuple[str, str]:
    media_type = media_type.partition(";")[0].strip().lower()
    if media_type in MEDIA:
        return MEDIA[media_type]
    if media_type.startswith("audio/"):
        return "audio", audio_format(media_type)
    if media_type.startswith("text/") or media_type in _TEXT_TYPES:
        return MEDIA["text/plain"]
    formats = ", ".join(format for _, format in MEDIA.values())
    raise BadRequestError(
        f"{place}: a file of type {media_type or 'unknown'} can't be sent",
        hint=f"Name its media_type=, which must be that of one of these: {formats}.",
    )
