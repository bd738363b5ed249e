"""Templates over HTTP: who may write, what is refused, what comes back."""

from typing import Any

import pytest

from gateway_rooms import Room
from polyvox.gateway.database.engine import Database
from polyvox.gateway.prompts.endpoints import prompt_endpoints
from polyvox.gateway.prompts.files import read_file
from polyvox.gateway.prompts.prompts import Prompts
from polyvox.gateway.tenants.access import ADMIN, Access

from .test_files import FILE, TEMPLATE

ADA = Access(key="ada", organisation="acme")
BOB = Access(key="bob", organisation="binary")
READER = Access(key="reader", organisation="acme", routes=("chat",))
NEW = {"messages": [{"role": "user", "text": "Hello {{ name }}."}]}


@pytest.fixture
async def prompts(database: Database) -> Prompts:
    prompts = Prompts(database)
    await prompts.reload()
    return prompts


@pytest.fixture
def room(prompts: Prompts) -> Room:
    return Room(prompt_endpoints(prompts), ADA, BOB, READER, ADMIN)


async def test_a_template_from_its_first_version_to_its_end(room: Room):
    made = await room.ask("ada", "POST", "/v1/prompts", {"text": FILE, "tags": ["production"]})
    assert (made.status, made.json["number"], made.json["tags"]) == (201, 1, ["production"])
    more = {**NEW, "note": "shorter"}
    pushed = await room.ask("ada", "POST", "/v1/prompts/support.reply/versions", more)
    assert (pushed.status, pushed.json["number"], pushed.json["note"]) == (201, 2, "shorter")
    listed = await room.ask("ada", "GET", "/v1/prompts")
    assert [(each["name"], each["newest"]) for each in listed.json["data"]] == [
        ("support.reply", 2)
    ]
    for version, number in (("1", 1), ("production", 1), ("newest", 2)):
        path = f"/v1/prompts/support.reply/versions/{version}"
        assert (await room.ask("ada", "GET", path)).json["number"] == number
    path = "/v1/prompts/support.reply/file?version=production"
    file = await room.ask("ada", "GET", path)
    assert (file.body.decode(), file.kind) == (FILE, "text/markdown; charset=utf-8")
    toml = await room.ask("ada", "GET", f"{path}&form=toml")
    assert read_file(toml.body.decode()) == ("support.reply", TEMPLATE)
    wanted = {"version": 2, "variables": {"name": "Ada"}}
    rendered = await room.ask("reader", "POST", "/v1/prompts/support.reply/render", wanted)
    assert rendered.json == {"version": 2, "messages": [{"role": "user", "text": "Hello Ada."}]}
    compared = await room.ask("ada", "POST", "/v1/prompts/support.reply/compare", {"before": 1})
    assert "+Hello {{ name }}." in compared.json["template"]
    moved = await room.ask(
        "ada", "PUT", "/v1/prompts/support.reply/tags/production", {"version": 2}
    )
    assert moved.json["tags"] == {"production": 2}
    assert (
        await room.ask("ada", "DELETE", "/v1/prompts/support.reply/tags/production")
    ).status == 204
    versions = await room.ask("ada", "GET", "/v1/prompts/support.reply/versions")
    assert [each["tags"] for each in versions.json["data"]] == [[], []]
    assert (await room.ask("ada", "DELETE", "/v1/prompts/support.reply")).status == 204
    assert (await room.ask("ada", "GET", "/v1/prompts/support.reply")).status == 404


async def test_a_version_that_was_read_and_pushed_again_changes_nothing(room: Room):
    await room.ask("ada", "POST", "/v1/prompts", {"text": FILE})
    read = await room.ask("ada", "GET", "/v1/prompts/support.reply/versions/newest")
    path = "/v1/prompts/support.reply/versions"
    again = await room.ask("ada", "POST", path, read.json["template"])
    assert again.json == read.json


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/v1/prompts", {"text": "x"}, 400, "TOML"),
        ("POST", "/v1/prompts", {}, 400, "text"),
        ("POST", "/v1/prompts/greet/versions", {"messages": []}, 400, "messages"),
        ("POST", "/v1/prompts/greet/versions", {**NEW, "modle": 1}, 400, "modle"),
        ("POST", "/v1/prompts/greet/versions", {**NEW, "tags": ["3"]}, 400, "can't be a tag"),
        ("POST", "/v1/prompts/gr%eet/versions", NEW, 400, "can't be a template's name"),
        ("POST", "/v1/prompts/greet/render", {}, 400, "'name' is undefined"),
        ("POST", "/v1/prompts/greet/render", {"version": 9}, 404, "has no version 9"),
        ("POST", "/v1/prompts/greet/compare", {}, 400, "before"),
        ("PUT", "/v1/prompts/greet/tags/3", {}, 400, "can't be a tag"),
        ("PUT", "/v1/prompts/nobody/tags/a", {}, 404, "no template"),
        ("GET", "/v1/prompts/greet/versions/two", None, 404, "has no tag 'two'"),
        ("GET", "/v1/prompts/greet/file?form=xml", None, 400, "form"),
        ("GET", "/v1/prompts?limit=-1", None, 400, "limit"),
    ],
)
async def test_what_is_wrong_is_named_with_the_right_status(
    room: Room, method: str, path: str, body: Any, status: int, says: str
):
    assert (await room.ask("ada", "POST", "/v1/prompts/greet/versions", NEW)).status == 201
    answer = await room.ask("ada", method, path, body)
    assert (answer.status, says in answer.json["error"]["message"]) == (status, True), answer.body


async def test_every_endpoint_is_closed_to_strangers_and_writing_to_keys_for_other_uses(
    room: Room, prompts: Prompts
):
    text = 'name = "greet"\n[[messages]]\nrole = "user"\ntext = "Hello."\n'
    await room.ask("ada", "POST", "/v1/prompts", {"text": text, "tags": ["a"]})
    before = (await room.ask("ada", "GET", "/v1/prompts/greet")).body
    for endpoint in prompt_endpoints(prompts):
        path = endpoint.path
        for name, value in {"prompt": "greet", "version": "1", "tag": "a"}.items():
            path = path.replace(f"{{{name}}}", value)
        body = {"before": 1} if path.endswith("compare") else {} if "tags" in path else None
        assert (await room.ask("nobody", endpoint.method, path, body)).status == 401
        reads = endpoint.method == "GET" or path.endswith(("render", "compare"))
        status = (await room.ask("reader", endpoint.method, path, body)).status
        assert status == (200 if reads else 403)
        if "{prompt}" in endpoint.path and not path.endswith("greet/versions"):
            assert (await room.ask("bob", endpoint.method, path, body)).status == 404
        meant = await room.ask("bob", endpoint.method, f"{path}?organisation=acme", body)
        if path == "/v1/prompts" and endpoint.method == "POST":
            assert meant.status == 400  # before anybody's organisation matters, it needs a text
        elif not path.endswith("greet/versions") or endpoint.method == "GET":
            assert meant.status == 403
    assert (await room.ask("ada", "GET", "/v1/prompts/greet")).body == before


async def test_the_administrator_says_whose_templates_are_meant(room: Room):
    path = "/v1/prompts/greet/versions?organisation=acme"
    assert (await room.ask("admin", "POST", path, NEW)).status == 201
    assert (await room.ask("ada", "GET", "/v1/prompts/greet")).status == 200
    assert (await room.ask("admin", "GET", "/v1/prompts/greet")).status == 404
    listed = await room.ask("admin", "GET", "/v1/prompts?organisation=acme")
    assert [each["organisation"] for each in listed.json["data"]] == ["acme"]
