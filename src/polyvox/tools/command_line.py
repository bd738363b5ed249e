"""A tool as a command: an option for each parameter, JSON in and out. Needs click (extra "cli")."""

import asyncio
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any, cast

import click
import msgspec

from polyvox import jsontext
from polyvox.dialects.schema import Schema, resolved, types_of
from polyvox.errors import PolyvoxError
from polyvox.messages import ToolCall
from polyvox.model import Call
from polyvox.tools.context import ToolContext
from polyvox.tools.errors import ToolArgumentsError
from polyvox.tools.result import ToolResult, plain_value
from polyvox.tools.tool import Tool

__all__ = ["command_of"]

_FAILED = 1
_USAGE = 2
_ALL = "all_arguments"
_OPTION = re.compile(r"[\w-]+")
_SCALARS: dict[str, Any] = {"string": click.STRING, "integer": click.INT, "number": click.FLOAT}


def command_of(tool: Tool, name: str | None = None) -> click.Command:
    """The command that runs this tool.

    It prints the result as JSON, an error as JSON on stderr, and ends with 1 if the tool failed,
    with 2 if the arguments don't fit.
    """
    schema = tool.definition.parameters
    properties: Schema = schema.get("properties", {})
    options = _options(schema)
    if "json" not in properties:
        about = "All arguments as one JSON object; - reads it from stdin. Options count more."
        options[_ALL] = click.Option(["--json", _ALL], metavar="JSON", help=about)

    def run(**given: Any) -> None:
        arguments = _given_as_json(given.pop(_ALL, None))
        for n, each in enumerate(properties):
            value = given.get(f"argument_{n}")
            if value is not None and value != ():
                arguments[each] = list(value) if isinstance(value, tuple) else value  # pyright: ignore[reportUnknownArgumentType]
        click.get_current_context().exit(_run(tool, arguments))

    return click.Command(
        name or tool.name,
        params=[*options.values()],
        callback=run,
        help=tool.definition.description,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


class _Json(click.ParamType[Any]):
    """JSON text; where a string would do as well, text that is no JSON is one."""

    name = "json"

    def __init__(self, *, or_text: bool) -> None:
        self._or_text = or_text

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value that the text is the JSON of."""
        try:
            return jsontext.decode(cast("str", value), object)
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            if self._or_text:
                return cast("str", value)
            self.fail(f"{value!r} is no JSON: {error}", param, ctx)


def _options(schema: Schema) -> dict[str, click.Parameter]:
    """The options for the parameters; what can have none is left to ``--json``."""
    options: dict[str, click.Parameter] = {}
    properties: Schema = schema.get("properties", {})
    taken = {"--help"} if "json" in properties else {"--help", "--json"}
    for n, (name, below) in enumerate(properties.items()):
        if not _OPTION.fullmatch(name):
            continue
        key, required = f"argument_{n}", name in schema.get("required", ())
        option = _option(key, name, below, schema, required=required)
        flags = {*option.opts, *option.secondary_opts}
        if taken.isdisjoint(flags):
            taken |= flags
            options[key] = option
    return options


def _option(key: str, name: str, schema: Any, root: Schema, *, required: bool) -> click.Option:
    """The option for one parameter. Left out it is None, and the function's own default holds."""
    flag = "--" + (name.strip("_").replace("_", "-") or name)
    branches = _branches(schema, root)
    here = branches[0] if len(branches) == 1 else {}
    kinds = types_of(here)
    about = _about(schema, required=required)
    if kinds == ["boolean"]:
        return click.Option([f"{flag}/--no-{flag[2:]}", key], default=None, help=about)
    if kinds == ["array"] and "prefixItems" not in here:
        kind = _type(_branches(here.get("items", {}), root))
        return click.Option([flag, key], type=kind, multiple=True, help=f"{about} Repeatable.")
    return click.Option([flag, key], type=_type(branches), help=about)


def _type(branches: list[Schema]) -> "click.ParamType[Any]":
    """How the text of an option is read. Whether the value fits is for the tool's own check to say."""
    here = branches[0] if len(branches) == 1 else {}
    words: list[Any] = here.get("enum", [])
    if words and all(isinstance(word, str) for word in words):
        return click.Choice(words)
    kinds = types_of(here)
    if len(kinds) == 1 and kinds[0] in _SCALARS and not words:
        return _SCALARS[kinds[0]]
    texts = ("string" in types_of(each) or not types_of(each) for each in branches)
    return _Json(or_text=any(texts))


def _branches(schema: Any, root: Schema) -> list[Schema]:
    """What a value may be, null aside: to give null, leave the option out."""
    here: Schema = resolved(schema, root) if isinstance(schema, dict) else {}  # pyright: ignore[reportUnknownArgumentType]
    below: list[Any] = here.get("anyOf") or here.get("oneOf") or []
    if not below:
        kinds = [kind for kind in types_of(here) if kind != "null"]
        return [{**here, "type": kinds} if kinds else here] if types_of(here) != ["null"] else []
    return [branch for each in below for branch in _branches(each, root)]


def _about(schema: Any, *, required: bool) -> str:
    said = cast("Schema", schema) if isinstance(schema, dict) else {}
    about = str(said.get("description", "")).rstrip(".")
    notes = ["required"] if required else []
    if "default" in said:
        notes.append(f"default: {jsontext.encode(said['default']).decode()}")
    return " ".join([f"{about}."] * bool(about) + [f"[{'; '.join(notes)}]"] * bool(notes))


def _given_as_json(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        found: object = jsontext.decode(sys.stdin.read() if text == "-" else text)
    except msgspec.DecodeError as error:
        raise click.UsageError(f"--json is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise click.UsageError("--json takes an object: the arguments by name")
    return cast("dict[str, Any]", found)


def _run(tool: Tool, arguments: dict[str, Any]) -> int:
    try:
        with redirect_stdout(sys.stderr):  # stdout is for the result alone
            value = asyncio.run(_value(tool, tool.read(arguments)))
        click.echo(jsontext.encode(_shown(value)))
    except ToolArgumentsError as error:
        return _report({"kind": "arguments", "text": error.text}, _USAGE)
    except PolyvoxError as error:
        return _report(error.to_dict(), _FAILED)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it was, it is told as JSON
        return _report({"kind": type(error).__name__, "text": str(error)}, _FAILED)
    return 0


async def _value(tool: Tool, values: dict[str, Any]) -> object:
    context = ToolContext[None](
        call=Call(), tool_call=ToolCall("command", tool.name), deps=None, on_update=_tell
    )
    deadline = asyncio.timeout(tool.timeout)
    try:
        async with deadline:
            value = await tool.call(values, context)
    except TimeoutError:
        if deadline.expired():
            raise TimeoutError(f"{tool.name} took longer than {tool.timeout:g} s") from None
        raise
    if isinstance(value, ToolResult) and value.is_error:
        raise RuntimeError(value.text)
    return value


def _shown(value: object) -> Any:
    """A result's text as a string, or its blocks; anything else as it is."""
    if not isinstance(value, ToolResult):
        return plain_value(value)
    blocks = list(_blocks(value))
    return blocks[0] if len(blocks) == 1 else blocks


def _blocks(result: ToolResult) -> Iterator[Any]:
    for block in msgspec.to_builtins(result.content):
        yield block["text"] if block["type"] == "text" else block


def _tell(partial: ToolResult) -> None:
    click.echo(partial.text, err=True)


def _report(error: dict[str, Any], code: int) -> int:
    click.echo(jsontext.encode({"error": error}), err=True)
    return code
