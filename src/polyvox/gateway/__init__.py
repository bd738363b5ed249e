"""The gateway: one service that components share. Any dialect in, any model behind it.

    web/         HTTP as values: what came, what goes out
    asking/      the path of a call: who asks, may they, who answers, what is told, what is settled
    tenants/     organisations, teams, keys: who may do what, in memory, from the database
    journal/     what is written down of each call before its last byte, and how it gets into the database
    database/    SQLite or PostgreSQL: tables, migrations, reports of usage
    contexts/    conversations that the gateway keeps
    prompts/     templates of prompts, with versions
    live/        many calls over one WebSocket; agents
    batches/     files of requests, worked off in the background
    operations/  health, metrics, admission, draining, reloading
    serving/     the process: what listens, workers, signals
    openapi/     the document that describes it all

    gateway.py     all of it in one worker: ``Gateway``
    records.py     ... what is kept of calls
    shared.py      ... what all workers share in the database
    configured.py  ... what is made anew with the configuration
    app.py         the way of a request to its room

Belongs here: what a service adds to a library. Does not belong here: any wire format (``dialects``), any
policy that a program without a gateway would want too (``limits``, ``routing``, ``caching``).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyvox.gateway.gateway import Gateway as Gateway
    from polyvox.gateway.gateway import application_of as application_of

__all__ = ["Gateway", "application_of"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("polyvox.gateway.gateway"), name)
