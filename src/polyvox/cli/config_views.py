"""What ``polyvox config`` shows: a tree of what is turned on, problems, values."""

import sys
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path

import click

from polyvox import jsontext
from polyvox.cli.exit_codes import FAILED
from polyvox.cli.options import InputError
from polyvox.cli.terminal import harmless, note, say_error, styled, warn
from polyvox.composite.profile import Profile
from polyvox.config import Config, Loaded, Problem, examine, find_config
from polyvox.config.around import BudgetSection, LimitSection
from polyvox.config.finding import FILE
from polyvox.config.problems import error_of
from polyvox.config.reading import dotted
from polyvox.config.schema import DeploymentSection, RouterSection
from polyvox.config.serving import GatewaySection, KeySection
from polyvox.config.unpriced import unpriced
from polyvox.config.values import nested, values_of
from polyvox.errors import ConfigurationError
from polyvox.ledger import Redactor

__all__ = ["outline", "show_check", "show_path", "show_values", "write_starter"]


def show_check(path: Path | None) -> int:
    """Print what is turned on and what is wrong; 1 if anything is."""
    try:
        loaded = examine(path)
    except ConfigurationError as error:  # no TOML, or not there
        say_error(error.text, error.hint)
        return FAILED
    if loaded.config is not None and not loaded.errors:
        loaded.problems += [*unpriced(loaded.config, loaded.source), *_of_gateway(loaded)]
    for problem in loaded.problems:
        _say(problem)
    errors, warnings = len(loaded.errors), len(loaded.warnings)
    if errors or loaded.config is None:
        note(f"{loaded.source.shown}: {_count(errors, 'error')}, {_count(warnings, 'warning')}")
        return FAILED
    click.echo(loaded.source.shown)
    redactor = Redactor()  # an address may hold a password
    for line in outline(loaded.config):
        click.echo(f"  {harmless(redactor.text(line))}")
    click.echo(f"It is right{', with ' + _count(warnings, 'warning') if warnings else ''}.")
    return 0


def show_values(path: Path | None, *, as_json: bool) -> int:
    """Print every value with where it comes from. Raises ``ConfigurationError`` if something is wrong."""
    loaded = _right(path)
    values = list(values_of(loaded))
    if as_json:
        origins = {dotted(value.path): value.origin for value in values}
        shown = {"file": loaded.source.shown, "values": nested(iter(values)), "origins": origins}
        click.echo(jsontext.encode(shown))
        return 0
    for value in values:
        line = f"{dotted(value.path)} = {jsontext.encode(value.value).decode()}"
        origin = styled(f"# {value.origin}", sys.stdout, dim=True)
        click.echo(f"{harmless(line):<56}  {origin}", color=True)
    return 0


def show_path() -> int:
    """Print the file that is used; 1 if there is none."""
    path = find_config()
    if path is None:
        note("There is no configuration. 'polyvox config init' writes one to begin with.")
        return FAILED
    click.echo(str(path))
    return 0


def write_starter(path: Path | None) -> int:
    """Write a file to begin with. Raises ``InputError`` rather than overwrite one."""
    path = path or Path(FILE)
    text = files("polyvox.config").joinpath("starter.toml").read_text("utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InputError(f"{path} is there already", "It is left as it is; name another.") from None
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror}") from None
    click.echo(f"{path} is written. 'polyvox config check {path}' says what it turns on.")
    return 0


def outline(config: Config) -> Iterator[str]:
    """What a configuration turns on, as the lines of a tree."""
    if config.defaults.model:
        yield f"default model: {config.defaults.model}"
    for name, section in config.providers.items():
        keys = f", {_count(len(section.all_keys), 'key')}" if section.all_keys else ""
        yield f"provider {name}: {section.dialect} at {section.base_url}{keys}"
    for name in config.aliases:
        alias = config.alias(name)
        assert alias is not None
        template = f", template {alias.template}" if alias.template else ""
        yield f"alias {name} -> {alias.model}{template}"
    for name, router in config.routers.items():
        yield f"router {name}: {router.strategy}"
        yield from _branches(_router_lines(config, router))
    for name, profile in config.profiles.items():
        yield f"profile {name}: {profile.strategy}"
        yield from _branches(_profile_lines(profile))
    if config.prices:
        yield f"prices of your own: {', '.join(config.prices)}"
    if config.cooldowns:
        yield f"cooldowns of your own: {', '.join(config.cooldowns)}"
    routed = {member for router in config.routers.values() for member in router.members}
    routed |= {name for profile in config.profiles.values() for name in profile.names.values()}
    for name, deployment in config.deployments.items():
        if name not in routed:
            yield f"deployment {_deployment_line(name, deployment)}"
    around = list(_around(config))
    if around:
        yield "around every call"
        yield from _branches(around)
    if (gateway := config.gateway) != GatewaySection():
        workers = _count(gateway.workers, "worker")
        yield f"gateway at {gateway.host}:{gateway.port}: {workers}, {gateway.server}"
        yield from _branches(_gateway_lines(gateway))


def _router_lines(config: Config, router: RouterSection) -> Iterator[str]:
    for title, members in (
        ("", router.deployments),
        ("fallback ", router.fallbacks),
        ("on a full context window ", router.on_context_window),
        ("on a content filter ", router.on_content_filter),
    ):
        for name in members:
            deployment = config.deployments.get(name)
            yield title + (_deployment_line(name, deployment) if deployment else name)
    if router.retry:
        yield f"all again: {_count(router.retry.attempts, 'attempt')}"


def _profile_lines(profile: Profile) -> Iterator[str]:
    for role in profile.roles:
        if asked := profile.of(role):
            times = [f" x {each.samples}" if each.samples > 1 else "" for each in asked]
            names = [each.model + count for each, count in zip(asked, times, strict=True)]
            yield f"{role}: {', '.join(names)}"


def _deployment_line(name: str, section: DeploymentSection) -> str:
    limits = {
        "requests/min": section.rpm,
        "tokens/min": section.tpm,
        "at once": section.max_parallel,
    }
    said = [f"{value:,} {what}" for what, value in limits.items() if value]
    if len(section.all_keys) > 1:
        said.append(_count(len(section.all_keys), "key"))
    if section.retry:
        said.append(_count(section.retry.attempts, "attempt"))
    return f"{name}: {section.model}" + (f" ({', '.join(said)})" if said else "")


def _around(config: Config) -> Iterator[str]:
    if (log := config.log) is not None:
        form = "lines of JSON" if log.is_jsonl else "SQLite"
        yield f"log: {form}, {log.path or 'in its usual place'}, content {log.content}"
    if config.telemetry is not None:
        yield f"telemetry: OpenTelemetry, content {'on' if config.telemetry.content else 'off'}"
    if (cache := config.cache) is not None and cache.kind != "off":
        similar = cache.semantic
        near = f", similar from {similar.threshold:g} by {similar.model}" if similar else ""
        yield f"cache: {cache.kind}, {cache.ttl:g} s, shared by {cache.scope}{near}"
    for name, limit in config.limits.items():
        yield f"limit {name}: {_limit_line(limit)}"
    for name, budget in config.budgets.items():
        yield f"budget {name}: {_budget_line(budget)}"
    if config.accounts is not None and (config.budgets or config.limits):
        yield f"accounts: {config.accounts.kind}"
    if config.retry is not None:
        yield f"retry: {_count(config.retry.attempts, 'attempt')}"


def _gateway_lines(gateway: GatewaySection) -> Iterator[str]:
    database = (
        gateway.database.reveal().partition(":")[0] if gateway.database else "SQLite, its own"
    )
    yield f"database: {database}"
    yield f"admin key: {'from here' if gateway.admin_key else 'made at the first start'}"
    yield f"offers {', '.join(gateway.models)}"
    for name, key in gateway.keys.items():
        yield f"key {name}: {', '.join(_key_said(key))}"


def _key_said(key: KeySection) -> Iterator[str]:
    home = "/".join(each for each in (key.organisation, key.team) if each)
    if home:
        yield f"of {home}"
    yield f"may ask {', '.join(key.models)}"
    if key.budget:
        yield f"budget {_budget_line(key.budget)}"
    if key.limit:
        yield f"limit {_limit_line(key.limit)}"


def _of_gateway(loaded: Loaded) -> Iterator[Problem]:
    """What 'polyvox serve' would refuse, as far as the file tells."""
    config, source = loaded.config, loaded.source
    if config is None or "gateway" not in source.tables:
        return
    from polyvox.gateway.serving.checks import check_packages, check_public, refusals

    where = source.where(("gateway",))
    try:
        check_packages()
        for error in refusals(config):
            yield Problem(where, error.text, error.hint or "")
        check_public(
            config, config.gateway.host, has_made_key=False
        )  # there may be one in its data
    except ConfigurationError as error:
        yield Problem(where, error.text, error.hint or "", warning=True)


def _limit_line(section: LimitSection) -> str:
    counts = {"requests": section.requests, "tokens": section.tokens}
    said = " and ".join(f"{value:,} {what}" for what, value in counts.items() if value)
    period = section.per if isinstance(section.per, str) else f"{section.per:g} s"
    return f"{said} per {period}{_covered(section)}"


def _budget_line(section: BudgetSection) -> str:
    amount = str(section.limit)
    dollars = amount if amount.startswith("$") else f"${amount}"
    window = "in total" if section.per == "total" else f"per {section.per}"
    then = f"downgrade to {section.downgrade}" if section.downgrade else section.policy
    return f"{dollars} {window}, then {then}{_covered(section)}"


def _covered(section: BudgetSection | LimitSection) -> str:
    scope = "" if section.scope == "global" else f", for each {section.scope.removeprefix('tag:')}"
    models = "" if section.models == ("*",) else f", of {', '.join(section.models)}"
    return scope + models


def _branches(lines: Iterable[str]) -> Iterator[str]:
    """The lines below a branch of the tree."""
    lines = list(lines)
    for place, line in enumerate(lines, start=1):
        yield f"{'└─' if place == len(lines) else '├─'} {line}"


def _right(path: Path | None) -> Loaded:
    loaded = examine(path)
    error = error_of(loaded.problems)
    if error is not None:
        raise error
    return loaded


def _say(problem: Problem) -> None:
    if problem.warning:
        warn(str(problem))
        if problem.hint:
            note(f"hint: {problem.hint}")
    else:
        say_error(str(problem), problem.hint)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
