"""What ``polyvox calls`` does: ask the gateway, and show calls."""

from collections.abc import Iterator, Mapping
from typing import Any

import click
import msgspec

from polyvox.cli.calls import ListOptions, OneOptions
from polyvox.cli.exit_codes import FAILED
from polyvox.cli.gateway_asking import Gateway, segment
from polyvox.cli.gateway_options import GatewayOptions
from polyvox.cli.gateway_times import local_time
from polyvox.cli.gateway_usage import filters_said, key_called
from polyvox.cli.log_views import seconds_ago
from polyvox.cli.options import InputError
from polyvox.cli.tables import Column, print_facts, print_table
from polyvox.cli.terminal import note
from polyvox.errors import PolyvoxError

__all__ = ["FILTERS", "recent", "show", "show_list"]

FILTERS = ("model", "key", "team", "organisation", "end_user", "status", "request_id")
_UNDER_WAY = "/v1/calls"
_OVER = "/v1/calls/over"
_COLUMNS = (
    Column("began", whole=True),
    Column("call", whole=True, style="bold"),
    Column("model", least=10),
    Column("key", spare=True),
    Column("seconds", right=True, spare=True),
    Column("cost", right=True, spare=True),
    Column("status", whole=True, styles={"ok": "green"}),
    Column("reason", least=20),
)


class _Attempt(msgspec.Struct):
    provider: str
    model: str
    seconds: float
    error: str | None = None
    reason: str | None = None
    status: int | None = None
    request_id: str | None = None
    dollars: str | None = None

    def __str__(self) -> str:
        status = f" ({self.status})" if self.status is not None else ""
        why = f": {self.reason}" if self.reason else ""
        id = f" [{self.request_id}]" if self.request_id else ""
        ended = f"{self.error or 'answered'}{status}{why}"
        return f"{self.provider}/{self.model}, {self.seconds:.2f} s, {ended}{id}"


class _Call(msgspec.Struct, kw_only=True):
    id: str
    model: str
    started: float
    kind: str = "answer"
    dialect: str = ""
    key: str = ""
    key_name: str = ""
    organisation: str = ""
    team: str = ""
    status: str = ""
    reason: str | None = None
    request_id: str | None = None
    end_user: str = ""
    session: str | None = None
    context: str | None = None
    prompt: str | None = None
    tags: dict[str, str] = {}
    partial: bool = False
    cached: bool = False
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    dollars: str | None = None
    attempts: list[_Attempt] | None = None

    @property
    def cost(self) -> str:
        return "unknown" if self.dollars is None else f"${self.dollars}"

    @property
    def cells(self) -> list[str]:
        return [
            local_time(self.started),
            self.id,
            self.model,
            self.key_name or self.key,
            f"{self.seconds:.2f}",
            self.cost,
            self.status,
            self.reason or "",
        ]

    def facts(self) -> Iterator[tuple[str, str]]:
        """What is known of it."""
        yield "call", self.id
        told = {
            "request": self.request_id,
            "began": local_time(self.started),
            "model": self.model,
            "kind": "" if self.kind == "answer" else self.kind,
            "dialect": self.dialect,
            "key": f"{self.key_name} ({self.key})" if self.key_name else self.key,
            "organisation": self.organisation,
            "team": self.team,
            "end user": self.end_user,
            "session": self.session,
            "context": self.context,
            "template": self.prompt,
            "tags": ", ".join(f"{name}={value}" for name, value in self.tags.items()),
            "status": f"{self.status}, after an answer had begun" if self.partial else self.status,
            "reason": self.reason,
        }
        yield from ((name, value) for name, value in told.items() if value)
        if self.attempts is None:
            return
        yield "took", f"{self.seconds:.2f} s"
        yield "used", f"{self.input_tokens:,} tokens in, {self.output_tokens:,} out, {self.cost}"
        if self.cached:
            yield "answered", "from the cache"
        for attempt in self.attempts:
            yield "asked", str(attempt)


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]


async def recent(given: Mapping[str, Any]) -> list[str]:
    """The ids of the last calls; none where no gateway answers."""
    options = GatewayOptions(**{name: given[name] for name in ("url", "key") if given.get(name)})
    try:
        async with Gateway(options) as gateway:
            page = await gateway.get(_OVER, _Page)
    except (PolyvoxError, click.ClickException):
        return []
    return [_read(each).id for each in page.data]


async def show_list(options: ListOptions) -> int:
    """List the calls that are meant."""
    query = _query(options)
    async with Gateway(options) as gateway:
        if options.under_way:
            page = await gateway.get(_UNDER_WAY, _Page)
        else:
            if "key" in query:
                query["key"] = await key_called(query["key"], gateway, None)
            page = await gateway.get(_OVER, _Page, query)
    if options.as_json:
        click.echo(msgspec.json.encode(page.data).decode())
    elif page.data:
        print_table(_COLUMNS, [_read(each).cells for each in page.data])
    else:
        note("No call is like that.")
    return 0 if page.data else FAILED


async def show(options: OneOptions) -> int:
    """Show one call."""
    async with Gateway(options) as gateway:
        raw = await gateway.get(f"{_UNDER_WAY}/{segment(options.call)}", msgspec.Raw)
    if options.as_json:
        click.echo(bytes(raw).decode())
    else:
        print_facts(_read(raw).facts())
    return 0


def _query(options: ListOptions) -> dict[str, Any]:
    """What is asked of calls that are over. Raises ``InputError``."""
    query: dict[str, Any] = filters_said(options.filters, FILTERS)
    if options.failed:
        query["failed"] = "true"
    if options.since:
        query["since"] = seconds_ago(options.since)
    if options.until:
        query["until"] = seconds_ago(options.until)
    if options.under_way and query:
        raise InputError("--under-way lists all that are", "Leave the other options out.")
    return query | {"limit": options.limit}


def _read(raw: msgspec.Raw) -> _Call:
    return msgspec.json.decode(raw, type=_Call)
