"""What clients read of an answer besides its content: ids, advice, and when to ask again."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import anthropic
import pytest

from gateway.running import Running

POOR, SLOW = "pv-poor-1lKq8Zt5rXw3yV7bN2mC4dF6g", "pv-slow-8Zt5rXw3yV7bN2mC4dF6gH8jP"
CONFIG = f"""
[aliases]
parrot = "simulated/echo"
broken = {{ model = "simulated/scripted", template = "broken" }}
full = {{ model = "simulated/scripted", template = "full" }}
[templates.full.options.simulated]
script = [{{ error = {{ kind = "overloaded", text = "full" }} }}]
[templates.broken.options.simulated]
script = [{{ events = [
    {{ type = "text_start", index = 0 }},
    {{ type = "text_delta", index = 0, text = "Half" }},
    {{ type = "text_end", index = 0, block = {{ type = "text", text = "Half" }} }},
    {{ type = "error", error = {{ kind = "overloaded", text = "full" }}, message = {{ content = [] }} }},
] }}]
[prices."simulated/echo"]
input = 0
output = 1_000_000
[gateway.keys.poor]
key = "{POOR}"
budget = {{ limit = "$0.50", per = "day" }}
[gateway.keys.slow]
key = "{SLOW}"
limit = {{ requests = 1, per = "hour" }}
"""
MESSAGES = "/v1/messages"
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi"}]},
    "/v1/responses": {"input": "Hi"},
    MESSAGES: {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1},
    "/v1beta/models/{model}:generateContent": {"contents": [{"parts": [{"text": "Hi"}]}]},
    "/api/chat": {"messages": [{"role": "user", "content": "Hi"}], "stream": False},
}


class Told(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("told"), CONFIG)
    try:
        yield running.start()
    finally:
        running.close()


async def ask(
    gateway: Running, path: str, model: str, key: str = "", *, stream: bool = False, **more: str
) -> Told:
    headers = {"authorization": f"Bearer {key or gateway.key}", **more}
    body = {"model": model, **BODIES[path], **({"stream": True} if stream else {})}
    async with (
        aiohttp.ClientSession() as http,
        http.post(gateway.url + path.format(model=model), json=body, headers=headers) as answer,
    ):
        told = {name.lower(): value for name, value in answer.headers.items()}
        return Told(answer.status, told, await answer.text())


@pytest.mark.parametrize("path", BODIES)
async def test_an_error_says_what_to_do_in_every_dialect(gateway: Running, path: str) -> None:
    told = await ask(gateway, path, "parot")
    assert told.status == 404
    assert "Did you mean 'parrot'?" in told.text
    assert told.headers["x-polyvox-error"] == "not_found"


async def test_who_is_not_told_what_to_do_may_say_it_themselves(gateway: Running) -> None:
    told = await ask(gateway, "/v1/chat/completions", "full")
    assert (told.status, told.json["error"]["message"]) == (503, "full")
    assert "x-polyvox-error" not in told.headers


@pytest.mark.parametrize(
    ("model", "key", "status"), [("parrot", "", 200), ("parot", "", 404), ("parrot", "none", 401)]
)
async def test_in_anthropics_dialect_the_id_is_where_its_clients_look(
    gateway: Running, model: str, key: str, status: int
) -> None:
    told = await ask(gateway, MESSAGES, model, key)
    id = told.headers["request-id"]
    assert (told.status, told.headers["x-request-id"]) == (status, id)
    assert id.startswith("req_")
    if status != 200:
        assert told.json["request_id"] == id


async def test_a_callers_own_id_is_told_back_in_the_error_too(gateway: Running) -> None:
    told = await ask(gateway, MESSAGES, "parot", **{"x-request-id": "mine-7"})
    assert (told.json["request_id"], told.headers["request-id"]) == ("mine-7", "mine-7")


async def test_so_is_the_id_in_an_error_in_the_middle_of_a_stream(gateway: Running) -> None:
    told = await ask(gateway, MESSAGES, "broken", stream=True)
    assert (told.status, "Half" in told.text) == (200, True)
    (error,) = [line for line in told.text.splitlines() if '"error"' in line and "data" in line]
    assert json.loads(error.removeprefix("data:"))["request_id"] == told.headers["request-id"]


@pytest.mark.parametrize("path", [path for path in BODIES if path != MESSAGES])
async def test_other_dialects_have_the_id_in_one_header_alone(gateway: Running, path: str) -> None:
    told = await ask(gateway, path, "parot")
    assert told.headers["x-request-id"].startswith("req_")
    assert "request-id" not in told.headers
    assert "request_id" not in told.text


async def test_anthropics_client_has_the_id(gateway: Running) -> None:
    asked = {"max_tokens": 1, "messages": BODIES[MESSAGES]["messages"]}
    url, key = gateway.url, gateway.key
    async with anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0) as client:
        told = await client.messages.create(model="parrot", **asked)
        with pytest.raises(anthropic.NotFoundError) as caught:
            await client.messages.create(model="parot", **asked)
    assert str(told._request_id).startswith("req_")
    assert str(caught.value.request_id).startswith("req_")
    assert caught.value.request_id != told._request_id


async def test_a_limit_says_to_the_millisecond_when_there_is_room_again(gateway: Running) -> None:
    tries = [await ask(gateway, "/v1/chat/completions", "parrot", SLOW) for _ in range(3)]
    headers = tries[-1].headers
    assert tries[-1].status == 429
    milliseconds = int(headers["retry-after-ms"])
    assert 0 < milliseconds <= 3_600_000
    assert int(headers["retry-after"]) == ceil(milliseconds / 1000)


@pytest.mark.parametrize(
    ("provider", "key", "advice", "code"),
    [
        *((name, POOR, "It resets at", 13) for name in ("openai", "openai-responses", "anthropic")),
        ("google", POOR, "It resets at", 13),
        ("ollama", POOR, "It resets at", 13),
        ("ollama", "none", "Ask whoever runs this gateway", 4),
    ],
)
def test_the_command_line_tells_the_gateways_advice_alone_and_ends_as_for_a_budget_of_its_own(
    gateway: Running, tmp_path: Path, provider: str, key: str, advice: str, code: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "polyvox.cli", "ask", "-q", "-m", f"{provider}/parrot", "Hi"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ
        | {"HOME": str(tmp_path), "POLYVOX_LOG": "off", "POLYVOX_CONFIG": "off"}
        | {"OPENAI_BASE_URL": f"{gateway.url}/v1", "OPENAI_API_KEY": key}
        | {"ANTHROPIC_BASE_URL": gateway.url, "ANTHROPIC_API_KEY": key}
        | {"GOOGLE_GEMINI_BASE_URL": gateway.url, "GEMINI_API_KEY": key}
        | {"OLLAMA_HOST": gateway.url, "OLLAMA_API_KEY": key},
    )
    assert done.returncode == code
    assert advice in done.stderr
    assert "hint:" not in done.stderr


def test_the_log_says_when_the_gateway_serves_and_when_it_stops(tmp_path: Path) -> None:
    gateway = Running(tmp_path).start()
    assert gateway.stop() == 0
    said = [json.loads(line) for line in gateway.log.splitlines() if line.startswith("{")]
    ours = [line for line in said if line.get("of") == "gateway.gateway"]
    assert [(line["about"], line["text"]) for line in ours] == [
        ("info", "worker 1 of 1 serves"),
        ("info", "worker 1 is told to stop"),
        ("info", "worker 1 has stopped"),
    ]
    gateway.close()
