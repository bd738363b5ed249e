"""``polyvox organisations``, ``teams`` and ``users``, against a gateway that runs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Run
from .gateway_server import Served, serving

NAMES = {"organisations": "umbrella", "teams": "acme/core", "users": "acme/ada@example.org"}
KINDS = pytest.mark.parametrize(("kind", "name"), NAMES.items())


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


@pytest.fixture
def polyvox(run: Run, gateway: Served) -> Callable[..., Any]:
    """Run a command as administrator, where there is an organisation already."""

    def runner(*arguments: str) -> Any:
        return run(*arguments, env=gateway.env())

    assert runner("organisations", "create", "acme").returncode == 0
    return runner


def shown(done: Any) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@KINDS
def test_one_is_made_changed_and_deleted(polyvox: Callable[..., Any], kind: str, name: str) -> None:
    made = shown(polyvox(kind, "create", name, "--budget", "$10/day", "--json"))
    assert made["name"] == name.rpartition("/")[2]
    assert made["budgets"] == {"day": {"limit": "$10", "per": "day"}}
    said = ["--requests", "60/minute", "--shadow", "--block"]
    changed = shown(polyvox(kind, "change", name, *said, "--json"))
    limits = {"minute": {"requests": 60, "per": "minute"}}
    assert changed == made | {"limits": limits, "shadow": True, "blocked": True}
    assert shown(polyvox(kind, "show", name, "--json")) == changed
    freed = shown(polyvox(kind, "change", name, "--unblock", "--budget", "none/day", "--json"))
    assert freed == changed | {"blocked": False, "budgets": {}}
    text = polyvox(kind, "show", name).stdout
    assert "60 requests per minute (shadow)" in text
    deleted = polyvox(kind, "delete", name)
    assert (deleted.returncode, f"{name} is deleted" in deleted.stderr) == (0, True)
    gone = polyvox(kind, "show", name)
    assert (gone.returncode, "there is no" in gone.stderr) == (5, True)


@KINDS
def test_they_are_listed(polyvox: Callable[..., Any], kind: str, name: str) -> None:
    where = ["acme"] if "/" in name else []
    if where:
        empty = polyvox(kind, "list", *where)
        assert (empty.returncode, empty.stdout) == (1, "")
        assert f"polyvox {kind} create" in empty.stderr
    polyvox(kind, "create", name, "--block", "--tokens", "1000/hour")
    head, *lines = polyvox(kind, "list", *where).stdout.splitlines()
    assert head.split()[0] == "NAME"
    line = next(line for line in lines if line.startswith(name))
    assert "1,000 tokens per hour" in line
    assert line.endswith("blocked")
    names = [each["name"] for each in shown(polyvox(kind, "list", *where, "--json"))]
    assert name.rpartition("/")[2] in names


def test_what_the_keys_of_a_team_may_ask_at_most(polyvox: Callable[..., Any]) -> None:
    made = shown(
        polyvox("teams", "create", "acme/core", "--model", "a/*", "--title", "Core", "--json")
    )
    assert (made["models"], made["title"]) == (["a/*"], "Core")
    changed = shown(polyvox("teams", "change", "acme/core", "--model", "b/*", "--json"))
    assert changed == made | {"models": ["b/*"]}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["organisations", "create", "Acme Corp!"], 6, 'letters (a-z), digits, ".", "_" and "-"'),
        (["organisations", "create", "acme"], 6, "the organisation 'acme' is there already"),
        (["teams", "create", "core"], 2, "Say ORGANISATION/NAME"),
        (["teams", "create", "nobody/core"], 5, "'polyvox organisations create nobody' makes it"),
        (["teams", "change", "acme/core", "--shadow"], 5, "there is no team 'acme/core'"),
        (["organisations", "change", "acme"], 2, "nothing is said to change"),
        (["organisations", "change", "acme", "--budget", "none/day"], 2, "there is no such budget"),
        (["users", "list", "nobody"], 5, "there is no organisation 'nobody'"),
        (["keys", "create", "--organisation", "x"], 5, "'polyvox organisations create x' makes it"),
    ],
)
def test_what_is_wrong_is_said(
    polyvox: Callable[..., Any], arguments: list[str], code: int, said: str
) -> None:
    done = polyvox(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
