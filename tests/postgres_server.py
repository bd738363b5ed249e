"""A PostgreSQL of the tests' own, on a free port of the loopback, whose data nobody keeps.

A folder's ``conftest.py`` takes the fixtures: ``from postgres_server import *``.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest

__all__ = ["Postgres", "postgres", "postgres_url", "start_postgres"]

PROGRAMS = ("initdb", "pg_ctl")
MISSING = "PostgreSQL is not installed; on Debian: apt install postgresql"
USER = "polyvox"
PASSWORD = "canary-Pa55word"
FAST = {  # no data is meant to outlive a crash of the machine
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
}


class Postgres:
    """The server, while the context lasts. It can be stopped and started again at the same port."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = tempfile.TemporaryDirectory(prefix="polyvox-postgres-")
        self._data = Path(self._folder.name) / "data"
        self._user = _unprivileged()
        self._numbers = count()
        self._watcher: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    def url(self, database: str) -> str:
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty one."""
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def copy_of(self, url: str) -> str:
        """The URL of a database with the same in it; nobody may be connected to the first."""
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {url.rpartition('/')[2]}")
        return self.url(name)

    def drop(self, url: str) -> None:
        self.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def execute(self, statement: Any) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def start(self) -> None:
        """Come back when it can be used."""
        options = " ".join(f"-c {name}={value}" for name, value in FAST.items())
        log = str(self._data / "log")
        self._run(
            "pg_ctl", "start", "-w", "-D", self._data, "-l", log, "-o", f"-p {self.port} {options}"
        )

    def stop(self) -> None:
        """At once, whatever is under way."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", self._data)

    def __enter__(self) -> Self:
        if self._user is not None:
            shutil.chown(self._folder.name, self._user)
        secret = Path(self._folder.name) / "password"
        secret.write_text(PASSWORD, encoding="utf-8")
        secret.chmod(0o644)
        options = ["--no-sync", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C"]
        self._run("initdb", "-D", self._data, "-U", USER, f"--pwfile={secret}", *options)
        self._watch()
        try:
            self.start()
        except RuntimeError:  # somebody took the port meanwhile
            self.port = _free_port()
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if (self._data / "postmaster.pid").exists():
            self.stop()
        if self._watcher is not None:
            self._watcher.communicate()
        self._folder.cleanup()

    def _watch(self) -> None:
        """The server ends also with a test run that was killed: somebody reads from us until we are gone."""
        ends = 'cat; "$0" stop -m immediate -D "$1"; rm -rf "$1"'
        self._watcher = subprocess.Popen(
            ["sh", "-c", ends, str(self._programs / "pg_ctl"), str(self._data)],
            user=self._user,
            cwd=self._folder.name,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(  # noqa: PLW1510
            [str(self._programs / program), *map(str, arguments)],
            user=self._user,
            cwd=self._folder.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,  # a pipe would stay open with the server
            text=True,
        )
        if done.returncode:
            log = self._data / "log"
            said = log.read_text(encoding="utf-8") if log.exists() else done.stdout
            raise RuntimeError(f"{program} failed:\n{said}")


def _unprivileged() -> str | None:
    """The server refuses to run as root."""
    return "nobody" if hasattr(os, "geteuid") and os.geteuid() == 0 else None


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _programs() -> Path | None:
    """The newest there are; Debian keeps them out of the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: len(str(path)))
    found = shutil.which(PROGRAMS[0])
    places = [*reversed(debian), *([Path(found).resolve().parent] if found else [])]
    for place in places:
        if all((place / program).exists() for program in PROGRAMS):
            return place
    return None


def start_postgres() -> Postgres:
    """One that is not started yet. Without the programs the test is skipped, but fails in CI."""
    programs = _programs()
    if programs is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return Postgres(programs)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One for all tests of this process."""
    with start_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """Where an empty database is."""
    url = postgres.new_database()
    yield url
    postgres.drop(url)
