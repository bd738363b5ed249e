"""`polyvox tool`: functions as commands."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Run
from .test_completion import offered

SHOP = '''
"""A shop."""
import dataclasses
import sys
from typing import Any, Literal

import polyvox
from polyvox import ToolContext, ToolResult, ToolRetry, tools


@dataclasses.dataclass
class Place:
    lat: float
    lon: float = 0.0


@polyvox.tool
async def weather(
    city_name: str,
    ctx: ToolContext,
    unit: Literal["c", "f"] = "c",
    days: int = 1,
    place: Place | None = None,
    tags: list[str] = [],
    places: list[Place] = [],
    loud: bool = False,
    quiet: bool = True,
    other: Any = None,
    number: int | str = 0,
) -> dict[str, Any]:
    """Tell the weather in a city.

    More of it.

    Args:
        city_name: the city's name.
    """
    ctx.update("looking")
    print("by the way", file=sys.stderr)
    given = dict(locals())
    del given["ctx"]
    return given


def add(a: int, b: int = 1) -> int:
    return a + b


def shout(text: str) -> str:
    return text.upper()


def fails(kind: str) -> Any:
    if kind == "error":
        return ToolResult(content=[polyvox.Text("not today")], is_error=True)
    if kind == "image":
        return [polyvox.Image(url="http://a.example/b.png")]
    raise {"value": ValueError, "exit": SystemExit, "ours": polyvox.ServerError}[kind]("it broke")


if __name__ == "__main__":
    tools.command(weather)
'''


@pytest.fixture(autouse=True)
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path / "shop.py"


def result(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def failure(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.stdout == ""
    return json.loads(done.stderr.splitlines()[-1])["error"]


def test_every_parameter_is_an_option(run: Run):
    done = run(
        *("tool", "run", "shop:weather", "--city-name", "Oslo", "--unit", "f", "--days", "3"),
        *(
            "--place",
            '{"lat": 1, "lon": 0}',
            "--tags",
            "a",
            "--tags",
            "b",
            "--places",
            '{"lat": 2, "lon": 3}',
        ),
        *("--loud", "--no-quiet", "--other", "[1, null]", "--number", "many"),
    )
    assert result(done) == {
        "city_name": "Oslo",
        "unit": "f",
        "days": 3,
        "place": {"lat": 1.0, "lon": 0.0},
        "tags": ["a", "b"],
        "places": [{"lat": 2.0, "lon": 3.0}],
        "loud": True,
        "quiet": False,
        "other": [1, None],
        "number": "many",
    }
    assert done.stderr == "looking\nby the way\n"


def test_what_is_left_out_is_the_functions_own_default(run: Run):
    found = result(run("tool", "run", "shop:weather", "--city-name", "Oslo"))
    assert (found["days"], found["quiet"], found["tags"], found["number"]) == (1, True, [], 0)


def test_all_arguments_may_be_json_and_options_count_more(run: Run):
    given = json.dumps({"city_name": "Oslo", "days": 2, "tags": ["x"]})
    assert result(run("tool", "run", "shop:weather", "--json", given))["days"] == 2
    done = run("tool", "run", "shop:weather", "--json", "-", "--days", "5", stdin=given)
    found = result(done)
    assert (found["days"], found["tags"]) == (5, ["x"])


@pytest.mark.parametrize("name", ["shop:add", "shop.py:add", "./shop.py:add"])
def test_any_function_is_a_command_and_a_file_may_be_named(run: Run, name: str):
    done = run("tool", "run", name, "--a", "2")
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_a_string_comes_out_as_json_and_so_do_blocks(run: Run):
    assert run("tool", "run", "shop:shout", "--text", "hé").stdout == '"HÉ"\n'
    image = run("tool", "run", "shop:fails", "--kind", "image")
    assert json.loads(image.stdout) == [{"type": "image", "url": "http://a.example/b.png"}]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("value", {"kind": "ValueError", "text": "it broke"}),
        ("exit", {"kind": "SystemExit", "text": "it broke"}),
        ("error", {"kind": "RuntimeError", "text": "not today"}),
        ("ours", {"kind": "server", "text": "it broke", "retryable": True}),
    ],
)
def test_an_error_is_json_on_stderr(run: Run, kind: str, told: dict[str, object]):
    done = run("tool", "run", "shop:fails", "--kind", kind)
    assert done.returncode == 1
    assert failure(done) == told


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "'city_name' is missing"),
        (("--json", '{"city_name": 3}'), "city_name: expected a string, got a whole number"),
        (
            ("--json", '{"city_nam": "x"}'),
            "'city_nam' is not known here; did you mean 'city_name'?",
        ),
        (("--city-name", "x", "--place", "{}"), "place: 'lat' is missing"),
    ],
)
def test_arguments_that_dont_fit_are_told_as_json(run: Run, arguments: tuple[str, ...], text: str):
    done = run("tool", "run", "shop:weather", *arguments)
    assert done.returncode == 2
    assert failure(done)["kind"] == "arguments"
    assert text in failure(done)["text"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("shop:weather", "--citty", "x"), "no such option '--citty'"),
        (("shop:weather", "--days", "x"), "invalid value for '--days'"),
        (("shop:weather", "--unit", "k"), "invalid value for '--unit'"),
        (("shop:weather", "--place", "{"), "'{' is no JSON"),
        (("shop:weather", "--json", "{"), "--json is no JSON"),
        (("shop:weather", "--json", "[]"), "--json takes an object"),
        (("shop:wether",), "shop has no 'wether'"),
        (("shop",), "'shop' refers to no function"),
        (("shopp:weather",), "there is no module 'shopp'"),
        (("shop:Place",), "Place can't be a tool: it is a class"),
    ],
)
def test_wrong_usage_ends_with_2(run: Run, arguments: tuple[str, ...], text: str):
    done = run("tool", "run", *arguments)
    assert done.returncode == 2
    assert text.lower() in done.stderr.lower()


def test_the_help_lists_the_options(run: Run):
    shown = run("tool", "run", "shop:weather", "--help").stdout
    assert "Tell the weather in a city." in shown
    assert "the city's name. [required]" in shown
    assert "--loud / --no-loud" in shown
    assert "[c|f]" in shown
    assert "ctx" not in shown


def test_what_models_are_told_is_shown(run: Run):
    assert result(run("tool", "schema", "shop:add")) == {
        "name": "add",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 1}},
            "required": ["a"],
            "additionalProperties": False,
        },
    }


@pytest.mark.parametrize("place", ["shop", ".", "shop.py"])
def test_tools_are_listed(run: Run, place: str):
    done = run("tool", "list", place)
    assert done.stdout.split("\n") == [
        "TOOL     DESCRIPTION",
        "weather  Tell the weather in a city.",
        "",
    ]
    assert [each["name"] for each in json.loads(run("tool", "list", place, "--json").stdout)] == [
        "weather"
    ]


def test_a_file_that_cant_be_imported_is_an_error_or_a_warning(run: Run, tmp_path: Path):
    (tmp_path / "bad.py").write_text("import no_such_module_pv")
    done = run("tool", "list", ".")
    assert (done.returncode, done.stdout) == (2, "")
    assert "bad.py can't be imported" in done.stderr
    done = run("tool", "list", ".", "--skip-errors")
    assert (done.returncode, "weather" in done.stdout) == (0, True)
    assert "warning:" in done.stderr


def test_where_no_tool_is_the_list_ends_with_1(run: Run, tmp_path: Path):
    (tmp_path / "bare").mkdir()
    assert run("tool", "list", "./bare").returncode == 1


def test_a_script_is_a_command_of_its_own(shop: Path, environment: dict[str, str]):
    def script(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, shop, *arguments],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
        )

    assert result(script("--city-name", "Rome", "--days", "2"))["days"] == 2
    assert script().returncode == 2
    assert "--city-name" in script("--help").stdout


def test_options_complete(run: Run):
    assert offered(run, "polyvox to", 1) == ["tool"]
    assert offered(run, "polyvox tool run shop:add --", 4) == ["--a", "--b", "--json", "--help"]
    assert offered(run, "polyvox tool run shop:weather --unit ", 5) == ["c", "f"]
    assert "--a" not in offered(run, "polyvox tool run nowhere:add --", 4)


@pytest.fixture
def odd(tmp_path: Path) -> None:
    """A module of tools that are hard to make commands of, beside the shop."""
    (tmp_path / "odd.py").write_text(ODD)


ODD = """
import asyncio
import time
from polyvox import tool

@tool
def names(
    help: str = "", json_: str = "", _x: str = "", x: str = "", _: int = 0,
    no_loud: bool = False, loud: bool = False,
) -> list:
    return [help, json_, _x, x, _, no_loud, loud]

@tool(timeout=0.01)
async def slow() -> None:
    await asyncio.Event().wait()

@tool
async def cancelled() -> None:
    raise asyncio.CancelledError

class Odd(BaseException):
    pass

@tool
def odd() -> None:
    raise Odd("no exception")
"""


@pytest.mark.usefixtures("odd")
def test_parameters_whose_options_would_be_those_of_others_are_left_to_json(run: Run):
    rest = '{"help": "h", "json_": "j", "x": "y", "loud": true}'
    options = ("--x", "first", "--_", "3", "--no-loud")
    done = run("tool", "run", "odd:names", *options, "--json", rest)
    assert result(done) == ["h", "j", "first", "y", 3, True, True]
    assert done.stderr == ""
    assert "--json JSON" in run("tool", "run", "odd:names", "--help").stdout


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("slow", "TimeoutError", "slow took longer than 0.01 s"),
        ("cancelled", "CancelledError", ""),
        ("odd", "Odd", "no exception"),
    ],
)
def test_whatever_ends_a_function_is_told_as_json(run: Run, name: str, kind: str, text: str):
    done = run("tool", "run", f"odd:{name}")
    assert done.returncode == 1
    assert failure(done) == {"kind": kind, "text": text}


def test_what_is_printed_on_the_way_is_not_the_result(run: Run, tmp_path: Path):
    source = "print('loading')\ndef f(a: int) -> int:\n    print('at work')\n    return a\n"
    (tmp_path / "noisy.py").write_text(source)
    done = run("tool", "run", "noisy:f", "--a", "1")
    assert (done.stdout, done.stderr) == ("1\n", "loading\nat work\n")


@pytest.mark.parametrize("group", [("tool",), ("agent",), ("agent", "sessions"), ("tool", "run")])
def test_a_group_of_commands_alone_shows_its_help(run: Run, group: tuple[str, ...]):
    done = run(*group)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == run(*group, "--help").stdout
