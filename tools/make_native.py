"""Build the wheel polyvox-native from ``native/`` and install it; see "make native" in the docs.

    python tools/make_native.py .venv .venv-bench    whatever can't be done is said and is no failure
    python tools/make_native.py --insist .venv       it is one, and a build that failed is tried again
    python tools/make_native.py --check              formatting, lint and tests of the crate

Runs under the Python that has maturin. A wheel is kept under the digest of its sources: nothing is
built twice, and an environment never holds a wheel of other sources than these.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUST = "Rust (rustup.rs has it)"
WITHOUT = "Python and aiohttp do its work"


class NotThereError(Exception):
    """Why there is no wheel; for whoever reads the terminal."""


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Install into the environments that are named; returns the exit status."""
    if arguments == ["--check"]:
        return check(root / "native")
    insist = "--insist" in arguments
    wheel = None
    try:
        wheel = built_wheel(root / "native", again=insist)
        state = wheel.parent.name
    except NotThereError as error:
        state = f"polyvox-native is not there: {error}"
    names = [name for name in arguments if not name.startswith("--")]
    lacking = [name for name in names if not put(wheel, state, root / name)]
    if insist and wheel is None:
        print(state, file=sys.stderr)
    return 1 if insist and (wheel is None or lacking) else 0


def built_wheel(native: Path, *, again: bool = False) -> Path:
    """The wheel of these very sources, built if need be. Raises ``NotThereError``."""
    folder = native / "target" / "wheels" / digest(native)
    found = next(folder.glob("*.whl"), None)
    if found is not None:
        return found
    failed = folder / "failed.log"
    if shutil.which("cargo") is None:
        raise NotThereError(f"cargo is not. {WITHOUT}; install {RUST} to have it.")
    if find_spec("maturin") is None:
        raise NotThereError(f"maturin is not in this environment. {WITHOUT}.")
    if again or not failed.exists():
        print("Building polyvox-native; the first time that takes a minute or two ...", flush=True)
        build(native, folder, failed)
    found = next(folder.glob("*.whl"), None)
    if found is None:
        where = failed.relative_to(native.parent)
        raise NotThereError(f"it did not build, see {where}. {WITHOUT}; 'make native' tries again.")
    return found


def build(native: Path, folder: Path, failed: Path) -> None:
    """Put a wheel into the folder, or what went wrong into the file; wheels of other sources go."""
    if folder.parent.exists():
        shutil.rmtree(folder.parent)
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "maturin", "build", "--release", "--out", str(folder)]
    command += ["--interpreter", sys.executable]
    done = subprocess.run(
        command, cwd=native, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        failed.write_bytes(done.stdout)
        sys.stdout.write(done.stdout.decode(errors="replace")[-2000:])


def put(wheel: Path | None, state: str, environment: Path) -> bool:
    """Have the environment hold this wheel, or none, and say so if that is news to it."""
    python, note = environment / "bin" / "python", environment / ".native"
    before = note.read_text(encoding="utf-8") if note.exists() else ""
    if before == state or not python.exists():
        return True
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    if wheel is None:
        print(state, flush=True)
        if before and " " not in before:  # a digest: what this tool has put there is out of date
            subprocess.run([*pip, "uninstall", "--yes", "polyvox-native"], check=True)
        note.write_text(state, encoding="utf-8")
        return True
    print(f"Installing {wheel.name} into {environment.name} ...", flush=True)
    options = ["--no-index", "--no-deps", "--force-reinstall"]
    if subprocess.run([*pip, "install", *options, wheel], check=False).returncode:
        print(f"It can't be installed there. {WITHOUT}.")
        return False
    note.write_text(state, encoding="utf-8")
    return True


def digest(native: Path) -> str:
    """Of all that a wheel is made of."""
    sources = [path for path in native.rglob("*") if path.is_file() and is_source(path, native)]
    summed = hashlib.sha256()
    for path in sorted(sources):
        name, content = path.relative_to(native).as_posix().encode(), path.read_bytes()
        summed.update(b"%d %b %d %b" % (len(name), name, len(content), content))
    return summed.hexdigest()[:16]


def is_source(path: Path, native: Path) -> bool:
    """Whether a file of the crate has a part in the wheel: no build output, no lock file, no page."""
    inside = path.relative_to(native).parts
    return inside[0] != "target" and path.suffix in {".rs", ".toml", ".pyi"}


def check(native: Path) -> int:
    """Formatting, lint, tests; left out, and said, where a program or the crates are not there."""
    if shutil.which("cargo") is None:
        return 0
    for tool, *options in (["fmt", "--check"], ["clippy", "--release", "--", "--deny=warnings"]):
        if cargo(native, tool, "--version", quiet=True):
            print(f"'cargo {tool}' is not there: native/ is not looked at with it")
        elif tool == "clippy" and cargo(native, "fetch", "--quiet"):
            print("The crates of native/ can't be fetched: no 'cargo clippy', no 'cargo test'")
            return 0
        elif cargo(native, tool, "--quiet", *options):
            print(f"native/: 'cargo {tool}' is not content", file=sys.stderr)
            return 1
    return test(native)


def test(native: Path) -> int:
    """The crate's own tests, which need a Python to be linked with."""
    if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        print("This Python is no shared library: 'cargo test' is left out")
        return 0
    libraries = "DYLD_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"
    places = [sysconfig.get_config_var("LIBDIR"), os.environ.get(libraries)]
    settings = {"PYO3_PYTHON": sys.executable, libraries: os.pathsep.join(filter(None, places))}
    command = ["cargo", "test", "--lib", "--quiet"]
    done = subprocess.run(command, cwd=native, env={**os.environ, **settings}, check=False)
    return min(done.returncode, 1)


def cargo(native: Path, *arguments: str, quiet: bool = False) -> int:
    """The exit status of one of cargo's commands."""
    output = subprocess.DEVNULL if quiet else None
    command = ["cargo", *arguments]
    return subprocess.run(command, cwd=native, stdout=output, stderr=output, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
