"""``polyvox templates``, against a gateway that runs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Run
from .gateway_process import Gateway, gateway

Templates = Callable[..., Any]

FILE = """\
+++
name = "{name}"
component = "helpdesk"

[variables]
required = ["question"]

[variables.properties.question]
type = "string"

[variables.properties.tries]
type = "integer"
default = 2
+++

<!-- system -->

Be {manner}.

<!-- user -->

{{{{ question }}}} ({{{{ tries }}}})
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway")) as served:
        yield served


@pytest.fixture
def templates(run: Run, served: Gateway) -> Templates:
    """Run ``polyvox templates``."""

    def runner(*arguments: str, **options: Any) -> Any:
        return run("templates", *arguments, env=served.env, **options)

    return runner


def push(templates: Templates, name: str, manner: str, *options: str) -> str:
    done = templates("push", "-", *options, stdin=FILE.format(name=name, manner=manner))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_file_becomes_a_version_and_the_same_file_again_none(templates: Templates):
    assert push(templates, "greet", "brief", "--tag", "production") == "greet@1"
    assert push(templates, "greet", "brief") == "greet@1"
    assert push(templates, "greet", "long", "--note", "They asked for it.") == "greet@2"
    shown = templates("show", "greet@production").stdout
    assert "They asked for it." in shown
    assert "Be brief." in shown
    version = json.loads(templates("show", "greet", "--json").stdout)
    assert (version["number"], version["note"]) == (2, "They asked for it.")


def test_what_is_pulled_is_what_was_pushed(templates: Templates, tmp_path: Path):
    push(templates, "pulled", "brief", "--tag", "production")
    push(templates, "pulled", "long")
    assert templates("pull", "pulled").stdout == FILE.format(name="pulled", manner="long")
    file = tmp_path / "pulled.toml"
    told = templates("pull", "pulled@production", "--format", "toml", "-o", str(file))
    assert (told.returncode, told.stdout) == (0, "")
    assert templates("push", str(file)).stdout == "pulled@3\n"
    assert templates("pull", "pulled").stdout == FILE.format(name="pulled", manner="brief")


def test_what_a_model_would_get_is_shown(templates: Templates):
    push(templates, "shown", "brief")
    told = templates("render", "shown", "--var", "question=Why = how?", "--var", "tries:=3").stdout
    assert told == "[system]\nBe brief.\n\n[user]\nWhy = how? (3)\n"
    wrong = templates("render", "shown", "--var", "question=x", "--var", "tries=3")
    assert (wrong.returncode, "variables.tries: expected a whole number" in wrong.stderr) == (
        6,
        True,
    )
    missing = templates("render", "shown")
    assert "variables: 'question' is missing" in missing.stderr
    for odd in ("x", "=y", "x:=nonsense"):
        assert templates("render", "shown", "--var", odd).returncode == 2


def test_versions_are_compared_and_the_code_says_whether_they_differ(templates: Templates):
    push(templates, "compared", "brief", "--tag", "production")
    push(templates, "compared", "long")
    told = templates("diff", "compared", "production")
    assert told.returncode == 1
    assert "-Be brief.\n+Be long.\n" in told.stdout
    assert "\x1b" not in told.stdout
    told = templates("diff", "compared", "1", "2", "--var", "question=Why?", "--json")
    assert "+Be long." in json.loads(told.stdout)["rendering"]
    same = templates("diff", "compared", "1", "production")
    assert (same.returncode, same.stdout) == (0, "")


def test_a_tag_moves_and_goes(templates: Templates):
    push(templates, "tagged", "brief")
    push(templates, "tagged", "long")
    assert "tagged@production is version 1" in templates("tag", "tagged@1", "production").stderr
    assert "tagged@production is version 2" in templates("tag", "tagged", "production").stderr
    (row,) = [row for row in templates("list").stdout.splitlines() if row.startswith("tagged ")]
    assert "production 2" in row
    assert templates("tag", "tagged", "production", "--remove").returncode == 0
    assert templates("pull", "tagged@production").returncode == 5


def test_lists_are_of_an_organisation_and_a_component(templates: Templates):
    push(templates, "listed", "brief", "--organisation", "acme")
    found = templates("list", "--organisation", "acme", "--component", "helpdesk", "--json").stdout
    assert [json.loads(line)["name"] for line in found.splitlines()] == ["listed"]
    assert templates("list", "--component", "nothing").returncode == 1
    assert templates("pull", "listed").returncode == 5
    assert templates("pull", "listed", "--organisation", "acme").returncode == 0


def test_a_file_that_is_none_is_named_with_what_is_wrong(templates: Templates, tmp_path: Path):
    file = tmp_path / "bad.md"
    file.write_text('+++\nname = "bad"\n+++\n\n<!-- user -->\n\n{% include "x" %}\n')
    told = templates("push", str(file))
    assert told.returncode == 6
    assert "bad.md: messages[0]: line 1: Include" in told.stderr
    assert templates("push", str(tmp_path / "none.md")).returncode == 2


def test_names_are_completed(templates: Templates, run: Run, served: Gateway):
    push(templates, "completed", "brief")
    words = {"COMP_WORDS": "polyvox templates show compl", "COMP_CWORD": "3"}
    done = run(env=served.env | words | {"_POLYVOX_COMPLETE": "bash_complete"})
    assert done.stdout == "plain,completed\n"
