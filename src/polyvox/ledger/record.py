"""One call as it is written down."""

from contextlib import suppress

import msgspec

from polyvox import jsontext
from polyvox.attempt import Attempt
from polyvox.errors import in_our_words
from polyvox.ledger.redaction import Redactor
from polyvox.ledger.tally import total_usage
from polyvox.messages import AssistantMessage, Message, Text, Thinking, ToolCall
from polyvox.model import Kind
from polyvox.request import Request
from polyvox.trace import TraceNode
from polyvox.usage import ZERO_USAGE, Cost, Usage

__all__ = ["CallRecord", "Entry"]


class CallRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A call: what was asked, what came of it, how long it took and what it cost.

    ``id`` is the call's; a call that asked several times in a row (to have an answer repaired) has as
    many records. ``time`` is when it began, in seconds since the epoch; ``model`` who was asked, by
    the name that was used, and ``kind`` for what: of an embedding the texts are the user's message, and
    the vectors are left out. ``request`` is None, and ``message`` without its content, where content is
    not written down. ``error`` is that of ``PolyvoxError.to_dict``, also of an answer whose reader
    left; ``message`` then holds what had arrived. ``seconds`` is how long it took in all, ``first_token``
    how long until the first piece of content. ``usage`` is that of all attempts.
    """

    id: str
    time: float
    model: str
    kind: Kind = "answer"
    tenant: str = ""
    session: str | None = None
    tags: dict[str, str] = {}
    request: Request | None = None
    message: AssistantMessage | None = None
    error: dict[str, object] | None = None
    attempts: list[Attempt] = []
    seconds: float
    first_token: float | None = None
    usage: Usage = ZERO_USAGE

    @property
    def cost(self) -> Cost:
        """What all attempts cost together."""
        return self.usage.cost

    @property
    def error_kind(self) -> str | None:
        """The kind of the failure, None if there was none."""
        return str(self.error["kind"]) if self.error else None

    @property
    def cached(self) -> bool:
        """Whether a stored answer was given, so that nobody was asked."""
        return self.message is not None and self.message.cached

    @property
    def answered_by(self) -> str:
        """Who answered, as "provider/model"."""
        message = self.message
        if message is None or not message.provider:
            return self.attempts[-1].name if self.attempts else self.model
        return f"{message.provider}/{message.model}"

    @property
    def question(self) -> str:
        """The text that was said last before the answer."""
        if self.request is None or not self.request.messages:
            return ""
        return _text(self.request.messages[-1])

    @property
    def text(self) -> str:
        """Everything that may be searched for: instructions, messages, the answer, the error."""
        parts: list[str] = []
        if self.request is not None:
            parts += [block.text for block in self.request.system]
            parts += [_text(message) for message in self.request.messages]
        if self.message is not None:
            parts.append(_text(self.message))
        if self.error is not None:
            parts.append(str(self.error.get("text", "")))
        return "\n".join(filter(None, parts))

    def without_content(self) -> "CallRecord":
        """The same without what was said, also in its trace; of errors only their kinds and
        numbers, and our own words.
        """
        message = self.message
        if message is not None:
            trace = message.trace and _without_words(message.trace)
            message = msgspec.structs.replace(
                message, content=[], error=None, stop_sequence=None, trace=trace
            )
        attempts = [
            each
            if not each.reason or in_our_words(each.error, each.status, each.provider)
            else msgspec.structs.replace(each, reason=None)
            for each in self.attempts
        ]
        return msgspec.structs.replace(
            self, request=None, message=message, error=_plain(self.error), attempts=attempts
        )


def _plain(error: dict[str, object] | None) -> dict[str, object] | None:
    if error is None:
        return None
    ours = in_our_words(error.get("kind"), error.get("status"), error.get("provider"))
    names = (*_PLAIN_ERROR_FIELDS, "text") if ours else _PLAIN_ERROR_FIELDS
    return {name: value for name, value in error.items() if name in names}


def _without_words(node: TraceNode) -> TraceNode:
    """Who was asked, when, and what it took; the name of a tool is what a model has said."""
    return msgspec.structs.replace(
        node,
        label="" if node.kind == "tool" else node.label,
        preview="",
        error="",
        children=[_without_words(child) for child in node.children],
    )


_PLAIN_ERROR_FIELDS = (
    *("kind", "retryable", "status", "retry_after", "provider_code"),
    *("provider", "model", "request_id", "phase", "reason"),
)
_DECODER = msgspec.json.Decoder(CallRecord)


def _whole(raw: CallRecord) -> CallRecord:
    raw.usage = total_usage(raw.attempts)
    return raw


def _in_words(raw: CallRecord) -> CallRecord:
    """With words where a program gave numbers for them."""
    session = None if raw.session is None else str(raw.session)
    tags = {str(key): str(value) for key, value in raw.tags.items()}
    return msgspec.structs.replace(raw, tenant=str(raw.tenant), session=session, tags=tags)


def _without_content(raw: CallRecord) -> CallRecord:
    return _in_words(raw).without_content()


def _bare(raw: CallRecord) -> CallRecord:
    """That there was a call."""
    return CallRecord(id=str(raw.id), time=raw.time, model=str(raw.model), seconds=raw.seconds)


# From the whole to the least: the first of them that can be written is.
_FORMS = (_whole, _in_words, _without_content, _bare)


class Entry:
    """A record on its way to the sinks: cleaned and put into JSON once, when the first of them asks."""

    def __init__(self, raw: CallRecord, redactor: Redactor) -> None:
        self._raw = raw
        self._redactor = redactor
        self._json: bytes | None = None
        self._record: CallRecord | None = None

    @property
    def json(self) -> bytes:
        """The cleaned record as JSON."""
        if self._json is None:
            self._json = self._written()
        return self._json

    @property
    def record(self) -> CallRecord:
        """The cleaned record."""
        if self._record is None:
            self._record = _DECODER.decode(self.json)
        return self._record

    def _written(self) -> bytes:
        """The record as far as it can be written, whatever a program put into it."""
        for form in _FORMS:
            with suppress(Exception):
                text = jsontext.encode(self._redactor.clean(form(self._raw)))
                _DECODER.decode(text)  # what can't be read again is not to be found out years later
                return text
        raise ValueError("the record can't be written")


def _text(message: Message) -> str:
    parts: list[str] = []
    for block in message.content:
        match block:
            case Text() | Thinking():
                parts.append(block.text)
            case ToolCall():
                arguments = block.unparsed or jsontext.encode(block.arguments).decode()
                parts.append(f"{block.name}({arguments})")
            case _:
                pass
    return "\n".join(filter(None, parts))
