"""Scripts: what a simulated model or a mock provider says, turn by turn.

A script is a JSON list. Each item is one answer, in one of four forms:

    "It is raining."
    {"message": {"content": "It is raining.", "usage": {"output_tokens": 3}}}
    {"events": [{"type": "text_start", "index": 0}, {"type": "text_delta", ...}, ...]}
    {"error": {"kind": "rate_limit", "text": "slow down", "retry_after": 2}}

A message has the fields of ``AssistantMessage``; its content is a list of blocks or a plain string,
and what it does not say about usage is counted. Events are those of ``polyvox.events``; the ``start``
at their beginning and the ``done`` at their end may be left out. An error has the fields that
``PolyvoxError.to_dict`` writes.

Beside its answer an object may have ``"knobs"``, which only mock providers heed (see
``polyvox.testing.Knobs``), and the last one ``"repeat": true``: it is then played for ever. Without
that, asking for more turns than there are is an error.

In Python a turn may also be an ``AssistantMessage``, a ``PolyvoxError`` or a list of events.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import msgspec

from polyvox import jsontext
from polyvox.assembly import fold
from polyvox.errors import ConfigurationError, PolyvoxError, error_from_dict
from polyvox.events import Done, Event, Failed, Start, decode_event, encode_event
from polyvox.messages import AssistantMessage, ToolCall
from polyvox.providers.simulated.grammar import check_grammar
from polyvox.suggestions import hint_for
from polyvox.usage import FREE

Form: TypeAlias = Literal["message", "events", "error"]

TurnLike: TypeAlias = str | dict[str, Any] | AssistantMessage | PolyvoxError | Sequence[Event]
"""What may stand in a script that is written in Python."""

_FORMS: tuple[Form, ...] = ("message", "events", "error")
_ERROR_FIELDS = (
    *("kind", "text", "retryable", "hint", "status", "retry_after", "provider_code", "provider"),
    *("model", "request_id", "phase"),
)


class Turn(msgspec.Struct, frozen=True):
    """One answer, as the JSON value it was written in: each playing makes it anew."""

    form: Form
    value: Any
    knobs: dict[str, Any] = {}

    def message(self) -> AssistantMessage:
        """The message of a "message" turn."""
        return _read_message(self.value)

    def events(self) -> list[Event]:
        """The events of an "events" turn, with start and ending."""
        return _read_events(self.value)

    def error(self) -> PolyvoxError:
        """The error of an "error" turn."""
        return _read_error(self.value)


class Script(msgspec.Struct, frozen=True):
    """Turns to be played in order; with ``repeat`` the last one is played for ever."""

    turns: tuple[Turn, ...]
    repeat: bool = False

    def turn(self, number: int) -> Turn:
        """The turn of that number, counted from 0. Raises ``ConfigurationError`` when there is none."""
        if number < len(self.turns):
            return self.turns[number]
        if self.repeat:
            return self.turns[-1]
        plural = "" if len(self.turns) == 1 else "s"
        raise ConfigurationError(
            f"the script has {len(self.turns)} turn{plural}, and script[{number}] was asked for",
            hint='Write more turns, or "repeat": true in the last one.',
        )


def load_script(source: bytes | str | Path | Sequence[TurnLike] | Script) -> Script:
    """A script out of JSON text, a file, or a list.

    Raises ``ConfigurationError`` naming the turn, counted from 0, and the field that is wrong, or the
    file that can't be read.

    >>> load_script('["Hello.", {"error": {"kind": "overloaded", "text": "full"}}]').turn(1).form
    'error'
    """
    if isinstance(source, Script):
        return source
    items = _parsed(source) if isinstance(source, (bytes, str, Path)) else source
    if not isinstance(items, (list, tuple)) or not items:
        raise ConfigurationError("a script is a list of at least one turn")
    values: list[Any] = list(items)  # pyright: ignore[reportUnknownArgumentType]
    last = len(values) - 1
    turns: list[Turn] = []
    repeat = False
    for number, value in enumerate(values):
        try:
            turn, repeat = _read_turn(_plain(value))
        except ValueError as error:
            raise ConfigurationError(f"script[{number}]{error}") from None
        if repeat and number != last:
            raise ConfigurationError(f"script[{number}].repeat: only the last turn may be repeated")
        turns.append(turn)
    return Script(tuple(turns), repeat)


def _parsed(source: bytes | str | Path) -> object:
    try:
        text = source.read_bytes() if isinstance(source, Path) else source
        return jsontext.decode(text)
    except OSError as error:
        raise ConfigurationError(f"the script {source} can't be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        where = f" {source}" if isinstance(source, Path) else ""
        hint = "A file is named by a pathlib.Path." if isinstance(source, str) else None
        raise ConfigurationError(f"the script{where} is no JSON: {error}", hint=hint) from None


def _plain(value: object) -> object:
    """A turn written in Python, as the JSON value it stands for."""
    match value:
        case str():
            return {"message": {"content": value}}
        case AssistantMessage():
            return {"message": msgspec.to_builtins(value)}
        case PolyvoxError():
            return {"error": value.to_dict()}
        case {"message": AssistantMessage() as said}:
            return cast("dict[str, Any]", value) | {"message": msgspec.to_builtins(said)}
        case {"error": PolyvoxError() as error}:
            return cast("dict[str, Any]", value) | {"error": error.to_dict()}
        case list() | tuple():
            events: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]
            if not all(isinstance(event, Event) for event in events):
                return events  # no turn: the reader says so
            plain: list[Any] = [jsontext.decode(encode_event(event)) for event in events]
            return {"events": plain}
        case _:
            return value


# From here on problems are ValueErrors whose text goes on from "script[n]".


def _read_turn(value: object) -> tuple[Turn, bool]:
    if not isinstance(value, dict):
        raise ValueError(" is no turn: give a string or an object")
    fields: dict[str, Any] = {str(key): item for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    _refuse_unknown(fields, (*_FORMS, "knobs", "repeat"), "")
    forms: list[Form] = [form for form in _FORMS if form in fields]
    if len(forms) != 1:
        raise ValueError(f" needs exactly one of {', '.join(_FORMS)}; it has {len(forms)}")
    knobs, repeat = fields.get("knobs", {}), fields.get("repeat", False)
    if not isinstance(knobs, dict):
        raise ValueError(".knobs: an object is needed")
    if not isinstance(repeat, bool):
        raise ValueError(".repeat: true or false is needed")
    (form,) = forms
    readers: dict[Form, Callable[[Any], object]] = {
        "message": _read_message,
        "events": _read_events,
        "error": _read_error,
    }
    readers[form](fields[form])
    return Turn(form, fields[form], knobs), repeat  # pyright: ignore[reportUnknownArgumentType]


def _read_message(value: Any) -> AssistantMessage:
    if not isinstance(value, dict):
        raise ValueError(".message: an object is needed")
    fields: dict[str, Any] = dict(value)  # pyright: ignore[reportUnknownArgumentType]
    content = fields.get("content")
    if isinstance(content, str):
        fields["content"] = [{"type": "text", "text": content}] if content else []
    try:
        message = msgspec.convert(fields, AssistantMessage)
    except msgspec.ValidationError as error:
        raise ValueError(_place(error, ".message")) from None
    _check_fields(fields, message, ".message")
    if "stop_reason" not in fields and any(isinstance(b, ToolCall) for b in message.content):
        message.stop_reason = "tool_calls"
    if "usage" in fields and "cost" not in fields["usage"]:
        message.usage = msgspec.structs.replace(message.usage, cost=FREE)
    return message


def _read_events(value: Any) -> list[Event]:
    if not isinstance(value, list):
        raise ValueError(".events: a list is needed")
    items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
    events = [_read_event(item, f".events[{place}]") for place, item in enumerate(items)]
    if not events or not isinstance(events[0], (Start, Failed)):
        events.insert(0, Start())
    ended = isinstance(events[-1], (Done, Failed))
    try:
        check_grammar(events if ended else [*events, Done(AssistantMessage([]))])
    except AssertionError as error:
        raise ValueError(f".events: {error}") from None
    if not ended:
        message = fold(events)
        message.stop_reason = "tool_calls" if message.tool_calls else "stop"
        events.append(Done(message))
    return events


def _read_event(value: Any, where: str) -> Event:
    try:
        event = decode_event(jsontext.encode(value))
    except msgspec.DecodeError as error:
        raise ValueError(_place(error, where)) from None
    _check_fields(value, event, where)
    return event


def _read_error(value: Any) -> PolyvoxError:
    if not isinstance(value, dict):
        raise ValueError(".error: an object is needed")
    fields: dict[str, Any] = dict(value)  # pyright: ignore[reportUnknownArgumentType]
    _refuse_unknown(fields, _ERROR_FIELDS, ".error")
    if not isinstance(fields.get("text"), str):
        raise ValueError(".error.text: a string is needed")
    error = error_from_dict(fields)
    if "kind" in fields and error.kind != fields["kind"]:
        raise ValueError(f".error.kind: there is no kind {fields['kind']!r}")
    return error


def _check_fields(raw: object, value: object, where: str) -> None:
    """Refuse what stands in the JSON and not in the struct made of it."""
    if isinstance(value, msgspec.Struct) and isinstance(raw, dict):
        fields: dict[str, Any] = raw  # pyright: ignore[reportUnknownVariableType]
        tag = value.__struct_config__.tag_field
        known = (*value.__struct_fields__, *((tag,) if tag else ()))
        _refuse_unknown(fields, known, where)
        for name, item in fields.items():
            if name != tag:
                _check_fields(item, getattr(value, name), f"{where}.{name}")
    elif isinstance(value, list) and isinstance(raw, list):
        pairs: list[tuple[Any, Any]] = list(zip(raw, value, strict=True))  # pyright: ignore[reportUnknownArgumentType]
        for place, (item, made) in enumerate(pairs):
            _check_fields(item, made, f"{where}[{place}]")


def _refuse_unknown(fields: dict[str, Any], known: Sequence[str], where: str) -> None:
    for name in fields:
        if name not in known:
            hint = hint_for(name, known, f"There are {', '.join(known)}.")
            raise ValueError(f"{where} has no field {name!r}. {hint}")


def _place(error: msgspec.DecodeError, where: str) -> str:
    """Turn msgspec's "... - at `$.a.b`" into ".message.a.b: ..."."""
    text, _, path = str(error).partition(" - at `$")
    return f"{where}{path.rstrip('`')}: {text}"
