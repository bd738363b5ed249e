"""The gateways that are measured: each started as its own people say, over the same servers.

``whole`` answers are given by an nginx with a fixed answer, where there is one, since nothing is
faster; else by a loop of our own. ``streamed`` and ``crossed`` ones come from ``bench.server``, which
speaks Anthropic's dialect for the latter, while the caller asks for chat completions.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.answers import MODEL
from bench.plan import GatewayPython
from bench.processes import ROOT, SRC, CrashError, clean_environment, serving

WHOLE, STREAMED, CROSSED = "whole", "streamed", "crossed"
KEY = "pv-bench0000-1lKq8Zt5rXw3yV7bN2mC4dF6gH8jP0sQ9uT1oE3iA5c"
_ADMIN = "pv-admin0000-1lKq8Zt5rXw3yV7bN2mC4dF6gH8jP0sQ9uT1oE3iA5c"
_LITELLM_KEY = "sk-bench0000-1lKq8Zt5rXw3yV7bN2mC4dF6gH8jP0sQ9uT1oE3iA5c"
_PATH = "/chat/completions"
_PATIENCE = 60.0

ANSWER = json.dumps(
    {
        "id": "chatcmpl-bench0123456789",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": MODEL["openai"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "a word " * 100},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 250, "completion_tokens": 200, "total_tokens": 450},
    }
)


class Upstream(NamedTuple):
    """Who answers: whole answers, and streams."""

    whole: str
    streamed: str


class Gateway(NamedTuple):
    """One that serves: its process, and how it is asked for each kind of answer."""

    process: int
    ways: dict[str, dict[str, str]]


def direct(upstream: Upstream) -> Gateway:
    """Nobody between."""
    whole, streamed = (f"{url}/v1{_PATH}" for url in upstream)
    model = MODEL["openai"]
    return Gateway(0, {WHOLE: _way(whole, model), STREAMED: _way(streamed, model)})


@contextmanager
def upstream_of_wholes(folder: Path) -> Generator[str]:
    """The server of whole answers; its address."""
    if shutil.which("nginx") is None:
        with serving("bench.gateway_upstream") as url:
            yield url
        return
    port = free_port()
    answers = f"location / {{ default_type application/json; return 200 '{ANSWER}'; }}"
    with _nginx(folder / "upstream", port, answers, "", workers=2):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def nginx(python: GatewayPython, upstream: Upstream, folder: Path) -> Generator[Gateway]:
    """nginx, which passes on: as little as a gateway can do."""
    port = free_port()
    passing = 'proxy_http_version 1.1; proxy_set_header connection ""; proxy_buffering off;'
    pools = places = ""
    for name, url in upstream._asdict().items():
        pools += f"upstream {name} {{ server {url.removeprefix('http://')}; keepalive 64; }}\n"
        places += f"location /{name}/ {{ {passing} proxy_pass http://{name}/; }}\n"
    with _nginx(folder, port, places, pools) as process:
        url = f"http://127.0.0.1:{port}"
        ways = {name: _way(f"{url}/{name}/v1{_PATH}", MODEL["openai"]) for name in Upstream._fields}
        yield Gateway(process.pid, ways)


@contextmanager
def _nginx(
    folder: Path, port: int, places: str, pools: str, workers: int = 1
) -> Generator["subprocess.Popen[str]"]:
    folder.mkdir()
    temporary = "".join(
        f"{kind}_temp_path {folder / kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = (
        f"daemon off; worker_processes {workers}; pid {folder / 'pid'}; error_log stderr error;\n"
        f"events {{ worker_connections 4096; }}\n"
        f"http {{ access_log off; keepalive_requests 1000000000; {temporary} {pools}\n"
        f"server {{ listen 127.0.0.1:{port}; {places} }} }}\n"
    )
    (folder / "nginx.conf").write_text(config, encoding="utf-8")
    command = ["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]
    with running(command, folder) as process:
        wait(process, port, folder)
        yield process


def polyvox(
    transport: str, *, recorded: bool = True, workers: int = 1, redis: str = "", log: str = "off"
) -> "Start":
    """``polyvox serve`` with a key, a budget, a limit of rate, SQLite, and no log unless it is said."""
    module = "polyvox.cli" if recorded else "bench.contenders.polyvox_unrecorded"

    @contextmanager
    def start(python: GatewayPython, upstream: Upstream, folder: Path) -> Generator[Gateway]:
        folder.mkdir()
        config = folder / "polyvox.toml"
        config.write_text(_POLYVOX.format(upstream=upstream, key=KEY, admin=_ADMIN) + redis)
        command = [python.polyvox, "-m", module, "serve", "--json", "--port", "0", "--log", log]
        command += ["--config", str(config), "--data", str(folder / "data")]
        command += ["--workers", str(workers)]
        with running(command, folder, POLYVOX_TRANSPORT=transport) as process:
            url = json.loads(_first_line(process, folder))["url"] + f"/v1{_PATH}"
            ways = {WHOLE: _way(url, "openai/gpt-5-mini"), STREAMED: _way(url, "stream/gpt-5-mini")}
            ways[CROSSED] = _way(url, f"anthropic/{MODEL['anthropic']}")
            yield Gateway(process.pid, ways)

    return start


_POLYVOX = """
[gateway]
admin_key = "{admin}"

[gateway.keys.bench]
key = "{key}"
models = ["openai/*", "stream/*", "anthropic/*"]
budget = {{ limit = "$1000000", per = "day" }}
limit = {{ requests = 1000000000, tokens = 1000000000000, per = "minute" }}

[providers.openai]
base_url = "{upstream.whole}/v1"
keys = ["none"]

[providers.stream]
base_url = "{upstream.streamed}/v1"
catalog = "openai"
auth = "none"
quirks = {{ passes = true }}

[providers.anthropic]
base_url = "{upstream.streamed}"
keys = ["none"]
"""


@contextmanager
def litellm(python: GatewayPython, upstream: Upstream, folder: Path) -> Generator[Gateway]:
    """LiteLLM's proxy: one worker, no database, its one key, nothing told anybody."""
    folder.mkdir()
    port = free_port()
    asked = {
        WHOLE: ("openai/gpt-5-mini", f"{upstream.whole}/v1"),
        STREAMED: ("openai/gpt-5-mini", f"{upstream.streamed}/v1"),
        CROSSED: (f"anthropic/{MODEL['anthropic']}", upstream.streamed),
    }
    models = [
        {"model_name": name, "litellm_params": {"model": model, "api_base": url, "api_key": "none"}}
        for name, (model, url) in asked.items()
    ]
    config = folder / "config.yaml"
    settings = {"master_key": _LITELLM_KEY}  # it does not begin without
    told = {"model_list": models, "general_settings": settings}
    config.write_text(json.dumps(told), encoding="utf-8")  # JSON is YAML
    command = [str(Path(python.litellm).parent / "litellm"), "--config", str(config)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--telemetry", ""]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with running(command, folder, **quiet) as process:
        wait(process, port, folder)
        url = f"http://127.0.0.1:{port}/v1{_PATH}"
        yield Gateway(process.pid, {name: _way(url, name, _LITELLM_KEY) for name in asked})


@contextmanager
def tensorzero(python: GatewayPython, upstream: Upstream, folder: Path) -> Generator[Gateway]:
    """TensorZero's embedded gateway: no database, so without keys and limits, which want one."""
    folder.mkdir()
    asked = {
        WHOLE: ("openai", MODEL["openai"], f"{upstream.whole}/v1"),
        STREAMED: ("openai", MODEL["openai"], f"{upstream.streamed}/v1"),
        CROSSED: ("anthropic", MODEL["anthropic"], f"{upstream.streamed}/v1/messages"),
    }
    lines = ["[gateway]", "observability.enabled = false"]
    for name, (kind, model, url) in asked.items():
        lines += [f"[models.{name}]", 'routing = ["it"]', f"[models.{name}.providers.it]"]
        lines += [f'type = "{kind}"', f'api_base = "{url}"', f'model_name = "{model}"']
        lines += ['api_key_location = "none"' if kind == "openai" else ""]
    config = folder / "tensorzero.toml"
    config.write_text("\n".join(lines), encoding="utf-8")
    command = [python.tensorzero, "-m", "bench.contenders.tensorzero_gateway", str(config)]
    with running(command, folder, ANTHROPIC_API_KEY="none") as process:
        url = _first_line(process, folder, "http") + _PATH
        ways = {name: _way(url, f"tensorzero::model_name::{name}") for name in asked}
        yield Gateway(process.pid, ways)


Start = Callable[[GatewayPython, Upstream, Path], AbstractContextManager[Gateway]]


def _way(url: str, model: str, key: str = KEY) -> dict[str, str]:
    return {"url": url, "model": model, "key": key}


@contextmanager
def running(command: list[str], folder: Path, **environ: str) -> Generator["subprocess.Popen[str]"]:
    paths = os.pathsep.join([str(SRC), str(ROOT)])
    with (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**clean_environment(), "PYTHONPATH": paths, **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _first_line(process: "subprocess.Popen[str]", folder: Path, begins: str = "") -> str:
    """Raises ``CrashError`` if it ends before it says what is waited for."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(begins):
            return line.strip()
    raise CrashError(_last_words(folder))


def wait(process: "subprocess.Popen[str]", port: int, folder: Path) -> None:
    """Until somebody listens at the port. Raises ``CrashError``."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise CrashError(_last_words(folder))


def _last_words(folder: Path) -> str:
    said = (folder / "errors").read_text(encoding="utf-8", errors="replace").strip()
    return (said.splitlines() or ["it did not begin to serve"])[-1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
