"""Pages in a browser may call where the configuration names them, and nowhere else."""

from collections.abc import Callable

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from gateway.running import Running
from gateway.security.wire import ask
from polyvox.gateway.web.cors import Cors, with_cors

PAGE = "https://app.example.com"
CHAT = "/v1/chat/completions"


def hello(stream: bool = False) -> dict[str, object]:
    messages = [{"role": "user", "content": "Hi"}]
    return {"model": "simulated/echo", "messages": messages, "stream": stream}


@pytest.fixture(scope="module")
def closed(running_here: Callable[..., Running]) -> Running:
    return running_here()


@pytest.fixture(scope="module")
def opened(running_here: Callable[..., Running]) -> Running:
    return running_here(f'[gateway]\norigins = ["{PAGE}", "http://localhost:3000"]\n')


@pytest.fixture(scope="module")
def wide_open(running_here: Callable[..., Running]) -> Running:
    return running_here('[gateway]\norigins = ["*"]\n')


def preflight(gateway: Running, origin: str, path: str = CHAT):
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    return ask(gateway.url, "OPTIONS", path, headers=headers)


def of_cors(headers: dict[str, str]) -> list[str]:
    return [name for name in headers if name.startswith("access-control-") or name == "vary"]


def test_by_default_no_page_is_told_anything(closed: Running) -> None:
    told = preflight(closed, PAGE)
    assert told.status == 405
    assert of_cors(told.headers) == []
    told = ask(closed.url, "POST", CHAT, hello(), key=closed.key, headers={"origin": PAGE})
    assert (told.status, of_cors(told.headers)) == (200, [])


def test_without_origins_it_costs_nothing() -> None:
    async def app(*given: object) -> None: ...

    assert with_cors(app, ()) is app
    assert isinstance(with_cors(app, (PAGE,)), Cors)


@pytest.mark.parametrize("path", [CHAT, "/v1/contexts", "/admin/keys", "/nothing"])
def test_a_named_page_may_send_its_key(opened: Running, path: str) -> None:
    told = preflight(opened, PAGE, path)
    assert (told.status, told.body) == (204, b"")
    assert told.headers["access-control-allow-origin"] == PAGE
    assert "POST" in told.headers["access-control-allow-methods"]
    assert told.headers["access-control-allow-headers"] == "authorization,content-type"
    assert told.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in told.headers


OTHERS = (
    "https://evil.example",
    "null",
    f"{PAGE}.evil.example",
    f"{PAGE}:8443",
    PAGE.replace("https", "http"),
    PAGE.upper(),
    "https://evil.example, " + PAGE,
    "",
)


@pytest.mark.parametrize("origin", OTHERS)
def test_another_page_is_told_nothing(opened: Running, origin: str) -> None:
    told = preflight(opened, origin)
    assert (told.status, of_cors(told.headers)) == (403, ["vary"])
    told = ask(opened.url, "POST", CHAT, hello(), key=opened.key, headers={"origin": origin})
    assert (told.status, of_cors(told.headers)) == (200, ["vary"])


@pytest.mark.parametrize(
    ("path", "body", "key", "status"),
    [
        (CHAT, hello(), True, 200),
        (CHAT, hello(stream=True), True, 200),
        (CHAT, hello(), False, 401),
        (CHAT, b"{", True, 400),
        ("/v1/contexts", {}, True, 201),
        ("/v1/contexts", {"nmae": 1}, True, 400),
        ("/nothing", {}, True, 404),
        ("/v1/models", {}, True, 405),
    ],
)
def test_a_named_page_may_read_every_answer_also_a_refusal(
    opened: Running, path: str, body: object, key: bool, status: int
) -> None:
    told = ask(
        *(opened.url, "POST", path, body),
        key=opened.key if key else "bad",
        headers={"origin": PAGE},
    )
    assert told.status == status
    assert told.headers["access-control-allow-origin"] == PAGE
    assert "x-request-id" in told.headers["access-control-expose-headers"]
    assert told.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in told.headers


def test_all_pages_may_where_it_says_so_but_never_with_credentials(wide_open: Running) -> None:
    told = preflight(wide_open, "https://any.example")
    assert told.headers["access-control-allow-origin"] == "*"
    assert told.headers["access-control-allow-headers"] == "authorization,content-type"
    told = ask(wide_open.url, "GET", "/v1/models", headers={"origin": "https://any.example"})
    assert (told.status, told.headers["access-control-allow-origin"]) == (401, "*")
    assert "access-control-allow-credentials" not in told.headers


def test_a_page_opens_a_websocket_where_it_is_named(
    opened: Running, closed: Running, wide_open: Running
) -> None:
    def status(gateway: Running, origin: str | None) -> int:
        headers = {"authorization": f"Bearer {gateway.key}"}
        url = gateway.url.replace("http", "ws") + "/v1/ws"
        try:
            with connect(url, origin=origin, additional_headers=headers) as socket:  # type: ignore[arg-type]
                socket.send('{"type": "ping"}')
                assert "pong" in str(socket.recv(60))
        except InvalidStatus as refused:
            return refused.response.status_code
        return 101

    assert status(closed, PAGE) == 403
    assert status(closed, closed.url) == 403
    assert status(closed, None) == 101
    assert status(opened, PAGE) == 101
    assert [status(opened, origin) for origin in OTHERS if origin] == [403] * (len(OTHERS) - 1)
    assert status(wide_open, "https://any.example") == 101
