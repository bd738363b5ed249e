"""Replies of composites as LiteLLM's objects, through the server half of OpenAI's format.

The usage goes before the finish reason: what comes after that LiteLLM leaves out, and counts itself.
The trace, as plain values, and warnings are in ``_hidden_params``, and in the message's
``provider_specific_fields``, which LiteLLM's proxy passes on. The cost is where LiteLLM looks for one
that is known: ``_hidden_params["response_cost"]``, and ``usage.cost``.
"""

from collections.abc import Sequence
from contextlib import aclosing
from importlib import import_module
from typing import Any

from polyvox import jsontext
from polyvox.client import AsyncStream
from polyvox.dialects import get_dialect
from polyvox.dialects.openai_chat.usage import write_usage
from polyvox.events import (
    Done,
    Event,
    Nested,
    Start,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
    Warned,
)
from polyvox.messages import COMPOSITE, AssistantMessage, Thinking
from polyvox.request import Request

__all__ = ["ChunkWriter", "whole_answer"]

_THINKING = (ThinkingStart, ThinkingDelta, ThinkingEnd)
_SUMMARY = 0
"""The place of a composite's summary in its reply."""
_BETWEEN = "\n\n"
"""Between the summary and the reasoning of the last stage."""


async def whole_answer(stream: AsyncStream, model: str, *, summary: bool) -> Any:
    """The ``ModelResponse`` for a whole reply; without ``summary`` its reasoning is the last stage's.

    Raises ``PolyvoxError``.
    """
    async with aclosing(stream):
        warnings = [text async for event in stream if (text := _warning(event))]
    message = stream.message
    litellm: Any = import_module("litellm")
    fields = jsontext.decode(get_dialect("openai-chat").encode_response(message), dict[str, Any])
    thoughts = [
        block.text
        for block in message.content
        if isinstance(block, Thinking) and (summary or block.producer != COMPOSITE)
    ]
    said = fields["choices"][0]["message"]
    said.pop("reasoning_content", None)
    if any(thoughts):
        said["reasoning_content"] = _BETWEEN.join(text for text in thoughts if text)
    said["provider_specific_fields"] = _told(message, warnings)
    response = litellm.ModelResponse(**{**fields, "model": model})
    response._hidden_params.update(_hidden(message, warnings))
    return response


class ChunkWriter:
    """Writes the ``ModelResponseStream`` objects of one reply.

    The first one is held back until there is content: until then a failure is none of a stream, and
    LiteLLM's router may ask somebody else.
    """

    def __init__(self, model: str, *, summary: bool) -> None:
        self._litellm: Any = import_module("litellm")
        self._model = model
        self._summary = summary
        request = Request(messages=[], model=model)
        self._encoder = get_dialect("openai-chat").stream_encoder(request)
        self._held: list[Any] = []
        self._first: Any = None
        self._thought = False
        self._warnings: list[str] = []

    def write(self, event: Event) -> Sequence[Any]:
        """The chunks for an event."""
        if isinstance(event, Done):
            return self._end(event)
        if text := _warning(event):
            self._warnings.append(text)
        chunks: list[Any] = []
        if isinstance(event, _THINKING):
            if event.index == _SUMMARY and not self._summary:
                return ()
            if isinstance(event, ThinkingStart) and self._thought:
                chunks += self._chunks(ThinkingDelta(event.index, _BETWEEN))
            self._thought = True
        chunks += self._chunks(event)
        if isinstance(event, Start):
            self._held, chunks = chunks, []
        return self._released(chunks) if chunks else ()

    def _released(self, chunks: list[Any]) -> list[Any]:
        held, self._held = self._held, []
        chunks = [*held, *chunks]
        self._first = self._first or chunks[0]
        return chunks

    def _end(self, event: Done) -> list[Any]:
        """The trace, the usage, and how it ended."""
        message = event.message
        traced = self._chunk({"provider_specific_fields": _told(message, self._warnings)})
        counted = self._chunk({})
        if usage := write_usage(message.usage):
            counted.usage = self._litellm.Usage(**usage)
        chunks = self._released([traced, counted, *self._chunks(event)])
        hidden = _hidden(message, self._warnings)
        self._first._hidden_params.update(hidden)  # those that are kept of all the chunks'
        return chunks

    def _chunks(self, event: Event) -> list[Any]:
        frames = self._encoder.encode(event).split(b"\n\n")
        bodies = [frame.removeprefix(b"data: ") for frame in frames]
        return [
            self._litellm.ModelResponseStream(**jsontext.decode(body, dict[str, Any]))
            for body in bodies
            if body.startswith(b"{")
        ]

    def _chunk(self, delta: dict[str, Any]) -> Any:
        """A chunk of our own, of the same answer as the others."""
        first = self._first or self._held[0]
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        return self._litellm.ModelResponseStream(
            id=first.id, created=first.created, model=self._model, choices=[choice]
        )


def _hidden(message: AssistantMessage, warnings: Sequence[str]) -> dict[str, Any]:
    """What LiteLLM and programs find beside an answer; a cost that nobody knows is None."""
    cost = message.usage.cost
    known = None if cost.status == "unknown" else cost.dollars
    return {
        "custom_llm_provider": COMPOSITE,
        "response_cost": known,
        **_told(message, warnings),
    }


def _told(message: AssistantMessage, warnings: Sequence[str]) -> dict[str, Any]:
    """How the reply was made, and what was dropped or left out on the way."""
    trace = jsontext.decode(jsontext.encode(message.trace), object)
    return {"polyvox_trace": trace, "polyvox_warnings": list(warnings)}


def _warning(event: Event) -> str | None:
    """What an event warns of, with the way to whoever is warned about."""
    path: list[str] = []
    if isinstance(event, Nested):
        path, event = event.path, event.event
    if not isinstance(event, Warned):
        return None
    return ": ".join([*path, *([event.field] if event.field else []), event.text])
