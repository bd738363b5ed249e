"""What belongs to one organisation is neither seen nor changed by another one; and what the
administrator gets may be put back, which changes nothing."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from websockets.sync.client import connect

from gateway.running import Running
from gateway.security.wire import SECONDS, Told, ask

A_KEY = "Ya7Hc2Kp9Wd4Rt6Zn1Qx8Lm3Vb5Jf0Gs"
B_KEY = "Nu3Te8Xo5Ci1Ph7Bk4Dv9Mr2Sw6Ly0Za"
SAID = [{"role": "user", "content": "a walrus in the attic"}]
SECRET_WORD = "walrus"
CHAT = "/v1/chat/completions"


class Upstream:
    """A provider that counts, and keeps who asks the model "held" waiting."""

    def __init__(self) -> None:
        self.asked = 0
        self.waits, self.release = threading.Event(), threading.Event()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                upstream.asked += 1
                if b"held" in body:
                    upstream.waits.set()
                    upstream.release.wait(SECONDS)
                message = {"role": "assistant", "content": f"answer {upstream.asked}"}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                data = json.dumps({"id": "x", "model": "m", "choices": [choice]}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *given: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.close()


@pytest.fixture(scope="module", params=["organisations", "keys"])
def gateway(
    running_here: Callable[..., Running],
    tmp_path_factory: pytest.TempPathFactory,
    upstream: Upstream,
    request: pytest.FixtureRequest,
) -> Running:
    """With two organisations of a key each; or with two keys that belong to none."""
    tools = tmp_path_factory.mktemp("tools")
    (tools / "notes.py").write_text(
        "from polyvox import tool\n\n\n@tool\ndef delete_note(number: int) -> str:\n"
        '    """Delete a note."""\n    return f"note {number} is gone"\n'
    )
    a, b = ('organisation = "acme"', 'organisation = "rival"')
    if request.param == "keys":
        a = b = ""
    return running_here(
        f"""
[gateway.keys.a]
key = "{A_KEY}"
{a}
[gateway.keys.b]
key = "{B_KEY}"
{b}
[cache]
kind = "memory"
[providers.lab]
dialect = "openai-chat"
base_url = "{upstream.url}"
key = "any"
[agents.clerk]
model = "simulated/tools"
tools = ["notes:delete_note"]
approve = ["delete_*"]
""",
        environ={"PYTHONPATH": str(tools)},
    )


class Owned(msgspec.Struct):
    """Everything that A has.

    ``names`` by the hole in a path, ``shown`` what A sees of it, ``apart`` whether B is another
    organisation.
    """

    names: dict[str, str]
    shown: dict[str, bytes]
    apart: bool


def of_a(gateway: Running, method: str, path: str, body: object = None, **more: Any) -> Told:
    return ask(gateway.url, method, path, body, key=A_KEY, **more)


def of_b(gateway: Running, method: str, path: str, body: object = None, **more: Any) -> Told:
    return ask(gateway.url, method, path, body, key=B_KEY, **more)


def seen_by_a(gateway: Running, names: dict[str, str]) -> dict[str, bytes]:
    paths = [
        *("/v1/contexts", "/v1/contexts/{context}", "/v1/contexts/{context}/messages"),
        *("/v1/contexts/{context}/export", "/v1/contexts/search?q=walrus", "/v1/prompts"),
        *(
            "/v1/prompts/{prompt}",
            "/v1/prompts/{prompt}/versions",
            "/v1/prompts/{prompt}/versions/1",
        ),
        *("/v1/prompts/{prompt}/file", "/v1/files", "/v1/files/{file}", "/v1/files/{file}/content"),
        *("/v1/batches", "/v1/batches/{batch}", "/v1/approvals", "/v1/calls"),
    ]
    return {path: of_a(gateway, "GET", path.format(**names)).body for path in paths}


@pytest.fixture(scope="module")
def owned(gateway: Running, upstream: Upstream) -> Iterator[Owned]:
    names: dict[str, str] = {"version": "1", "tag": "live"}
    names["context"] = of_a(
        gateway, "POST", "/v1/contexts", {"name": "walrus-trip", "messages": SAID}
    ).json["id"]
    version = {"messages": [{"role": "user", "text": "walrus {{a}}"}]}
    assert of_a(gateway, "POST", "/v1/prompts/walrus/versions", version).status == 201
    assert of_a(gateway, "PUT", "/v1/prompts/walrus/tags/live", {"version": 1}).status == 200
    names["prompt"] = "walrus"
    line = {
        "custom_id": "walrus",
        "method": "POST",
        "url": CHAT,
        "body": {"model": "simulated/echo", "messages": SAID},
    }
    form = (
        '--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        '--b\r\ncontent-disposition: form-data; name="file"; filename="walrus.jsonl"\r\n\r\n'
        f"{json.dumps(line)}\r\n--b--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=b"}
    names["file"] = of_a(gateway, "POST", "/v1/files", form.encode(), headers=headers).json["id"]
    wanted = {"input_file_id": names["file"], "endpoint": CHAT, "completion_window": "24h"}
    names["batch"] = of_a(gateway, "POST", "/v1/batches", wanted).json["id"]
    while of_a(gateway, "GET", f"/v1/batches/{names['batch']}").json["status"] != "completed":
        pass
    run = {"role": "user", "content": "Delete note number 7, the walrus."}
    told = of_a(gateway, "POST", CHAT, {"model": "agent/clerk", "messages": [run]})
    assert told.status == 200, told.body
    names["id"] = of_a(gateway, "GET", "/v1/approvals").json["data"][0]["id"]
    held = {"model": "lab/held", "messages": SAID, "polyvox": {"caching": "skip"}}
    answered: list[Told] = []
    call = threading.Thread(target=lambda: answered.append(of_a(gateway, "POST", CHAT, held)))
    call.start()
    assert upstream.waits.wait(SECONDS)
    names["call"] = of_a(gateway, "GET", "/v1/calls").json["data"][0]["id"]
    apart = b"acme" in of_a(gateway, "GET", "/v1/key").body
    yield Owned(names, seen_by_a(gateway, names), apart)
    upstream.release.set()
    call.join()
    assert answered[0].status == 200  # nobody has ended it
    upstream.waits.clear()
    upstream.release.clear()


BODIES: dict[str, Any] = {
    "PATCH /v1/contexts/{context}": {"name": "mine"},
    "POST /v1/contexts/{context}/messages": {"messages": SAID},
    "POST /v1/contexts/{context}/fork": {},
    "POST /v1/contexts/{context}/compact": {"model": "simulated/echo"},
    "PUT /v1/prompts/{prompt}/tags/{tag}": {"version": 1},
    "POST /v1/prompts/{prompt}/render": {"variables": {"a": "b"}},
    "POST /v1/prompts/{prompt}/compare": {"before": 1},
    "POST /v1/approvals/{id}": {"approve": True},
}
SHARED = ("/v1/prompts",)  # keys without an organisation have these together
MAKES = {"POST /v1/prompts/{prompt}/versions"}  # of B's own, under a name that A has as well


def test_another_one_finds_nothing_of_it_by_its_name(gateway: Running, owned: Owned) -> None:
    document = ask(gateway.url, "GET", "/openapi.json").json
    tried = 0
    for path, item in document["paths"].items():
        holes = re.findall(r"\{(\w+)\}", path)
        if not holes or path.startswith("/admin") or "{model}" in path:
            continue
        for method in item:
            line = f"{method.upper()} {path}"
            if line in MAKES or (path.startswith(SHARED) and not owned.apart):
                continue
            tried += 1
            told = of_b(gateway, method.upper(), path.format(**owned.names), BODIES.get(line))
            assert told.status == 404, (line, told.status, told.body)
            hidden = told.body.replace(b"walrus", b"", 2) if "{prompt}" in path else told.body
            assert SECRET_WORD.encode() not in hidden, told.body
    assert tried >= (20 if owned.apart else 6)
    assert seen_by_a(gateway, owned.names) == owned.shown


def test_another_one_sees_nothing_of_it_in_lists(gateway: Running, owned: Owned) -> None:
    lists = [
        *(
            "/v1/contexts",
            "/v1/contexts/search?q=walrus",
            "/v1/prompts",
            "/v1/files",
            "/v1/batches",
        ),
        *("/v1/approvals", "/v1/calls", "/v1/usage?by=model", "/v1/usage?by=key", "/v1/key"),
    ]
    theirs = {owned.names[name] for name in ("context", "file", "batch", "id", "call")}
    for path in lists:
        if path.startswith(SHARED) and not owned.apart:
            continue
        for more in ("", "organisation=acme", "organisation=*", "organisation="):
            query = f"{'&' if '?' in path else '?'}{more}" if more else ""
            told = of_b(gateway, "GET", path + query)
            text = told.body.decode()
            assert told.status in (200, 400, 403), (path, more, text)
            assert not [name for name in theirs if name in text], (path, more)
            assert SECRET_WORD not in text, (path, more, text)
            if told.status == 200:
                assert "lab/held" not in text, (path, more)
        for after in theirs:
            told = of_b(gateway, "GET", f"{path}{'&' if '?' in path else '?'}after={after}")
            assert SECRET_WORD not in told.body.decode()


def test_another_one_cannot_use_it_in_a_call(gateway: Running, owned: Owned) -> None:
    names = owned.names
    wanted = {"input_file_id": names["file"], "endpoint": CHAT, "completion_window": "24h"}
    assert of_b(gateway, "POST", "/v1/batches", wanted).status in (400, 404)
    mine = {"model": "simulated/echo", "messages": [{"role": "user", "content": "Hi"}]}
    told = of_b(gateway, "POST", CHAT, {**mine, "polyvox": {"context": names["context"]}})
    assert told.status == 404, told.body
    if not owned.apart:
        return
    for wish in (
        {"prompt": "walrus"},
        {"prompt": {"name": "walrus", "version": 1, "variables": {"a": "b"}}},
    ):
        told = of_b(gateway, "POST", CHAT, {**mine, "polyvox": wish})
        assert told.status == 404, told.body
    told = of_b(gateway, "POST", CHAT, {**mine, "polyvox": {"context": "walrus-trip"}})
    assert told.status == 200  # one of its own, which has the same name and begins here
    assert len(of_b(gateway, "GET", "/v1/contexts/walrus-trip/messages").json["data"]) == 2
    assert of_b(gateway, "DELETE", "/v1/contexts/walrus-trip").status == 204
    headers = {"x-polyvox-context": names["context"]}
    assert of_b(gateway, "POST", CHAT, mine, headers=headers).status == 404
    new = {"template": {"name": "walrus"}, "messages": []}
    told = of_b(gateway, "POST", "/v1/contexts", new)
    if told.status == 201:  # a template is looked for when it is used
        body = {**mine, "polyvox": {"context": told.json["id"]}}
        assert of_b(gateway, "POST", CHAT, body).status == 404
    assert seen_by_a(gateway, names) == owned.shown


def test_another_one_reaches_nothing_of_it_over_a_websocket(gateway: Running, owned: Owned) -> None:
    names = owned.names
    said: list[dict[str, Any]] = [
        {"type": "resume", "id": "r", "call": names["call"], "after": 0},
        {"type": "approve", "id": "a", "approval": names["id"], "decision": {"approve": True}},
        {"type": "interrupt", "id": names["call"]},
        {"type": "steer", "id": names["call"], "text": "walrus"},
        {"type": "start", "id": "c", "model": "simulated/echo", "messages": "Hi"}
        | {"polyvox": {"context": names["context"]}},
        {"type": "start", "id": "p", "model": "simulated/echo", "messages": "Hi"}
        | {"polyvox": {"prompt": "walrus"}},
    ]
    if not owned.apart:
        del said[-1:]
    heard = []
    headers = {"authorization": f"Bearer {B_KEY}"}
    with connect(
        gateway.url.replace("http", "ws") + "/v1/ws", additional_headers=headers
    ) as socket:
        for each in said:
            socket.send(json.dumps(each))
            while (last := json.loads(socket.recv(SECONDS)))["type"] not in ("error", "closed"):
                heard.append(last)
            heard.append(last)
    failed = [each for each in heard if "rror" in json.dumps(each)]
    assert len(failed) >= len(said), heard
    assert "in the attic" not in json.dumps(heard)
    assert seen_by_a(gateway, names) == owned.shown


def test_a_usual_key_has_nothing_to_say_to_an_administrator(gateway: Running) -> None:
    document = ask(gateway.url, "GET", "/openapi.json").json
    tried = 0
    for path, item in document["paths"].items():
        if path.startswith("/admin"):
            for method in item:
                tried += 1
                told = of_b(gateway, method.upper(), re.sub(r"\{\w+\}", "x", path), {})
                assert told.status == 403, (method, path)
    assert tried >= 20


def test_an_answer_that_is_kept_is_given_to_nobody_else(
    gateway: Running, upstream: Upstream
) -> None:
    body = {"model": "lab/m", "messages": [{"role": "user", "content": "the same for both"}]}
    before = upstream.asked
    first = of_a(gateway, "POST", CHAT, body).json["choices"][0]["message"]["content"]
    assert of_a(gateway, "POST", CHAT, body).json["choices"][0]["message"]["content"] == first
    assert upstream.asked == before + 1
    theirs = of_b(gateway, "POST", CHAT, body).json["choices"][0]["message"]["content"]
    assert theirs != first
    assert upstream.asked == before + 2
    for tenant in ("acme", "key_a", "a"):
        pretending = {
            **body,
            "user": tenant,
            "polyvox": {"session": tenant, "end_user": tenant, "tags": {"tenant": tenant}},
        }
        told = of_b(gateway, "POST", CHAT, pretending)
        assert first not in told.body.decode()


COLLEAGUE_KEY = "Qk6Zs1Vh8Rm3Tc5Xe9Jw2Gn7Lp4Df0Ub"
SHARED_CACHE = """
[gateway.keys.a]
key = "{a}"
organisation = "acme"
[gateway.keys.colleague]
key = "{colleague}"
organisation = "acme"
[gateway.keys.b]
key = "{b}"
[cache]
kind = "redis"
url = "{redis}"
[cache.semantic]
model = "simulated/embedding"
threshold = 0.6
[providers.lab]
dialect = "openai-chat"
base_url = "{upstream}"
key = "any"
"""


def test_neither_replicas_nor_similar_questions_give_an_answer_to_another_tenant(
    running: Callable[..., Running], upstream: Upstream, redis_url: str
) -> None:
    keys = {"a": A_KEY, "b": B_KEY, "colleague": COLLEAGUE_KEY}
    config = SHARED_CACHE.format(**keys, redis=redis_url, upstream=upstream.url)
    one, other = running(config), running(config)

    def answer(gateway: Running, question: str, key: str) -> str:
        body = {"model": "lab/m", "messages": [{"role": "user", "content": question}]}
        told = ask(gateway.url, "POST", CHAT, body, key=key)
        return told.json["choices"][0]["message"]["content"]

    question, similar = "What is one and one?", "What is one and one, please?"
    before = upstream.asked
    first = answer(one, question, A_KEY)
    assert answer(other, question, COLLEAGUE_KEY) == first, "the same organisation"
    assert answer(one, similar, COLLEAGUE_KEY) == first
    assert upstream.asked == before + 1
    theirs = [answer(each, text, B_KEY) for each in (other, one) for text in (similar, question)]
    assert first not in theirs
    assert upstream.asked > before + 1


# ------------------------------------------------------------------------ getting and putting back


LIMITS = {
    "budgets": {"month": {"limit": "$5", "per": "month"}},
    "limits": {"burst": {"requests": 7, "per": "minute"}},
    "shadow": True,
}
KINDS: dict[str, list[dict[str, Any]]] = {
    "/admin/organisations": [{"name": "o", "title": "Ö \N{SNOWMAN}", **LIMITS}, {"name": "p"}],
    "/admin/organisations/{organisation}/teams": [{"name": "t", **LIMITS}, {"name": "u"}],
    "/admin/organisations/{organisation}/end_users": [{"name": "ann@x", **LIMITS}, {"name": "*"}],
    "/admin/keys": [
        {"name": "plain"},
        {
            "name": "k",
            "organisation": "o",
            "team": "t",
            "models": ["simulated/*"],
            "routes": ["chat"],
            "addresses": ["127.0.0.0/8"],
            "manager": True,
            "expires": 4e9,
            **LIMITS,
        },
    ],
    "/admin/provider_keys": [
        {"name": "sealed", "provider": "lab", "value": "sk-never-shown-again"},
        {"name": "reference", "provider": "lab", "value": "env:SOME_KEY"},
    ],
}


@pytest.fixture(scope="module")
def plain(running_here: Callable[..., Running]) -> Running:
    return running_here()


def test_getting_and_putting_back_changes_nothing_of_any_kind(plain: Running) -> None:
    document = ask(plain.url, "GET", "/openapi.json").json
    putable = {
        path.rpartition("/")[0]: path
        for path, item in document["paths"].items()
        if {"get", "put"} <= set(item) and path.startswith("/admin")
    }
    assert set(putable) == set(KINDS), "a new kind wants examples here"
    for collection, examples in KINDS.items():
        listing = collection.format(organisation="o")
        for example in examples:
            told = ask(plain.url, "POST", listing, example, key=plain.key)
            assert told.status == 201, told.body
            made = told.json.get("key", told.json)
            hole = re.findall(r"\{(\w+)\}", putable[collection])[-1]
            one = putable[collection].format(**{"organisation": "o", hole: made[hole]})
            first = ask(plain.url, "GET", one, key=plain.key)
            listed = ask(plain.url, "GET", listing, key=plain.key)
            for _ in range(2):
                put = ask(plain.url, "PUT", one, first.json, key=plain.key)
                assert (put.status, put.body) == (200, first.body)
            assert ask(plain.url, "GET", one, key=plain.key).body == first.body
            assert ask(plain.url, "GET", listing, key=plain.key).body == listed.body


MASKED = ["***", "", "sk-\N{HORIZONTAL ELLIPSIS}ain", "\N{BULLET}" * 8]


def test_a_masked_value_that_comes_back_is_never_stored(
    running_here: Callable[..., Running],
) -> None:
    """Each provider is asked with the key that was there before."""
    asked_with: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked_with.append(self.headers["authorization"])
            self.send_error(418)

        def log_message(self, *given: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        labs = {f"lab{number}": masked for number, masked in enumerate(MASKED)}
        row = f'dialect = "openai-chat"\nbase_url = "{url}"\n'
        gateway = running_here("".join(f"[providers.{lab}]\n{row}" for lab in labs))
        path = "/admin/provider_keys"
        for lab, masked in labs.items():
            key = {"name": lab, "provider": lab, "value": "the-true-key-0123"}
            assert ask(gateway.url, "POST", path, key, key=gateway.key).status == 201
            wrong = {**key, "value": masked}
            told = ask(gateway.url, "PUT", f"{path}/{lab}", wrong, key=gateway.key)
            assert told.status in (200, 400), masked
            told = ask(gateway.url, "POST", path, {**wrong, "name": "new"}, key=gateway.key)
            assert told.status == 400, masked
        assert gateway.stop() == 0
        gateway.start()
        for lab in labs:
            ask(gateway.url, "POST", CHAT, {"model": f"{lab}/m", "messages": SAID}, key=gateway.key)
        server.shutdown()
        thread.join()
    assert asked_with == ["Bearer the-true-key-0123"] * len(MASKED)


def test_a_key_of_a_provider_that_is_none_keeps_no_other_from_being_used(
    running_here: Callable[..., Running], upstream: Upstream
) -> None:
    row = f'dialect = "openai-chat"\nbase_url = "{upstream.url}"\nauth = "bearer"\n'
    gateway = running_here(f"[providers.lab]\n{row}key_env = ['NOT_SET_ANYWHERE']\n")
    path = "/admin/provider_keys"
    for provider in ("nobody", "lab"):
        key = {"name": f"of-{provider}", "provider": provider, "value": "a-key-0123456789"}
        assert ask(gateway.url, "POST", path, key, key=gateway.key).status == 201
    assert gateway.stop() == 0
    gateway.start()
    told = ask(gateway.url, "POST", CHAT, {"model": "lab/m", "messages": SAID}, key=gateway.key)
    assert told.status == 200, told.body
    parts = {part["name"]: part for part in ask(gateway.url, "GET", "/health").json["parts"]}
    assert parts["configuration"]["state"] == "current"
