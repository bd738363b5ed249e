"""Secrets that would be recognised anywhere: after everything that can go well or wrong, none is found."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from websockets.sync.client import ClientConnection, connect

from gateway.running import ADMIN_KEY, Running
from gateway.security.wire import SECONDS, Told, ask

CANARIES = {
    "a provider's key of the configuration": "canaryCONFIG4f1b8c2e9d7a6053",
    "a key that a reload brought": "canaryRELOAD0d9e8f7a6b5c4d3e",
    "a provider's key of the environment": "canaryENVIRON9a8b7c6d5e4f30211",
    "a provider's key of the database": "canaryDATABASE1122334455667788",
    "the administrator's key": ADMIN_KEY,
    "a key of a caller in the configuration": "canaryCALLER77aa88bb99cc00dd11ee",
    "the password of the database": "canary-Pa55word",
    "the password of Redis": "canaryREDIS5566778899aabbccdd",
    "the secret of the gateway": "canarySECRET00ff11ee22dd33cc44bb",
    "the password in an address": "canaryADDRESS1f2e3d4c5b6a7988",
    "a key that was brought along": "canaryBROUGHT6c1d9e3f7a0b5284",
    "a key that is none": "canaryUNKNOWN0a1b2c3d4e5f607182",
}
CHAT = "/v1/chat/completions"
SAID = [{"role": "user", "content": "Hi"}]
DIALECTS = ("openai-chat", "openai-responses", "anthropic-messages", "gemini", "ollama")
WAYS = (
    "200",
    "400",
    "401",
    "403",
    "404",
    "413",
    "429",
    "500",
    "503",
    "302",
    "html",
    "gone",
    "event",
)


SPANS = """
import os
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

told = open(os.environ["CANARY_SPANS"], "a", encoding="utf-8")
traces = TracerProvider()
traces.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=told)))
trace.set_tracer_provider(traces)
reader = PeriodicExportingMetricReader(ConsoleMetricExporter(out=told))
metrics.set_meter_provider(MeterProvider([reader]))
"""
"""What Python runs at its start where it stands in its path: as "opentelemetry-instrument" does it."""


class Indiscreet(BaseHTTPRequestHandler):
    """A provider that tells in every failure with which key it was asked."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else head and body, two writes, are 40 ms apart
    seen = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        told = [f"{name}: {value}" for name, value in self.headers.items()]
        Indiscreet.seen += repr(told)
        text = f"no, not for you; you sent {told} to {self.path}"
        way = next((way for way in WAYS if f"way-{way}" in f"{self.path} {body!r}"), "400")
        error = {"message": text, "type": text, "code": text, "status": text, "param": text}
        failure = json.dumps({"error": error, "message": text, "detail": text})
        match way:
            case "200":
                message = {"role": "assistant", "content": "Hello."}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                self._answer(200, json.dumps({"id": "x", "model": "m", "choices": [choice]}))
            case "302":
                self._answer(302, failure, location=f"http://127.0.0.1:1/?{told}"[:2000])
            case "html":
                self._answer(200, f"<html>{text}</html>", kind="text/html")
            case "gone":
                self.close_connection = True
            case "event":
                kind = "text/event-stream"
                self._answer(200, f"event: error\ndata: {failure}\n\n", kind=kind)
            case status:
                self._answer(int(status), failure)

    do_GET = do_POST  # noqa: N815

    def _answer(self, status: int, text: str, kind: str = "application/json", **more: str) -> None:
        data = text.encode()
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(data)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *given: Any) -> None: ...


@pytest.fixture
def upstream() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Indiscreet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def config(upstream: str, database: str, key: str) -> str:
    rows = ""
    for dialect in DIALECTS:
        path = "/v1" if dialect.startswith("openai") else ""
        row = f'dialect = "{dialect}"\nbase_url = "{upstream}{path}"\n'
        rows += f'[providers.file-{dialect}]\n{row}key = "{key}"\n'
        rows += f"[providers.base-{dialect}]\n{row}"
        rows += f'[providers.env-{dialect}]\n{row}key_env = ["LAB_KEY"]\n'
    return f"""
[gateway]
secret = "{CANARIES["the secret of the gateway"]}"
reload_seconds = 0.2
{f'database = "{database}"' if database else ""}
[gateway.keys.build]
key = "{CANARIES["a key of a caller in the configuration"]}"
organisation = "acme"
[accounts]
kind = "redis"
url = "redis://:{CANARIES["the password of Redis"]}@127.0.0.1:1/0"
on_failure = "allow"
[telemetry]
content = true
[retry]
base = 0.001
{rows}
[providers.away]
dialect = "openai-chat"
base_url = "http://someone:{CANARIES["the password in an address"]}@127.0.0.1:1/v1"
key = "{key}"
"""


class Spy:
    """Asks, and keeps all that was answered."""

    def __init__(self, gateway: Running) -> None:
        self.gateway = gateway
        self.heard: list[tuple[str, Told]] = []

    def ask(
        self, method: str, path: str, body: object = None, *, key: str = "", **more: Any
    ) -> Told:
        told = ask(self.gateway.url, method, path, body, key=key or ADMIN_KEY, **more)
        self.heard.append((f"{method} {path} {body}"[:300], told))
        return told


def ask_models(spy: Spy) -> None:
    """Every provider in every dialect, in all ways to fail, whole and streamed, by both keys."""
    caller = CANARIES["a key of a caller in the configuration"]
    for behind in DIALECTS:
        for source in ("file", "base", "env"):
            for way in WAYS:
                for stream in (False, True) if source == "file" else (False,):
                    body = {"model": f"{source}-{behind}/way-{way}", "messages": SAID}
                    spy.ask("POST", CHAT, {**body, "stream": stream}, key=caller)
            name = f"{source}-{behind}/way-400"
            spy.ask("POST", "/v1/messages", {"model": name, "messages": SAID, "max_tokens": 9})
            spy.ask("POST", "/v1/messages/count_tokens", {"model": name, "messages": SAID})
            spy.ask("POST", "/v1/embeddings", {"model": name, "input": "Hi"})
            spy.ask("POST", "/v1/responses", {"model": name, "input": "Hi"})
            spy.ask(
                "POST", f"/v1beta/models/{name}:generateContent", {"contents": [{"parts": SAID}]}
            )
            spy.ask("POST", "/api/chat", {"model": name, "messages": SAID})
    for model in ("away/x", "nobody/x", "openai/gpt-5-mini", "x", "simulated/echo"):
        spy.ask("POST", CHAT, {"model": model, "messages": SAID})


def talk_live(spy: Spy) -> None:
    """All that is said over WebSockets, with good keys, bad ones, and keys where none belong."""
    url = spy.gateway.url.replace("http", "ws") + "/v1/ws"
    unknown = CANARIES["a key that is none"]
    caller = CANARIES["a key of a caller in the configuration"]
    with connect(url) as socket:
        socket.send(json.dumps({"type": "hello", "key": unknown}))
        hear(spy, socket, "error")
    with connect(f"{url}?key={unknown}") as socket:
        socket.send(json.dumps({"type": "hello", "key": caller}))
        hear(spy, socket, "welcome")
        socket.send(json.dumps({"type": "hello", "key": ADMIN_KEY}))
        socket.send(json.dumps({"type": "start", "key": unknown}))
        for _ in range(2):
            hear(spy, socket, "error")
        models = [f"{source}-{each}" for each in DIALECTS for source in ("file", "base", "env")]
        for model in (*(f"{one}/way-{way}" for one in models for way in WAYS), "away/x", "no/x"):
            socket.send(
                json.dumps({"type": "start", "id": model, "model": model, "messages": "Hi"})
            )
            hear(spy, socket, "closed")


def hear(spy: Spy, socket: ClientConnection, until: str) -> None:
    while True:
        text = str(socket.recv(SECONDS))
        spy.heard.append(("what was said over a WebSocket", Told(200, {}, text.encode())))
        if json.loads(text)["type"] == until:
            return


def show_wrong_keys(spy: Spy) -> None:
    unknown = CANARIES["a key that is none"]
    for path in ("/v1/models", f"/v1/models?key={unknown}", f"/nothing?api_key={unknown}"):
        assert spy.ask("GET", path, key=unknown).status in (401, 404)
    for name in ("x-api-key", "api-key", "x-goog-api-key", "cookie", "x-polyvox-session"):
        spy.ask("GET", "/v1/models", headers={name: unknown, "authorization": f"Basic {unknown}"})


def administer(spy: Spy) -> set[str]:
    """Also with what is wrong; the keys that were made."""
    value = CANARIES["a provider's key of the database"]
    path = "/admin/provider_keys"
    for behind in DIALECTS:
        good = {"name": f"k-{behind}", "provider": f"base-{behind}", "value": value}
        assert spy.ask("POST", path, good).status == 201
        assert spy.ask("POST", path, good).status == 409
        spy.ask("POST", path, {**good, "provider": 7})
        spy.ask("POST", path, {**good, "more": value})
        spy.ask("POST", path, {**good, "name": f"{value} x"})
        spy.ask("POST", path, {**good, "name": "other", "value": f"{value}\n{value}"})
        spy.ask("POST", path, json.dumps(good).encode()[:-3])
        spy.ask("PUT", f"{path}/k-{behind}", spy.ask("GET", f"{path}/k-{behind}").json)
        spy.ask("PUT", f"{path}/k-{behind}", {**good, "provider": "another"})
        assert spy.ask("PATCH", f"{path}/k-{behind}", {"value": value}).status == 200
        spy.ask("PATCH", f"{path}/k-{behind}", {"value": value, "provider": value})
    spy.ask("GET", path)
    spy.ask("POST", path, {"name": "ref", "provider": "x", "value": "env:LAB_KEY"})
    spy.ask("GET", f"{path}/ref")
    made: set[str] = set()
    spy.ask("POST", "/admin/organisations", {"name": "acme"})
    key = spy.ask("POST", "/admin/keys", {"organisation": "acme"}).json
    turned = spy.ask("POST", f"/admin/keys/{key['key']['id']}/rotate", {"overlap_seconds": 60}).json
    made |= {key["secret"], turned["secret"]}
    del spy.heard[-2:]  # there the keys are told, this once
    for secret in made:
        assert spy.ask("GET", "/v1/key", key=secret).status == 200
    spy.ask("POST", f"/admin/keys/{key['key']['id']}/revoke")
    for secret in made:
        assert spy.ask("GET", "/v1/key", key=secret).status == 401
    brought = CANARIES["a key that was brought along"]
    for status in (201, 409):
        assert spy.ask("POST", "/admin/keys", {"key": brought}).status == status
    spy.ask("POST", "/admin/keys", {"key": f"{brought} {brought}", "name": 5})
    spy.ask("POST", "/admin/keys", {"key": brought, "sha256": brought})
    assert spy.ask("GET", "/v1/key", key=brought).status == 200
    spy.ask("GET", "/admin/keys")
    return made


def work_in_batches(spy: Spy) -> None:
    lines = [
        {
            "custom_id": f"{source}-{behind}",
            "method": "POST",
            "url": CHAT,
            "body": {"model": f"{source}-{behind}/way-400", "messages": SAID},
        }
        for behind in DIALECTS
        for source in ("file", "base", "env")
    ]
    file = "\n".join(map(json.dumps, lines))
    form = (
        '--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        '--b\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
        f"{file}\r\n--b--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=b"}
    caller = CANARIES["a key of a caller in the configuration"]
    sent = spy.ask("POST", "/v1/files", form.encode(), key=caller, headers=headers).json
    wanted = {"input_file_id": sent["id"], "endpoint": CHAT}
    batch = spy.ask("POST", "/v1/batches", {**wanted, "completion_window": "24h"}, key=caller).json
    while batch["status"] not in ("completed", "failed", "expired", "cancelled"):
        batch = spy.ask("GET", f"/v1/batches/{batch['id']}", key=caller).json
        spy.heard.pop()
    for name in ("output_file_id", "error_file_id"):
        if batch.get(name):
            told = spy.ask("GET", f"/v1/files/{batch[name]}/content", key=caller)
            assert b"custom_id" in told.body


def converse(spy: Spy) -> None:
    context = spy.ask("POST", "/v1/contexts", {"messages": SAID * 20}).json["id"]
    for model in ("file-openai-chat/way-400", "env-gemini/way-500", "away/x"):
        body = {"model": model, "messages": SAID, "polyvox": {"context": context}}
        spy.ask("POST", CHAT, body)
        spy.ask("POST", f"/v1/contexts/{context}/compact", {"model": model})
    spy.ask("GET", f"/v1/contexts/{context}/export")


def reload_badly(spy: Spy, good: str) -> None:
    """Several configurations that are wrong, each just where a secret stands."""
    value = CANARIES["a provider's key of the configuration"]
    file = spy.gateway.folder / "polyvox.toml"
    wrong = [
        f'[providers.lab]\nkeyy = "{value}"\n',
        f'[providers.lab]\ndialect = "openai-chat"\nkey = ["{value}"]\n',
        f'[gateway]\nadmin_key = "{value}"\nport = "{value}"\n',
        f'key = "{value}\n',
        f'[gateway.keys.weak]\nkey = "{value[:9]}"\n',
    ]
    for text in wrong:
        file.write_text(text)
        await_configuration(spy, "refused")
        file.write_text(good)
        await_configuration(spy, "current")


def await_configuration(spy: Spy, status: str) -> None:
    def now() -> str:
        parts = spy.ask("GET", "/health").json["parts"]
        return next(part["state"] for part in parts if part["name"] == "configuration")

    spy.gateway.process.send_signal(signal.SIGHUP)
    while now() != status:
        spy.heard.pop()


def look_around(spy: Spy) -> None:
    for path in (
        "/health",
        "/ready",
        "/metrics",
        "/openapi.json",
        "/v1/models",
        "/v1/usage?of=all",
    ):
        spy.ask("GET", path)
    for by in ("model", "key", "organisation", "provider", "error", "dialect"):
        spy.ask("GET", f"/v1/usage?by={by}")


def database_text(url: str) -> str:
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        rows = [connection.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in tables]
    assert sum(map(len, rows)) > 100
    return repr(rows)


def places(spy: Spy, url: str) -> Iterator[tuple[str, str]]:
    """Every place where something was written or told, with what stands there."""
    gateway = spy.gateway
    yield "the log", gateway.log
    yield "what it said of itself", json.dumps(gateway.about)
    yield "spans and measurements", (gateway.folder.parent / "spans").read_text(encoding="utf-8")
    if url:
        yield "the database", database_text(url)
    for path in sorted((gateway.folder / "data").rglob("*")):
        if path.is_file() and path.name != "secret":
            text = path.read_bytes().decode("latin-1")
            yield f"the file {path.relative_to(gateway.folder)}", text
    for asked, told in spy.heard:
        yield f"the answer to {asked}", f"{told.headers}\n{told.body.decode('latin-1')}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_secret_is_found_anywhere(
    running: Callable[..., Running],
    upstream: str,
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SPANS)
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else ""
    environ = {
        "LAB_KEY": CANARIES["a provider's key of the environment"],
        "PYTHONASYNCIODEBUG": "1",
        "PYTHONPATH": str(tmp_path),
        "CANARY_SPANS": str(tmp_path / "spans"),
    }
    first = config(upstream, url, CANARIES["a provider's key of the configuration"])
    spy = Spy(running(first, environ=environ))
    show_wrong_keys(spy)
    made = administer(spy)
    while CANARIES["a provider's key of the database"] not in Indiscreet.seen:
        spy.ask("POST", CHAT, {"model": "base-gemini/way-400", "messages": SAID})
    ask_models(spy)
    for what in ("configuration", "environment", "database"):
        assert CANARIES[f"a provider's key of the {what}"] in Indiscreet.seen
    assert [told for _, told in spy.heard if b"no, not for you" in told.body]  # and it is passed on
    talk_live(spy)
    work_in_batches(spy)
    converse(spy)
    reload_badly(spy, config(upstream, url, CANARIES["a key that a reload brought"]))
    ask_models(spy)
    assert CANARIES["a key that a reload brought"] in Indiscreet.seen
    look_around(spy)
    seen_in_journal = [*places(spy, url)]
    assert spy.gateway.stop() == 0
    spans = (tmp_path / "spans").read_text(encoding="utf-8")
    assert "no, not for you" in spans
    assert "gen_ai.client.operation.duration" in spans
    secrets = CANARIES | {f"a caller's key {number}": key for number, key in enumerate(made)}
    found = {
        (what, where): text[max(0, text.index(secret) - 200) : text.index(secret) + 60]
        for where, text in [*seen_in_journal, *places(spy, url)]
        for what, secret in secrets.items()
        if secret in text
    }
    assert not found, "\n".join(f"{key}: {text}" for key, text in [*found.items()][:12])
    assert {told.status for _, told in spy.heard} > {200, 201, 400, 401, 404, 409, 429, 502}


WRONG_STARTS = {
    "a weak key": '[gateway]\nhost = "0.0.0.0"\nadmin_key = "{secret:.9}"\n',
    "a key of the wrong kind": '[gateway]\nadmin_key = ["{secret}"]\n',
    "a database of the wrong kind": '[gateway]\ndatabase = "mysql://u:{secret}@127.0.0.1:1/x"\n',
    "a database that is no address": '[gateway]\ndatabase = "{secret}"\n',
    "an unknown field": '[gateway]\nadmin_keyy = "{secret}"\n',
    "a broken file": '[gateway]\nadmin_key = "{secret}\n',
    "a store of the wrong kind": '[accounts]\nkind = "redis"\nurl = "http://:{secret}@x"\n',
}


@pytest.mark.parametrize("wrong", WRONG_STARTS)
def test_a_start_that_fails_tells_no_secret(tmp_path: Path, wrong: str) -> None:
    secret = "canarySTART99887766554433221100"
    file = tmp_path / "polyvox.toml"
    file.write_text(WRONG_STARTS[wrong].format(secret=secret))
    command = [sys.executable, "-m", "polyvox.cli", "serve", "--json", "--port", "0"]
    command += ["--config", str(file), "--data", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode != 0
    assert done.stderr
    assert secret[:9] not in done.stdout + done.stderr
