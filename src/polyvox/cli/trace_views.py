"""What ``polyvox trace`` shows: trees, JSON, a page."""

import sys
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

import click

from polyvox import jsontext
from polyvox.cli.call_log import logged_call
from polyvox.cli.terminal import note, styled
from polyvox.cli.trace_tree import print_tree
from polyvox.cli.views import trace_as_json
from polyvox.errors import ConfigurationError
from polyvox.ledger import CallRecord
from polyvox.ledger.parts import tree_of
from polyvox.trace_page import page
from polyvox.trace_text import clean

if TYPE_CHECKING:
    from polyvox.cli.trace import ShowOptions

__all__ = ["show_trace"]

_ASKED_CHARACTERS = 100


def show_trace(options: "ShowOptions") -> bool:
    """What one call was made of; False if there is no call. Raises ``NotFoundError`` for another id."""
    records = logged_call(options.id)
    if not records:
        return False
    if options.output is None:
        _write(options, records, sys.stdout)
        return True
    try:
        with options.output.open("w", encoding="utf-8", errors="replace") as file:
            _write(options, records, file)
    except OSError as error:
        raise ConfigurationError(f"can't write {options.output}: {error.strerror}") from None
    note(f"Written to {options.output}.")
    return True


def _write(options: "ShowOptions", records: list[CallRecord], stream: IO[str]) -> None:
    """A call that asked for an answer to be repaired has a tree for each time."""
    if options.as_html:
        title = f"Trace of {records[0].model}"
        text = page(title, [tree_of(record) for record in records], _heading(records[0]))
        click.echo(text, file=stream, nl=False)
        return
    for record in records:
        if options.as_json:
            click.echo(jsontext.encode(_as_json(record)), file=stream)
        else:
            click.echo(styled(_heading(record), stream, dim=True), file=stream)
            print_tree(tree_of(record), stream)


def _heading(record: CallRecord) -> str:
    time = datetime.fromtimestamp(record.time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    asked = clean(record.question)
    if len(asked) > _ASKED_CHARACTERS:
        asked = asked[: _ASKED_CHARACTERS - 1] + "…"
    facts = (clean(record.id), time, clean(record.model), asked)
    return " · ".join(fact for fact in facts if fact)


def _as_json(record: CallRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "time": record.time,
        "model": record.model,
        "trace": trace_as_json(tree_of(record)),
    }
