"""What one attempt used and cost, however it ended."""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Protocol, TypeAlias

import msgspec

from polyvox import estimate
from polyvox.attempt import Stopwatch
from polyvox.dialects import StreamDecoder
from polyvox.errors import AbortedError, PolyvoxError, RequestTimeoutError
from polyvox.events import Done, Event, Failed
from polyvox.messages import AssistantMessage
from polyvox.model import Call
from polyvox.request import Request
from polyvox.usage import UNKNOWN_COST, Basis, Cost, Usage

Pricing: TypeAlias = Callable[[Usage], Cost]

NOTHING_USED = Usage(basis="estimated", cost=Cost("known"))
_COUNTS = [name for name in Usage.__struct_fields__ if name.endswith("_tokens")]
_counts: Callable[[Usage], tuple[int, ...]] = attrgetter(*_COUNTS)
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid")


class Asked(Protocol):
    """Who is asked."""

    @property
    def provider(self) -> str:
        """The provider's name."""
        ...

    @property
    def model(self) -> str:
        """The provider's name for the model."""
        ...


class Head(Protocol):
    """The head of an answer, which is all of it that matters here."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, by lower-case name."""
        ...


def unknown_price(usage: Usage) -> Cost:
    """The pricing of a model that no catalog knows."""
    return UNKNOWN_COST


class Settlement:
    """Completes the usage of one attempt's message, prices it, and enters it into the call's books.

    A provider's own numbers always win. Where they are missing, or stop short because the answer
    did, the text is counted by rule of thumb and ``Usage.basis`` says so. A call that was refused,
    or never reached the provider, used nothing.
    """

    __slots__ = (
        "_accepted",
        "_asked",
        "_call",
        "_ended",
        "_pricing",
        "_request",
        "_request_id",
        "_sent",
        "_stopwatch",
    )

    def __init__(self, request: Request, pricing: Pricing, asked: Asked, call: Call) -> None:
        self._request = request
        self._pricing = pricing
        self._asked = asked
        self._call = call
        self._stopwatch = Stopwatch()
        self._request_id: str | None = None
        self._sent = False
        self._accepted = False
        self._ended = False

    def asking(self) -> None:
        """From now on the request may reach the provider. Raises ``AbortedError`` if it must not."""
        interrupt = self._call.interrupt
        if interrupt is not None and interrupt.is_set:
            raise AbortedError(interrupt.reason or "interrupted")
        self._sent = True

    def heard(self, response: Head) -> None:
        """The head of the answer is there."""
        self._accepted = response.status < 300
        headers = response.headers
        for name in _REQUEST_ID_HEADERS:
            if request_id := headers.get(name):
                self._request_id = request_id
                return

    def first_byte(self) -> None:
        """The first byte of the answer is there."""
        self._stopwatch.first_byte()

    def settle(self, event: Event) -> None:
        """Complete the message of the stream's last event; other events are left alone."""
        if type(event) is Done:
            self._settle(event.message, cut=False)
            self._record(event.message)
        elif type(event) is Failed:
            waited = self._sent and isinstance(event.error, (AbortedError, RequestTimeoutError))
            if self._accepted or (waited and getattr(event.error, "phase", "") != "connect"):
                self._settle(event.message, cut=True)
            else:
                event.message.usage = NOTHING_USED
            event.message.request_id = event.message.request_id or self._request_id
            event.error.request_id = event.error.request_id or self._request_id
            if self._sent:
                self._record(event.message, event.error)

    def cut_short(self, message: AssistantMessage) -> None:
        """The task was cancelled: this had arrived, if it was before the end."""
        if not self._ended:
            self._break_off(message)
            self._call.leave(message)

    def left(self, decoder: StreamDecoder) -> None:
        """The stream was closed, or its task cancelled: this had been read, if it was before the end.

        Nothing is joined here: when many leave at once, others wait, and hardly anybody looks at it.
        """
        if self._ended:
            return
        outline, texts = decoder.outline()
        self._break_off(outline, sum(map(estimate.joined_tokens, texts)))
        self._call.leave(
            lambda: msgspec.structs.replace(
                decoder.message(), usage=outline.usage, request_id=outline.request_id
            )
        )

    def _break_off(self, message: AssistantMessage, more_tokens: int = 0) -> None:
        if self._sent:
            self._settle(message, cut=True, more_tokens=more_tokens)
            self._record(message, AbortedError("the reader left"))
        else:
            message.usage = NOTHING_USED

    def _record(self, message: AssistantMessage, error: PolyvoxError | None = None) -> None:
        self._ended = True
        who = self._asked
        self._call.record(self._stopwatch.attempt(who.provider, who.model, message, error))

    def _settle(self, message: AssistantMessage, *, cut: bool, more_tokens: int = 0) -> None:
        """Complete the message, which said so many tokens more than there are in it."""
        message.request_id = message.request_id or self._request_id
        usage = _counted(message.usage)
        if cut or usage.basis == "missing":
            said = estimate.content_tokens(message.content) + more_tokens
            usage = self._estimated(usage, said, "partial" if cut else "estimated")
        if usage.cost.source != "provider":
            usage = msgspec.structs.replace(usage, cost=self._pricing(usage))
        message.usage = usage

    def _estimated(self, usage: Usage, said: int, basis: Basis) -> Usage:
        return msgspec.structs.replace(
            usage,
            input_tokens=usage.input_tokens or estimate.request_tokens(self._request),
            output_tokens=max(usage.output_tokens, said),
            basis=basis,
        )


def _counted(usage: Usage) -> Usage:
    """The usage without numbers below zero, which would take something off from what others used."""
    if min(_counts(usage)) >= 0:
        return usage
    wrong = {name: 0 for name in _COUNTS if getattr(usage, name) < 0}
    return msgspec.structs.replace(usage, **wrong)
