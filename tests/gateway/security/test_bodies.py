"""What is too long is refused before it is sent, on every route, and the connection is closed."""

import re
from collections.abc import Callable

import pytest

from gateway.running import Running
from gateway.security.wire import ask, exchange, statuses

MOST = 100_000


@pytest.fixture(scope="module")
def gateway(running_here: Callable[..., Running]) -> Running:
    return running_here(f"[gateway]\nmax_body_bytes = {MOST}\n")


def test_a_body_over_the_limit_is_413_on_every_route_that_takes_one(gateway: Running) -> None:
    document = ask(gateway.url, "GET", "/openapi.json").json
    tried = 0
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if "application/json" not in operation.get("requestBody", {}).get("content", {}):
                continue
            tried += 1
            named = re.sub(r"\{\w+\}", "x", path)
            line = f"{method.upper()} {named} HTTP/1.1\r\nhost: x\r\n"
            head = (
                f"{line}authorization: Bearer {gateway.key}\r\ncontent-type: application/json\r\n"
            )
            told = exchange(gateway.url, f"{head}content-length: {MOST + 1}\r\n\r\n".encode())
            assert statuses(told) == [413], (method, path, told)
            assert b"connection: close" in told.lower()
            assert b"100,000 bytes" in told
    assert tried > 30


def test_a_body_that_does_not_say_how_long_it_is_may_not_be_longer_either(gateway: Running) -> None:
    for path in ("/v1/chat/completions", "/v1/contexts", "/admin/keys"):
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key}\r\n"
        chunk = b"%x\r\n%s\r\n" % (MOST // 2, b" " * (MOST // 2))
        pieces = [f"{head}transfer-encoding: chunked\r\n\r\n".encode(), *[chunk] * 3]
        told = exchange(gateway.url, *pieces)
        assert statuses(told) in ([413], []), told  # none: it hung up while more was being sent
    assert ask(gateway.url, "GET", "/health").json["in_flight"] == 0


def test_a_head_over_the_bounds_is_431_before_anybody_looks_at_the_key(gateway: Running) -> None:
    many = "".join(f"x-{number}: y\r\n" for number in range(200))
    told = exchange(gateway.url, f"GET /v1/models HTTP/1.1\r\nhost: x\r\n{many}\r\n".encode())
    assert statuses(told) == [431]
    socket = "GET /v1/ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    assert statuses(exchange(gateway.url, f"{socket}{many}\r\n".encode())) == [431]
