"""What ``polyvox composite`` shows: the composites there are, and the stages of one."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from polyvox import jsontext
from polyvox.cli.configured import configured_client, hint_at_composite
from polyvox.cli.tables import Column, print_table
from polyvox.cli.terminal import harmless
from polyvox.cli.views import usage_as_json
from polyvox.client import AsyncClient, Settings, make_request
from polyvox.composite.names import PREFIX, Profiles, packaged, profile_of
from polyvox.composite.plan import Plan, PlannedStage, explain
from polyvox.errors import ConfigurationError, MissingKeyError
from polyvox.quote import quote_of
from polyvox.usage import Usage

if TYPE_CHECKING:
    from polyvox.cli.composite import ExplainOptions

__all__ = ["show_list", "show_plan"]

_MODEL = "PROVIDER/MODEL"
_COLUMNS = [
    Column("name", whole=True),
    Column("strategy", whole=True),
    Column("calls", right=True),
    Column("in a row", right=True, spare=True),
    Column("about", least=24, spare=True),
]


def show_list(config: Path | None, *, as_json: bool) -> None:
    """Print the profiles of the configuration, then what is there without one."""
    client = configured_client(config)
    profiles = _profiles(client)
    rows: list[dict[str, object]] = []
    for name in _names(profiles):
        profile, plan = profile_of(name, profiles), explain(name, profiles, partial(_led, client))
        row = {"name": name, "strategy": profile.strategy, "calls": plan.calls, "turns": plan.turns}
        rows.append({**row, "about": profile.about})
    if as_json:
        click.echo(jsontext.encode(rows))
    else:
        print_table(_COLUMNS, [[str(cell) for cell in row.values()] for row in rows])


def show_plan(options: "ExplainOptions") -> int:
    """Print who will be asked, and what it may cost. Raises ``ConfigurationError`` for a wrong name."""
    client = configured_client(options.config)
    target = _led(client, options.name)
    try:
        plan = explain(target, _profiles(client), partial(_checked, client))
    except ConfigurationError as error:
        hint_at_composite(client, target, error)
        raise
    quote = None if options.prompt is None else asyncio.run(_quote(client, options))
    if options.as_json:
        click.echo(jsontext.encode(_as_json(plan, quote)))
        return 0
    about = profile_of(target, _profiles(client)).about
    click.echo(harmless(target + (f": {about}" if about else "")))
    for line in _lines(plan):
        click.echo(f"  {harmless(line)}")
    click.echo(
        f"{_count(plan.calls, 'call')}, {plan.turns} of them in a row; "
        "of what comes before the last stage only the summary is told."
    )
    if quote is not None:
        click.echo(_price(client, quote))
    return 0


def _led(client: AsyncClient, name: str) -> str:
    """Who is asked under this name, also by a deployment of that name."""
    target = client.target(name)
    deployments = client.setup.config.deployments if client.setup else {}
    return _led(client, deployments[target].model) if target in deployments else target


def _checked(client: AsyncClient, name: str) -> str:
    """The same. Raises ``ConfigurationError`` if nobody can be asked so."""
    target = _led(client, name)
    routers = client.setup.config.routers if client.setup else {}
    if target not in routers and not target.startswith(PREFIX):
        with suppress(MissingKeyError):
            client.registry.model(target)
    return target


def _profiles(client: AsyncClient) -> Profiles:
    return {} if client.setup is None else client.setup.config.profiles


def _names(profiles: Profiles) -> Iterator[str]:
    shelf = packaged()
    for name in {**profiles, **shelf.profiles}:
        yield f"{PREFIX}profile/{name}"
    for name in shelf.names:
        yield f"{PREFIX}{name}/{_MODEL}"


async def _quote(client: AsyncClient, options: "ExplainOptions") -> Usage | MissingKeyError:
    """The most that asking may cost; when a key is missing nobody knows."""
    limit: Settings = {"max_tokens": options.max_tokens} if options.max_tokens else {}
    request = make_request(options.prompt or "", limit)
    async with client:
        try:
            return quote_of(client.model(options.name), request)
        except MissingKeyError as error:
            return error


def _price(client: AsyncClient, quote: Usage | MissingKeyError) -> str:
    if isinstance(quote, MissingKeyError):
        row = client.registry.rows[quote.provider or ""]
        return f"What it may cost can't be told: {quote.text}. Set {' or '.join(row.key_env)}."
    if quote.cost.status == "free":
        return "It is free of charge."
    tokens = f"{quote.input_tokens:,} tokens in, {quote.output_tokens:,} out"
    return f"At most {quote.cost} for this prompt, answers being as long as they may be ({tokens})."


def _lines(plan: Plan, depth: int = 0) -> Iterator[str]:
    pad = "   " * depth
    for number, stage in enumerate(plan.stages, 1):
        yield f"{pad}{number}. {stage.label}: {_told(stage)}{_streamed(stage) if not depth else ''}"
        for call in stage.asked:
            if call.plan is not None:
                yield f"{pad}   - {call.label}: {_count(call.plan.calls, 'call')}"
                yield from _lines(call.plan, depth + 2)
            elif len(stage.asked) > 1:
                own = "" if call.label.startswith(call.model) else f" ({call.model})"
                yield f"{pad}   - {call.label}{own}"


def _told(stage: PlannedStage) -> str:
    if len(stage.asked) == 1:
        others = " or ".join(each.label for each in stage.instead)
        return stage.asked[0].label + (f", or if that fails {others}" if others else "")
    return f"{len(stage.asked)} at once"


def _streamed(stage: PlannedStage) -> str:
    return ", streamed as it comes" if stage.streamed else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _as_json(plan: Plan, quote: Usage | MissingKeyError | None) -> dict[str, object]:
    said: dict[str, object] = {
        **msgspec.to_builtins(plan),
        "calls": plan.calls,
        "turns": plan.turns,
    }
    if quote is not None:
        said["at_most"] = None if isinstance(quote, MissingKeyError) else usage_as_json(quote)
    return said
