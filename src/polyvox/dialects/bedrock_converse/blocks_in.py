"""Content blocks of the format as ours, in the requests that clients send and in whole answers."""

from collections.abc import Callable
from typing import Any

from polyvox import jsontext
from polyvox.dialects.bedrock_converse.wire import CACHE_POINT, MEDIA_TYPES, NAME
from polyvox.dialects.fields import Fields
from polyvox.messages import Block, CacheHint, File, Image, Text, Thinking, ToolCall

__all__ = ["read_blocks", "read_cache", "with_caches"]


_SOUNDS = {"mp3": "mpeg", "m4a": "mp4"}  # whose media types have another word


def with_caches(blocks: list[Fields]) -> list[Fields]:
    """The blocks without the cache points among them, each of which is a field of the one before it."""
    kept: list[Fields] = []
    for block in blocks:
        point = block.take_any(CACHE_POINT)
        if point is None:
            kept.append(block)
        elif kept:
            kept[-1].rest[CACHE_POINT] = point
    return kept


def read_cache(fields: Fields) -> CacheHint | None:
    """The cache point behind a block."""
    point = fields.take_object(CACHE_POINT)
    if point is None:
        return None
    return "long" if point.take("ttl", str, "5m") == "1h" else "short"


def read_blocks(blocks: list[Fields], allowed: tuple[type[Block], ...]) -> list[Any]:
    """The blocks as ours, all of which must be ``allowed`` here."""
    return [_read_allowed(fields, allowed) for fields in blocks]


def _read_allowed(fields: Fields, allowed: tuple[type[Block], ...]) -> Block:
    cache = read_cache(fields)
    kind = next((kind for kind in _READERS if kind in fields.rest), "")
    if not kind:
        # Kept whole: it goes back to where such blocks are known, and is nothing anywhere else.
        return Text("", cache=cache, meta={NAME: fields.rest} if fields.rest else None)
    block = _READERS[kind](fields, cache)
    if not isinstance(block, allowed):
        raise fields.wrong(kind, "can't stand here")
    return block


def _text(fields: Fields, cache: CacheHint | None) -> Block:
    return Text(fields.take("text", str), cache=cache)


def _json(fields: Fields, cache: CacheHint | None) -> Block:
    return Text(jsontext.encode(fields.take_any("json")).decode(), cache=cache)


def _cited(fields: Fields, cache: CacheHint | None) -> Block:
    cited = _object(fields, "citationsContent")
    text = "".join(each.take("text", str, "") for each in cited.take_list("content"))
    return Text(
        text, cache=cache, meta={NAME: {"citations": cited.take("citations", list[Any], [])}}
    )


def _reasoning(fields: Fields, cache: CacheHint | None) -> Block:
    reasoning = _object(fields, "reasoningContent")
    shown = reasoning.take_object("reasoningText")
    if shown is None:
        return Thinking("", reasoning.take("redactedContent", str), redacted=True)
    return Thinking(shown.take("text", str, ""), shown.take("signature", str, "") or None)


def _tool_use(fields: Fields, cache: CacheHint | None) -> Block:
    use = _object(fields, "toolUse")
    if "type" in use.rest:  # one that the server runs
        return Text("", cache=cache, meta={NAME: {"toolUse": use.rest}})
    id, name = use.take("toolUseId", str), use.take("name", str)
    return ToolCall(id, name, use.take("input", dict[str, Any], {}), cache=cache)


def _image(fields: Fields, cache: CacheHint | None) -> Block:
    media_type, source, image = _media(fields, "image")
    data, url = _source(source)
    return Image(data, url, media_type, cache=cache, meta=_meta(image))


def _file(kind: str) -> Callable[[Fields, CacheHint | None], Block]:
    def read(fields: Fields, cache: CacheHint | None) -> Block:
        media_type, source, file = _media(fields, kind)
        name = file.take("name", str, "")
        data, url = _source(source)
        return File(data, url, None, media_type, name, cache=cache, meta=_meta(file))

    return read


def _media(fields: Fields, kind: str) -> tuple[str, Fields, Fields]:
    """The media type, the source, and all else."""
    media = _object(fields, kind)
    format = media.take("format", str, "txt" if kind == "document" else "")
    media_type = MEDIA_TYPES.get((kind, format), f"{kind}/{_SOUNDS.get(format, format)}")
    return media_type, _object(media, "source"), media


def _source(source: Fields) -> tuple[bytes | None, str | None]:
    """The bytes, or where they are."""
    if "text" in source.rest:
        return source.take("text", str).encode("utf-8", "replace"), None
    place = source.take_object("s3Location")
    if place is not None:
        return None, place.take("uri", str)
    return source.take("bytes", bytes), None


def _object(fields: Fields, name: str) -> Fields:
    value = fields.take_object(name)
    if value is None:
        raise fields.wrong(name, "is missing")
    return value


def _meta(fields: Fields) -> dict[str, Any] | None:
    return {NAME: fields.rest} if fields.rest else None


_READERS: dict[str, Callable[[Fields, CacheHint | None], Block]] = {
    "text": _text,
    "json": _json,
    "citationsContent": _cited,
    "reasoningContent": _reasoning,
    "toolUse": _tool_use,
    "image": _image,
    "document": _file("document"),
    "audio": _file("audio"),
    "video": _file("video"),
}
