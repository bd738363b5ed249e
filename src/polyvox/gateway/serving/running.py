"""One worker: begins the application, serves it, and stops in order when it is told to.

The first signal stops accepting; calls that are under way go on for ``drain_seconds``; then they end with
what they have; then the application closes. A second signal ends the process at once: whatever was
recorded is in the journal, which takes no harm.
"""

import asyncio
import atexit
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from polyvox.gateway.serving.lifespan import Lifespan
from polyvox.gateway.serving.servers import Server, server_of
from polyvox.gateway.serving.worker import MakeApp, Serving, Worker

__all__ = ["run_worker"]

_STOPS = (signal.SIGTERM, signal.SIGINT)
_GRACE_SECONDS = 5.0
_TURN_SECONDS = 0.000_5


def run_worker(
    make_app: MakeApp,
    worker: Worker,
    listening: socket.socket,
    serving: Serving,
    on_ready: Callable[[], None],
    *,
    stops: tuple[signal.Signals, ...] = _STOPS,
) -> int:
    """Serve until a signal comes; the process's exit code. To be called in the main thread.

    Raises what the application raises when it begins, and ``ConfigurationError`` without the server.
    """
    code = _run(_Running(make_app, worker, listening, serving).run(on_ready, stops))
    if serving.server == "granian":
        _end_before_the_interpreter(code)
    return code


def _run(main: Coroutine[Any, Any, int]) -> int:
    """On uvloop, where there is one."""
    if find_spec("uvloop") is None:
        return asyncio.run(main)
    uvloop: Any = import_module("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


class _Running:
    """A worker from its beginning to its end."""

    def __init__(
        self, make_app: MakeApp, worker: Worker, listening: socket.socket, serving: Serving
    ) -> None:
        self._make_app = make_app
        self._worker = worker
        self._listening = listening
        self._serving = serving
        self._told = asyncio.Event()

    async def run(self, on_ready: Callable[[], None], stops: tuple[signal.Signals, ...]) -> int:
        self._handle(stops)
        app = self._make_app(self._worker)
        lifespan = Lifespan(app)
        await lifespan.begin()
        try:
            server = server_of(self._serving.server, app, self._listening)
            await self._serve(server, on_ready)
        finally:
            async with asyncio.timeout(self._serving.close_seconds):
                await lifespan.end()
        return 0

    async def _serve(self, server: Server, on_ready: Callable[[], None]) -> None:
        serving = asyncio.create_task(server.serve())
        told = asyncio.create_task(self._told.wait())
        await asyncio.sleep(0)
        _stay_out_of_the_way()
        _take_short_turns()
        on_ready()  # the kernel takes connections since the socket listens; now they are answered
        await asyncio.wait((serving, told), return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if not serving.done():
            server.stop()
            await self._drained(serving)
        else:
            await serving
            raise RuntimeError("the server stopped by itself")

    async def _drained(self, serving: "asyncio.Task[None]") -> None:
        _end_after(self._serving.longest + _GRACE_SECONDS)
        await asyncio.wait((serving,), timeout=self._serving.drain_seconds)
        if not serving.done():
            loop = asyncio.get_running_loop()
            loop.call_soon(
                self._worker.cut.set, "the gateway is being stopped, and this took too long"
            )
            await asyncio.wait((serving,), timeout=self._serving.cut_seconds)
        if not serving.done():  # somebody who does not read, or keeps a WebSocket open
            serving.cancel()
            await asyncio.wait((serving,), timeout=1)

    def _handle(self, stops: tuple[signal.Signals, ...]) -> None:
        loop = asyncio.get_running_loop()

        def stop(number: int) -> None:
            if self._told.is_set():
                os._exit(128 + number)
            self._told.set()  # first: a listener of the other one may fail
            self._worker.draining.set("the gateway is being stopped")

        for each in stops:
            loop.add_signal_handler(each, stop, int(each))
        if hasattr(signal, "SIGHUP"):
            # The application may put it there later.
            loop.add_signal_handler(signal.SIGHUP, lambda: self._worker.hangup())  # noqa: PLW0108


def _stay_out_of_the_way() -> None:
    """Have the garbage collector look less often, and not at what was there before the first request.

    Nearly everything that a request makes is freed without it. To look through all modules, keys and
    prices again and again took a tenth of each request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _take_short_turns() -> None:
    """Have a thread that wants the interpreter get it soon, not after Python's own five milliseconds.

    granian's thread wants it several times for each request, and again for each piece of a body:
    beside a busy event loop those waits came to half a second. Under uvicorn it is the loop that
    waits, for the threads that read large bodies and write things down.
    """
    sys.setswitchinterval(_TURN_SECONDS)


def _end_before_the_interpreter(code: int) -> None:
    """At the end of the program, end it before the interpreter is taken down.

    granian's threads live until then, and one that still asks for the interpreter aborts the process.
    """

    def leave() -> None:
        atexit.unregister(leave)
        atexit._run_exitfuncs()  # all others first  # pyright: ignore[reportPrivateUsage]
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)

    atexit.register(leave)


def _end_after(seconds: float) -> None:
    """Whatever hangs while the process stops, it ends: whoever stops it may be waiting."""
    last = threading.Timer(seconds, os._exit, (1,))
    last.daemon = True
    last.start()
