"""Whatever callers say reaches the database as a parameter, and is never part of a statement."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import Engine, create_engine, event, text
from starlette.testclient import TestClient

from gateway.running import ADMIN_KEY
from polyvox.gateway.gateway import Gateway
from polyvox.gateway.serving.launch import Launch
from polyvox.gateway.serving.worker import Worker

MARK = "walrus"
HOSTILE = f"{MARK}' OR '1'='1'; DROP TABLE calls; -- \" \\ %s :x $1"
AUTHORIZED = {"authorization": f"Bearer {ADMIN_KEY}"}
SAID = [{"role": "user", "content": HOSTILE}]


class Seen:
    """What was sent to the database: statements, and those of them with the mark in their parameters."""

    def __init__(self) -> None:
        self.statements: set[str] = set()
        self.marked: set[str] = set()

    def __call__(
        self, _connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any
    ) -> None:
        self.statements.add(statement)
        if MARK in repr(parameters):
            self.marked.add(statement)


@pytest.fixture
def seen() -> Iterator[Seen]:
    seen = Seen()
    event.listen(Engine, "before_cursor_execute", seen)
    yield seen
    event.remove(Engine, "before_cursor_execute", seen)


def bodies(path: str) -> list[tuple[str, str, Any]]:
    """Requests with it in every field where a caller may write something."""
    wishes = {"session": HOSTILE, "end_user": HOSTILE, "tags": {HOSTILE: HOSTILE}}
    call = {"model": "simulated/echo", "messages": SAID, "user": HOSTILE}
    part = {"role": "user", "text": HOSTILE}
    version = {"messages": [part], "note": HOSTILE, "description": HOSTILE, "component": HOSTILE}
    return [
        ("POST", "/v1/chat/completions", {**call, "polyvox": wishes}),
        ("POST", "/v1/chat/completions", {**call, "model": HOSTILE}),
        ("POST", "/v1/chat/completions", {**call, "polyvox": {"context": HOSTILE}}),
        ("POST", "/v1/chat/completions", {**call, "polyvox": {"prompt": HOSTILE}}),
        ("POST", "/v1/contexts", {"name": HOSTILE, "messages": SAID}),
        ("POST", "/v1/contexts", {"tags": {HOSTILE: HOSTILE}, "messages": SAID}),
        ("POST", "/v1/contexts", {"template": HOSTILE, "system": HOSTILE}),
        ("POST", f"/v1/prompts/{path}/versions", version),
        ("POST", f"/v1/prompts/{MARK}/versions", version),
        ("PUT", f"/v1/prompts/{MARK}/tags/{path}", {"version": 1}),
        ("POST", "/admin/organisations", {"name": HOSTILE}),
        ("POST", "/admin/organisations", {"name": MARK, "title": HOSTILE}),
        ("PATCH", f"/admin/organisations/{MARK}", {"title": HOSTILE, "budgets": {HOSTILE: None}}),
        ("POST", "/admin/keys", {"name": HOSTILE, "models": [HOSTILE]}),
        ("POST", "/admin/keys", {"name": "x", "organisation": MARK, "team": HOSTILE}),
        ("POST", f"/admin/organisations/{MARK}/end_users", {"name": HOSTILE}),
        ("POST", f"/admin/organisations/{path}/teams", {"name": MARK}),
        ("POST", "/admin/provider_keys", {"name": MARK, "provider": HOSTILE, "value": HOSTILE}),
        ("POST", "/v1/batches", {"input_file_id": HOSTILE, "endpoint": "/v1/chat/completions"}),
    ]


def say_it_everywhere(ask: TestClient) -> list[int]:
    """In bodies, paths, queries and headers; the statuses."""
    path = quote(HOSTILE, safe="")
    found = [ask.request(method, at, json=body) for method, at, body in bodies(path)]
    file = {"file": (HOSTILE, HOSTILE.encode())}
    found.append(ask.post("/v1/files", data={"purpose": "batch"}, files=file))
    for at, item in ask.get("/openapi.json").json()["paths"].items():
        asked = item.get("get")
        if asked is None or at.startswith("/v1beta"):
            continue
        at = re.sub(r"\{\w+\}", path, at)
        found.append(ask.get(at))
        names = [each["name"] for each in asked.get("parameters", ()) if each["in"] == "query"]
        found += [ask.get(at, params={"q": MARK, name: HOSTILE}) for name in names if "q" in names]
        found += [ask.get(at, params={name: HOSTILE}) for name in names]
    for header in ("authorization", "x-api-key", "x-polyvox-context", "x-polyvox-session"):
        found.append(ask.get("/v1/key", headers={header: HOSTILE}))
    return [each.status_code for each in found]


def test_nothing_that_a_caller_says_stands_in_a_statement(
    seen: Seen, database_url: str, tmp_path: Path
) -> None:
    config = f'[gateway]\nadmin_key = "{ADMIN_KEY}"\ndatabase = "{database_url}"\n'
    (tmp_path / "polyvox.toml").write_text(config, encoding="utf-8")
    launch = Launch(file=tmp_path / "polyvox.toml", said={}, data=tmp_path / "data", log="off")
    (tmp_path / "data").mkdir()
    with TestClient(Gateway(launch, Worker()).application, headers=AUTHORIZED) as ask:
        found = say_it_everywhere(ask)
    assert {200, 201, 400, 401, 404} <= set(found)
    assert max(found) < 500
    assert not [statement for statement in seen.statements if MARK in statement]
    ledger = ["given"] if database_url.startswith("sqlite") else ["calls", "attempts"]
    for table in (*ledger, "contexts", "context_messages", "prompt", "keys", "files", "batches"):
        assert any(table in each for each in seen.marked), f"nothing was said to {table}"


def test_the_look_would_notice(seen: Seen, database_url: str) -> None:
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        connection.execute(text(f"SELECT '{MARK}'"))
        connection.execute(text("SELECT :word"), {"word": MARK})
    engine.dispose()
    assert len([each for each in seen.statements if MARK in each]) == 1
    assert len(seen.marked) == 1
