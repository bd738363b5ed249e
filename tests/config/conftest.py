"""A folder of its own for every test: no file above it, and nothing of the environment, is found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from polyvox.config import Loaded, examine
from redis_server import *  # noqa: F403

Write = Callable[..., Path]
Examine = Callable[..., Loaded]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, which is empty."""
    for name in ("POLYVOX_CONFIG", "POLYVOX_LOG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def write(folder: Path) -> Write:
    """Write a file: ``write("[retry]")``."""

    def writer(text: str, name: str = "polyvox.toml") -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return writer


@pytest.fixture
def look(write: Write) -> Examine:
    """Examine a file of this text, in an environment of these variables alone."""

    def examiner(text: str, name: str = "polyvox.toml", **environ: str) -> Loaded:
        return examine(write(text, name), environ)

    return examiner
