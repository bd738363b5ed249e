"""The ledger: what was asked, what came of it, and what it cost.

    tracker = CostTracker()
    with CallLog(SqliteSink("calls.db")) as log:
        model = Logged(Tracked(client.model("openai/gpt-5-mini"), tracker), log)
        reply = client.complete(model, "Why is the sky blue?")
    print(tracker.running_cost)

Belongs here: adding up, writing down and tracing calls that are made anyway; reading it back.
Does not belong here: letting calls through or not (limits), asking again (routing), prices.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyvox.ledger.history import CallFilter as CallFilter
    from polyvox.ledger.history import History as History
    from polyvox.ledger.history import StatsRow as StatsRow
    from polyvox.ledger.log import CallLog as CallLog
    from polyvox.ledger.log import Logged as Logged
    from polyvox.ledger.place import default_log as default_log
    from polyvox.ledger.place import default_path as default_path
    from polyvox.ledger.record import CallRecord as CallRecord
    from polyvox.ledger.record import Entry as Entry
    from polyvox.ledger.redaction import Redactor as Redactor
    from polyvox.ledger.sinks import JsonlSink as JsonlSink
    from polyvox.ledger.sinks import MemorySink as MemorySink
    from polyvox.ledger.sinks import Sink as Sink
    from polyvox.ledger.sqlite import SqliteSink as SqliteSink
    from polyvox.ledger.tally import Tally as Tally
    from polyvox.ledger.tracing import Traced as Traced
    from polyvox.ledger.tracker import CostTracker as CostTracker
    from polyvox.ledger.tracker import Tracked as Tracked

_HOMES = {
    "CallFilter": "history",
    "CallLog": "log",
    "CallRecord": "record",
    "CostTracker": "tracker",
    "Entry": "record",
    "History": "history",
    "JsonlSink": "sinks",
    "Logged": "log",
    "MemorySink": "sinks",
    "Redactor": "redaction",
    "Sink": "sinks",
    "SqliteSink": "sqlite",
    "StatsRow": "history",
    "Tally": "tally",
    "Traced": "tracing",
    "Tracked": "tracker",
    "default_log": "place",
    "default_path": "place",
}

__all__ = [
    "CallFilter",
    "CallLog",
    "CallRecord",
    "CostTracker",
    "Entry",
    "History",
    "JsonlSink",
    "Logged",
    "MemorySink",
    "Redactor",
    "Sink",
    "SqliteSink",
    "StatsRow",
    "Tally",
    "Traced",
    "Tracked",
    "default_log",
    "default_path",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value: object = getattr(import_module(f"polyvox.ledger.{_HOMES[name]}"), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
