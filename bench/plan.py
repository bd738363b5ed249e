"""How much is measured, and whom."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from bench.contenders import GATEWAYS
from bench.processes import HERE, ROOT, CrashError, Interpreter


class Contender(NamedTuple):
    """Somebody to measure: a module of ``bench.contenders`` under some Python."""

    name: str
    python: Interpreter


class GatewayPython(NamedTuple):
    """Under which Python each gateway is; "" where it is nowhere."""

    polyvox: str
    litellm: str
    tensorzero: str


class Plan:
    """Sizes and contenders of one run; notes down who crashed and who was not there."""

    def __init__(
        self, *, quick: bool = False, chunks: int | None = None, only: list[str] | None = None
    ):
        self.chunks = chunks or (500 if quick else 5000)
        self.rounds = 1 if quick else 3
        self.answers = 1 if quick else 3
        self.starts = 3 if quick else 25
        self.calls = 20 if quick else 300
        self.encodings = 5 if quick else 100
        self.choices = 200 if quick else 2_000
        self.passed = 320 if quick else 32_000
        self.crowd = (20, 10) if quick else (1000, 500)
        self.quick = quick
        self.contenders = list(_contenders(only))
        self.agents, self.absent = _agents(only)
        self.gateways = [name for name in GATEWAYS if only is None or name in only]
        self.crashes: list[str] = []

    def named(self, *names: str) -> list[Contender]:
        """Those of these names that take part, in this order."""
        return [each for name in names for each in self.contenders if each.name == name]

    def layer_calls(self, name: str) -> tuple[int, int]:
        """Rounds, and calls of one chunk in each, for every layer of a contender."""
        if self.quick:
            return 3, 5
        return (35, 100) if name == "polyvox" else (9, 20)

    def layer_streams(self, name: str) -> tuple[int, int]:
        """Rounds, and long answers in each, for every layer of a contender."""
        return (3 if self.quick else 15 if name == "polyvox" else 7), 1

    def agent_turns(self, name: str) -> tuple[int, int, int]:
        """Rounds, and turns of an agent in each, behind a short conversation and behind a long one."""
        if self.quick:
            return (2, 3, 3) if name == "polyvox" else (1, 2, 1)
        return (15, 20, 20) if name == "polyvox" else (3, 10, 2)

    def panel_rounds(self, name: str) -> tuple[int, int, int]:
        """Rounds of short answers, of long ones, and of those that are timed by the clock."""
        if self.quick:
            return 1, 1, 1
        return (21, 7, 5) if name == "polyvox" else (3, 0, 3)

    @cached_property
    def gateway_python(self) -> GatewayPython:
        """Each where its packages are."""
        pythons = [HERE, *filter(None, map(_other_python, (".venv", ".venv-peers")))]

        def where(*packages: str) -> str:
            found = (each for each in pythons if all(map(each.has, packages)))
            return next((each.executable for each in found), "")

        ours = where("polyvox", "uvicorn", "starlette", "sqlalchemy", "alembic", "httptools")
        return GatewayPython(ours, where("litellm", "fastapi"), where("tensorzero"))

    @contextmanager
    def survives(self, what: str) -> Iterator[None]:
        """A crash inside costs its row, and the run its exit status, but not the other rows."""
        say(what)
        try:
            yield
        except CrashError as crash:
            self.crashes.append(f"{what}: {crash}")
            say(f"{what} crashed: {crash}")


_PACKAGE = {
    "openai": "openai",
    "anthropic": "anthropic",
    "litellm": "litellm",
    "pydantic-ai": "pydantic_ai",
    "openai-agents": "agents",
    "smolagents": "smolagents",
    "tiny-agent-os": "tinyagent",
}
_OUR_WHEEL = {"polyvox native": "polyvox_native"}


def _contenders(only: list[str] | None) -> Iterator[Contender]:
    from bench.contenders import NAMES

    newer, peers = map(_other_python, (".venv", ".venv-peers"))
    for name in NAMES if only is None else filter(NAMES.__contains__, only):
        package = _PACKAGE.get(name)
        needed = package or _OUR_WHEEL.get(name)
        found = [HERE] if needed is None or HERE.has(needed) else []
        # LiteLLM holds its environment at an older openai; the newest is measured where it is.
        if package is not None and newer is not None and newer.has(package):
            found.append(newer)
        if package is not None and peers is not None and not found and peers.has(package):
            found.append(peers)
        yield from (Contender(name, python) for python in found)


def _agents(only: list[str] | None) -> tuple[list[Contender], list[str]]:
    """Whose agents take part, each where it is installed; and who is nowhere."""
    from bench.contenders import AGENTS

    pythons = [HERE, *filter(None, map(_other_python, (".venv", ".venv-peers")))]
    found: list[Contender] = []
    absent: list[str] = []
    for name in AGENTS if only is None else filter(AGENTS.__contains__, only):
        package = _PACKAGE.get(name)
        python = next((each for each in pythons if package is None or each.has(package)), None)
        if python is None:
            absent.append(name)
        else:
            found.append(Contender(name, python))
    return found, absent


def _other_python(folder: str) -> Interpreter | None:
    """An environment of the project, ``.venv`` being that of ``make setup``, unless this is it."""
    python = ROOT / folder / "bin" / "python"
    if not python.exists() or Path(sys.prefix) == ROOT / folder:
        return None
    return Interpreter.at(python)


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(f"  {text}", file=sys.stderr, flush=True)
