"""OpenTelemetry: spans and measurements by its conventions for generative AI."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from polyvox.embedding import EmbeddingRequest
from polyvox.errors import RateLimitError
from polyvox.layers import layered
from polyvox.ledger import Traced
from polyvox.messages import (
    File,
    Image,
    SystemMessage,
    Text,
    ToolCall,
    assistant,
    tool_result,
    user,
)
from polyvox.model import Call, Model
from polyvox.providers.simulated import simulated_embedder
from polyvox.quote import quote_of
from polyvox.request import Request, ResponseFormat
from polyvox.testing import check_grammar
from polyvox.usage import Cost, Usage

from .rig import HI, PRICED, UNPRICED, Leaf, ask


class Telemetry:
    """What OpenTelemetry was told."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self.reader])

    def traced(self, model: Model, **settings: Any) -> Traced:
        providers = {
            "tracer_provider": self.tracer_provider,
            "meter_provider": self.meter_provider,
        }
        return Traced(model, **providers, **settings)

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.exporter.get_finished_spans()
        return span

    @property
    def attributes(self) -> dict[str, Any]:
        return dict(self.span.attributes or {})

    def points(self, name: str) -> list[HistogramDataPoint]:
        """What was measured under this name."""
        data = self.reader.get_metrics_data()
        metrics = [
            metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]
        return [
            point
            for metric in metrics
            if metric.name == name
            for point in metric.data.data_points
            if isinstance(point, HistogramDataPoint)
        ]


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    told = Telemetry()
    yield told
    told.tracer_provider.shutdown()
    told.meter_provider.shutdown()


async def test_a_call_is_one_span_with_the_names_of_the_conventions(telemetry: Telemetry):
    usage = Usage(100, 50, cache_read_tokens=40, reasoning_tokens=30, cost=Cost("known", 7))
    model = telemetry.traced(Leaf(name="xai/grok-4", usage=usage))
    request = Request(
        messages=[user("Hi.")],
        max_tokens=99,
        temperature=0.5,
        top_p=0.9,
        seed=7,
        stop=["END"],
        response_format=ResponseFormat(),
    )
    call = Call(session="s", tenant="acme", tags={"feature": "search"})
    events = [event async for event in model.stream(request, call)]
    check_grammar(events)
    assert (telemetry.span.name, telemetry.span.kind) == ("chat grok-4", SpanKind.CLIENT)
    attributes = telemetry.attributes
    assert attributes.pop("gen_ai.response.time_to_first_chunk") >= 0
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "x_ai",
        "gen_ai.request.model": "grok-4",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.output.type": "json",
        "gen_ai.conversation.id": "s",
        "gen_ai.response.model": "grok-4",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 50,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.reasoning.output_tokens": 30,
        "polyvox.call.id": call.id,
        "polyvox.tenant": "acme",
        "polyvox.tag.feature": "search",
        "polyvox.cost.status": "known",
        "polyvox.cost.nanos": 7,
    }
    assert telemetry.span.status.status_code is StatusCode.UNSET


async def test_an_embedding_is_told_as_one(telemetry: Telemetry):
    embedder = layered(simulated_embedder("simulated/embedding"), telemetry.traced)
    await embedder.embed(EmbeddingRequest(inputs=["cats", "dogs"]), Call(session="s"))
    assert telemetry.span.name == "embeddings embedding"
    attributes = telemetry.attributes
    assert attributes["gen_ai.operation.name"] == "embeddings"
    assert attributes["gen_ai.usage.input_tokens"] == 2
    assert attributes["gen_ai.conversation.id"] == "s"
    for name in ("gen_ai.client.token.usage", "gen_ai.client.operation.duration"):
        for point in telemetry.points(name):
            assert (point.attributes or {})["gen_ai.operation.name"] == "embeddings"


async def test_what_was_said_is_told_only_where_that_is_wished(telemetry: Telemetry):
    error = RateLimitError("quoting your secret plan")
    await ask(telemetry.traced(Leaf("The secret plan.")), user("Which plan? sk-" + "x" * 20))
    await ask(telemetry.traced(Leaf(error)), user("Which plan?"))
    for span in telemetry.exporter.get_finished_spans():
        assert "plan" not in span.to_json()


async def test_content_has_the_form_of_the_conventions_and_no_keys(telemetry: Telemetry):
    key = "sk-" + "canary-do-not-tell-4711"
    call = ToolCall("call_1", "weather", {"city": "Oslo", "key": key})
    picture = Image(b"\x89PNG\r\n\x1a\n")
    request = Request(
        system=[Text("Be kind.")],
        messages=[
            SystemMessage([Text("Now.")]),
            user("Hi.", picture, Image(url="https://x.example/cat.png"), File(id="file_1")),
            assistant(call),
            tool_result(call, "rain"),
        ],
    )
    model = telemetry.traced(Leaf(f"It is {key} plum."), content=True, redact=["plum"])
    async for _ in model.stream(request, Call()):
        pass
    attributes = telemetry.attributes
    told = {
        name: json.loads(attributes[f"gen_ai.{name}"])
        for name in ("system_instructions", "input.messages", "output.messages")
    }
    assert told["system_instructions"] == [{"type": "text", "content": "Be kind."}]
    system, asked, wish, result = told["input.messages"]
    assert system == {"role": "system", "parts": [{"type": "text", "content": "Now."}]}
    text, blob, uri, file = asked["parts"]
    assert text == {"type": "text", "content": "Hi."}
    assert (blob["type"], blob["modality"], blob["mime_type"]) == ("blob", "image", "image/png")
    assert blob["content"].startswith("sha256:")
    assert (uri["type"], uri["uri"]) == ("uri", "https://x.example/cat.png")
    assert (file["type"], file["file_id"], file["modality"]) == ("file", "file_1", "document")
    (part,) = wish["parts"]
    assert part == {
        "type": "tool_call",
        "id": "call_1",
        "name": "weather",
        "arguments": {"city": "Oslo", "key": "***"},
    }
    (response,) = result["parts"]
    assert (response["type"], response["id"]) == ("tool_call_response", "call_1")
    assert told["output.messages"] == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "It is *** ***."}],
            "finish_reason": "stop",
        }
    ]
    assert key not in telemetry.span.to_json()


async def test_a_failure_has_its_type_and_every_attempt_its_event(telemetry: Telemetry):
    slow = RateLimitError("slow down", status=429)
    await ask(telemetry.traced(Leaf(slow, slow, name="mistral/small")))
    assert telemetry.attributes["error.type"] == "rate_limit"
    assert telemetry.span.status.status_code is StatusCode.ERROR
    events = [(event.name, dict(event.attributes or {})) for event in telemetry.span.events]
    assert [name for name, _ in events] == ["polyvox.attempt"] * 2
    told = events[0][1]
    assert (told["error.type"], told["http.response.status_code"]) == ("rate_limit", 429)
    assert told["gen_ai.provider.name"] == "mistral_ai"
    assert telemetry.attributes["polyvox.cost.nanos"] == 3_000
    (duration,) = telemetry.points("gen_ai.client.operation.duration")
    assert (duration.attributes or {})["error.type"] == "rate_limit"


@pytest.mark.parametrize("leave_after", [1, 2, 3, 4])
async def test_a_span_ends_when_the_reader_leaves(telemetry: Telemetry, leave_after: int):
    await ask(telemetry.traced(Leaf()), leave_after=leave_after)
    assert telemetry.attributes["error.type"] == "aborted"
    assert telemetry.attributes["polyvox.cost.nanos"] == 1_500


async def test_measurements_have_the_names_units_and_sums(telemetry: Telemetry):
    for _ in range(3):
        await ask(telemetry.traced(Leaf()))
    await ask(telemetry.traced(Leaf(usage=Usage(basis="missing"))))
    tokens = {
        (point.attributes or {})["gen_ai.token.type"]: (point.sum, point.count)
        for point in telemetry.points("gen_ai.client.token.usage")
    }
    assert tokens == {"input": (30, 3), "output": (15, 3)}
    (duration,) = telemetry.points("gen_ai.client.operation.duration")
    assert duration.count == 4
    assert duration.explicit_bounds[:2] == (0.01, 0.02)
    assert duration.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "test",
        "gen_ai.request.model": "leaf",
        "gen_ai.response.model": "leaf",
    }
    (first,) = telemetry.points("gen_ai.client.operation.time_to_first_chunk")
    assert first.count == 4


async def test_a_whole_answer_has_no_time_to_its_first_chunk(telemetry: Telemetry):
    async for _ in telemetry.traced(Leaf()).stream(
        Request(messages=[user("Hi.")], stream=False), Call()
    ):
        pass
    assert telemetry.points("gen_ai.client.operation.time_to_first_chunk") == []
    assert "gen_ai.request.stream" not in telemetry.attributes


async def test_an_unknown_price_is_told_as_unknown(telemetry: Telemetry):
    await ask(telemetry.traced(Leaf(usage=UNPRICED)))
    assert telemetry.attributes["polyvox.cost.status"] == "unknown"


async def test_the_span_belongs_to_the_one_around_it_and_is_none_for_the_reader(
    telemetry: Telemetry,
):
    from opentelemetry import trace

    tracer = telemetry.tracer_provider.get_tracer("test")
    with tracer.start_as_current_span("outer") as outer:
        async for _ in telemetry.traced(Leaf()).stream(HI, Call()):
            assert trace.get_current_span() is outer
    inner, _ = telemetry.exporter.get_finished_spans()
    assert inner.parent is not None
    assert inner.parent.span_id == outer.get_span_context().span_id


def test_the_wrapper_has_the_models_name_and_quote(telemetry: Telemetry):
    model = telemetry.traced(Leaf())
    assert (model.name, quote_of(model, HI)) == ("test/leaf", PRICED)


def test_without_the_extra_the_error_names_it():
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from polyvox.ledger import Traced, CostTracker\n"
        "from polyvox import ConfigurationError\n"
        "try: Traced(None)\n"
        "except ConfigurationError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Traced needs OpenTelemetry\npip install 'polyvox[otel]'\n"


async def test_what_cant_be_told_leaves_the_call_and_its_span_alone(telemetry: Telemetry):
    deep: list[object] = []
    for _ in range(5_000):
        deep = [deep]
    asked = assistant(ToolCall("1", "dig", {"down": deep}))
    events = await ask(telemetry.traced(Leaf(), content=True), user("Hi."), asked, user("Dug?"))
    assert events[-1].message.text == "Hello there."
    assert telemetry.attributes["gen_ai.usage.input_tokens"] == 10
    assert "gen_ai.input.messages" not in telemetry.attributes
