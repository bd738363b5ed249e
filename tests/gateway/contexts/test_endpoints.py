"""Conversations over HTTP: who may, what is refused, what comes back."""

from typing import Any

import pytest

from gateway_rooms import Room
from polyvox.gateway.asking.wishes import Wishes
from polyvox.gateway.contexts.compacting import Ask
from polyvox.gateway.contexts.contexts import Contexts
from polyvox.gateway.contexts.endpoints import context_endpoints
from polyvox.gateway.tenants.access import ADMIN, Access, Level
from polyvox.messages import AssistantMessage, assistant, load_messages
from polyvox.request import Request

from .conftest import ADA, BOB

CHAT_ONLY = Access(key="chat", organisation="acme", routes=("chat",))
TALK = [
    {"role": role, "content": f"{role} {number} {'word ' * 50}"}
    for number in range(4)
    for role in ("user", "assistant")
]


def ask_for(access: Access, wishes: Wishes) -> Ask:
    async def ask(model: str, request: Request, level: Level | None) -> AssistantMessage:
        return assistant(f"{access.key} asked {model}")

    return ask


@pytest.fixture
def room(contexts: Contexts) -> Room:
    return Room(context_endpoints(contexts, ask_for), ADA, BOB, ADMIN, CHAT_ONLY)


async def test_a_conversation_from_its_beginning_to_its_end(room: Room):
    made = await room.ask("ada", "POST", "/v1/contexts", {"name": "trip", "messages": TALK})
    assert made.status == 201
    id = made.json["id"]
    listed = await room.ask("ada", "GET", "/v1/contexts?limit=1")
    assert [each["id"] for each in listed.json["data"]] == [id]
    got = await room.ask("ada", "GET", "/v1/contexts/trip")
    assert got.json == made.json
    tagged = await room.ask("ada", "PATCH", "/v1/contexts/trip", {"tags": {"a": "b"}})
    assert tagged.json["tags"] == {"a": "b"}
    new = {"messages": [{"role": "user", "content": "needle"}]}
    assert (await room.ask("ada", "POST", "/v1/contexts/trip/messages", new)).json["messages"] == 9
    found = await room.ask("ada", "GET", "/v1/contexts/search?q=NEEDLE")
    assert [(each["context"], each["place"]) for each in found.json["data"]] == [(id, 8)]
    page = await room.ask("ada", "GET", "/v1/contexts/trip/messages?limit=2&after=5")
    assert [each["place"] for each in page.json["data"]] == [6, 7]
    rest = await room.ask("ada", "GET", f"/v1/contexts/trip/messages?after={page.json['next']}")
    assert ([each["place"] for each in rest.json["data"]], rest.json["next"]) == ([8], None)
    copy = await room.ask("ada", "POST", "/v1/contexts/trip/fork", {"messages": 2, "name": "two"})
    assert (copy.status, copy.json["messages"], copy.json["parent"]) == (201, 2, id)
    short = await room.ask("ada", "POST", "/v1/contexts/trip/compact", {"model": "a/b"})
    assert short.json["summary"] == "ada asked a/b"
    lines = await room.ask("ada", "GET", "/v1/contexts/trip/export")
    assert lines.kind == "application/x-ndjson"
    whole = b"[" + lines.body.strip().replace(b"\n", b",") + b"]"
    assert len(load_messages(whole)) == 9
    assert (await room.ask("ada", "GET", "/v1/contexts/trip/export?form=openai")).status == 200
    assert (await room.ask("ada", "DELETE", "/v1/contexts/trip")).status == 204
    assert (await room.ask("ada", "GET", "/v1/contexts/trip")).status == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/v1/contexts", {"nmae": "x"}, 400, "nmae"),
        ("POST", "/v1/contexts", {"name": 5}, 400, "name"),
        ("POST", "/v1/contexts", {"name": "trip"}, 409, "already"),
        ("POST", "/v1/contexts", {"name": "a/b"}, 400, "slash"),
        ("POST", "/v1/contexts", {"budget": {"limit": "x"}}, 400, "budget"),
        ("POST", "/v1/contexts", {"messages": [{"role": "x"}]}, 400, "messages[0]"),
        ("POST", "/v1/contexts", b"{", 400, "no JSON"),
        ("POST", "/v1/contexts", b"x" * (1 << 20 | 1), 413, "longer than"),
        ("GET", "/v1/contexts?limit=0", None, 400, "limit"),
        ("GET", "/v1/contexts?limt=1", None, 400, "limt"),
        ("GET", "/v1/contexts?after=x", None, 400, "after"),
        ("GET", "/v1/contexts/search", None, 400, "q"),
        ("GET", "/v1/contexts/search?q=a&after=x", None, 400, "after"),
        ("GET", "/v1/contexts/nobody", None, 404, "no context"),
        ("POST", "/v1/contexts/trip/messages", {"messages": []}, 400, "messages"),
        ("POST", "/v1/contexts/nobody/messages", {"messages": TALK}, 404, "no context"),
        ("POST", "/v1/contexts/trip/fork", {"messages": 99}, 400, "messages is 99"),
        ("POST", "/v1/contexts/trip/fork", {"messages": -1}, 400, "messages"),
        ("POST", "/v1/contexts/trip/fork", {"name": "trip"}, 409, "already"),
        ("POST", "/v1/contexts/trip/compact", {}, 400, "model"),
        (
            "POST",
            "/v1/contexts/trip/compact",
            {"model": "a/b", "keep_tokens": 0},
            400,
            "keep_tokens",
        ),
        ("GET", "/v1/contexts/trip/export?form=xml", None, 400, "form"),
        ("GET", "/v1/contexts/trip/messages?after=99999999999", None, 400, "after"),
        ("PATCH", "/v1/contexts/trip", {"id": "x"}, 400, "id"),
        ("PATCH", "/v1/contexts/trip", {"name": "ctx_1"}, 400, "ctx_"),
    ],
)
async def test_what_is_wrong_is_named_with_the_right_status(
    room: Room, method: str, path: str, body: Any, status: int, says: str
):
    await room.ask("ada", "POST", "/v1/contexts", {"name": "trip", "messages": TALK[:2]})
    answer = await room.ask("ada", method, path, body)
    assert (answer.status, says in answer.json["error"]["message"]) == (status, True)


async def test_every_endpoint_is_closed_to_strangers_and_to_keys_for_other_uses(
    room: Room, contexts: Contexts
):
    await room.ask("ada", "POST", "/v1/contexts", {"name": "trip", "messages": TALK[:2]})
    before = (await room.ask("ada", "GET", "/v1/contexts/trip")).body
    for endpoint in context_endpoints(contexts, ask_for):
        path = endpoint.path.replace("{context}", "trip")
        assert (await room.ask("nobody", endpoint.method, path)).status == 401
        assert (await room.ask("chat", endpoint.method, path)).status == 403
        if "{context}" in endpoint.path:
            body = {"model": "a/b"} if path.endswith("compact") else {"messages": TALK}
            body = None if endpoint.takes is None else body
            body = {} if path.endswith(("fork", "trip")) and body else body
            assert (await room.ask("bob", endpoint.method, path, body)).status == 404
    assert (await room.ask("ada", "GET", "/v1/contexts/trip")).body == before
