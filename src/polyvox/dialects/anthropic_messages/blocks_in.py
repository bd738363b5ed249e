"""Content blocks of the format as ours, in the requests that clients send."""

from collections.abc import Callable
from typing import Any, cast

from polyvox.dialects.anthropic_messages.wire import NAME
from polyvox.dialects.fields import Fields, texts_in
from polyvox.messages import Block, CacheHint, File, Image, Text, Thinking, ToolCall

__all__ = ["plain_texts", "read_blocks", "read_cache", "read_content"]


def read_cache(fields: Fields) -> CacheHint | None:
    """The object's ``cache_control``."""
    control = fields.take_object("cache_control")
    if control is None:
        return None
    return "long" if control.take("ttl", str, "5m") == "1h" else "short"


def plain_texts(turn: Fields) -> list[Text] | None:
    """The content of a turn that is a text, or texts with nothing to them; None for any other."""
    content: Any = turn.rest.get("content")
    if isinstance(content, str):
        return [Text(content)] if content else None
    texts = texts_in(content, {"type": "text"})
    return None if texts is None else list(map(Text, texts))


def read_content(owner: Fields, name: str = "content") -> list[Fields]:
    """Content that may be a string or a list of blocks, as blocks."""
    content: Any = owner.take_any(name)
    if not content and (content is None or isinstance(content, str)):
        return []
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if type(content) is not list:
        raise owner.wrong(name, "must be a string or a list of blocks")
    return owner.each(name, cast(list[Any], content))


def read_blocks(blocks: list[Fields], allowed: tuple[type[Block], ...]) -> list[Any]:
    """The blocks as ours, all of which must be ``allowed`` here."""
    return [_read_allowed(fields, allowed) for fields in blocks]


def _read_allowed(fields: Fields, allowed: tuple[type[Block], ...]) -> Block:
    kind = fields.take("type", str)
    reader = _READERS.get(kind)
    if reader is None:
        # Kept whole: it goes back to where such blocks are known, and is nothing anywhere else.
        return Text("", meta={NAME: {"type": kind, **fields.rest}})
    block = reader(fields)
    if not isinstance(block, allowed):
        raise fields.wrong("type", f"{kind!r} can't stand here")
    return block


def _meta(fields: Fields) -> dict[str, Any] | None:
    return {NAME: fields.rest} if fields.rest else None


def _text(fields: Fields) -> Block:
    text = fields.take("text", str)
    if not fields.rest:  # nearly always
        return Text(text)
    return Text(text, cache=read_cache(fields), meta=_meta(fields))


def _thinking(fields: Fields) -> Block:
    signature = fields.take("signature", str, "")
    return Thinking(fields.take("thinking", str), signature or None)


def _redacted(fields: Fields) -> Block:
    return Thinking("", fields.take("data", str), redacted=True)


def _tool_use(fields: Fields) -> Block:
    id, name = fields.take("id", str), fields.take("name", str)
    arguments = fields.take("input", dict[str, Any], {})
    return ToolCall(id, name, arguments, cache=read_cache(fields), meta=_meta(fields))


def _image(fields: Fields) -> Block:
    source = fields.take_object("source")
    if source is None:
        raise fields.wrong("source", "is missing")
    cache, meta = read_cache(fields), _meta(fields)
    match source.take("type", str):
        case "base64":
            media_type = source.take("media_type", str)
            return Image(source.take("data", bytes), media_type=media_type, cache=cache, meta=meta)
        case "url":
            return Image(url=source.take("url", str), cache=cache, meta=meta)
        case "file":
            id = source.take("file_id", str)
            return File(id=id, media_type="image/*", cache=cache, meta=meta)
        case other:
            raise source.wrong("type", f"{other!r} is not known")


def _document(fields: Fields) -> Block:
    source = fields.take_object("source")
    if source is None:
        raise fields.wrong("source", "is missing")
    cache, name = read_cache(fields), fields.take("title", str, "")
    meta = _meta(fields)
    match source.take("type", str):
        case "base64":
            media_type = source.take("media_type", str)
            data = source.take("data", bytes)
            return File(data, media_type=media_type, name=name, cache=cache, meta=meta)
        case "text":
            text = source.take("data", str).encode("utf-8", "replace")
            return File(text, media_type="text/plain", name=name, cache=cache, meta=meta)
        case "url":
            return File(url=source.take("url", str), name=name, cache=cache, meta=meta)
        case "file":
            return File(id=source.take("file_id", str), name=name, cache=cache, meta=meta)
        case "content":
            raise source.wrong("type", "'content' is not supported; send the blocks themselves")
        case other:
            raise source.wrong("type", f"{other!r} is not known")


_READERS: dict[str, Callable[[Fields], Block]] = {
    "text": _text,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
    "image": _image,
    "document": _document,
}
