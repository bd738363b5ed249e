"""Answers as values: ask for a type, get a reply whose ``parsed`` is one.

A ``Parsed`` reply is the message itself, so that it goes into the next prompt, into JSON and into a
log like any other; the value stands beside it and is no part of what is serialised.
"""

from typing import Any, Generic, TypeVar, cast, overload

import msgspec

from polyvox.client.async_stream import AsyncStream
from polyvox.client.settings import Settings, make_call, make_request
from polyvox.client.shapes import Shape, is_type, shape_of, shape_of_schema, texts_in
from polyvox.errors import BadRequestError, ContentFilterError, InvalidAnswerError, PolyvoxError
from polyvox.messages import AssistantMessage, Prompt, Text, user
from polyvox.model import Call, Model
from polyvox.request import Request, ResponseFormat
from polyvox.tools.typed import Misfit
from polyvox.usage import Usage
from polyvox.whole import whole

_T = TypeVar("_T")
_Error = TypeVar("_Error", bound=PolyvoxError)

_UNFINISHED = ("tool_calls", "pause")


class Parsed(AssistantMessage, Generic[_T], dict=True):
    """A message whose text was read into a value of the type that was asked for.

    >>> import polyvox
    >>> reply = polyvox.ask("simulated/tools", "3 tickets to Oslo", response_format=dict[str, int])
    >>> isinstance(reply.parsed, dict)
    True
    """

    @property
    def parsed(self) -> _T:
        """The value. Raises ``InvalidAnswerError`` when the model called tools first, or paused."""
        beside = vars(self)
        if "problem" in beside:
            raise beside["problem"]
        return beside["value"]

    @classmethod
    def of(cls, message: AssistantMessage, **beside: object) -> "Parsed[_T]":
        """The message with its ``value``, or with the ``problem`` that keeps it from having one."""
        made = cls(*(getattr(message, name) for name in message.__struct_fields__))
        vars(made).update(beside)
        return made

    def __copy__(self) -> "Parsed[_T]":
        return Parsed[_T].of(self, **vars(self))

    def __reduce__(self) -> tuple[Any, ...]:
        plain = AssistantMessage(*(getattr(self, name) for name in self.__struct_fields__))
        return _restored, (plain, vars(self))


def _restored(message: AssistantMessage, beside: dict[str, Any]) -> Parsed[Any]:
    return Parsed[Any].of(message, **beside)


@overload
def parse(message: AssistantMessage, wanted: type[_T]) -> _T: ...


@overload
def parse(message: AssistantMessage, wanted: ResponseFormat | dict[str, Any]) -> object: ...


def parse(message: AssistantMessage, wanted: object) -> object:
    """The value that a message's text holds.

    Args:
        message: a whole answer: a reply, or a stream's ``message`` after its end.
        wanted: a msgspec Struct, dataclass, TypedDict, pydantic model or other type; or a JSON
            schema, which gives plain JSON values.

    A code fence, or words around the JSON, are no error. Raises ``InvalidAnswerError``, which says
    where the answer breaks, and ``ContentFilterError`` for one that the provider cut.

    >>> parse(AssistantMessage([Text('{"a": [1, 2]}')]), dict[str, list[int]])
    {'a': [1, 2]}
    """
    if is_type(wanted):
        return _value(message, shape_of(cast("type[object]", wanted)))
    if isinstance(wanted, ResponseFormat):
        return _value(message, shape_of_schema(wanted.schema or {"type": "object"}))
    if isinstance(wanted, dict):
        return _value(message, shape_of_schema(cast("dict[str, Any]", wanted)))
    raise BadRequestError(f"a {type(wanted).__name__} is neither a type nor a JSON schema")


async def complete(
    model: Model, prompt: Prompt, settings: Settings, repair: int = 0
) -> AssistantMessage:
    """The whole answer; ``Parsed`` when the settings' ``response_format`` is a type."""
    call = make_call(settings)
    wanted: object = settings.get("response_format")
    if not is_type(wanted):
        if repair:
            raise BadRequestError("repair needs a type as response_format to check answers against")
        return await _answer(model, make_request(prompt, settings), call)
    shape = shape_of(cast("type[object]", wanted))
    request = make_request(prompt, {**settings, "response_format": shape.format})
    message = await _answer(model, request, call)
    for _ in range(repair):
        try:
            return _parsed(message, shape)
        except InvalidAnswerError as error:
            if error.reason not in ("not_json", "mismatch"):
                raise
            message = await _repaired(model, _correcting(request, message, error), call, message)
    return _parsed(message, shape)


async def _answer(model: Model, request: Request, call: Call) -> AssistantMessage:
    if hasattr(model, "answer"):  # the same, sooner: nobody here looks at the events
        return await whole(model, request, call)
    async with AsyncStream(model, request, call) as stream:
        return await stream.result()


async def _repaired(
    model: Model, request: Request, call: Call, before: AssistantMessage
) -> AssistantMessage:
    """The answer to a further call, which counts what the calls before it used as well."""
    try:
        return _adding(before.usage, await _answer(model, request, call.child()))
    except PolyvoxError as error:
        error.message = _adding(before.usage, error.message) if error.message else before
        raise


def _adding(usage: Usage, message: AssistantMessage) -> AssistantMessage:
    return msgspec.structs.replace(message, usage=usage + message.usage)


def _correcting(request: Request, message: AssistantMessage, error: InvalidAnswerError) -> Request:
    complaint = f"{error.text}. Answer again: the whole JSON, corrected, and nothing else."
    return msgspec.structs.replace(request, messages=[*request.messages, message, user(complaint)])


def _parsed(message: AssistantMessage, shape: Shape[_T]) -> Parsed[_T]:
    try:
        return Parsed[_T].of(message, value=_value(message, shape))
    except InvalidAnswerError as error:
        if message.stop_reason not in _UNFINISHED:
            raise
        return Parsed[_T].of(message, problem=error)


def _value(message: AssistantMessage, shape: Shape[_T]) -> _T:
    """The message's value. Raises the error that tells why there is none."""
    _check_ending(message)
    cut = message.stop_reason not in ("stop", "stop_sequence")
    blocks = [block.text for block in message.content if isinstance(block, Text)]
    try:
        # A cut answer may be whole by luck, but nothing is to be picked out of it.
        return shape.read(iter((message.text,)) if cut else texts_in(message.text, blocks))
    except Misfit as misfit:
        if cut:
            raise _truncated(message) from None
        if misfit.path is None:
            text, reason = f"the answer is no JSON: {misfit.text}", "not_json"
        else:
            at = f" at {misfit.path}"
            text, reason = f"the answer does not fit {shape.name}: {misfit.text}{at}", "mismatch"
        error = InvalidAnswerError(
            text,
            reason=reason,
            path=misfit.path,
            hint=f"The answer was: {_shortened(message.text)!r}",
        )
        raise _told(error, message) from misfit.__cause__


def _check_ending(message: AssistantMessage) -> None:
    """Raises for an answer that its end makes none."""
    match message.stop_reason:
        case "tool_calls":
            names = ", ".join(call.name for call in message.tool_calls)
            error = InvalidAnswerError(
                f"the model called {names or 'a tool'} and has not answered yet",
                reason="unfinished",
                hint="Run the tools, add reply and results to the messages, and ask again.",
            )
        case "pause":
            error = InvalidAnswerError(
                "the provider paused in mid-answer",
                reason="unfinished",
                hint="Add the reply to the messages and ask again.",
            )
        case "refusal":
            about = f"the model declined to answer: {_shortened(message.text)}"
            error = InvalidAnswerError(about, reason="refused")
        case "content_filter":
            error = ContentFilterError("the provider's filter cut the answer")
        case _:
            return
    raise _told(error, message)


def _truncated(message: AssistantMessage) -> InvalidAnswerError:
    if message.stop_reason == "length":
        text = f"the answer was cut at the token limit, after {message.usage.output_tokens} tokens"
        error = InvalidAnswerError(text, reason="truncated", hint="Raise max_tokens.")
    else:
        error = InvalidAnswerError(
            f"the answer broke off: {message.error or message.stop_reason}", reason="truncated"
        )
    return _told(error, message)


def _told(error: _Error, message: AssistantMessage) -> _Error:
    """The error with whom it happened to."""
    error.provider, error.model = message.provider or None, message.model or None
    error.request_id, error.message = message.request_id, message
    return error


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."
