"""Our blocks as the format's parts, in requests and in answers.

From "Generating content" (``Part``, ``Blob``, ``FileData``), "Files" and "Function calling" in the
Gemini API documentation. Bytes stay bytes: the JSON encoder writes them in base64.
"""

from mimetypes import guess_type
from typing import Any

from polyvox.dialects.data_urls import read_data_url
from polyvox.dialects.gemini.wire import OPAQUE, SIGNATURE, Json, extras
from polyvox.messages import Block, File, Image, Text, Thinking, ToolCall, ToolMessage

__all__ = ["FILES", "answer_part", "media_part", "result_part", "url_type"]

FILES = "https://generativelanguage.googleapis.com/v1beta/files/"
"""What the URIs of uploaded files begin with; the rest is the file's id."""


def url_type(url: str) -> str:
    """The media type that a URL's ending tells, or ""."""
    return guess_type(url.partition("?")[0])[0] or ""


def media_part(block: Image | File, place: str = "") -> Json:
    """A picture or a document. Raises ``BadRequestError`` for a broken data URL, naming its place."""
    if block.data is not None:
        return {"inlineData": {"mimeType": block.media_type, "data": block.data}}
    if block.url is not None and block.url.startswith("data:"):
        media_type, data = read_data_url(block.url, place)
        return {"inlineData": {"mimeType": media_type or block.media_type, "data": data}}
    if isinstance(block, File) and block.id is not None:
        uri = block.id if "://" in block.id else FILES + block.id.removeprefix("files/")
    else:
        uri = block.url or ""
    media_type = block.media_type or url_type(uri)
    return {
        "fileData": {"mimeType": media_type, "fileUri": uri} if media_type else {"fileUri": uri}
    }


def answer_part(block: Block) -> Json | None:
    """A block of an answer as a part; None for a text that is nothing.

    A part of a kind unknown to us goes back as it came, and a signature where it came from.
    """
    more = extras(block)
    if any(kind in more for kind in OPAQUE):
        return more
    signed = {SIGNATURE: more[SIGNATURE]} if SIGNATURE in more else {}
    match block:
        case Text(text=text):
            return {"text": text, **signed} if text or signed else None
        case Thinking(text=text, signature=signature):
            signed = {SIGNATURE: signature} if signature else {}
            return {"text": text, "thought": True, **signed} if text or signed else None
        case ToolCall(id=id, name=name, arguments=arguments):
            return {"functionCall": {"id": id, "name": name, "args": arguments}, **signed}
        case Image():
            return {**media_part(block), **signed}
        case _:
            raise TypeError(f"{type(block).__name__} is no part of an answer")


def result_part(message: ToolMessage, name: str, id: str, media: list[Json]) -> Json:
    """A tool's result: its texts under "output", or "error"; several of them as a list."""
    texts = [block.text for block in message.content if isinstance(block, Text)]
    said: Any = "".join(texts) if len(texts) < 2 else texts
    response: Json = {"id": id, "name": name, "response": {_key(message): said}}
    if media:
        response["parts"] = media
    return {"functionResponse": response}


def _key(message: ToolMessage) -> str:
    return "error" if message.is_error else "output"
