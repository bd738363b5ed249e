"""A call of the log asked again, of the same model or another."""

import sys
from typing import TYPE_CHECKING

import click
import msgspec

from polyvox import jsontext
from polyvox.cli.answering import Outcome, answer, usage_line, usage_text
from polyvox.cli.ask_once import model_named
from polyvox.cli.call_log import call_log, logged_call
from polyvox.cli.configured import configured_client, logs_here
from polyvox.cli.exit_codes import FAILED
from polyvox.cli.options import InputError
from polyvox.cli.terminal import note, styled
from polyvox.cli.views import TextView, as_json
from polyvox.errors import PolyvoxError
from polyvox.events import Event
from polyvox.ledger import CallRecord, Logged
from polyvox.messages import AssistantMessage, File, Image
from polyvox.request import Request

if TYPE_CHECKING:
    from polyvox.cli.log import ReplayOptions

__all__ = ["replay_call"]


async def replay_call(options: "ReplayOptions") -> int:
    """Ask again, show both answers, and give the exit code. Raises the error that the call ended with."""
    records = logged_call(options.id)
    if not records:
        return FAILED
    before = records[-1]
    request = _request(before)
    if not options.as_json:
        _show_before(before)
    async with configured_client(options.config) as client:
        own_log = logs_here(client, wanted=options.log)
        model = model_named(client, options.model or before.model)
        with call_log(own_log) as log:
            view = _Silent() if options.as_json else TextView()
            if not options.as_json:
                click.echo("\n" + styled(model.name, sys.stdout, colour="cyan"))
            outcome = await answer(Logged(model, log), request, view)
    if options.as_json:
        _print_both(before, outcome)
    else:
        note(usage_line(outcome))
    if outcome.error is not None:
        raise outcome.error
    return 0


class _Silent:
    """Shows nothing: both answers are printed at the end."""

    def shows(self, event: Event) -> bool:
        """Never."""
        return False

    def event(self, event: Event) -> None:
        """Nothing is shown."""

    def end(self, message: AssistantMessage, error: PolyvoxError | None) -> None:
        """Nothing is shown."""


def _request(record: CallRecord) -> Request:
    """The request of a record. Raises ``InputError`` if the log does not have all of it."""
    if record.kind != "answer":
        raise InputError(
            f"call {record.id} asked for vectors, not for an answer",
            "'polyvox embed' makes them again, and 'polyvox log show' has the texts.",
        )
    if record.request is None:
        raise InputError(
            f"what call {record.id} asked is not in the log", "Its content was not written down."
        )
    for message in record.request.messages:
        for block in message.content:
            if isinstance(block, (Image, File)) and (block.url or "").startswith("sha256:"):
                raise InputError(
                    f"call {record.id} had pictures or files that are not in the log",
                    "Only their hashes are. CallLog(..., keep_bytes=True) keeps the bytes.",
                )
    return msgspec.structs.replace(record.request, model="")


def _show_before(record: CallRecord) -> None:
    click.echo(styled(record.answered_by, sys.stdout, colour="cyan"))
    view = TextView(whole=True)
    if record.message is not None:
        view.end(record.message, None)
    if record.error is not None:
        note(f"{record.error_kind}: {record.error.get('text', '')}")
    note(f"{usage_text(record.usage)} · {record.seconds:.1f} s")


def _print_both(before: CallRecord, after: Outcome) -> None:
    old = as_json(before.message or AssistantMessage([]))
    told = {"before": old, "after": as_json(after.message, after.error)}
    click.echo(jsontext.encode(told).decode())
