"""The format's parts as our blocks and messages, in the requests that clients send."""

from collections.abc import Iterable
from typing import Any, cast

import msgspec

from polyvox import jsontext
from polyvox.dialects.fields import texts_in
from polyvox.dialects.gemini.fields import Fields
from polyvox.dialects.gemini.parts_out import FILES
from polyvox.dialects.gemini.wire import FOREIGN_SIGNATURES, NAME, OPAQUE, SIGNATURE, Json
from polyvox.dialects.media import url_type
from polyvox.messages import (
    AssistantBlock,
    AssistantMessage,
    File,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserBlock,
    UserMessage,
)

__all__ = ["ConversationReader", "in_one", "read_text"]


_SPEAKERS = {"user": UserMessage, "function": UserMessage, "model": AssistantMessage}


class ConversationReader:
    """Reads the turns of a conversation, in order.

    Calls without an id get one that tells their place, so that a longer conversation gives the same
    ids again. A result without an id is that of the oldest unanswered call of its name; if there is
    none of that name, of the oldest at all.
    """

    def __init__(self) -> None:
        self._waiting: list[ToolCall] = []
        self._count = 0

    def read(self, content: Fields) -> list[Message]:
        """The messages in one turn."""
        role = content.take("role", str, "user")
        texts = texts_in(content.rest.get("parts"), {})
        if texts and role in _SPEAKERS:  # nearly always
            return [_SPEAKERS[role](list(map(Text, texts)))]
        parts = content.take_list("parts")
        if role == "model":
            return [AssistantMessage([block for part in parts for block in self._said(part)])]
        if role not in ("user", "function"):
            raise content.wrong("role", f"{role!r} is neither 'user' nor 'model'")
        return self._user_turn(parts)

    def _user_turn(self, parts: list[Fields]) -> list[Message]:
        """A user's turn: tool results are messages of their own, what stands between them another."""
        messages: list[Message] = []
        for part in parts:
            result = part.take_object("functionResponse")
            if result is not None:
                messages.append(self._result(result))
                continue
            if not messages or not isinstance(messages[-1], UserMessage):
                messages.append(UserMessage([]))
            cast(UserMessage, messages[-1]).content.append(_shown(part))
        return messages

    def _said(self, part: Fields) -> list[Any]:
        """A part of an answer as a block."""
        signature = part.take(SIGNATURE, str, "")
        meta = {NAME: {SIGNATURE: signature}} if signature else None
        if signature in FOREIGN_SIGNATURES:
            meta = None
        call = part.take_object("functionCall")
        if call is not None:
            return [self._call(call, meta)]
        if part.take("thought", bool, False):
            return [Thinking(part.take("text", str, ""), signature or None)]
        kept = {kind: part.rest[kind] for kind in OPAQUE if kind in part.rest}
        if kept:
            return [Text("", meta={NAME: {**kept, **(meta or {}).get(NAME, {})}})]
        block = _shown(part)
        if isinstance(block, File):
            raise part.wrong("inlineData", "an answer can't hold a file that is no picture")
        return [msgspec.structs.replace(block, meta=meta)]

    def _call(self, call: Fields, meta: Json | None) -> ToolCall:
        self._count += 1
        id = call.take("id", str, "") or f"call_{self._count}"
        arguments = call.take("args", dict[str, Any], {})
        made = ToolCall(id, call.take("name", str), arguments, meta=meta)
        self._waiting.append(made)
        return made

    def _result(self, result: Fields) -> ToolMessage:
        id, name = result.take("id", str, ""), result.take("name", str, "")
        call = self._answered(id, name)
        if call is not None:
            self._waiting.remove(call)
            id, name = id or call.id, name or call.name
        if not id:
            self._count += 1
            id = f"call_{self._count}"
        content, is_error = _outcome(result.take("response", dict[str, Any], {}))
        content += [_shown(part) for part in result.take_list("parts")]
        return ToolMessage(id, content, name, is_error)

    def _answered(self, id: str, name: str) -> ToolCall | None:
        """The call that a result is for."""
        if id:
            return next((call for call in self._waiting if call.id == id), None)
        named = [call for call in self._waiting if call.name == name]
        return next(iter(named or self._waiting), None)


def in_one(messages: Iterable[Message]) -> list[Message]:
    """The messages, with answers that follow one another made one.

    Google's own client keeps each piece of a streamed answer as a turn of its own.
    """
    joined: list[Message] = []
    for message in messages:
        last = joined[-1] if joined else None
        if isinstance(message, AssistantMessage) and isinstance(last, AssistantMessage):
            _go_on(last.content, message.content)
        else:
            joined.append(message)
    return joined


def _go_on(said: list[AssistantBlock], more: list[AssistantBlock]) -> None:
    """More of the same answer: text goes on with the text before it, a thought until it is signed."""
    match (said[-1] if said else None, more[0] if more else None):
        case Text(text=text, meta=None), Text(text=rest, meta=None):
            said[-1:] = [Text(text + rest), *more[1:]]
        case Thinking(text=text, signature=None), Thinking(text=rest, signature=signature):
            said[-1:] = [Thinking(text + rest, signature), *more[1:]]
        case _:
            said += more


def _outcome(response: Json) -> tuple[list[Any], bool]:
    """What a result says, and whether it is an error; what is no plain text is told as JSON."""
    key = "error" if "error" in response and "output" not in response else "output"
    if response.keys() != {key}:
        return ([Text(jsontext.encode(response).decode())] if response else []), False
    said: Any = response[key]
    texts = cast(list[Any], said if isinstance(said, list) else [said])
    if not all(isinstance(text, str) for text in texts):
        texts = [jsontext.encode(said).decode()]
    return [Text(text) for text in texts if text], key == "error"


def _shown(part: Fields) -> UserBlock:
    """A text, a picture or a file."""
    blob, file = part.take_object("inlineData"), part.take_object("fileData")
    if blob is not None:
        media_type, data = blob.take("mimeType", str), blob.take("data", bytes)
        if media_type.startswith("image/"):
            return Image(data, media_type=media_type)
        return File(data, media_type=media_type)
    if file is not None:
        return _referred(file.take("fileUri", str), file.take("mimeType", str, ""))
    if "text" not in part.rest:
        kinds = ", ".join(part.rest) or "nothing"
        raise part.wrong("text", f"is missing; a part with {kinds} can't stand here")
    return Text(part.take("text", str))


def _referred(uri: str, media_type: str) -> UserBlock:
    """A file elsewhere. That a URL's ending says the same as its media type is not told twice."""
    given = "" if media_type == url_type(uri) else media_type
    if uri.startswith(FILES):
        return File(id=uri.removeprefix(FILES), media_type=given)
    if media_type.startswith("image/"):
        return Image(url=uri, media_type=given)
    return File(url=uri, media_type=given)


def read_text(content: Fields) -> list[Text]:
    """The texts of a ``systemInstruction``."""
    return [Text(part.take("text", str)) for part in content.take_list("parts") if part.rest]
