"""A call that failed is found again: in the log by its line, in the ledger by its id or its request's."""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.running import Running
from gateway.whole.rig import asked_of, get, new_key, until

PROMPT = "canary of a prompt"
STATUSES = (400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529)
KEY = "provider-key-0123456789"


class Parrot(BaseHTTPRequestHandler):
    """A provider that repeats in every failure what it was asked, and with which key."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = f"you said: {asked}; with {self.headers['authorization']}"
        error = json.dumps({"error": {"message": text, "code": "bad_words"}})
        if asked["model"] == "event":
            self._answer(200, f"data: {error}\n\n", "text/event-stream")
        elif asked["model"] == "nonsense":
            self._answer(200, text, "text/plain")
        else:
            self._answer(int(asked["model"]), error, "application/json")

    def _answer(self, status: int, text: str, kind: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.send_header("x-request-id", "req_of_the_provider")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *given: Any) -> None: ...


@pytest.fixture
def upstream() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Parrot) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


def toml(upstream: str, more: str = "") -> str:
    return f"""
[gateway.journal]
{more}
[retry]
attempts = 1
[providers.lab]
dialect = "openai-chat"
base_url = "{upstream}"
key = "{KEY}"
[providers.away]
dialect = "openai-chat"
base_url = "http://127.0.0.1:1/v1"
key = "{KEY}"
[routers.safe]
deployments = ["away/m", "simulated/echo"]
"""


async def ask(
    gateway: Running, model: str, request: str, *, key: str = "", **more: Any
) -> dict[str, str]:
    """The headers of the answer."""
    body = {"model": model, "messages": [{"role": "user", "content": PROMPT}], **more}
    headers = {"authorization": f"Bearer {key or gateway.key}", "x-request-id": request}
    url = f"{gateway.url}/v1/chat/completions"
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, json=body, headers=headers) as answer,
    ):
        await answer.read()
        return dict(answer.headers)


async def line(gateway: Running, request: str) -> dict[str, Any]:
    """The line of a request, which a thread of the gateway's writes."""

    async def written() -> list[dict[str, Any]]:
        said = [json.loads(line) for line in gateway.log.splitlines() if line.startswith("{")]
        return [line for line in said if line.get("id") == request]

    return (await until(written))[0]


async def over(gateway: Running, name: str, key: str | None = None) -> dict[str, Any]:
    return await get(gateway, f"/v1/calls/{name}", key)


async def test_what_fails_behind_a_fallback_is_in_the_log_and_in_the_ledger(
    running: Callable[..., Running],
) -> None:
    gateway = running(toml("http://127.0.0.1:1/v1"))
    made = await new_key(gateway, organisation="")
    headers = await ask(gateway, "safe", "trace-1", key=made["secret"])
    said = await line(gateway, "trace-1")
    assert (said["status"], said["call"]) == (200, headers["x-polyvox-call-id"])
    assert (said["key"], said["model"], said["by"]) == ("tester", "safe", "simulated/echo")
    assert said["attempts"] == 2
    assert "error" not in said
    for name in ("trace-1", said["call"]):
        call = await over(gateway, name)
        assert (call["id"], call["request_id"], call["status"]) == (said["call"], "trace-1", "ok")
        assert (call["key_name"], call["reason"]) == ("tester", None)
        away, echo = call["attempts"]
        assert (away["provider"], away["error"], echo["error"]) == ("away", "network", None)
        assert "127.0.0.1" in away["reason"]


async def test_a_failure_is_told_with_its_kind_and_why(running: Callable[..., Running]) -> None:
    gateway = running(toml("http://127.0.0.1:1/v1"))
    await ask(gateway, "away/m", "trace-2")
    said = await line(gateway, "trace-2")
    assert (said["error"], said["by"]) == ("network", "away/m")
    call = await over(gateway, "trace-2")
    assert call["status"] == "network"
    assert said["reason"] == call["reason"] == call["attempts"][0]["reason"]


async def test_who_was_refused_before_anybody_was_asked_is_in_the_log(
    running: Callable[..., Running],
) -> None:
    gateway = running(toml("http://127.0.0.1:1/v1"))
    made = await new_key(gateway, models=["simulated/*"])
    await ask(gateway, "away/m", "trace-3", key=made["secret"])
    said = await line(gateway, "trace-3")
    assert (said["key"], said["model"], said["error"]) == ("tester", "away/m", "permission_denied")
    assert "may not ask 'away/m'" in said["reason"]
    assert "by" not in said
    await ask(gateway, "away/m", "trace-4", key="pv-wrong")
    said = await line(gateway, "trace-4")
    assert said["error"] == "authentication"
    assert "key" not in said


async def test_what_a_provider_says_is_written_down_nowhere_unless_that_is_allowed(
    running: Callable[..., Running], upstream: str
) -> None:
    gateway = running(toml(upstream))
    models = [*map(str, STATUSES), "event", "nonsense"]
    for model in models:
        for stream in (False, True):
            await ask(gateway, f"lab/{model}", f"of-{model}-{stream}", stream=stream)
            said = await line(gateway, f"of-{model}-{stream}")
            assert said["by"] == f"lab/{model}"
            assert said["error"]
    call = await over(gateway, "of-400-False")
    assert (call["status"], call["reason"]) == ("bad_request", "bad_words")
    (attempt,) = call["attempts"]
    assert (attempt["status"], attempt["request_id"]) == (400, "req_of_the_provider")
    gateway.stop()
    assert PROMPT not in gateway.log
    assert PROMPT not in everything(gateway)


async def test_where_it_is_allowed_it_is_there_without_keys(
    running: Callable[..., Running], upstream: str
) -> None:
    gateway = running(toml(upstream, "provider_errors = true"))
    await ask(gateway, "lab/400", "trace-5")
    said, call = await line(gateway, "trace-5"), await over(gateway, "trace-5")
    for reason in (said["reason"], call["reason"], call["attempts"][0]["reason"]):
        assert reason.startswith("bad_words: you said:")
        assert PROMPT in reason
        assert KEY not in reason
    gateway.stop()
    assert KEY not in gateway.log
    assert KEY not in everything(gateway)


def everything(gateway: Running) -> str:
    """What stands in the journal, and in the database with all of its parts."""
    data = gateway.folder / "data"
    with sqlite3.connect(data / "gateway.db") as database:
        rows = "\n".join(database.iterdump())
    files: list[Path] = [path for path in data.rglob("*") if path.is_file()]
    return rows + "".join(path.read_bytes().decode("latin-1") for path in files)


async def test_a_key_finds_the_calls_of_its_organisation_and_no_others(
    running: Callable[..., Running],
) -> None:
    gateway = running(toml("http://127.0.0.1:1/v1"))
    await asked_of(gateway, "POST", "/admin/organisations", {"name": "acme"})
    one, two = [await new_key(gateway, organisation="acme", name=name) for name in ("a", "b")]
    other = await new_key(gateway, name="c")
    for key, request in ((one, "trace-6"), (two, "trace-7"), (other, "trace-8")):
        await ask(gateway, "away/m", request, key=key["secret"])
        await ask(gateway, "simulated/echo", f"{request}-good", key=key["secret"])

    async def failed(key: str, query: str = "") -> list[str]:
        page = await get(gateway, f"/v1/calls/over?failed=true{query}", key)
        return [call["request_id"] for call in page["data"]]

    assert await failed(gateway.key) == ["trace-8", "trace-7", "trace-6"]
    assert await failed(one["secret"]) == ["trace-7", "trace-6"]
    assert await failed(one["secret"], f"&key={two['key']['id']}") == ["trace-7"]
    assert await failed(other["secret"]) == ["trace-8"]
    assert await failed(other["secret"], f"&key={two['key']['id']}") == []
    seen = await over(gateway, "trace-6", two["secret"])
    assert (seen["key_name"], seen["status"]) == ("a", "network")
    assert "127.0.0.1" not in str(seen), "at which address we ask is the administrator's concern"
    assert "127.0.0.1" in str(await over(gateway, "trace-6"))
    with pytest.raises(AssertionError, match="404"):
        await get(gateway, "/v1/calls/trace-6", other["secret"])


async def test_the_list_is_read_part_by_part(running: Callable[..., Running]) -> None:
    gateway = running(toml("http://127.0.0.1:1/v1"))
    for number in range(5):
        await ask(gateway, "simulated/echo", f"trace-{number}")
    found, query = [], "limit=2"
    while True:
        page = await get(gateway, f"/v1/calls/over?{query}")
        found += [call["request_id"] for call in page["data"]]
        if page["next"] is None:
            break
        query = f"limit=2&after={page['next']}"
    assert found == [f"trace-{number}" for number in reversed(range(5))]
