"""`import polyvox` costs what the standard library costs: it loads almost nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src"

HEAVY = {
    "aiohttp",
    "asyncio",
    "concurrent",
    "dataclasses",
    "email",
    "http",
    "inspect",
    "json",
    "logging",
    "msgspec",
    "re",
    "socket",
    "ssl",
    "threading",
    "tomllib",
    "typing",
    "urllib",
}


def modules_loaded_by(statement: str) -> set[str]:
    """Names of the modules that `statement` adds to those of a bare interpreter."""
    return set(
        told_by(
            "import sys; before = set(sys.modules)\n"
            f"{statement}\n"
            "print('\\n'.join(set(sys.modules) - before))"
        ).split()
    )


def told_by(code: str) -> str:
    """What a bare interpreter prints that runs this."""
    # An empty environment: neither coverage nor a user's settings may load modules of their own.
    # -S leaves out site, so that no .pth file has loaded anything beforehand either.
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_importing_polyvox_loads_nothing_heavy():
    loaded = modules_loaded_by("import polyvox")
    assert "polyvox" in loaded
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()


def test_importing_polyvox_loads_only_the_front_door():
    ours = {name for name in modules_loaded_by("import polyvox") if name.startswith("polyvox.")}
    assert len(ours) <= 2, ours


def test_listing_the_public_names_loads_nothing_more():
    loaded = modules_loaded_by("import polyvox; dir(polyvox); polyvox.__all__")
    assert loaded == modules_loaded_by("import polyvox")


@pytest.mark.parametrize("module", sorted(HEAVY))
def test_the_measurement_would_notice(module: str):
    assert module in modules_loaded_by(f"import sys; sys.path += {sys.path!r}; import {module}")


@pytest.mark.parametrize(
    ("statement", "most"),
    [("import polyvox", 1 << 20), ("from polyvox import *", 30 << 20)],
    ids=["the package", "everything it has"],
)
def test_importing_takes_little_memory(statement: str, most: int):
    code = f"import sys, tracemalloc; sys.path += {sys.path!r}; tracemalloc.start()\n{statement}\n"
    assert 0 < int(told_by(code + "print(tracemalloc.get_traced_memory()[1])")) < most
