"""The command line as users run it: real processes, with pipes or a real pseudo-terminal."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polyvox.providers import load_providers

from .terminal import Terminal

SRC = Path(__file__).resolve().parents[2] / "src"
COMMAND = [sys.executable, "-m", "polyvox.cli"]
NOBODY = "http://127.0.0.1:1/v1"
"""An address where no server is."""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment without keys, addresses, proxies and local servers of this machine."""
    rows = load_providers().values()
    ours = {name for row in rows for name in (*row.key_env, *row.base_url_env)}
    ours |= {"NO_COLOR", "PYTHONUNBUFFERED"}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith("POLYVOX_") and "proxy" not in name.lower()
    }
    return kept | {
        "PYTHONPATH": str(SRC),
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "OLLAMA_HOST": NOBODY,
        "LLAMA_CPP_BASE_URL": NOBODY,
        "LMSTUDIO_BASE_URL": NOBODY,
        "VLLM_BASE_URL": NOBODY,
        "TERM": "xterm",
        "COLUMNS": "100",
        "PROMPT_TOOLKIT_NO_CPR": "1",
    }


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Run:
    """Run a command to its end: ``run("ask", "hello", stdin="", env={...})``."""

    def runner(
        *arguments: str, stdin: str | bytes = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*COMMAND, *arguments],
            check=False,
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            env=environment | (env or {}),
            cwd=tmp_path,
            timeout=60,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    return runner


@pytest.fixture
def start(
    environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command that goes on, with pipes; it is killed when the test ends."""
    started: list[subprocess.Popen[str]] = []

    def starter(*arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment | (env or {}),
            cwd=tmp_path,
        )
        started.append(process)
        return process

    yield starter
    for process in started:
        with process:
            process.kill()


@pytest.fixture
def terminal(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Start a command in a pseudo-terminal."""
    opened: list[Terminal] = []

    def opener(*arguments: str, env: dict[str, str] | None = None) -> Terminal:
        opened.append(Terminal([*COMMAND, *arguments], environment | (env or {}), tmp_path))
        return opened[-1]

    yield opener
    for each in opened:
        each.close()
