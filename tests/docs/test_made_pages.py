"""The parts of the documentation that are made from the code are up to date."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from polyvox.cli.app import COMMANDS
from polyvox.errors import PolyvoxError
from polyvox.messages import StopReason
from polyvox.providers import load_providers

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "tools/make_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_what_the_tool_makes_of_the_code(tool: ModuleType):
    for path, text in tool.pages().items():
        assert path.read_text("utf-8") == text, "run '.venv/bin/python tools/make_docs.py'"


def test_the_table_of_providers_has_every_row(tool: ModuleType):
    table = tool.provider_table()
    for row in load_providers().values():
        assert f"| `{row.name}` | {row.title} | {row.dialect} |" in table
        assert all(f"`{variable}`" in table for variable in row.key_env)


def test_the_reference_has_every_command(tool: ModuleType):
    reference = tool.command_reference()
    assert all(f"### polyvox {name}\n" in reference for name in COMMANDS)
    assert "| `-m, --model PROVIDER/MODEL` |" in reference


def test_the_table_of_floors_names_every_room_and_says_what_it_is(tool: ModuleType):
    table = tool.floors()
    package = ROOT / "src" / "polyvox"
    rooms = {each.parent.name for each in package.glob("*/__init__.py")}
    told = set(re.findall(r"^\| [1-9]\d* \| `(\w+)` \| \S.+ \|$", table, re.MULTILINE))
    assert told == rooms
    words = {each.stem for each in package.glob("*.py")} - {"__init__"}
    assert set(re.findall(r"`(\w+)`", table.splitlines()[-1])) == words


def test_the_page_on_names_has_every_preset_and_every_key_of_a_member(tool: ModuleType):
    from polyvox.composite import MemberProfile
    from polyvox.composite.names import packaged

    assert all(f"`{name}`" in tool.presets() for name in packaged().names)
    assert all(f"| `{key}` |" in tool.member_keys() for key in MemberProfile.__struct_fields__)


def test_a_page_without_its_place_is_an_error(tool: ModuleType):
    with pytest.raises(ValueError, match="once"):
        tool.filled("# A page", "commands", "...")


def test_the_table_of_errors_has_every_error_and_whether_it_is_retryable():
    page = (DOCS / "handle-errors.md").read_text("utf-8")
    for error in subclasses(PolyvoxError):
        again = "yes" if error.retryable else "no"
        assert f"`{error.__name__}` | {error.kind} | {again} |" in page


def test_the_page_on_errors_has_every_stop_reason():
    page = (DOCS / "handle-errors.md").read_text("utf-8")
    table = page.partition("| `stop_reason` |")[2]
    assert [reason for reason in StopReason.__args__ if reason not in table] == []


def test_the_readme_counts_the_providers_right():
    rows = load_providers().values()
    local = sum(row.local for row in rows)
    assert f"{len(rows) - local} services and {local} local servers" in (
        ROOT / "README.md"
    ).read_text("utf-8")


def subclasses(cls: type[PolyvoxError]) -> list[type[PolyvoxError]]:
    """All errors below this one that are part of the vocabulary."""
    found = [sub for sub in cls.__subclasses__() if sub.__module__ == "polyvox.errors"]
    return [*found, *(below for sub in found for below in subclasses(sub))]
