"""What one call used and cost, however it ended."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

import msgspec

from polyvox import estimate
from polyvox.errors import AbortedError, RequestTimeoutError
from polyvox.events import Done, Event, Failed
from polyvox.messages import AssistantMessage
from polyvox.model import Call
from polyvox.request import Request
from polyvox.usage import UNKNOWN_COST, Basis, Cost, Usage

Pricing: TypeAlias = Callable[[Usage], Cost]

NOTHING_USED = Usage(basis="estimated", cost=Cost("known"))
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "apim-request-id")


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
    """Completes the usage of one call's message and prices it.

    A provider's own numbers always win. Where they are missing, or stop short because the answer
    did, the text is counted by rule of thumb and ``Usage.basis`` says so. A call that was refused,
    or never reached the provider, used nothing.
    """

    def __init__(self, request: Request, pricing: Pricing) -> None:
        self._request = request
        self._pricing = pricing
        self._request_id: str | None = None
        self._asked = False
        self._accepted = False

    def asking(self, call: Call) -> None:
        """From now on the request may reach the provider. Raises ``AbortedError`` if it must not."""
        if call.interrupt is not None and call.interrupt.is_set:
            raise AbortedError(call.interrupt.reason or "interrupted")
        self._asked = True

    def heard(self, response: Head) -> None:
        """The head of the answer is there."""
        self._accepted = response.status < 300
        found = (response.headers.get(name) for name in _REQUEST_ID_HEADERS)
        self._request_id = next((request_id for request_id in found if request_id), None)

    def settle(self, event: Event) -> None:
        """Complete the message of the stream's last event; other events are left alone."""
        if isinstance(event, Done):
            self._settle(event.message, cut=False)
        elif isinstance(event, Failed):
            waited = self._asked and isinstance(event.error, (AbortedError, RequestTimeoutError))
            if self._accepted or (waited and getattr(event.error, "phase", "") != "connect"):
                self._settle(event.message, cut=True)
            else:
                event.message.usage = NOTHING_USED
            event.message.request_id = event.message.request_id or self._request_id
            event.error.request_id = event.error.request_id or self._request_id

    def cut_short(self, message: AssistantMessage) -> AssistantMessage:
        """The message of a call that was closed or cancelled before its end."""
        self._settle(message, cut=True)
        return message

    def _settle(self, message: AssistantMessage, *, cut: bool) -> None:
        message.request_id = message.request_id or self._request_id
        usage = message.usage
        if cut or usage.basis == "missing":
            usage = self._estimated(message, "partial" if cut else "estimated")
        if usage.cost.source != "provider":
            usage = msgspec.structs.replace(usage, cost=self._pricing(usage))
        message.usage = usage

    def _estimated(self, message: AssistantMessage, basis: Basis) -> Usage:
        usage = message.usage
        return msgspec.structs.replace(
            usage,
            input_tokens=usage.input_tokens or estimate.request_tokens(self._request),
            output_tokens=max(usage.output_tokens, estimate.content_tokens(message.content)),
            basis=basis,
        )
