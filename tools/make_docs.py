"""Write the parts of the documentation that are made from the code: tables and the command reference.

Each stands between two comments, ``<!-- NAME: made by tools/make_docs.py -->`` and
``<!-- end of NAME -->``. With ``--check`` nothing is written, and the exit status is 1 if a page is
not what it would be.
"""

import ast
import re
import runpy
import sys
import tomllib
from collections.abc import Callable, Iterator
from inspect import getdoc as inspect_doc
from pathlib import Path

import click
import msgspec
from msgspec import inspect

from polyvox.agent.files import AgentFile, LimitsSection
from polyvox.cli import chat_commands
from polyvox.cli.app import COMMANDS, application
from polyvox.cli.exit_codes import EXIT_CODES
from polyvox.composite import MemberProfile
from polyvox.composite.names import packaged
from polyvox.config import Config
from polyvox.config.schema import NOT_SAID, ProviderSection
from polyvox.providers import Provider, load_providers
from polyvox.routing import Cooldown

NOT_LISTED = ("debug", "help")  # every command's

DOCS = Path(__file__).resolve().parents[1] / "docs"


def provider_table() -> str:
    """Every row of ``providers.toml``."""
    lines = ["| name | | dialect | tier | key | address |", "|---|---|---|---|---|---|"]
    lines += [_provider_line(row) for row in load_providers().values()]
    noted = [row for row in load_providers().values() if row.notes]
    notes = [f"- `{row.name}`: {row.notes}" for row in noted]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def _provider_line(row: Provider) -> str:
    keys = " or ".join(f"`{name}`" for name in row.key_env)
    address = f"`{row.base_url}`"
    if row.base_url_env:
        address += ", or " + " or ".join(f"`{name}`" for name in row.base_url_env)
    key = f"optional: {keys}" if row.local and keys else keys or "none"
    return f"| `{row.name}` | {row.title} | {row.dialect} | {row.tier} | {key} | {address} |"


def exit_code_table() -> str:
    """Every exit code with the kinds of errors that end with it."""
    lines = ["| code | | kinds of errors |", "|---|---|---|"]
    for code, kinds, meaning in EXIT_CODES:
        lines += [f"| {code} | {meaning} | {', '.join(kinds) or '-'} |"]
    return "\n".join(lines)


def chat_command_table() -> str:
    """Every command of a chat."""
    lines = ["| command | |", "|---|---|"]
    for command in chat_commands.COMMANDS.values():
        typed = f"{command.name} {command.argument}".strip()
        lines += [f"| `{typed}` | {command.help} |"]
    return "\n".join(lines)


def command_reference() -> str:
    """Every command with its options, and those below it."""
    top = click.Context(application, info_name="polyvox")
    return "\n\n".join("\n".join(lines) for name in COMMANDS for lines in _commands(name, top))


def _commands(name: str, above: click.Context) -> Iterator[Iterator[str]]:
    group = above.command
    assert isinstance(group, click.Group)
    command = group.get_command(above, name)
    assert command is not None
    context = click.Context(command, info_name=name, parent=above)
    summary = COMMANDS[name] if group is application else command.get_short_help_str(200)
    yield _command_lines(command, context, summary)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            yield from _commands(below, context)


def _command_lines(command: click.Command, context: click.Context, summary: str) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"### {context.command_path}"
    yield ""
    yield f"`{context.command_path} {usage}`"
    yield ""
    yield summary
    yield ""
    yield "| option | |"
    yield "|---|---|"
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1] and parameter.name not in NOT_LISTED:
            names, help_text = (" ".join(text.replace("|", "\\|").split()) for text in record)
            yield f"| `{names}` | {help_text} |"


def handover_table() -> str:
    """What of a conversation arrives, from every dialect in every other."""
    return runpy.run_path(str(Path(__file__).with_name("handover_matrix.py")))["table"]()


def config_keys() -> str:
    """Every section of the configuration with its keys, as the structs' docstrings tell them."""
    config = inspect.type_info(Config)
    assert isinstance(config, inspect.StructType)
    return "\n\n".join("\n".join(_section_lines(field)) for field in config.fields)


def agent_file_keys() -> str:
    """Every key of an agent's file."""
    return "\n\n".join(
        "\n".join([heading, "", "| key | default | |", "|---|---|---|", *_key_lines(cls)])
        for heading, cls in (("At the top:", AgentFile), ("`[limits]`:", LimitsSection))
    )


def member_keys() -> str:
    """Every key of a member of a composite."""
    return "\n".join(["| key | default | |", "|---|---|---|", *_key_lines(MemberProfile)])


def presets() -> str:
    """Every preset with what it does."""
    shelf = packaged()
    lines = ["| preset | also | |", "|---|---|---|"]
    for name, table in shelf.presets.items():
        also = ", ".join(f"`{alias}`" for alias, meant in shelf.aliases.items() if meant == name)
        lines.append(f"| `{name}` | {also} | {table['about']} |")
    return "\n".join(lines)


def floors() -> str:
    """Every room of the package, from the highest floor down, with what it says of itself."""
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    *above, vocabulary = next(each["layers"] for each in contracts if each["id"] == "floors")
    lines = ["| floor | room | |", "|---|---|---|"]
    for number, floor in zip(range(len(above), 0, -1), above, strict=True):
        lines += [f"| {number} | `{room}` | {_about(room)} |" for room in re.findall(r"\w+", floor)]
    words = ", ".join(f"`{name}`" for name in sorted(re.findall(r"\w+", vocabulary)))
    return "\n".join([*lines, f"| 0 | {words} | the vocabulary; these may import one another |"])


def _about(room: str) -> str:
    """The first line of a room's docstring, without its title."""
    text = (DOCS.parent / "src/polyvox" / room / "__init__.py").read_text("utf-8")
    first = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return first.partition(": ")[2].rstrip(".").replace("``", "`")


def _key_lines(cls: type) -> Iterator[str]:
    told, struct = _meanings(cls), inspect.type_info(cls)
    assert isinstance(struct, inspect.StructType)
    for field in struct.fields:
        yield f"| `{field.name}` | {_default(field)} | {told[field.name]} |"


def _section_lines(section: inspect.Field) -> Iterator[str]:
    named = isinstance(section.type, inspect.DictType)
    kind = section.type.value_type if isinstance(section.type, inspect.DictType) else section.type
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    struct = next(kind for kind in kinds if isinstance(kind, inspect.StructType))
    yield f"### `[{section.name}{'.<name>' if named else ''}]`"
    yield ""
    yield f"{_meanings(Config)[section.name].capitalize()}."
    yield ""
    yield "| key | default | |"
    yield "|---|---|---|"
    told = {
        name: text for cls in reversed(struct.cls.__mro__) for name, text in _meanings(cls).items()
    }
    for field in struct.fields:
        if struct.cls is not ProviderSection or field.name not in NOT_SAID:
            meaning = told[field.name].replace("|", "\\|")
            default = "of its kind" if struct.cls is Cooldown else _default(field)
            yield f"| `{field.name}` | {default} | {meaning} |"


def _default(field: inspect.Field) -> str:
    if field.required:
        return "its name" if field.name == "title" else "needed"
    value = field.default
    if value in (None, "", (), msgspec.NODEFAULT) or isinstance(value, msgspec.Struct):
        return ""
    shown = msgspec.json.encode(value).decode()
    return f"`{shown}`"


def _meanings(cls: type) -> dict[str, str]:
    """What a struct's docstring says of its fields: a line for each, or all in a sentence."""
    text = inspect_doc(cls) or ""
    rows = re.findall(r"^(``\w+``(?:, ``\w+``)*) +(.*(?:\n +.*)*)", text, re.MULTILINE)
    sentence = re.findall(r"(``\w+``) ([^`]+?)(?=, ``|\.(?:\s|$))", text)
    return {
        name: " ".join(meaning.split()).rstrip(".,").replace("``", "`")
        for names, meaning in max(rows, sentence, key=len)
        for name in re.findall(r"\w+", names)
    }


PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "agent file keys": ("run-agents-from-the-terminal.md", agent_file_keys),
    "config keys": ("configure-with-a-file.md", config_keys),
    "member keys": ("name-a-composite.md", member_keys),
    "presets": ("name-a-composite.md", presets),
    "providers": ("choose-a-provider.md", provider_table),
    "floors": ("how-it-works.md", floors),
    "handover": ("handover.md", handover_table),
    "chat commands": ("use-the-command-line.md", chat_command_table),
    "exit codes": ("use-the-command-line.md", exit_code_table),
    "commands": ("use-the-command-line.md", command_reference),
}


def filled(text: str, part: str, content: str) -> str:
    """A page with this part written anew. Raises ``ValueError`` if the page has no place for it."""
    begin, end = f"<!-- {part}: made by tools/make_docs.py -->", f"<!-- end of {part} -->"
    place = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
    if len(place.findall(text)) != 1:
        raise ValueError(f"the page must have {begin!r} and {end!r} once")
    return place.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", text)


def pages() -> dict[Path, str]:
    """Every page with parts made from the code, as it should be."""
    made: dict[Path, str] = {}
    for part, (name, write) in PARTS.items():
        path = DOCS / name
        made[path] = filled(made.get(path) or path.read_text("utf-8"), part, write())
    return made


def main() -> int:
    """Write the pages, or with ``--check`` only look."""
    stale = [path for path, text in pages().items() if path.read_text("utf-8") != text]
    for path in stale:
        if "--check" in sys.argv:
            print(f"{path.name} is not up to date: run tools/make_docs.py", file=sys.stderr)
        else:
            path.write_text(pages()[path], "utf-8")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
