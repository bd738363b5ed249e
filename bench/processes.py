"""Fresh processes, and what they cost: the server, the contenders, small programs."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src"
_SECONDS = 300


class CrashError(Exception):
    """A contender ended otherwise than it should; the text is the end of what it said."""


class Interpreter(NamedTuple):
    """A Python with its packages; ``paths`` is what ``-S`` has to be given back."""

    executable: str
    paths: str

    @classmethod
    def at(cls, executable: str | Path) -> "Interpreter":
        code = (
            "import sys; print(*(path for path in sys.path if 'site-packages' in path), sep='\\n')"
        )
        found = subprocess.run(
            [executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split("\n")
        paths = os.pathsep.join([str(SRC), str(ROOT), *filter(None, found)])
        return cls(str(executable), paths)

    def has(self, package: str) -> bool:
        code = f"import importlib.util, sys; sys.exit(not importlib.util.find_spec({package!r}))"
        return subprocess.run([self.executable, "-c", code], check=False).returncode == 0


HERE = Interpreter.at(sys.executable)


class Loopback(NamedTuple):
    """The server's address, and the file through which readers tell how far they are."""

    url: str
    counter: str


@contextmanager
def loopback() -> Generator[Loopback]:
    """The server, as long as the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        counter = Path(folder, "counter")
        counter.write_bytes(bytes(8))
        with serving("bench.server", str(counter)) as url:
            yield Loopback(url, str(counter))


@contextmanager
def serving(module: str, *arguments: str) -> Generator[str]:
    """A module of ours that prints its address, and serves as long as the block runs; the address."""
    server = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**clean_environment(), "PYTHONPATH": os.pathsep.join([str(SRC), str(ROOT)])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            if not (url := server.stdout.readline().strip()):
                raise CrashError(f"{module} did not begin to serve")
            yield url
        finally:
            server.stdin.close()
            server.wait(10)


class Reading(NamedTuple):
    """What one contender's process told: microseconds for each answer, and what it ran on."""

    cpu_us: list[float]
    wall_us: list[float]
    reads: int | None
    versions: dict[str, str]


def read_answers(
    python: Interpreter, server: Loopback, contender: str, prompt: str, warm_up: str, times: int
) -> Reading:
    """One contender reads so many answers in a process of its own. Raises ``CrashError``.

    With ``times`` 0 the reads are counted which the warm-up takes, and nothing is measured.
    """
    pieces = prompt.rpartition(" ")[2]
    arguments = [contender, *server, prompt, pieces, str(times), warm_up]
    env = {**clean_environment(), "PYTHONPATH": os.pathsep.join([str(SRC), str(ROOT)])}
    try:
        done = subprocess.run(
            [python.executable, "-m", "bench.reader", *arguments],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CrashError(f"nothing within {_SECONDS} s") from error
    if done.returncode:
        raise CrashError(_last_words(done.stderr))
    return Reading(**json.loads(done.stdout.splitlines()[-1]))


class Spent(NamedTuple):
    """What one small program took, from its start to its end."""

    cpu_ms: float
    max_rss_mb: float
    output: str


def run_code(python: Interpreter, code: str) -> Spent:
    """Run code under ``-S``, in an empty environment with only the paths it needs. Raises ``CrashError``.

    ``-S`` leaves out site and its .pth files, which differ from one environment to the next.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            [python.executable, "-S", "-c", code],
            cwd=ROOT,
            env={**clean_environment(), "PYTHONPATH": python.paths},
            stdout=output,
            stderr=errors,
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if child.returncode:
            raise CrashError(_last_words(errors.read().decode()))
        rss_kb = used.ru_maxrss / 1024 if sys.platform == "darwin" else used.ru_maxrss
        cpu_ms = (used.ru_utime + used.ru_stime) * 1e3
        return Spent(cpu_ms, rss_kb / 1024, output.read().decode())


def clean_environment() -> dict[str, str]:
    """Neither keys nor addresses nor proxies of the user may change what is measured.

    Nor may the wheel polyvox-native, where it is installed, if a contender does not ask for it.
    """
    kept: Iterable[str] = ("PATH", "HOME", "TMPDIR", "LANG", "SYSTEMROOT")
    found = {name: os.environ[name] for name in kept if name in os.environ}
    return {**found, "POLYVOX_TRANSPORT": "aiohttp"}


def _last_words(errors: str) -> str:
    return (errors.strip().splitlines() or ["no message"])[-1]
