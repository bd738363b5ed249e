"""What a call of the log was made of, as a tree: the composite's own, or one of its attempts."""

from polyvox.attempt import Attempt
from polyvox.ledger.record import CallRecord
from polyvox.trace import NodeStatus, TraceNode, beginning
from polyvox.usage import NO_USAGE

__all__ = ["tree_of"]

_STATUSES: dict[str, NodeStatus] = {"timeout": "timeout", "aborted": "aborted"}


def tree_of(record: CallRecord) -> TraceNode:
    """A tree for every call: a model that tells no trace has its attempts for parts, if there are several.

    A stored answer was made long ago, and has none.
    """
    message = record.message
    if message is not None and message.trace is not None and not record.cached:
        return message.trace
    root = TraceNode(
        kind="cached" if record.cached else record.kind,
        model=record.answered_by,
        label=record.model,
        seconds=record.seconds,
    )
    if message is not None:
        root.usage, root.preview = message.usage, beginning(message.text)
    if record.error is not None:
        root.status = _status(record.error_kind)
        root.error = str(record.error.get("text", record.error_kind))
    tried = [_tried(attempt, record.time) for attempt in record.attempts]
    if len(tried) == 1:
        root.usage = tried[0].usage
    elif tried:
        root.usage, root.children = NO_USAGE, tried
    return root


def _tried(attempt: Attempt, began: float) -> TraceNode:
    node = TraceNode(kind="attempt", model=attempt.name, label=attempt.name, usage=attempt.usage)
    node.started, node.seconds = max(0.0, attempt.started - began), attempt.seconds
    if attempt.error is not None:
        node.status = _status(attempt.error)
        node.error = attempt.error + (f" ({attempt.status})" if attempt.status else "")
    return node


def _status(kind: str | None) -> NodeStatus:
    return _STATUSES.get(kind or "", "error")
