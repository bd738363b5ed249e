"""Where the configuration is found."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from polyvox.config import find_config
from polyvox.config.finding import is_configured
from polyvox.errors import ConfigurationError

from .conftest import Write


def test_nowhere_there_is_none():
    assert find_config({}) is None
    assert not is_configured({})


def test_the_nearest_one_on_the_way_up_is_taken(write: Write, folder: Path):
    outer, inner = write(""), write("", "a/polyvox.toml")
    (folder / "a" / "b").mkdir()
    assert find_config({}, folder / "a" / "b") == inner
    assert find_config({}, folder) == outer


def test_a_pyproject_counts_if_it_has_our_table(write: Write, folder: Path):
    ours = write("[tool.polyvox.retry]", "pyproject.toml")
    write("[project]\ndependencies = ['polyvox']", "a/pyproject.toml")
    write("this is [no TOML, polyvox", "a/b/pyproject.toml")
    write("tool = 'polyvox'", "a/b/c/pyproject.toml")
    write("[tool]\npolyvox = 'x'", "a/b/c/d/pyproject.toml")
    assert find_config({}, folder / "a" / "b" / "c" / "d") == ours


def test_polyvox_toml_comes_before_pyproject(write: Write, folder: Path):
    write("[tool.polyvox]", "pyproject.toml")
    ours = write("")
    assert find_config({}, folder) == ours


def test_the_users_own_is_the_last_resort(write: Write, folder: Path):
    path = write("", "settings/polyvox/config.toml")
    environ = {"XDG_CONFIG_HOME": str(folder / "settings")}
    assert find_config(environ, folder / "nowhere") == path
    nearer = write("", "polyvox.toml")
    assert find_config(environ, folder) == nearer


def test_the_users_own_is_in_the_home_folder_by_default(folder: Path):
    path = Path.home() / ".config" / "polyvox" / "config.toml"
    path.parent.mkdir(parents=True)
    path.touch()
    assert find_config({}) == path


def test_a_variable_names_one(write: Write):
    write("")
    other = write("", "other.toml")
    assert find_config({"POLYVOX_CONFIG": str(other)}) == other


def test_a_variable_that_names_none_is_an_error():
    with pytest.raises(ConfigurationError, match=r"POLYVOX_CONFIG names the file 'no\.toml'"):
        find_config({"POLYVOX_CONFIG": "no.toml"})


def test_off_looks_for_none(write: Write):
    write("")
    environ = {"POLYVOX_CONFIG": "off", "POLYVOX_RETRY__ATTEMPTS": "2"}
    assert find_config(environ) is None
    assert not is_configured(environ)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no owners here")
def test_another_users_file_is_not_taken_unasked(write: Write, monkeypatch: pytest.MonkeyPatch):
    path, stat = write(""), Path.stat

    def of_another(self: Path, **options: Any) -> Any:
        found = stat(self, **options)
        return SimpleNamespace(st_mode=found.st_mode, st_uid=1001) if self == path else found

    monkeypatch.setattr(Path, "stat", of_another)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        find_config({})
    assert find_config({"POLYVOX_CONFIG": str(path)}) == path
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    assert find_config({}) == path
