"""A model that LiteLLM reaches: LiteLLM carries the request, all the rest is as anywhere else."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from types import ModuleType
from typing import Any

import msgspec

from polyvox.dialects import ServerSentEvent, StreamDecoder, Target, get_dialect
from polyvox.errors import PolyvoxError
from polyvox.events import Done, Event, Failed, Start, Warned
from polyvox.http import Timeouts
from polyvox.model import Call
from polyvox.providers.litellm.asking import PROVIDER, QUIRKS, Question, ask_with
from polyvox.providers.litellm.chunks import ChunkWriter
from polyvox.providers.litellm.failures import mask_key, translated
from polyvox.providers.litellm.loading import check_installed, loaded
from polyvox.providers.litellm.prices import ListPrice, litellm_cost, no_list
from polyvox.providers.settlement import Settlement, unknown_price
from polyvox.quote import priced, worst_usage
from polyvox.request import Request
from polyvox.transport.watch import Watch
from polyvox.usage import Cost, Usage

_HEADER = "llm_provider-"


class LiteLLMModel:
    """Ask LiteLLM; a failure of it, or in it, is the last event. It is imported by the first call.

    ``Request.options["litellm"]`` are arguments of ``litellm.acompletion`` and go before all others:
    ``api_key``, ``api_base``, ``drop_params`` and the like. LiteLLM reads keys from its own
    environment variables otherwise. Its retries are off.

    An answer whose provider gave no finish reason is a failure, "stopped before its end": LiteLLM
    makes one up then, whether the stream was whole or not.

    Args:
        model: LiteLLM's name for the model, such as "openai/gpt-4o-mini".
        timeouts: how long to wait for what, in seconds; ``first_byte`` is the first chunk.
        price: goes before LiteLLM's own list of prices.

    Raises ``ConfigurationError`` when LiteLLM is not installed.
    """

    def __init__(
        self, model: str, *, timeouts: Timeouts | None = None, price: ListPrice = no_list
    ) -> None:
        check_installed()
        self.target = Target(provider=PROVIDER, model=model, base_url="", quirks=QUIRKS)
        self.timeouts = timeouts or Timeouts()
        self.price = price

    @property
    def name(self) -> str:
        """The name it is asked by: "litellm/provider/model"."""
        return self.target.producer

    def quote(self, request: Request) -> Usage:
        """The most that answering may use, with its cost where the catalog has a price."""
        provider, _, model = self.target.model.partition("/")
        return priced(worst_usage(request, None), lambda usage: self.price(provider, model, usage))

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The answer as events."""
        decoder = get_dialect("openai-chat").stream_decoder(self.target)
        asking = _Asking(self, request, decoder, call)
        try:
            async with aclosing(asking.events(call)) as events:
                async for event in events:
                    asking.complete(event)
                    yield event
        except PolyvoxError as error:
            for event in decoder.fail(error):
                asking.complete(event)
                yield event
        except (asyncio.CancelledError, GeneratorExit):
            asking.settlement.left(decoder)
            raise


class _Asking:
    """One request on its way through LiteLLM."""

    def __init__(
        self, model: LiteLLMModel, request: Request, decoder: StreamDecoder, call: Call
    ) -> None:
        self.model = model
        self.request = request
        self.decoder = decoder
        self.settlement = Settlement(request, self._cost, model.target, call)
        self._litellm: ModuleType | None = None
        self._question: Question | None = None

    async def events(self, call: Call) -> AsyncGenerator[Event]:
        """All events; raises ``PolyvoxError``."""
        watch = Watch(self.model.timeouts, call)
        try:
            with watch:
                litellm = self._litellm = await loaded()
            with watch, translated():
                question = self._question = ask_with(
                    litellm, self.request, self.model.target, self.model.timeouts
                )
                self.settlement.asking()
                stream = await litellm.acompletion(**question.arguments)
            self.settlement.heard(_Head(stream))
            try:
                async for event in self._read(stream, question, watch):
                    yield event
                    if type(event) is Start:
                        for field, text in question.dropped:
                            yield Warned(text, field)
            finally:
                await _close(stream)
        finally:
            watch.close()

    async def _read(self, stream: Any, question: Question, watch: Watch) -> AsyncGenerator[Event]:
        writer = ChunkWriter(question.provider)
        first = True
        while (chunk := await _next(stream, watch)) is not None:
            if first:
                watch.first_byte()
                self.settlement.first_byte()
                first = False
            frame = writer.write(chunk, finished=_finished(stream))
            for event in self.decoder.feed(ServerSentEvent(frame)):
                yield event
            if self.decoder.ended:
                return
        for event in self.decoder.close():
            if isinstance(event, Done):
                event.message.usage = _usage_of(event.message.usage, stream, writer)
            yield event

    def complete(self, event: Event) -> None:
        """Complete the stream's last event; other events are left alone."""
        if isinstance(event, Failed):
            mask_key(event.error, self.request.options)
            event.message.error = event.error.text
        self.settlement.settle(event)

    def _cost(self, usage: Usage) -> Cost:
        question = self._question
        if question is None or self._litellm is None:
            return unknown_price(usage)
        listed = self.model.price(question.provider, question.model, usage)
        if listed.status != "unknown":
            return listed
        return litellm_cost(self._litellm, question.provider, question.model, usage)


class _Head:
    """The head of the answer, from what LiteLLM keeps of it. Errors never get this far."""

    status = 200

    def __init__(self, stream: Any) -> None:
        hidden: dict[str, Any] = getattr(stream, "_hidden_params", None) or {}
        told: dict[str, Any] = hidden.get("additional_headers") or {}
        self.headers: Mapping[str, str] = {
            name.removeprefix(_HEADER): str(value) for name, value in told.items()
        }


async def _next(stream: Any, watch: Watch) -> Any:
    """The next chunk, or None after the last."""
    with watch, translated():
        return await anext(stream, None)


async def _close(stream: Any) -> None:
    """Close it down to the socket. For some providers (Anthropic is one) LiteLLM's own closing stops
    at the object that holds the lines of the body; they are closed here.
    """
    inner = getattr(stream, "completion_stream", None)
    await stream.aclose()
    lines = getattr(inner, "streaming_response", None)
    if isinstance(lines, AsyncGenerator):
        with suppress(RuntimeError):  # somebody in another task still waits for a line
            await lines.aclose()


def _finished(stream: Any) -> bool:
    """Whether the provider itself gave a finish reason."""
    names = ("received_finish_reason", "intermittent_finish_reason")
    return any(getattr(stream, name, "unknown") for name in names)


def _usage_of(usage: Usage, stream: Any, writer: ChunkWriter) -> Usage:
    """The usage with what its chunk can't tell: where the provider told none, LiteLLM has counted."""
    reported = any(getattr(chunk, "usage", None) for chunk in getattr(stream, "chunks", ()))
    basis = usage.basis if reported else "estimated"
    return msgspec.structs.replace(usage, basis=basis, cache_write_1h_tokens=writer.long_writes)
