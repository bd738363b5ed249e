"""Serve an application, in this process or in several."""

import os
from collections.abc import Callable

from polyvox.errors import ConfigurationError
from polyvox.gateway.serving.listening import Bound
from polyvox.gateway.serving.running import run_worker
from polyvox.gateway.serving.servers import check_server
from polyvox.gateway.serving.worker import MakeApp, Serving, Worker
from polyvox.gateway.serving.workers import run_workers

__all__ = ["serve"]


def serve(make_app: MakeApp, bound: Bound, serving: Serving, on_ready: Callable[[], None]) -> int:
    """Serve on these sockets until a signal comes, with a worker for each; the process's exit code.

    ``on_ready`` is called once, when all workers serve. Raises what the application raises when it
    begins, and ``ConfigurationError`` without the server's package.
    """
    check_server(serving.server)
    if len(bound.sockets) == 1:
        return run_worker(make_app, Worker(), bound.sockets[0], serving, on_ready)
    if os.name == "nt":
        raise ConfigurationError(
            "several workers need a Unix", hint="Say workers = 1, or run several gateways."
        )
    return run_workers(make_app, bound, serving, on_ready)
