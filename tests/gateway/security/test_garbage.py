"""Whatever bytes come, on every route: no failure of ours, no crash, nothing that hangs.

A failure prints the request and, with ``print_blob``, what repeats it. POLYVOX_FUZZ=<n>, which ``make fuzz``
says, tries n times as many; each run goes on from what failed before.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from gateway.running import Running
from gateway.security.garbage import DEEP, requests, texts, values
from gateway.security.wire import SECONDS, ask, exchange, statuses

pytestmark = pytest.mark.hypothesis  # `make fuzz` runs what has it
TIMES = int(os.environ.get("POLYVOX_FUZZ", "1"))
SAID = [{"role": "user", "content": "Hi"}]
PARTS = {"parts": [{"text": "Hi"}]}
SAMPLES: dict[str, Any] = {
    "model": "simulated/echo",
    "messages": SAID,
    "input": "Hi",
    "contents": [PARTS],
    "prompt": "Hi",
    "content": PARTS,
    "requests": [{"model": "models/simulated/embedding", "content": PARTS}],
    "stream": True,
}
OURS = {500, 502, 504, 505}
fuzzed = settings(
    max_examples=200 * TIMES,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


class Route(msgspec.Struct):
    """A method and a path, and what is likely to be sent there."""

    method: str
    path: str
    query: list[str]
    fields: list[str]
    sample: dict[str, Any]


class Target(msgspec.Struct):
    """A gateway, all its routes, keys and the names of things that it has."""

    gateway: Running
    routes: list[Route]
    keys: list[str]
    names: list[str]


def routes_of(document: Any) -> Iterator[Route]:
    schemas = document["components"]["schemas"]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            query = [each["name"] for each in operation["parameters"] if each["in"] == "query"]
            bodies = operation.get("requestBody", {}).get("content", {}).values()
            schema = next((body["schema"] for body in bodies), {})
            schema = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
            fields = sorted(schema.get("properties", {}))
            sample = {name: SAMPLES[name] for name in fields if name in SAMPLES}
            if "openai" in operation["operationId"] or "anthropic" in operation["operationId"]:
                sample.pop("prompt", None)
            yield Route(method.upper(), path, query, fields, sample)


def made(gateway: Running) -> Target:
    """Things of all kinds, so that a path may lead to one."""
    key = gateway.key
    ask(gateway.url, "POST", "/admin/organisations", {"name": "acme"}, key=key)
    plain = ask(gateway.url, "POST", "/admin/keys", {"organisation": "acme"}, key=key).json
    names = ["acme", plain["key"]["id"]]
    context = {"name": "trip", "messages": SAID}
    names.append(ask(gateway.url, "POST", "/v1/contexts", context, key=plain["secret"]).json["id"])
    version = {"messages": [{"role": "user", "text": "Hi {{a}}"}]}
    ask(gateway.url, "POST", "/v1/prompts/greet/versions", version, key=plain["secret"])
    names += ["trip", "greet"]
    document = ask(gateway.url, "GET", "/openapi.json").json
    return Target(gateway, list(routes_of(document)), [plain["secret"], key, "bad"], names)


@pytest.fixture(scope="module")
def on_sqlite(running_here: Callable[..., Running]) -> Target:
    return made(running_here('[gateway]\nmodels = ["simulated/*"]\nmax_body_bytes = 4_000_000\n'))


@pytest.fixture(scope="module")
def on_postgres(running_here: Callable[..., Running], postgres: Any) -> Target:
    url = postgres.new_database()
    config = f'[gateway]\nmodels = ["simulated/*"]\ndatabase = "{url}"\n'
    return made(running_here(config))


def throw(target: Target, data: st.DataObject) -> None:
    route = data.draw(st.sampled_from(target.routes))
    count = data.draw(st.sampled_from([1, 1, 1, 1, 3]))
    sent = [data.draw(requests(route, target.keys, target.names)) for _ in range(count)]
    note(f"{[each[:2_000] for each in sent]}")
    told = exchange(target.gateway.url, *sent, half=True)
    note(f"{told[:2_000]!r}")
    assert not OURS & set(statuses(told)), told[:2_000]
    assert target.gateway.process.poll() is None


def check_afterwards(target: Target) -> None:
    """It is as well as before, and its log tells of no failure."""
    gateway = target.gateway
    health = ask(gateway.url, "GET", "/health").json
    assert health["in_flight"] == 0, health
    lines = [json.loads(line) for line in gateway.log.split("\n") if line.startswith("{")]
    failures = [line for line in lines if line.get("where") or line.get("status") in OURS]
    assert failures == [], json.dumps(failures[:5])
    assert "Traceback" not in gateway.log


@pytest.mark.timeout(600 * TIMES)
def test_whatever_is_thrown_at_any_route_is_answered_or_refused(on_sqlite: Target) -> None:
    @fuzzed
    @given(st.data())
    def thrown(data: st.DataObject) -> None:
        throw(on_sqlite, data)

    thrown()
    check_afterwards(on_sqlite)


@pytest.mark.timeout(600 * TIMES)
def test_on_postgresql_it_is_the_same(on_postgres: Target) -> None:
    @fuzzed
    @given(st.data())
    def thrown(data: st.DataObject) -> None:
        throw(on_postgres, data)

    thrown()
    check_afterwards(on_postgres)


@pytest.mark.parametrize("where", ["on_sqlite", "on_postgres"])
def test_what_no_database_can_hold_is_refused_or_kept_as_it_can_be(
    where: str, request: pytest.FixtureRequest
) -> None:
    """NUL, which PostgreSQL's texts can't hold, in every name and in what is written of a call."""
    target: Target = request.getfixturevalue(where)
    gateway, key = target.gateway, target.gateway.key
    for route in target.routes:
        if "{" in route.path and "{model}" not in route.path:
            path = re.sub(r"\{\w+\}", "%00", route.path)
            told = ask(gateway.url, route.method, path, route.sample, key=key)
            assert told.status in (400, 404), (route, told.body)
    wishes = {"session": "a\0b", "end_user": "\0", "tags": {"\0": "\0"}, "caching": "skip"}
    body = {"model": "simulated/echo", "messages": SAID, "user": "\0", "polyvox": wishes}
    before = calls(gateway)
    assert ask(gateway.url, "POST", "/v1/chat/completions", body, key=key).status == 200
    while calls(gateway) == before:  # until it has come into the database
        pass


def calls(gateway: Running) -> int:
    told = ask(gateway.url, "GET", "/v1/usage?by=model", key=gateway.key)
    return sum(row["calls"] for row in told.json["rows"])


KINDS = ["hello", "start", "interrupt", "steer", "approve", "resume", "ping", "pong", "x"]
FIELDS = ["id", "key", "model", "messages", "system", "body", "dialect", "polyvox", "resumable"]
FIELDS += ["nested", "reason", "text", "approval", "decision", "call", "after"]


@st.composite
def messages(draw: st.DrawFn) -> str | bytes:
    match draw(st.integers(0, 6)):
        case 0:
            return draw(st.binary(max_size=100))
        case 1:
            return draw(st.text(max_size=100))
        case 2:
            return '{"type":' * draw(st.sampled_from([10, DEEP]))
        case _:
            fields = draw(st.dictionaries(st.sampled_from(FIELDS) | texts, values, max_size=5))
            start = {"id": "a", "model": "simulated/echo", "messages": "Hi"}
            base = draw(st.sampled_from([{}, start, {"id": "a"}]))
            return json.dumps({"type": draw(st.sampled_from(KINDS)), **base, **fields})


@pytest.mark.timeout(600 * TIMES)
def test_whatever_is_said_over_a_websocket_is_answered_or_ends_it(on_sqlite: Target) -> None:
    gateway = on_sqlite.gateway
    url = gateway.url.replace("http", "ws") + "/v1/ws"

    @fuzzed
    @given(st.lists(messages(), min_size=1, max_size=8), st.sampled_from(on_sqlite.keys))
    def thrown(said: list[str | bytes], key: str) -> None:
        headers = {"authorization": f"Bearer {key}"} if key != "bad" else {}
        closed = talk(url, headers, said)
        assert closed is None or closed.rcvd is not None, closed  # told, not dropped
        assert closed is None or closed.rcvd.code != 1011, closed
        assert gateway.process.poll() is None

    thrown()
    check_afterwards(on_sqlite)


def talk(url: str, headers: dict[str, str], said: list[str | bytes]) -> ConnectionClosed | None:
    """Say it all, and wait until all was heard, or it is closed."""
    try:
        with connect(url, additional_headers=headers, max_size=None) as socket:
            for each in said:
                socket.send(each)
            socket.send('{"type": "ping"}')
            while json.loads(socket.recv(SECONDS)).get("type") != "pong":
                pass
    except ConnectionClosed as closed:
        return closed
    except InvalidStatus as refused:  # what is thrown at /admin may well revoke a key
        if refused.response.status_code != 401:
            raise
    return None
