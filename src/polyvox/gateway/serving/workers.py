"""Several workers: processes of one gateway, started and watched by one that serves nothing itself.

What they share: the address, the configuration, the data folder, the database, and Redis if there is
one. What they don't: calls under way, caches in memory, and budgets and limits without Redis.

A worker that dies is replaced, while connections wait at its socket. One that dies again and again
ends the gateway, so that whoever runs it sees that.
"""

import multiprocessing
import multiprocessing.connection as connections
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Literal

import msgspec

from polyvox.errors import PolyvoxError, error_from_dict
from polyvox.gateway.serving.listening import Bound
from polyvox.gateway.serving.running import run_worker
from polyvox.gateway.serving.worker import MakeApp, Serving, Worker

__all__ = ["run_workers"]

_MOST_DEATHS, _DEATH_SECONDS = 5, 60.0
_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)


class _Said(msgspec.Struct):
    """What a worker tells: that it serves, or why it could not begin."""

    what: Literal["ready", "failed"]
    error: dict[str, Any] = {}


class _Process(msgspec.Struct):
    """A worker's process, and the line on which it tells how it goes."""

    number: int
    process: BaseProcess
    line: Connection
    ready: bool = False


def run_workers(
    make_app: MakeApp, bound: Bound, serving: Serving, on_ready: Callable[[], None]
) -> int:
    """Run a worker on each of the sockets until a signal comes; the exit code.

    Raises what a worker raised that could not begin, after the others were stopped.
    """
    return _Workers(make_app, bound, serving, on_ready).run()


class _Workers:
    def __init__(
        self, make_app: MakeApp, bound: Bound, serving: Serving, on_ready: Callable[[], None]
    ) -> None:
        self._make_app = make_app
        self._bound = bound
        self._serving = serving
        self._on_ready = on_ready
        self._processes: dict[int, _Process] = {}
        self._deaths: deque[float] = deque()
        self._announced = False
        self._stopping = 0.0
        self._code = 0
        self._failure: PolyvoxError | None = None
        self._wake, self._woken = socket.socketpair()

    def run(self) -> int:
        """Watch over them until all have ended."""
        with self._wake, self._woken, _Signals(self._woken):
            for number in range(1, len(self._bound.sockets) + 1):
                self._start(number)
            while self._processes:
                self._watch()
        if self._failure is not None:
            raise self._failure
        return self._code

    def _start(self, number: int) -> None:
        ours, theirs = multiprocessing.Pipe()
        arguments = (
            self._make_app,
            number,
            len(self._bound.sockets),
            self._bound.sockets[number - 1],
            self._serving,
            theirs,
        )
        # Not forked: this process may have threads, and what they hold would stay held.
        process = multiprocessing.get_context("spawn").Process(
            target=_work, args=arguments, name=f"polyvox-worker-{number}"
        )
        process.start()
        theirs.close()
        self._processes[number] = _Process(number, process, ours)

    def _watch(self) -> None:
        """Wait until something happens, and see to it."""
        lines = {each.line: each for each in self._processes.values()}
        left = self._stopping and max(0.0, self._stopping - time.monotonic())
        happened = connections.wait(
            [self._wake, *lines], left or None if not self._stopping else left
        )
        if not happened and self._stopping:
            self._kill()
        for each in happened:
            if each is self._wake:
                for number in self._wake.recv(64):
                    self._signalled(number)
            else:
                self._heard(lines[each])  # pyright: ignore[reportArgumentType]

    def _heard(self, worker: _Process) -> None:
        try:
            said = msgspec.msgpack.decode(worker.line.recv_bytes(), type=_Said)
        except (EOFError, OSError):
            self._ended(worker)
            return
        if said.what == "failed":
            self._failure = self._failure or error_from_dict(said.error)
            return
        worker.ready = True
        well = not self._stopping and self._failure is None
        if well and not self._announced and all(each.ready for each in self._processes.values()):
            self._announced = True
            try:
                self._on_ready()
            except PolyvoxError as error:
                self._failure = error
                self._stop()

    def _ended(self, worker: _Process) -> None:
        worker.process.join()
        worker.line.close()
        del self._processes[worker.number]
        code = worker.process.exitcode or 0
        if self._stopping:
            self._code = self._code or abs(code)
        elif not worker.ready or self._too_often():
            self._code = abs(code) or 1
            self._stop()
        else:
            time.sleep(_PAUSES[min(len(self._deaths), len(_PAUSES)) - 1])
            self._start(worker.number)

    def _too_often(self) -> bool:
        now = time.monotonic()
        self._deaths.append(now)
        while now - self._deaths[0] > _DEATH_SECONDS:
            self._deaths.popleft()
        return len(self._deaths) > _MOST_DEATHS

    def _signalled(self, number: int) -> None:
        if number == getattr(signal, "SIGHUP", None):
            self._tell(number)
        elif self._stopping:
            self._kill()
            os._exit(128 + number)
        else:
            self._stop()

    def _stop(self) -> None:
        self._stopping = time.monotonic() + self._serving.longest + 10.0
        self._bound.close()
        self._tell(signal.SIGTERM)

    def _tell(self, number: int) -> None:
        for each in self._processes.values():
            if each.process.pid is not None and each.process.is_alive():
                os.kill(each.process.pid, number)

    def _kill(self) -> None:
        for each in self._processes.values():
            each.process.kill()


class _Signals:
    """While this is open, signals come as bytes on a socket: nothing is done in a handler."""

    def __init__(self, woken: socket.socket) -> None:
        self._woken = woken
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        self._woken.setblocking(False)
        names = ("SIGTERM", "SIGINT", "SIGHUP")
        for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
            self._before[number] = signal.signal(number, _nothing)
        self._fd = signal.set_wakeup_fd(self._woken.fileno())

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._fd)
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _nothing(number: int, frame: FrameType | None) -> None:
    """A handler that is there so that the signal does not do what it would do without one."""


def _work(
    make_app: MakeApp,
    number: int,
    count: int,
    listening: socket.socket,
    serving: Serving,
    line: Connection,
) -> None:
    """A worker's process. Ctrl-C comes to all processes of a terminal: the one that watches tells us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def say(said: _Said) -> None:
        line.send_bytes(msgspec.msgpack.encode(said))

    worker = Worker(number=number, count=count)
    threading.Thread(target=_follow, args=(line,), daemon=True).start()
    try:
        code = run_worker(
            make_app,
            worker,
            listening,
            serving,
            lambda: say(_Said("ready")),
            stops=(signal.SIGTERM,),
        )
    except PolyvoxError as error:
        say(_Said("failed", error.to_dict()))
        code = 1
    raise SystemExit(code)


def _follow(line: Connection) -> None:
    """When the process that watches is gone, this one stops too: nobody else would tell it to."""
    try:
        line.recv_bytes()
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)
