"""A small application, and the program that serves it: what the tests start as a process of its own."""

import asyncio
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from polyvox.errors import ConfigurationError
from polyvox.gateway.serving.listening import bind
from polyvox.gateway.serving.serve import serve
from polyvox.gateway.serving.worker import Serving, Worker
from polyvox.gateway.web.asgi import ASGIApp


def tell(folder: Path, what: str) -> None:
    """Leave a mark that a test can look for; whole at once."""
    aside = folder / f"{what}.{os.getpid()}"
    aside.write_text(str(os.getpid()))
    aside.replace(folder / what)
    with (folder / "marks").open("w") as marks:
        marks.write(f"{what}\n")


def make_app(folder: Path, mode: str, worker: Worker) -> ASGIApp:
    """Answers who it is; ``/hold`` when it may, or when the worker is cut off; ``/hang`` never."""
    if mode == "broken" or (mode == "second-broken" and worker.number == 2):
        raise ConfigurationError("this can't begin", hint="Try another one.")
    cut = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        path = scope["path"]
        if path == "/die":
            os._exit(9)
        if path in ("/hold", "/hang"):
            await send({"type": "http.response.body", "body": b"held\n", "more_body": True})
            await hold(folder) if path == "/hang" else await released(folder, cut)
        about = {
            "number": worker.number,
            "count": worker.count,
            "pid": os.getpid(),
            "turn": sys.getswitchinterval(),
            "draining": worker.draining.is_set,
            "cut": worker.cut.is_set,
        }
        await send({"type": "http.response.body", "body": json.dumps(about).encode()})

    async def lifespan(receive: Any, send: Any) -> None:
        await receive()
        loop = asyncio.get_running_loop()
        worker.cut.listen(lambda: loop.call_soon_threadsafe(cut.set))
        worker.draining.listen(lambda: tell(folder, f"draining-{os.getpid()}"))
        worker.hangup = lambda: tell(folder, f"hangup-{worker.number}")
        tell(folder, f"began-{worker.number}")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        tell(folder, f"closed-{worker.number}")
        await send({"type": "lifespan.shutdown.complete"})

    return app


async def hold(folder: Path) -> None:
    tell(folder, "hanging")
    await asyncio.Event().wait()


async def released(folder: Path, cut: asyncio.Event) -> None:
    """Until the test writes into the pipe "release", or the worker is cut off."""
    loop = asyncio.get_running_loop()
    pipe = os.open(folder / "release", os.O_RDONLY | os.O_NONBLOCK)
    loop.add_reader(pipe, lambda: (loop.remove_reader(pipe), cut.set()))
    tell(folder, "held")
    await cut.wait()


def main() -> int:
    folder, mode, workers = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    serving = Serving(**json.loads(sys.argv[4]))
    bound = bind("127.0.0.1", 0, workers)
    try:
        return serve(
            partial(make_app, folder, mode), bound, serving, lambda: print(bound.port, flush=True)
        )
    except ConfigurationError as error:
        print(f"refused: {error}", flush=True)
        return 3


if __name__ == "__main__":
    raise SystemExit(main())
