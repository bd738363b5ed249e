"""``tools/make_native.py``: the wheel is built once, where it can be, and what can't be is said."""

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

PYTHON = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/../calls"
exit {status}
"""


@pytest.fixture
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_native", ROOT / "tools/make_native.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Checkout:
    """A crate and an environment whose Python writes down how it was called."""

    def __init__(self, tool: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tool, self.root, self.patch = tool, root, monkeypatch
        self.source = root / "native" / "src" / "lib.rs"
        self.source.parent.mkdir(parents=True)
        self.source.write_text("// one")
        (root / "native" / "Cargo.toml").write_text("[package]")
        (root / ".venv" / "bin").mkdir(parents=True)
        self.python()
        self.builds = 0
        self.cargo(there=True)
        self.building(works=True)

    def python(self, *, status: int = 0) -> None:
        program = self.root / ".venv" / "bin" / "python"
        program.write_text(PYTHON.format(status=status))
        program.chmod(0o755)

    def cargo(self, *, there: bool) -> None:
        self.patch.setattr(shutil, "which", lambda name: f"/bin/{name}" if there else None)
        self.patch.setattr(self.tool, "find_spec", lambda name: name)

    def building(self, *, works: bool) -> None:
        def run(command: list[str], **settings: Any) -> Any:
            self.builds += 1
            if works:
                Path(command[command.index("--out") + 1], "polyvox_native-1.whl").touch()
            return type("Done", (), {"returncode": 0 if works else 1, "stdout": b"error: oh no\n"})

        real = self.tool.subprocess.run
        self.patch.setattr(
            self.tool.subprocess,
            "run",
            lambda command, **more: (run if "maturin" in command else real)(command, **more),
        )

    def make(self, *options: str) -> int:
        return self.tool.main([*options, ".venv", ".venv-absent"], self.root)

    def asked_of_pip(self) -> list[str]:
        """What was done since this was last looked at, each with what it was done to."""
        calls = self.root / ".venv" / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        words = [line.partition("--no-input ")[2].split() for line in lines]
        return [f"{each[0]} {Path(each[-1]).name}" for each in words]


INSTALLED = ["install polyvox_native-1.whl"]
UNINSTALLED = ["uninstall polyvox-native"]


@pytest.fixture
def checkout(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    return Checkout(tool, tmp_path, monkeypatch)


def test_it_is_built_and_installed_once(checkout: Checkout):
    assert checkout.make() == 0
    assert checkout.asked_of_pip() == INSTALLED
    assert checkout.make() == 0
    assert (checkout.asked_of_pip(), checkout.builds) == ([], 1)


@pytest.mark.parametrize("name", ["Cargo.toml", "src/lib.rs", "src/more.rs", "polyvox_native.pyi"])
def test_it_is_built_again_when_a_source_changes(checkout: Checkout, name: str):
    checkout.make()
    with (checkout.root / "native" / name).open("a") as file:
        file.write("// more")
    checkout.asked_of_pip()
    checkout.make()
    assert (checkout.asked_of_pip(), checkout.builds) == (INSTALLED, 2)
    assert len(list(checkout.root.rglob("*.whl"))) == 1, "the old wheel is of no use"


def test_what_cargo_leaves_behind_is_no_source(checkout: Checkout):
    checkout.make()
    for name in ("Cargo.lock", "target/release/build/out.rs"):
        path = checkout.root / "native" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("made")
    checkout.make()
    assert checkout.builds == 1


def test_without_cargo_that_is_said_once_and_is_no_failure(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
):
    checkout.cargo(there=False)
    assert checkout.make() == 0
    assert "polyvox-native is not there: cargo is not." in capsys.readouterr().out
    assert checkout.make() == 0
    assert capsys.readouterr().out == ""
    assert (checkout.asked_of_pip(), checkout.builds) == ([], 0)
    checkout.cargo(there=True)
    checkout.make()
    assert checkout.asked_of_pip() == INSTALLED


def test_without_cargo_a_wheel_of_these_sources_stays_and_one_of_others_goes(checkout: Checkout):
    checkout.make()
    checkout.cargo(there=False)
    checkout.asked_of_pip()
    checkout.make()
    assert checkout.asked_of_pip() == []
    checkout.source.write_text("// two")
    checkout.make()
    assert checkout.asked_of_pip() == UNINSTALLED


def test_a_build_that_fails_is_said_kept_and_not_tried_again(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
):
    checkout.building(works=False)
    assert checkout.make() == 0
    shown = capsys.readouterr().out
    assert "error: oh no" in shown
    log = next(checkout.root.rglob("failed.log"))
    assert f"it did not build, see {log.relative_to(checkout.root)}." in shown
    assert "error: oh no" in log.read_text()
    assert checkout.make() == 0
    assert (capsys.readouterr().out, checkout.builds) == ("", 1)


def test_who_insists_has_it_tried_again_and_fails_if_it_fails(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
):
    checkout.building(works=False)
    assert (checkout.make("--insist"), checkout.make("--insist")) == (1, 1)
    assert "it did not build" in capsys.readouterr().err
    checkout.building(works=True)
    assert checkout.make("--insist") == 0
    assert checkout.asked_of_pip() == INSTALLED


def test_a_wheel_that_cannot_be_installed_is_tried_again(checkout: Checkout):
    checkout.python(status=1)
    assert (checkout.make(), checkout.make("--insist")) == (0, 1)
    checkout.python()
    checkout.asked_of_pip()
    assert checkout.make() == 0
    assert (checkout.asked_of_pip(), checkout.builds) == (INSTALLED, 1)


def test_the_crate_is_not_looked_at_without_cargo(checkout: Checkout):
    checkout.cargo(there=False)
    assert checkout.tool.main(["--check"], checkout.root) == 0


def test_every_dependency_of_the_crate_is_pinned(read_toml: Callable[[str], dict[str, Any]]):
    """There is no lock file: what is built must be what was tested."""
    wanted = read_toml("native/Cargo.toml")["dependencies"]
    versions = {
        name: each if isinstance(each, str) else each["version"] for name, each in wanted.items()
    }
    assert {name for name, version in versions.items() if not version.startswith("=")} == set()


def test_crate_and_wheel_have_the_version_of_the_package(
    read_toml: Callable[[str], dict[str, Any]],
):
    version = read_toml("pyproject.toml")["project"]["version"]
    assert read_toml("native/Cargo.toml")["package"]["version"] == version
    assert read_toml("native/pyproject.toml")["project"]["version"] == version


@pytest.fixture
def read_toml() -> Callable[[str], dict[str, Any]]:
    import tomllib

    return lambda name: tomllib.loads((ROOT / name).read_text(encoding="utf-8"))
