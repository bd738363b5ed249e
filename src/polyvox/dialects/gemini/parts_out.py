"""Our blocks as the format's parts, in requests and in answers.

From "Generating content" (``Part``, ``Blob``, ``FileData``), "Files" and "Function calling" in the
Gemini API documentation. Bytes stay bytes: the JSON encoder writes them in base64.
"""

from typing import Any

from polyvox.dialects.base import Target
from polyvox.dialects.data_urls import read_data_url
from polyvox.dialects.gemini.traits import traits_of
from polyvox.dialects.gemini.wire import OPAQUE, SIGNATURE, Json, extras
from polyvox.dialects.media import on_the_web, url_type
from polyvox.messages import Block, File, Image, Text, Thinking, ToolCall, ToolMessage

__all__ = ["FILES", "answer_part", "media_part", "result_part", "takes_url"]

FILES = "https://generativelanguage.googleapis.com/v1beta/files/"
"""What the URIs of uploaded files begin with; the rest is the file's id."""

_OWN = (
    *("https://generativelanguage.googleapis.com/", "gs://"),
    *("https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/"),
)
_FETCHED = frozenset(
    {
        *("text/html", "text/css", "text/plain", "text/xml", "text/csv", "text/rtf"),
        *("text/javascript", "application/json", "application/pdf"),
        *("image/bmp", "image/jpeg", "image/png", "image/webp"),
    }
)
"""What the API fetches from anywhere, beside films."""


def takes_url(block: Image | File, target: Target) -> bool:
    """Whether the API fetches it: an upload of its own, a film of YouTube's, and for newer models most.

    Of what stands elsewhere it must be told a media type that it fetches ("File input methods").
    """
    url = block.url or ""
    if url.startswith(_OWN):
        return True
    if not on_the_web(block):
        return False
    media_type = block.media_type or url_type(url)
    return traits_of(target.model).fetches and (
        media_type in _FETCHED or media_type.startswith("video/")
    )


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
    more = extras(block) if block.meta else {}
    if more and any(kind in more for kind in OPAQUE):
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
