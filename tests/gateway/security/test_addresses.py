"""No request makes the gateway fetch what only it can reach, or ask another server than it should."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import pytest
from websockets.sync.client import connect

from gateway.running import Running
from gateway.security.wire import SECONDS, ask

DIALECTS = ("openai-chat", "openai-responses", "anthropic-messages", "gemini", "ollama")
KEY = "the-key-of-the-provider"
CHAT = "/v1/chat/completions"


class Recorder:
    """A server on the loopback that answers everything alike, and keeps what it was asked."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                recorder.paths.append(self.path)
                recorder.bodies.append(body)
                self.send_response(400)
                self.end_headers()

            do_GET = do_HEAD = do_CONNECT = do_POST  # noqa: N815

            def log_message(self, *given: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def inside() -> Iterator[Recorder]:
    """What only this machine can reach."""
    made = Recorder()
    yield made
    made.close()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Recorder]:
    made = Recorder()
    yield made
    made.close()


@pytest.fixture(scope="module", params=["aiohttp", "native"])
def gateway(
    running_here: Callable[..., Running],
    inside: Recorder,
    upstream: Recorder,
    request: pytest.FixtureRequest,
) -> Running:
    """With each transport. A proxy of the environment would be asked for all that is far away."""
    if request.param == "native":
        pytest.importorskip("polyvox_native")
    rows = ""
    for dialect in DIALECTS:
        path = "/v1" if dialect.startswith("openai") else ""
        row = f'dialect = "{dialect}"\nbase_url = "{upstream.url}{path}"\nkey = "{KEY}"\n'
        rows += f"[providers.up-{dialect}]\n{row}"
    environ = {
        "POLYVOX_TRANSPORT": request.param,
        "HTTP_PROXY": inside.url,
        "HTTPS_PROXY": inside.url,
        "http_proxy": inside.url,
        "https_proxy": inside.url,
        "NO_PROXY": f"127.0.0.1:{upstream.port}",
        "no_proxy": f"127.0.0.1:{upstream.port}",
    }
    return running_here(rows, environ=environ)


def urls(inside: Recorder) -> list[str]:
    port = inside.port
    hosts = [
        *(
            "127.0.0.1",
            "localhost",
            "LOCALHOST.",
            "127.1",
            "2130706433",
            "0x7f000001",
            "017700000001",
        ),
        *(
            "0.0.0.0",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::]",
            "127.0.0.1.",
            "a.localhost",
            "127.0.0.53",
        ),
        *("10.0.0.1", "192.168.0.1", "169.254.169.254", "[fe80::1]", "[fd00::1]", "100.64.0.1"),
        *("①②⑦.⓪.⓪.①", "127。0。0。1", "example.com@127.0.0.1", "127.0.0.1#@example.com"),
    ]
    made = [f"http://{host}:{port}/x.png" for host in hosts if "#" not in host]
    made += [f"http://127.0.0.1:{port}#@example.com/x.png", f"//127.0.0.1:{port}/x.png"]
    made += [f"https://127.0.0.1:{port}/x.png", f"HTTP://127.0.0.1:{port}/x.png"]
    made += [f"gopher://127.0.0.1:{port}/_x", f"ftp://127.0.0.1:{port}/x", "file:///etc/passwd"]
    made += [f"http://far-away.invalid:{port}/x.png", f"dict://127.0.0.1:{port}/x", "jar:file:///x"]
    return made


def questions(model: str, url: str) -> list[tuple[str, dict[str, Any]]]:
    """The same in every dialect: a picture and a file that stand at a URL."""
    words: dict[str, Any] = {"type": "text", "text": "What is it?"}
    chat = [
        words,
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "file", "file": {"file_data": url, "filename": "a.pdf"}},
    ]
    blocks = [
        words,
        {"type": "image", "source": {"type": "url", "url": url}},
        {"type": "document", "source": {"type": "url", "url": url}},
    ]
    said = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": url},
        {"type": "input_file", "file_url": url},
    ]
    server = {"type": "mcp", "server_label": "x", "server_url": url, "require_approval": "never"}
    parts = [{"text": "What is it?"}, {"fileData": {"fileUri": url, "mimeType": "image/png"}}]

    def turn(content: Any) -> list[dict[str, Any]]:
        return [{"role": "user", "content": content}]

    return [
        *((CHAT, {"model": model, "messages": turn([words, each])}) for each in chat[1:]),
        *(
            ("/v1/messages", {"model": model, "max_tokens": 9, "messages": turn([words, each])})
            for each in blocks[1:]
        ),
        *(("/v1/responses", {"model": model, "input": turn([said[0], each])}) for each in said[1:]),
        ("/v1/responses", {"model": model, "input": "Hi", "tools": [server]}),
        (f"/v1beta/models/{model}:generateContent", {"contents": [{"parts": parts}]}),
        ("/api/chat", {"model": model, "messages": [{**turn("Hi")[0], "images": [url]}]}),
    ]


@pytest.mark.parametrize("behind", DIALECTS)
def test_no_address_in_a_prompt_is_fetched_from_where_only_the_gateway_is(
    gateway: Running, inside: Recorder, behind: str
) -> None:
    before = len(inside.paths)
    told = 0
    for url in urls(inside):
        for path, body in questions(f"up-{behind}/m", url):
            answer = ask(gateway.url, "POST", path, body, key=gateway.key)
            assert answer.status < 500 or answer.status in (502, 503, 504), (
                path,
                body,
                answer.body,
            )
            told += "may not be reached" in answer.body.decode()
    assert inside.paths[before:] == []
    if behind in ("ollama", "gemini"):  # what they do not fetch, the gateway would
        assert told > 20


def test_no_field_and_no_header_changes_who_is_asked(
    gateway: Running, inside: Recorder, upstream: Recorder
) -> None:
    there = inside.url
    fields = [
        *(
            "base_url",
            "api_base",
            "apiBase",
            "baseUrl",
            "endpoint",
            "url",
            "host",
            "api_host",
            "proxy",
        ),
        *("azure_endpoint", "custom_llm_provider", "litellm_params", "extra_body", "extra_headers"),
        *("deployment", "webhook", "callback_url", "metadata", "user", "store", "background"),
    ]
    before, asked = len(inside.paths), len(upstream.paths)
    for behind in DIALECTS:
        for path, body in questions(f"up-{behind}/m", "data:image/png;base64,iVBORw0KGgo="):
            more = {name: {"base_url": there, "url": there} for name in fields[-8:]}
            loaded = {**body, **dict.fromkeys(fields, there)}
            headers = {
                "x-base-url": there,
                "x-api-base": there,
                "x-portkey-custom-host": there,
                "helicone-target-url": there,
                "x-upstream": there,
            }
            ask(gateway.url, "POST", path, loaded, key=gateway.key, headers=headers)
            ask(gateway.url, "POST", path, {**body, **more}, key=gateway.key)
    assert inside.paths[before:] == []
    assert len(upstream.paths) > asked


def test_the_options_of_a_call_are_no_way_to_litellms_arguments(
    gateway: Running, inside: Recorder
) -> None:
    """They would say where it asks, and so who gets the key."""
    before = len(inside.paths)
    options = {"litellm": {"api_base": inside.url, "model": "openai/x"}}
    start = {"type": "start", "id": "a", "model": "litellm/openai/gpt-5-mini", "messages": "Hi"}
    headers = {"authorization": f"Bearer {gateway.key}"}
    url = gateway.url.replace("http", "ws") + "/v1/ws"
    with connect(url, additional_headers=headers) as socket:
        for model in ("litellm/openai/gpt-5-mini", "simulated/echo"):
            message = {**start, "id": model, "model": model, "body": {"options": options}}
            socket.send(json.dumps(message))
            heard = []
            while not heard or heard[-1]["type"] not in ("closed", "error"):
                heard.append(json.loads(socket.recv(SECONDS)))
            assert "rror" in json.dumps(heard)
        assert "options.litellm can't be said" in json.dumps(heard)
    version = {"messages": [{"role": "user", "text": "Hi"}], "options": {"options": options}}
    told = ask(gateway.url, "POST", "/v1/prompts/sly/versions", version, key=gateway.key)
    assert told.status in (201, 400)
    if told.status == 201:
        body = {"model": "simulated/echo", "messages": [], "polyvox": {"prompt": "sly"}}
        assert ask(gateway.url, "POST", CHAT, body, key=gateway.key).status == 400
    assert inside.paths[before:] == []


SLY = ["../../../admin", "..", "a/../../b", "./x", "a\\..\\b", "a\r\nx: y", "a\x00", "a?b=c", "a#b"]
SLY += ["models/../../x", "tunedModels/../../../x", "%2e%2e/x", "a/..%2f..", ":x", "a b", "é" * 9]


@pytest.mark.parametrize("behind", DIALECTS)
def test_no_name_of_a_model_leads_to_another_path(
    gateway: Running, upstream: Recorder, behind: str
) -> None:
    before = len(upstream.paths)
    for name in SLY:
        body = {"model": f"up-{behind}/{name}", "messages": [{"role": "user", "content": "Hi"}]}
        told = ask(gateway.url, "POST", CHAT, body, key=gateway.key)
        assert told.status < 500, (name, told.body)
        embed = {"model": body["model"], "input": "Hi"}
        assert ask(gateway.url, "POST", "/v1/embeddings", embed, key=gateway.key).status < 502
    allowed = ("/v1/", "/v1beta/models/", "/v1beta/tunedModels/", "/api/")
    for path in upstream.paths[before:]:
        assert path.startswith(allowed), path
        assert ".." not in unquote(path).split("/"), path
