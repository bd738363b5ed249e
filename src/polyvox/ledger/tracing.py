"""OpenTelemetry: a span and measurements for every call. Needs the extra ``otel``.

The names are those of "Semantic conventions for generative client AI spans" and "... for generative
AI metrics"; they are in development there, and follow it here.
"""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any

from polyvox.around import Around
from polyvox.errors import ConfigurationError
from polyvox.events import Event
from polyvox.ledger import semconv
from polyvox.ledger.log import FIRST_TOKENS, end_of
from polyvox.ledger.redaction import Redactor
from polyvox.ledger.tally import total_usage
from polyvox.model import Call, Model
from polyvox.request import Request
from polyvox.secret import Secret

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter, MeterProvider
    from opentelemetry.trace import Span, TracerProvider

__all__ = ["Traced"]

_SCOPE = "polyvox"


class Traced(Around):
    """Tell OpenTelemetry of every call, however it ends: one span, and what was used and how long it took.

    The span's parent is the one that is current when the stream begins. It is not made current itself:
    between two events the reader's code runs, which is no part of the call.

    Args:
        model: who is asked.
        content: whether what was asked and answered stands in the span.
        redact: what is masked in it besides keys of known shapes; see ``Redactor``.
        tracer_provider: where spans go; the program's global provider by default.
        meter_provider: the same for measurements.

    Raises ``ConfigurationError`` without the extra.
    """

    def __init__(
        self,
        model: Model,
        *,
        content: bool = False,
        redact: Iterable[str | Secret] = (),
        tracer_provider: "TracerProvider | None" = None,
        meter_provider: "MeterProvider | None" = None,
    ) -> None:
        try:
            from opentelemetry import metrics, trace
        except ImportError:
            raise ConfigurationError(
                "Traced needs OpenTelemetry", hint="pip install 'polyvox[otel]'"
            ) from None
        super().__init__(model)
        self._redactor = Redactor(redact) if content else None
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)
        self._client_kind = trace.SpanKind.CLIENT
        self._failed = trace.StatusCode.ERROR
        self._instruments = _Instruments(metrics.get_meter(_SCOPE, meter_provider=meter_provider))

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The answer as it is."""
        asked = perf_counter()
        about = semconv.asked(self.model.name, call.kind)
        span = self._tracer.start_span(
            semconv.span_name(self.model.name, call.kind),
            kind=self._client_kind,
            attributes=about | semconv.request_attributes(request, call),
        )
        inner = call.child()
        first: float | None = None
        event: Event | None = None
        try:
            async with aclosing(self.model.stream(request, inner)) as events:
                async for event in events:
                    if type(event) in FIRST_TOKENS:
                        first = perf_counter() - asked
                        yield event
                        break
                    yield event
                async for event in events:
                    yield event
        finally:
            self._end(span, about, request, inner, event, first, perf_counter() - asked)

    def _end(
        self,
        span: "Span",
        about: dict[str, Any],
        request: Request,
        call: Call,
        last: Event | None,
        first: float | None,
        seconds: float,
    ) -> None:
        message, error = end_of(last, call)
        usage = total_usage(call.attempts)
        if message is not None:
            about = about | semconv.answered(message)
            span.set_attributes(about | semconv.response_attributes(message))
        if call.attempts:
            span.set_attributes(semconv.usage_attributes(usage))
        if first is not None:
            span.set_attribute("gen_ai.response.time_to_first_chunk", first)
        if error is not None:
            about = about | {"error.type": str(error["kind"])}
            span.set_attribute("error.type", str(error["kind"]))
            # What a provider says of an error may repeat the prompt: with the content only.
            text = self._redactor.text(str(error["text"])) if self._redactor else None
            span.set_status(self._failed, text)
        if self._redactor is not None:
            with suppress(Exception):  # whatever a program put into its request, the call is told
                span.set_attributes(semconv.content_attributes(request, message, self._redactor))
        if len(call.attempts) > 1:
            for attempt in call.attempts:
                span.add_event("polyvox.attempt", semconv.attempt_attributes(attempt, call.kind))
        span.end()
        self._instruments.record(about, call, first if request.stream else None, seconds)


class _Instruments:
    """The measurements of the conventions, with the buckets that they recommend."""

    def __init__(self, meter: "Meter") -> None:
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=[4**power for power in range(14)],
        )
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=semconv.SECONDS,
        )
        self._first = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="Time to receive the first chunk of a streamed answer.",
            explicit_bucket_boundaries_advisory=semconv.FIRST_SECONDS,
        )

    def record(
        self, about: dict[str, Any], call: Call, first: float | None, seconds: float
    ) -> None:
        """One call: its times, and the tokens of each of its attempts."""
        self._duration.record(seconds, about)
        if first is not None:
            self._first.record(first, about)
        for attempt in call.attempts:
            if attempt.usage.basis == "missing":
                continue
            asked = semconv.asked(attempt.name, call.kind)
            if attempt.response_model:
                asked["gen_ai.response.model"] = attempt.response_model
            counts = {"input": attempt.usage.input_tokens, "output": attempt.usage.output_tokens}
            for kind, count in counts.items():
                self._tokens.record(count, asked | {"gen_ai.token.type": kind})
