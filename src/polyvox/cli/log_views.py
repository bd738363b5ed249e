"""What ``polyvox log`` shows: lists, one call whole, sums."""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import click

from polyvox import jsontext
from polyvox.cli.answering import usage_text
from polyvox.cli.call_log import log_path, opened_log
from polyvox.cli.options import InputError
from polyvox.cli.tables import Column, print_table
from polyvox.cli.terminal import harmless, is_terminal, note, styled
from polyvox.cli.views import tool_call_line
from polyvox.errors import ConfigurationError, PolyvoxError
from polyvox.ledger import CallFilter, CallRecord, History, StatsRow
from polyvox.messages import (
    File,
    Image,
    Message,
    SystemMessage,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
)

if TYPE_CHECKING:
    from polyvox.cli.log import ExportOptions, FindOptions, StatsOptions

__all__ = [
    "export",
    "print_call",
    "prune",
    "recent",
    "seconds_ago",
    "show_call",
    "show_list",
    "show_stats",
]

_LIST_COLUMNS = (
    Column("id", whole=True, style="bold"),
    Column("time", whole=True),
    Column("model", least=12),
    Column("in", right=True, spare=True),
    Column("out", right=True, spare=True),
    Column("cost", right=True),
    Column("seconds", right=True, spare=True),
    Column("asked", least=10),
)
_STATS_COLUMNS = (
    Column("calls", right=True),
    Column("errors", right=True),
    Column("in", right=True),
    Column("out", right=True),
    Column("cost", right=True),
)
_NONE = "No call is like that."
_ID_CHARACTERS = 8
_ASKED_CHARACTERS = 40
_RECENT = 200
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def show_list(options: "FindOptions") -> bool:
    """The calls that are meant, newest first; False if there are none."""
    history = opened_log()
    if history is None:
        return False
    with history:
        wanted = _wanted(options)
        if options.words:
            found = history.search(" ".join(options.words), wanted, options.limit or 20)
        else:
            found = history.find(wanted, options.limit)
        if options.as_json:
            return _print_lines(jsontext.encode(record) for record in found)
        rows = [_cells(record) for record in found]
    if rows:
        print_table(_LIST_COLUMNS, rows)
    else:
        note(_NONE)
    return bool(rows)


def show_call(id: str, *, as_json: bool) -> bool:
    """One call, whole. Raises ``NotFoundError`` if there is none of that id."""
    history = opened_log()
    if history is None:
        return False
    with history:
        records = history.get(id)
    if as_json:
        return _print_lines(jsontext.encode(record) for record in records)
    for place, record in enumerate(records):
        if place:
            click.echo()
        print_call(record)
    if not records:
        note(_NONE)
    return bool(records)


def show_stats(options: "StatsOptions") -> bool:
    """The sums of the calls that are meant; False if there are none."""
    by, _, tag = options.by.partition(":")
    if by not in ("model", "day", "tenant", "session", "kind", "tag") or (by == "tag") != bool(tag):
        raise InputError(
            f"--by {options.by}", "It may be model, day, tenant, session, kind or tag:KEY."
        )
    history = opened_log()
    if history is None:
        return False
    with history:
        wanted = _wanted(options)
        groups = history.stats(by, wanted, tag=tag)
        total = history.stats(None, wanted)
    if options.as_json:
        told = {"by": options.by, "groups": groups, "total": total[0] if total else None}
        click.echo(jsontext.encode(told).decode())
    elif groups:
        rows = [[row.name or "-", *_sums(row)] for row in groups]
        title = Column(tag or by, style="bold")
        print_table((title, *_STATS_COLUMNS), [*rows, ["total", *_sums(total[0])]])
    else:
        note(_NONE)
    return bool(groups)


def export(options: "ExportOptions") -> bool:
    """Write the calls that are meant as lines of JSON; False if there are none."""
    history = opened_log()
    if history is None:
        return False
    with history:
        lines = (
            jsontext.encode(record if options.form == "jsonl" else {"messages": messages})
            for record in history.find(_wanted(options), options.limit, oldest_first=True)
            if (messages := _conversation(record)) or options.form == "jsonl"
        )
        if options.output is None:
            return _print_lines(lines)
        try:
            with options.output.open("wb") as file:
                count = sum(file.write(line + b"\n") > 0 for line in lines)
        except OSError as error:
            raise ConfigurationError(f"can't write {options.output}: {error.strerror}") from None
    note(f"{count} written to {options.output}")
    return count > 0


def prune(older_than: str) -> bool:
    """Delete the calls before this time; False if nothing was ever logged."""
    before = seconds_ago(older_than)
    history = opened_log()
    if history is None:
        return False
    with history:
        deleted, left = history.prune(before), history.count()
    note(f"{deleted} deleted, {left} left in {log_path()}")
    return True


def recent() -> list[CallRecord]:
    """The last calls, for completion: none where they can't be read."""
    with suppress(PolyvoxError, OSError), History(log_path()) as history:
        return list(history.find(limit=_RECENT))
    return []


def seconds_ago(text: str, now: datetime | None = None) -> float:
    """The point in time that "7d", "12h", a date or a date with a time means. Raises ``InputError``.

    >>> seconds_ago("2h", datetime.fromtimestamp(7200).astimezone())
    0.0
    """
    now = now or datetime.now().astimezone()
    if found := re.fullmatch(r"(\d+)\s*([smhdw])", text.strip()):
        return now.timestamp() - int(found[1]) * _UNITS[found[2]]
    try:
        return datetime.fromisoformat(text.strip()).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        raise InputError(
            f"{text!r} is no time", "Give 30m, 12h, 7d, 2w, or a date such as 2026-01-31."
        ) from None


def print_call(record: CallRecord) -> None:
    """One call as a person reads it."""
    for name, value in _facts(record):
        click.echo(styled(f"{name:<10}", sys.stdout, dim=True) + _safe(value))
    if record.request is None:
        click.echo("\n(what was said is not in the log)")
        return
    system = "\n".join(block.text for block in record.request.system)
    said = [("system", system)] if system else []
    said += [(_role(message), _readable(message)) for message in record.request.messages]
    if record.message is not None:
        said.append(("answer", _readable(record.message)))
    for role, text in said:
        click.echo(f"\n{styled(role, sys.stdout, colour='cyan')}\n{_safe(text)}")


def _facts(record: CallRecord) -> Iterator[tuple[str, str]]:
    yield "id", record.id
    yield "time", _time(record, "%Y-%m-%d %H:%M:%S")
    yield "model", record.model
    if record.kind != "answer":
        yield "kind", record.kind
    if record.answered_by != record.model:
        yield "answered", f"by {record.answered_by}"
    for name, value in (("tenant", record.tenant), ("session", record.session)):
        if value:
            yield name, value
    if record.tags:
        yield "tags", " ".join(f"{key}={value}" for key, value in record.tags.items())
    first = f", first token after {record.first_token:.2f} s" if record.first_token else ""
    yield "took", f"{record.seconds:.2f} s{first}"
    yield "used", _used(record)
    for attempt in record.attempts if len(record.attempts) > 1 else ():
        yield "attempt", f"{attempt}, {attempt.usage.cost}"
    if record.message is not None:
        yield "ended", record.message.stop_reason
    if record.message is not None and record.message.trace is not None:
        parts = sum(1 for _ in record.message.trace.walk())
        yield "trace", f"{parts} parts: 'polyvox trace show {_short(record.id)}'"
    if record.error is not None:
        words = record.error_kind, record.error.get("text")
        yield "error", ": ".join(str(word) for word in words if word)


def _used(record: CallRecord) -> str:
    if record.attempts:
        return usage_text(record.usage)
    return f"nothing: {'the answer is a stored one' if record.cached else 'nobody was asked'}"


def _readable(message: Message) -> str:
    parts: list[str] = []
    for block in message.content:
        match block:
            case Text():
                parts.append(block.text)
            case Thinking():
                parts.append(block.text and f"(thinks) {block.text}")
            case ToolCall():
                parts.append(tool_call_line(block))
            case Image() | File():
                parts.append(f"({type(block).__name__.lower()}: {block.url or block.media_type})")
    return "\n".join(filter(None, parts))


def _role(message: Message) -> str:
    if isinstance(message, ToolMessage):
        return f"result of {message.tool_name or message.tool_call_id}"
    return str(message.__struct_config__.tag)


def _conversation(record: CallRecord) -> list[Message]:
    """What was said and answered; nothing where the log does not have it, or no answer came whole."""
    answered = record.kind == "answer" and record.error is None
    if not answered or record.request is None or record.message is None:
        return []
    system = [SystemMessage(record.request.system)] if record.request.system else []
    return [*system, *record.request.messages, record.message]


def _short(id: str) -> str:
    """What names the call in most logs; of a gateway's ids, which begin with the time, it is all of it."""
    return id if id.startswith("call_") else id[:_ID_CHARACTERS]


def _cells(record: CallRecord) -> list[str]:
    asked = " ".join(record.question.split()) or "-"
    if len(asked) > _ASKED_CHARACTERS:
        asked = asked[: _ASKED_CHARACTERS - 1] + "…"
    if record.error_kind:
        asked = f"[{record.error_kind}] {asked}"
    if record.kind != "answer":
        asked = f"[{record.kind}] {asked}"
    if record.cached:
        asked = f"[cached] {asked}"
    return [
        _short(record.id),
        _time(record, "%Y-%m-%d %H:%M"),
        record.answered_by,
        f"{record.usage.input_tokens:,}",
        f"{record.usage.output_tokens:,}",
        str(record.cost),
        f"{record.seconds:.1f}",
        asked,
    ]


def _sums(row: StatsRow) -> list[str]:
    counts = (row.calls, row.errors, row.input_tokens, row.output_tokens)
    return [*(f"{count:,}" for count in counts), str(row.cost)]


def _wanted(options: "FindOptions") -> CallFilter:
    tags = (tag.partition("=") for tag in options.tags)
    return CallFilter(
        model=options.model,
        tenant=options.tenant,
        session=options.session,
        tags={key: value if equals else None for key, equals, value in tags},
        since=seconds_ago(options.since) if options.since else None,
        errors=options.errors,
        traced=options.traced,
    )


def _time(record: CallRecord, form: str) -> str:
    return datetime.fromtimestamp(record.time).astimezone().strftime(form)


def _print_lines(lines: Iterable[bytes]) -> bool:
    printed = False
    for line in lines:
        click.echo(line.decode())
        printed = True
    return printed


def _safe(text: str) -> str:
    return harmless(text) if is_terminal(sys.stdout) else text
