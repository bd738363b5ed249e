"""``polyvox mock``: a provider's API, served from a script."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import inspect

from polyvox.cli.options import debug_option
from polyvox.dialects import DIALECTS
from polyvox.testing.knobs import Knobs

__all__ = ["MockOptions", "command"]


class MockOptions(msgspec.Struct, kw_only=True):
    """Everything ``polyvox mock`` was told on its command line; ``knobs`` by name."""

    dialect: str
    script: Path | None
    model: str | None
    models: tuple[str, ...]
    port: int
    expect_key: str | None
    ready_file: Path | None
    knobs: dict[str, Any]


def _knob_options(command: Callable[..., object]) -> Callable[..., object]:
    """An option for every knob, of its type, with what the knobs' own docstring says of it."""
    kind = inspect.type_info(Knobs)
    assert isinstance(kind, inspect.StructType)
    for field in reversed(kind.fields):
        taken, metavar = _knob_type(field.type)
        option = click.option(
            f"--{field.name.replace('_', '-')}",
            field.name,
            type=taken,
            metavar=metavar,
            help=_knob_help(field.name),
        )
        command = option(command)
    return command


def _knob_type(kind: inspect.Type) -> "tuple[click.ParamType[Any], str | None]":
    """What an option for a knob of this type takes, and what that is called in the help."""
    match kind:
        case inspect.UnionType(types=types):  # None is "not said", as without the option
            return next(_knob_type(t) for t in types if not isinstance(t, inspect.NoneType))
        case inspect.LiteralType(values=values):
            return click.Choice([str(value) for value in values]), None
        case inspect.FloatType(ge=least):
            return click.FloatRange(min=least), "SECONDS"
        case inspect.IntType(ge=least, le=most):
            return click.IntRange(min=least, max=most), "INTEGER"
        case _:
            raise TypeError(f"a knob of type {kind} has no option yet")


def _knob_help(name: str) -> str:
    """The knob's entry in the docstring, as the help of an option."""
    entry = re.search(rf"``{name}`` +(.+(?:\n {{8,}}\S.*)*)", Knobs.__doc__ or "")
    if entry is None:
        return ""
    text = " ".join(entry[1].split()).replace("``", "").removeprefix("... ")
    text = text.partition("; None:")[0].replace(" (s)", " (streams only)")
    return f"{text[:1].upper()}{text[1:]}."


@click.command(
    "mock", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--dialect", type=click.Choice(list(DIALECTS)), default="openai-chat", show_default=True
)
@click.option(
    "--script",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help='What is said, turn by turn: a JSON list such as ["Hello.", {"error": {...}}], or {"model": [...]}.',
)
@click.option("--model", metavar="NAME", help="Who answers instead; default: simulated/echo.")
@click.option("--models", metavar="NAME", multiple=True, help="A name in the list of models.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 finds a free one.")
@click.option("--expect-key", metavar="KEY", help="Refuse requests without this API key.")
@click.option(
    "--ready-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the address there once it answers.",
)
@_knob_options
@debug_option
def command(**given: Any) -> int:
    """Serve a provider's API from a script, on this machine, for tests.

    The first line on stdout is the address, the second one sets the variables that make programs
    use it. Requests are told on stderr; Ctrl-C or SIGTERM ends it, and prints what was served. GET
    /_mock/record tells it before that, as JSON.

    \b
      polyvox mock --dialect anthropic-messages --script script.json
      polyvox mock --delay-chunks 0.1 --cut-after 2000 --cut-mode rst
    """
    import asyncio

    from polyvox.cli.mock_server import serve

    turned = {name: given.pop(name) for name in Knobs.__struct_fields__}
    knobs = {name: value for name, value in turned.items() if value is not None}
    return asyncio.run(serve(MockOptions(**given, knobs=knobs)))
