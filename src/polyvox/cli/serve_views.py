"""What ``polyvox serve`` prints once it serves."""

import os
import sys
from pathlib import Path

import click
import msgspec

from polyvox.cli.terminal import styled
from polyvox.errors import ConfigurationError

__all__ = ["Started", "announce"]

_MOST_MODELS = 8
_VARIABLE = "POLYVOX_GATEWAY_KEY"
"""Where the commands that ask a gateway look for its key."""


class Started(msgspec.Struct, kw_only=True):
    """A gateway that serves.

    ``admin_key`` is there only when it was made just now, ``admin_key_lost`` (what to do then) only when
    it was made by an earlier start.
    """

    url: str
    data: str
    database: str
    models: list[str]
    admin_key: str | None
    admin_key_from: str
    admin_key_lost: str | None = None
    workers: int
    server: str
    drain_seconds: float
    pid: int = msgspec.field(default_factory=os.getpid)


def announce(started: Started, *, as_json: bool, ready_file: Path | None) -> None:
    """Say that it serves: for a person, or as JSON; and in the file that somebody waits for."""
    if ready_file is not None:
        _write(ready_file, started.url)
    if as_json:
        click.echo(msgspec.json.encode(started).decode())
    else:
        click.echo("\n".join(_lines(started)), color=True)
    sys.stdout.flush()


def _lines(started: Started) -> list[str]:
    key = started.admin_key or f"${_VARIABLE}"
    in_python = f'"{key}"' if started.admin_key else f'os.environ["{_VARIABLE}"]'
    header = f'-H "Authorization: Bearer {key}"'
    model = _example(started.models)
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hi!"}}]}}'
    return [
        f"The gateway serves at {styled(started.url, sys.stdout, colour='green')}",
        _about("data", started.data),
        _about("database", started.database),
        _about("models", _models(started.models)),
        _about("workers", f"{started.workers}, {started.server}"),
        *_key(started),
        "",
        "Ask it with curl, or with any SDK that takes a base URL:",
        f"  curl {started.url}/v1/chat/completions {header} -d '{body}'",
        f'  openai.OpenAI(base_url="{started.url}/v1", api_key={in_python})',
        f"Ctrl-C stops it; calls under way then have {started.drain_seconds:g} s to end.",
    ]


def _key(started: Started) -> list[str]:
    if started.admin_key is None:
        lines = [_about("admin key", f"from {started.admin_key_from}; below as {_VARIABLE}")]
        if started.admin_key_lost:
            lines.append(_about("", f"If it is lost, {started.admin_key_lost}."))
        return lines
    shown = styled(started.admin_key, sys.stdout, colour="yellow")
    return [
        _about("admin key", shown),
        _about("", "It may do everything, and is shown only now: keep it where secrets are kept."),
    ]


def _about(name: str, text: str) -> str:
    return f"  {styled(f'{name:<10}', sys.stdout, dim=True)}{text}"


def _models(names: list[str]) -> str:
    more = len(names) - _MOST_MODELS
    return ", ".join(names[:_MOST_MODELS]) + (f" and {more} more" if more > 0 else "")


def _example(names: list[str]) -> str:
    """A name that can be asked as it is."""
    return next((name for name in names if "*" not in name), "simulated/echo")


def _write(path: Path, url: str) -> None:
    # Written aside and moved, so that whoever waits for the file never reads half of it.
    aside = path.with_name(f"{path.name}.part")
    try:
        aside.write_text(f"{url}\n", encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise ConfigurationError(f"can't write {path}: {error.strerror}") from None
