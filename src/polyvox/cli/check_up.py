"""What ``polyvox doctor`` does: look at everything, ask who can be asked, and show it."""

import asyncio
import os
import sys
import time

import click
import msgspec

from polyvox.cli.checks import (
    Check,
    Status,
    check_addresses,
    check_keys,
    check_network,
    check_transport,
    check_versions,
)
from polyvox.cli.choose_model import (
    FALLBACK,
    Choice,
    LocalServer,
    choose_model,
    keyed_providers,
    look_at,
)
from polyvox.cli.local_servers import START
from polyvox.cli.terminal import harmless, styled
from polyvox.client import AsyncClient
from polyvox.config import examine as examine_config
from polyvox.config.finding import is_configured
from polyvox.errors import NotFoundError, PolyvoxError
from polyvox.http import Timeouts
from polyvox.providers import Provider

__all__ = ["Report", "examine", "show"]

ONLINE_SECONDS = 20.0

_MARKS: dict[Status, tuple[str, str | None]] = {
    "ok": ("ok", "green"),
    "off": ("--", None),
    "warning": ("!!", "yellow"),
    "failed": ("XX", "red"),
}
_NO_MODEL = {"ollama": "Get one with 'ollama pull llama3.2'."}


class Report(msgspec.Struct):
    """All that was found. ``usable`` says whether there is a real model to talk with."""

    usable: bool
    model: str
    why: str
    checks: list[Check]


async def examine(*, online: bool) -> Report:
    """Look at everything; with ``online`` also ask the providers whose keys are there."""
    transport = check_transport()
    who = "aiohttp" if transport.status == "failed" else None  # all else is still looked at
    async with AsyncClient(transport=who, timeouts=Timeouts(total=ONLINE_SECONDS)) as client:
        registry = client.registry
        rows = [row for row in registry.rows.values() if row.local]
        keyed = [row for row, _ in keyed_providers(registry)] if online else []
        servers, answers, choice = await asyncio.gather(
            asyncio.gather(*(look_at(client, row) for row in rows)),
            asyncio.gather(*(_ask_provider(client, row) for row in keyed)),
            choose_model(client),
        )
        configuration, default = _configuration()
        if default:
            choice = Choice(default, "the configuration says so.")
        checks = [
            *check_versions(),
            transport,
            configuration,
            *check_keys(registry),
            *check_addresses(registry),
            *check_network(os.environ),
            *(_local_check(server) for server in servers),
            *answers,
        ]
    usable = choice.name != FALLBACK or any(server.chat_model for server in servers)
    return Report(usable, choice.name, choice.why, checks)


def show(report: Report, *, as_json: bool) -> None:
    """Print the report: for a person, or as JSON."""
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
        return
    width = max(len(check.name) for check in report.checks)
    section = ""
    for check in report.checks:
        if check.section != section:
            section = check.section
            click.echo(f"{section.capitalize()}")
        _show_check(check, width)
    click.echo(f"\nWithout -m, 'polyvox ask' uses {report.model}: {report.why}")
    if not report.usable:
        click.echo(_way_out())


async def _ask_provider(client: AsyncClient, row: Provider) -> Check:
    began = time.monotonic()
    try:
        names = await client.models(row.name)
    except NotFoundError as error:
        return Check("online", row.name, "off", f"not asked, or no list: {error.text}")
    except PolyvoxError as error:
        fix = error.hint or "See the provider's status page, or run this again."
        return Check("online", row.name, "failed", error.text, fix)
    milliseconds = (time.monotonic() - began) * 1000
    return Check("online", row.name, "ok", f"{len(names)} models, in {milliseconds:.0f} ms")


def _configuration() -> tuple[Check, str]:
    """Whether the configuration is right, and the model that it names."""
    name, fix = "polyvox.toml", "'polyvox config check' lists all that is wrong."
    try:
        if not is_configured():
            return Check("configuration", name, "off", "there is none"), ""
        loaded = examine_config()
    except PolyvoxError as error:
        return Check("configuration", name, "failed", error.text, fix), ""
    for problem in loaded.errors:
        return Check("configuration", name, "failed", str(problem), fix), ""
    default = loaded.config.defaults.model if loaded.config else ""
    return Check("configuration", name, "ok", loaded.source.shown), default


def _local_check(server: LocalServer) -> Check:
    where = f" at {server.base_url}" if server.base_url else ""
    if server.error:
        text = f"no answer{where}: {server.error}"
        return Check("local servers", server.provider, "off", text, START.get(server.provider, ""))
    if not server.chat_model:
        fix = _NO_MODEL.get(server.provider, "Load a model in it.")
        text = f"answers{where}, but has no model to talk with"
        return Check("local servers", server.provider, "warning", text, fix)
    text = f"answers{where}: {', '.join(server.models[:5])}"
    return Check("local servers", server.provider, "ok", text)


def _show_check(check: Check, width: int) -> None:
    mark, colour = _MARKS[check.status]
    shown = styled(mark, sys.stdout, colour=colour, dim=colour is None)
    click.echo(f"  {shown} {check.name:<{width}}  {harmless(check.text)}", color=True)
    if check.fix:
        click.echo(
            f"     {'':<{width}}  {styled(f'-> {check.fix}', sys.stdout, dim=True)}", color=True
        )


def _way_out() -> str:
    return (
        "To talk with a real model, do one of these:\n"
        "  - set a provider's key, such as ANTHROPIC_API_KEY or OPENAI_API_KEY;"
        " 'polyvox models --providers' lists all\n"
        "  - run one on this machine: install Ollama, then 'ollama pull llama3.2'\n"
        "  - name a server: polyvox ask --base-url http://HOST:PORT/v1 -m MODEL"
    )
