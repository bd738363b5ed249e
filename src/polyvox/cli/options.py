"""Options that several commands share, and how a command gets them: as one object."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from polyvox.cli.exit_codes import USAGE

__all__ = [
    "InputError",
    "complete_model",
    "config_option",
    "debug_option",
    "debugging",
    "gathered",
    "log_option",
    "model_option",
    "output_option",
    "quiet_option",
]

_T = TypeVar("_T")
_DEBUG = "polyvox.debug"


class InputError(click.ClickException):
    """What was given can't be taken, though the command itself was understood."""

    exit_code = USAGE

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


def gathered(kind: Callable[..., _T]) -> Callable[[Callable[[_T], object]], Callable[..., object]]:
    """A command's parameters, gathered in one struct of this kind."""

    def decorate(command: Callable[[_T], object]) -> Callable[..., object]:
        @functools.wraps(command)
        def with_one_object(**given: object) -> object:
            return command(kind(**given))

        return with_one_object

    return decorate


def debugging(ctx: click.Context) -> bool:
    """Whether ``--debug`` was given anywhere on the command line."""
    return bool(ctx.meta.get(_DEBUG))


def debug_option(command: Callable[..., object]) -> Callable[..., object]:
    """Adds ``-v/--debug``, which shows tracebacks."""
    return click.option(
        "-v",
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_remember_debug,
        help="Show the traceback of an error.",
    )(command)


def model_option(command: Callable[..., object]) -> Callable[..., object]:
    """Adds ``-m/--model``."""
    return click.option(
        "-m",
        "--model",
        metavar="PROVIDER/MODEL",
        envvar="POLYVOX_MODEL",
        shell_complete=complete_model,
        callback=_not_empty,
        help="Which model; else POLYVOX_MODEL, the configuration's, or what is there: a key, a server.",
    )(command)


def quiet_option(command: Callable[..., object]) -> Callable[..., object]:
    """Adds ``-q/--quiet``."""
    return click.option(
        "-q", "--quiet", is_flag=True, help="Say nothing on stderr but warnings and errors."
    )(command)


def config_option(command: Callable[..., object]) -> Callable[..., object]:
    """Adds ``--config``."""
    return click.option(
        "--config",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Take this configuration; else the one that 'polyvox config path' names, if any.",
    )(command)


def output_option(command: Callable[..., object]) -> Callable[..., object]:
    """``-o FILE``: where to write."""
    return click.option(
        "-o",
        "--output",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write there instead of stdout.",
    )(command)


def log_option(command: Callable[..., object]) -> Callable[..., object]:
    """Adds ``--log/--no-log``."""
    return click.option(
        "--log/--no-log",
        default=True,
        help="Write the call down for 'polyvox log', or not. POLYVOX_LOG=off: never.",
    )(command)


def _remember_debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_DEBUG] = True


def _not_empty(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.strip():  # most often a variable of a script that is not set
        raise InputError("-m names no model: it is empty", "Leave it away to use what is there.")
    return value


def complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """The names of models that begin so."""
    from polyvox.cli.names import completed

    return list(completed(incomplete, ctx.params.get("config")))
