"""The options that shape a request, shared by ``ask`` and ``chat``."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from polyvox import jsontext
from polyvox.cli.addresses import is_loopback
from polyvox.cli.options import InputError, config_option

if TYPE_CHECKING:
    from polyvox.client import Settings

__all__ = [
    "CUSTOM",
    "RequestOptions",
    "call_options",
    "custom_provider",
    "fields_text",
    "request_options",
    "settings_of",
    "vendor_fields",
]

CUSTOM = "custom"
"""The provider that ``--base-url`` stands for."""

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


class RequestOptions(msgspec.Struct, kw_only=True):
    """What may be said about a request on the command line; None is "not said"."""

    model: str | None = None
    system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    reasoning: str | None = None
    schema: str | None = None
    tools: Path | None = None
    vendor: tuple[str, ...] = ()
    timeout: float | None = None
    base_url: str | None = None
    dialect: str | None = None
    key_env: str | None = None
    config: Path | None = None
    thinking: bool = False


def request_options(command: Callable[..., object]) -> Callable[..., object]:
    """Adds the options of ``RequestOptions`` but the model's name."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def call_options(command: Callable[..., object]) -> Callable[..., object]:
    """Adds only those that say nothing of a prompt: vendor fields, the timeout, another address."""
    for option in reversed(_CALL_OPTIONS):
        command = option(command)
    return command


def settings_of(options: RequestOptions, provider: str) -> "Settings":
    """The settings for a request to a model of this provider. Raises ``InputError``."""
    given: dict[str, Any] = {
        "system": options.system,
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        "reasoning": _reasoning(options.reasoning),
        "response_format": _schema(options.schema),
        "tools": _tools(options.tools),
        "options": {provider: vendor_fields(options.vendor)} if options.vendor else None,
    }
    settings: Settings = {name: value for name, value in given.items() if value is not None}  # pyright: ignore[reportAssignmentType]
    return settings


def custom_provider(options: RequestOptions) -> dict[str, dict[str, object]]:
    """The row that ``--base-url``, ``--dialect`` and ``--key-env`` describe, if they were given."""
    if options.base_url is None:
        if options.dialect or options.key_env:
            raise click.UsageError("--dialect and --key-env belong to --base-url")
        return {}
    if options.key_env and not os.environ.get(options.key_env):
        raise InputError(f"{options.key_env}, named by --key-env, is not set")
    row: dict[str, object] = {
        "title": f"the server at {options.base_url}",
        "base_url": options.base_url.rstrip("/"),
        "dialect": options.dialect or "openai-chat",
        "key_env": [options.key_env] if options.key_env else [],
        "auth": _auth(options),
        # What somebody else's server costs is not known; one's own is free.
        "local": is_loopback(options.base_url),
    }
    return {CUSTOM: row}


_AUTH = {"anthropic-messages": "x-api-key", "gemini": "x-goog-api-key"}
"""How the key travels in dialects that don't send it as a bearer's."""


def _auth(options: RequestOptions) -> str:
    if options.key_env is None:
        return "none"
    return _AUTH.get(options.dialect or "", "bearer")


def _reasoning(text: str | None) -> str | int | None:
    if text is None or text in _EFFORTS:
        return text
    if text.isdecimal():
        return int(text)
    raise InputError(
        f"--reasoning takes a number of tokens or one of {', '.join(_EFFORTS)}, not {text!r}"
    )


def _schema(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    schema = _json(text, "--schema") if text.lstrip().startswith("{") else _file(text, "--schema")
    if not isinstance(schema, dict):
        raise InputError("--schema takes a JSON schema: an object")
    return schema  # pyright: ignore[reportUnknownVariableType]


def _tools(path: Path | None) -> list[Any] | None:
    if path is None:
        return None
    tools = _file(str(path), "--tools")
    if not isinstance(tools, list):
        raise InputError("--tools takes a JSON list of tools: name, description, parameters")
    return tools  # pyright: ignore[reportUnknownVariableType]


def vendor_fields(pairs: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE pairs as fields: a value that is JSON is meant as JSON, any other is a string.

    Raises ``InputError``.

    >>> vendor_fields(["seed=7", "tier=flex"])
    {'seed': 7, 'tier': 'flex'}
    """
    fields: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputError(f"an option is NAME=VALUE, not {pair!r}")
        try:
            fields[name] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            fields[name] = value
    return fields


def fields_text(fields: dict[str, Any]) -> str:
    """Fields as they would be typed.

    >>> fields_text({"seed": 7, "tier": "flex"})
    'seed=7, tier="flex"'
    """
    return ", ".join(f"{name}={jsontext.encode(value).decode()}" for name, value in fields.items())


def _file(path: str, option: str) -> object:
    try:
        return _json(Path(path).read_text(encoding="utf-8"), f"{option} {path}")
    except OSError as error:
        raise InputError(f"{option}: can't read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{option}: {path} is not UTF-8 text") from None


def _json(text: str, where: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise InputError(f"{where}: not JSON: {error}") from None


def _complete_dialect(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    from polyvox.dialects import DIALECTS

    return [name for name in DIALECTS if name.startswith(incomplete)]


_CALL_OPTIONS = (
    click.option(
        "-o",
        "--option",
        "vendor",
        metavar="NAME=VALUE",
        multiple=True,
        help="A field of the provider's own; the value may be JSON. May be repeated.",
    ),
    click.option("--timeout", metavar="SECONDS", type=click.FloatRange(min=0, min_open=True)),
    config_option,
    click.option("--base-url", metavar="URL", help="Ask the server at this address."),
    click.option(
        "--dialect",
        metavar="NAME",
        shell_complete=_complete_dialect,
        help="The wire format it speaks. Default: openai-chat.",
    ),
    click.option("--key-env", metavar="VARIABLE", help="Where its key is, if it wants one."),
)

_OPTIONS = (
    click.option("-s", "--system", metavar="TEXT", help="Instructions for the model."),
    click.option("--max-tokens", type=click.IntRange(min=1), help="The most tokens to be written."),
    click.option("--temperature", type=float, help="0 is the most predictable."),
    click.option(
        "--reasoning", metavar="EFFORT|TOKENS", help=f"How much to think: {', '.join(_EFFORTS)}."
    ),
    click.option("--thinking", is_flag=True, help="Show the model's reasoning, dim."),
    click.option(
        "--schema", metavar="FILE|JSON", help="Ask for JSON of this JSON schema, and check it."
    ),
    click.option(
        "--tools",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Offer the tools of this JSON file; calls are printed, not run.",
    ),
    *_CALL_OPTIONS,
)
