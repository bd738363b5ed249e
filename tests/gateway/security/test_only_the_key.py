"""Nothing but the key says who comes in, on every route; and a key is nothing but a key."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from gateway.running import Running
from gateway.security.wire import ask, exchange, statuses

FAR = "Ya7Hc2Kp9Wd4Rt6Zn1Qx8Lm3Vb5Jf0Gs"
HERE = "Nu3Te8Xo5Ci1Ph7Bk4Dv9Mr2Sw6Ly0Za"
PUBLIC = {"/health", "/ready", "/openapi.json"}
LIES = {
    "Host": "localhost",
    "X-Forwarded-For": "10.0.0.1",
    "X-Forwarded-Host": "admin",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Prefix": "/health",
    "X-Forwarded-User": "admin",
    "Forwarded": "for=10.0.0.1;host=localhost;proto=https",
    "X-Real-IP": "10.0.0.1",
    "X-Client-IP": "10.0.0.1",
    "CF-Connecting-IP": "10.0.0.1",
    "True-Client-IP": "10.0.0.1",
    "X-Original-URL": "/health",
    "X-Rewrite-URL": "/health",
    "X-Original-Method": "GET",
    "X-HTTP-Method-Override": "GET",
    "X-Remote-User": "admin",
    "X-User": "admin",
    "Remote-User": "admin",
    "X-Organisation": "acme",
    "OpenAI-Organization": "acme",
    "X-Polyvox-Admin": "true",
    "Via": "1.1 localhost",
    "Cookie": "admin=1; key=" + HERE,
    "Referer": "http://localhost/admin",
}
INJECTED = [
    "' OR '1'='1",
    "' OR 1=1 --",
    "x'; DROP TABLE keys; --",
    "' UNION SELECT * FROM keys --",
    '" OR ""="',
    "%27%20OR%201=1",
    "\\' OR 1=1 #",
    "*",
    "%",
    "_" * 47,
    "pv-________-" + "_" * 43,
    "pv-00000000-" + "%" * 43,
    "${POLYVOX_GATEWAY__ADMIN_KEY}",
    "null",
    "undefined",
    "admin",
    "Bearer",
    "{{key}}",
    "../../admin-key.sha256",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
]


@pytest.fixture(scope="module", params=["uvicorn", "granian"])
def gateway(running_here: Callable[..., Running], request: pytest.FixtureRequest) -> Running:
    return running_here(
        f"""
[gateway]
server = "{request.param}"
[gateway.keys.far]
key = "{FAR}"
addresses = ["10.0.0.0/8", "192.0.2.1"]
[gateway.keys.here]
key = "{HERE}"
"""
    )


@pytest.fixture(scope="module")
def routes(gateway: Running) -> list[tuple[str, str]]:
    document = ask(gateway.url, "GET", "/openapi.json").json
    return [
        (method.upper(), re.sub(r"\{\w+\}", "x", path))
        for path, item in document["paths"].items()
        for method in item
    ]


@pytest.mark.parametrize("key", ["", "not-a-key-of-this-gateway"])
def test_without_a_key_nothing_helps_on_any_route(
    gateway: Running, routes: list[tuple[str, str]], key: str
) -> None:
    for method, path in routes:
        told = ask(gateway.url, method, path, {}, key=key, headers=LIES)
        assert told.status in ((200, 503) if path in PUBLIC else (401,)), (method, path)
    for lie in LIES.items():
        for method, path in (("GET", "/admin/keys"), ("POST", "/v1/chat/completions")):
            assert ask(gateway.url, method, path, {}, key=key, headers=dict([lie])).status == 401


def test_a_usual_key_becomes_no_administrators(
    gateway: Running, routes: list[tuple[str, str]]
) -> None:
    for method, path in routes:
        plain = ask(gateway.url, method, path, {}, key=HERE)
        lying = ask(gateway.url, method, path, {}, key=HERE, headers=LIES)
        assert lying.status == plain.status, (method, path)
        assert plain.status == 403 or not path.startswith("/admin"), (method, path)


def test_the_address_is_that_of_the_connection(gateway: Running) -> None:
    assert ask(gateway.url, "GET", "/v1/models", key=FAR).status == 403
    assert ask(gateway.url, "GET", "/v1/models", key=FAR, headers=LIES).status == 403


PLACES: list[Callable[[str], dict[str, str]]] = [
    lambda key: {"authorization": f"Bearer {key}"},
    lambda key: {"authorization": key},
    lambda key: {"x-api-key": key},
    lambda key: {"api-key": key},
    lambda key: {"x-goog-api-key": key},
]


@pytest.mark.parametrize("key", INJECTED)
def test_what_is_no_key_is_told_so_wherever_it_stands(gateway: Running, key: str) -> None:
    for place in PLACES:
        for path in ("/v1/models", "/admin/keys"):
            told = ask(gateway.url, "GET", path, headers=place(key))
            assert told.status == 401, (path, place(key))
            assert key not in told.body.decode() or len(key) < 7
    said = "".join(f"%{byte:02x}" for byte in key.encode())
    assert ask(gateway.url, "GET", f"/v1beta/models?key={said}").status == 401
    assert ask(gateway.url, "GET", "/v1/models", key=HERE).status == 200


@pytest.mark.parametrize(
    ("length", "expected"), [(513, {401}), (4_097, {401}), (60_000, {401}), (1 << 20, {431})]
)
def test_a_long_bearer_is_refused_at_once(
    gateway: Running, length: int, expected: set[int]
) -> None:
    head = b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer "
    told = exchange(gateway.url, head + b"k" * length + b"\r\n\r\n")
    assert set(statuses(told)) <= expected, told  # none, if it hung up while more was being sent
    assert ask(gateway.url, "GET", "/health").status == 200


def test_of_two_keys_the_bearers_counts_and_a_wrong_one_is_no_way_round(gateway: Running) -> None:
    def status(**headers: str) -> int:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(gateway.url, "GET", "/v1/models", headers=given).status

    assert status(authorization=f"Bearer {HERE}", x_api_key="bad") == 200
    assert status(authorization="Bearer bad", x_api_key=HERE) == 401
    assert status(authorization="Bearer bad", x_goog_api_key=HERE) == 401
    assert ask(gateway.url, "GET", f"/v1/models?key={HERE}", key="bad").status == 401


ROUNDABOUT = [
    *(
        "/ADMIN/keys",
        "//admin/keys",
        "/admin//keys",
        "/admin/keys/",
        "/./admin/keys",
        "/x/../admin/keys",
    ),
    *("/admin/keys/.", "/%61dmin/keys", "/admin%2fkeys", "/admin/keys%00", "/admin/keys;x=/health"),
    *("/health/../admin/keys", "/health%2f..%2fadmin%2fkeys", "/openapi.json/../admin/keys"),
    *("/admin/keys#/health", "/health?/admin/keys", "\\admin\\keys", "http://x/admin/keys"),
]


@pytest.mark.parametrize("path", ROUNDABOUT)
def test_no_spelling_of_a_path_leads_round_the_door(gateway: Running, path: str) -> None:
    for key in ("", "bad", HERE):
        line = f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        told = exchange(gateway.url, f"{line}authorization: Bearer {key}\r\n\r\n".encode())
        [status] = statuses(told)
        public = status == 200 and path.startswith("/health?")
        assert status in (400, 401, 403, 404) or public, told
        assert b'"data"' not in told


def test_a_second_request_is_nobodys_guest(gateway: Running) -> None:
    """On one connection, pipelined, smuggled into a body: each brings its own key or has none."""
    good = f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {HERE}\r\n".encode()
    bare = b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    told = exchange(gateway.url, good + b"\r\n" + bare)
    assert statuses(told) == [200, 401]
    framing: Any
    for framing in (
        b"content-length: 0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
        b"content-length: 0\r\ncontent-length: %d\r\n\r\n" % len(bare),
        b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    ):
        told = exchange(gateway.url, good + framing + bare, half=True)
        assert statuses(told)[1:] in ([], [401], [400]), told
