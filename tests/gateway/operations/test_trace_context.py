"""Where OpenTelemetry is told of calls, they are part of their callers' traces."""

import json
import subprocess
import sys
from pathlib import Path

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

# In a process of its own, since a program has its provider of traces once and for all.
PROGRAM = """
import json, sys
from pathlib import Path
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient
from polyvox.gateway.gateway import Gateway
from polyvox.gateway.serving.launch import Launch
from polyvox.gateway.serving.worker import Worker

spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
folder, headers = Path(sys.argv[1]), json.loads(sys.argv[2])
launch = Launch(file=folder / "polyvox.toml", said={}, data=folder, log="off")
with TestClient(Gateway(launch, Worker()).application) as client:
    for stream in (False, True):
        asked = {"model": "simulated/echo", "messages": [{"role": "user", "content": "hi"}]}
        asked["stream"] = stream
        answer = client.post("/v1/chat/completions", json=asked, headers=headers)
        assert answer.status_code == 200, answer.text
found = spans.get_finished_spans()
print(json.dumps([
    [f"{span.context.trace_id:032x}", span.parent and f"{span.parent.span_id:016x}",
     span.attributes["gen_ai.request.model"]]
    for span in found
]))
"""


def spans_of(folder: Path, **headers: str) -> list[tuple[str, str | None, str]]:
    """Trace, parent and model of the spans of a whole answer and a streamed one."""
    key = "pv-admin000-1lKq8Zt5rXw3yV7bN2mC4dF6gH8jP0sQ9uT1oE3iA5c"
    config = f'[gateway]\nadmin_key = "{key}"\n[telemetry]\n'
    (folder / "polyvox.toml").write_text(config, encoding="utf-8")
    headers["authorization"] = f"Bearer {key}"
    command = [sys.executable, "-c", PROGRAM, str(folder), json.dumps(headers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [tuple(span) for span in json.loads(done.stdout)]


def test_spans_of_calls_stand_below_the_span_that_their_caller_names(tmp_path: Path):
    spans = spans_of(tmp_path, traceparent=f"00-{TRACE}-{SPAN}-01")
    assert spans == [(TRACE, SPAN, "echo")] * 2


def test_calls_without_a_trace_begin_one_each(tmp_path: Path):
    spans = spans_of(tmp_path)
    assert [(parent, model) for _, parent, model in spans] == [(None, "echo")] * 2
    assert spans[0][0] != spans[1][0]
