"""Answers that are kept: which are, in what form, and how they are told again."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from polyvox import jsontext
from polyvox.assembly import failed, fold, unfold
from polyvox.errors import AbortedError, PolyvoxError
from polyvox.events import Done, Event, Failed, Warned
from polyvox.messages import AssistantBlock, AssistantMessage, Text, Thinking, ToolCall
from polyvox.model import Call, Model
from polyvox.request import Request
from polyvox.usage import Cost, Usage

__all__ = ["Answer", "Finish", "asked", "pack", "refused", "replay", "unpack"]

_NOTHING = Usage(cost=Cost("known"))
_NOTED = frozenset((Warned, Done, Failed))
_GOOD_ENDS = ("stop", "stop_sequence", "length", "tool_calls", "refusal")


class Answer(msgspec.Struct, omit_defaults=True):
    """A finished answer with what its reader was warned of. Its usage is that of the first time.

    ``Nested`` events, what happened inside models of models, are not kept.
    """

    message: AssistantMessage
    warnings: list[Warned] = []


_decoder = msgspec.json.Decoder(Answer)


def pack(answer: Answer) -> bytes:
    """The answer as it is stored."""
    return jsontext.encode(answer)


def unpack(data: bytes) -> Answer:
    """The answer that was stored. Raises ``msgspec.DecodeError``."""
    return jsontext.decode_with(_decoder, data)


def _worth_keeping(message: AssistantMessage) -> bool:
    """Not what broke off, was cut by a filter, wants to go on, says nothing, or can't be run."""
    return (
        message.stop_reason in _GOOD_ENDS
        and any(map(_says_something, message.content))
        and all(block.executable for block in message.content if isinstance(block, ToolCall))
    )


def _says_something(block: AssistantBlock) -> bool:
    return bool(block.text) if isinstance(block, Text) else not isinstance(block, Thinking)


Finish: TypeAlias = Callable[[Answer | None], Awaitable[None]]


async def asked(
    model: Model, request: Request, call: Call, finish: Finish
) -> AsyncGenerator[Event]:
    """The model's answer. ``finish`` hears of it before its last event; None: it can't be kept.

    Of a call that its own caller stopped it hears nothing: that tells nothing about the next.
    """
    warnings: list[Warned] = []
    async with aclosing(model.stream(request, call)) as events:
        async for event in events:
            if type(event) in _NOTED:
                if isinstance(event, Warned):
                    warnings.append(event)
                elif isinstance(event, Done) and _worth_keeping(event.message):
                    try:
                        await finish(Answer(event.message, warnings))
                    except asyncio.CancelledError:
                        call.leave(event.message)
                        raise
                elif not _interrupted(event):
                    await finish(None)
            yield event


def _interrupted(event: Event) -> bool:
    return isinstance(event, Failed) and isinstance(event.error, AbortedError)


async def replay(answer: Answer, call: Call) -> AsyncGenerator[Event]:
    """The events of an answer that is given again: nothing was asked, nothing was used."""
    message = replace(answer.message, usage=_NOTHING, cached=True)
    # What is warned of when a message is told stands among the warnings of the first time.
    events: list[Event] = [event for event in unfold(message) if not isinstance(event, Warned)]
    events[1:1] = answer.warnings
    for told, event in enumerate(events, start=1):
        try:
            yield event
        except GeneratorExit:
            if told < len(events):
                call.leave(replace(fold(events[:told]), usage=_NOTHING, cached=True))
            raise


def refused(error: PolyvoxError, model: Model) -> Failed:
    """The end of a call that was stopped before anybody was asked."""
    error.provider, _, error.model = model.name.partition("/")
    event = failed(error)
    event.message.usage = _NOTHING
    return event
