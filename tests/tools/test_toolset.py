"""Sets of tools: combined, prefixed, filtered, discovered."""

import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from polyvox.errors import ConfigurationError
from polyvox.tools import FunctionToolset, Tool, Toolset, combine, discover, tool
from polyvox.tools.discovery import load_tool
from polyvox.tools.toolset import BaseToolset


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return city


def time(city: str) -> str:
    """Tell the time."""
    return city


class Remote(BaseToolset):
    """A set that is somewhere else."""

    name = "remote"

    def __init__(self, *tools: Tool, fails: bool = False) -> None:
        self.offered: Sequence[Tool] = tools
        self.closed = 0
        self._fails = fails

    async def tools(self) -> Sequence[Tool]:
        return self.offered

    async def aclose(self) -> None:
        self.closed += 1
        if self._fails:
            raise OSError("it went away")


async def names(toolset: Toolset) -> list[str]:
    return [each.name for each in await toolset.tools()]


async def test_a_set_of_functions_is_a_toolset():
    made = FunctionToolset(weather, time)
    assert isinstance(made, Toolset)
    assert not isinstance(weather, Toolset)
    assert await names(made) == ["weather", "time"]


async def test_sets_are_prefixed_and_filtered():
    made = FunctionToolset(weather, time, name="city")
    assert await names(made.prefixed("eu_")) == ["eu_weather", "eu_time"]
    assert await names(made.filtered(["time"])) == ["time"]
    assert await names(made.filtered("time")) == ["time"]
    assert await names(made.filtered(lambda each: each.name != "time")) == ["weather"]
    assert await names(made.prefixed("eu_").filtered(["eu_time"])) == ["eu_time"]
    assert repr(made.prefixed("eu_")) == "<_Changed 'city'>"


async def test_a_name_to_filter_that_no_tool_has_is_an_error():
    with pytest.raises(ConfigurationError, match="city has no tool 'wether'") as caught:
        await FunctionToolset(weather, name="city").filtered(["wether"]).tools()
    assert caught.value.hint == "It has weather."


async def test_tools_functions_and_sets_are_combined_and_closed_together():
    first, second = Remote(weather, fails=True), Remote(tool(time))
    async with combine(first, second.prefixed("far_"), time) as made:
        assert await names(made) == ["weather", "far_time", "time"]
        second.offered = ()
        assert await names(made) == ["weather", "time"]
        assert (first.closed, second.closed) == (0, 0)
        first._fails = False
    assert (first.closed, second.closed) == (1, 1)


async def test_when_one_set_fails_to_close_the_others_are_closed():
    first, second = Remote(), Remote(fails=True)
    with pytest.raises(OSError, match="it went away"):
        await combine(first, second).aclose()
    assert (first.closed, second.closed) == (1, 1)


async def test_two_tools_of_one_name_are_an_error_that_names_both():
    with pytest.raises(ConfigurationError, match="two tools are called 'weather'"):
        FunctionToolset(weather, weather)
    far = Tool.from_schema(weather.definition, weather.call)
    with pytest.raises(ConfigurationError) as caught:
        await combine(weather, Remote(far)).tools()
    assert caught.value.text.endswith(":weather and one of remote")
    assert await names(combine(weather, Remote(far).prefixed("far_"))) == ["weather", "far_weather"]


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules are imported from; they are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if not name.startswith("polyvox."):  # first used here, but not only here
            del sys.modules[name]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


ONE = """
from polyvox import tool

@tool
def {0}(x: int) -> int:
    "Do {0}."
    return x

def helper(x):
    return x
"""


async def test_tools_are_discovered_in_a_module(modules: Path):
    write(modules / "pv_alone.py", ONE.format("alone"))
    found = discover("pv_alone")
    assert await names(found) == ["alone"]
    assert await names(discover(sys.modules["pv_alone"])) == ["alone"]
    assert found.name == "pv_alone"


async def test_tools_are_discovered_in_a_package_and_below_it_once_each(modules: Path):
    write(modules / "pv_shop/__init__.py", "from pv_shop.fruit import pears")
    write(modules / "pv_shop/fruit.py", ONE.format("pears"))
    write(modules / "pv_shop/deep/__init__.py", "")
    write(modules / "pv_shop/deep/more.py", ONE.format("more"))
    write(modules / "pv_shop/_private.py", "raise RuntimeError('not to be imported')")
    assert await names(discover("pv_shop")) == ["pears", "more"]


async def test_tools_are_discovered_in_a_directory_whose_files_know_one_another(modules: Path):
    write(modules / "folder/b.py", "from .a import first\n" + ONE.format("second"))
    write(modules / "folder/a.py", "from __future__ import annotations\n" + ONE.format("first"))
    write(modules / "folder/notes.txt", "no code")
    assert await names(discover(modules / "folder")) == ["first", "second"]
    assert await names(discover(modules / "folder")) == ["first", "second"]
    assert await names(discover(modules / "folder/a.py")) == ["first"]


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("import no_such_module_pv", "ModuleNotFoundError: No module named 'no_such_module_pv'"),
        ("def f(:", "SyntaxError"),
        ("raise SystemExit(2)", "SystemExit: 2"),
        ("from polyvox import tool\n@tool\ndef f(x): ...", "ConfigurationError: f can't be a tool"),
    ],
)
async def test_a_file_that_cant_be_imported_is_named_or_skipped(
    modules: Path, text: str, about: str
):
    write(modules / "folder/good.py", ONE.format("good"))
    write(modules / "folder/bad.py", text)
    with pytest.raises(ConfigurationError) as caught:
        discover(modules / "folder")
    assert str(modules / "folder/bad.py") in caught.value.text
    assert about in caught.value.text
    with pytest.warns(RuntimeWarning, match=r"bad\.py can't be imported"):
        found = discover(modules / "folder", on_error="skip")
    assert await names(found) == ["good"]


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("no_such_pv", "there is no module 'no_such_pv'"),
        ("no_such_pv.below", "there is no module 'no_such_pv.below'"),
        (Path("nowhere"), "there are no tools at "),
    ],
)
def test_a_place_that_is_not_there_is_an_error(place: str | Path, text: str):
    with pytest.raises(ConfigurationError, match=text):
        discover(place)


def test_a_tool_is_loaded_by_reference(modules: Path):
    write(modules / "pv_alone.py", ONE.format("alone") + "class Box:\n    inner = alone\n")
    assert load_tool("pv_alone:alone").name == "alone"
    assert load_tool("pv_alone:Box.inner").name == "alone"
    assert load_tool(f"{modules / 'pv_alone.py'}:alone").name == "alone"


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("pv_alone", "'pv_alone' refers to no function"),
        ("pv_alone:", "'pv_alone:' refers to no function"),
        ("pv_alone:alon", "pv_alone has no 'alon'"),
        ("pv_alone:helper", "helper can't be a tool"),
        ("pv_nowhere:f", "there is no module 'pv_nowhere'"),
    ],
)
def test_a_reference_that_leads_nowhere_is_an_error(modules: Path, reference: str, text: str):
    write(modules / "pv_alone.py", ONE.format("alone"))
    with pytest.raises(ConfigurationError) as caught:
        load_tool(reference)
    assert text in caught.value.text
    if reference.endswith("alon"):
        assert caught.value.hint == "Did you mean 'alone'?"


@pytest.mark.parametrize("text", ["import no_such_pv_dep", "raise ValueError('boom')", "1 / 0"])
def test_what_is_wrong_with_a_package_is_told_of_the_package(modules: Path, text: str):
    write(modules / "pv_broken/__init__.py", text)
    write(modules / "pv_broken/below.py", "")
    with pytest.raises(ConfigurationError, match=r"pv_broken.__init__\.py can't be imported"):
        discover("pv_broken.below")
