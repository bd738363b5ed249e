"""Templates as files, one each, to be read by people and kept in git.

Markdown has what is not text at its head, between lines of "+++", and then each message below a line
that says whose it is:

    +++
    name = "support.reply"
    model = "openai/gpt-5-mini"
    +++

    <!-- system -->

    You help with {{ product }}.

    <!-- user -->

    {{ question }}

TOML has the same keys, and the messages as tables.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import msgspec

from polyvox.errors import BadRequestError
from polyvox.gateway.prompts.shapes import Form, PromptTemplate, checked_name
from polyvox.suggestions import hint_for

__all__ = ["read_file", "write_file"]

_HEAD = re.compile(r"\+\+\+[ \t]*\n(.*?\n)?\+\+\+[ \t]*(?:\n|\Z)", re.DOTALL)
_MARK = re.compile(r"^<!-- (system|user|assistant) -->[ \t]*$", re.MULTILINE)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEAD_KEYS = ("component", "description", "model", "options", "variables")


def read_file(text: str) -> tuple[str, PromptTemplate]:
    """The name and the template that a file holds. Raises ``BadRequestError`` that names the place."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    markdown = text.lstrip().startswith("+++")
    fields = _markdown(text.lstrip()) if markdown else _toml(text)
    name = fields.pop("name", None)
    if not isinstance(name, str):
        raise BadRequestError("the file says no name", hint='It needs a line: name = "..."')
    if isinstance(fields.get("variables"), str):  # what TOML can't hold, such as null
        fields["variables"] = _json(fields["variables"])
    try:
        return checked_name(name), msgspec.convert(fields, PromptTemplate)
    except msgspec.ValidationError as error:
        known = PromptTemplate.__struct_fields__
        unknown = next((key for key in fields if key not in known), "")
        hint = hint_for(unknown, known) if unknown else None
        raise BadRequestError(f"the file is not right: {error}", hint=hint) from None


def write_file(name: str, template: PromptTemplate, form: Form = "markdown") -> str:
    """The file of a template. Markdown that could not be read again becomes TOML."""
    head = "".join(_head(name, template))
    if form == "markdown":
        parts = (f"\n<!-- {part.role} -->\n\n{part.text}\n" for part in template.messages)
        text = f"+++\n{head}+++\n{''.join(parts)}"
        if _reads_as(text, template):
            return text
    messages = (
        f"\n[[messages]]\nrole = {_value(part.role)}\ntext = {_long(part.text)}\n"
        for part in template.messages
    )
    return head + "".join(messages)


def _reads_as(text: str, template: PromptTemplate) -> bool:
    try:
        return read_file(text)[1] == template
    except BadRequestError:
        return False


def _markdown(text: str) -> dict[str, Any]:
    head = _HEAD.match(text)
    if head is None:
        raise BadRequestError('the file has no second line "+++", where its head ends')
    fields = _toml(head[1] or "")
    body = text[head.end() :]
    marks = list(_MARK.finditer(body))
    if "messages" in fields or not marks or body[: marks[0].start()].strip():
        raise BadRequestError(
            "the file's text does not begin with a line that says whose it is",
            hint='Such as "<!-- system -->" or "<!-- user -->".',
        )
    ends = [*(mark.start() for mark in marks[1:]), len(body)]
    fields["messages"] = [
        {"role": mark[1], "text": _between(body[mark.end() : end])}
        for mark, end in zip(marks, ends, strict=True)
    ]
    return fields


def _between(text: str) -> str:
    """The text without the lines that part it from the marks."""
    return text.strip("\n")


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadRequestError(f"the file is no TOML: {error}") from None


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise BadRequestError(f"variables is no JSON: {error}") from None


def _head(name: str, template: PromptTemplate) -> Iterator[str]:
    fields: dict[str, Any] = msgspec.to_builtins(template)
    options = {key: each for key, each in fields.pop("options", {}).items() if not _empty(each)}
    yield f"name = {_value(name)}\n"
    for key in _HEAD_KEYS:
        if key in fields and key != "variables":
            yield f"{key} = {_value(fields[key])}\n"
    schema = fields.get("variables")
    if schema is not None and _has_null(schema):
        yield f"variables = {_long(json.dumps(schema, ensure_ascii=False, indent=2))}\n"
        schema = None
    if options:
        yield f"\n[options]\n{_lines(options)}"
    if schema is not None:
        properties: dict[str, Any] = schema.get("properties") or {}
        apart = bool(properties) and all(isinstance(rule, dict) for rule in properties.values())
        rest = {key: each for key, each in schema.items() if key != "properties" or not apart}
        yield f"\n[variables]\n{_lines(rest)}"
        for each, rule in properties.items() if apart else ():
            yield f"\n[variables.properties.{_key(each)}]\n{_lines(rule)}"


def _lines(table: dict[str, Any]) -> str:
    return "".join(f"{_key(key)} = {_value(each)}\n" for key, each in table.items())


def _value(value: Any) -> str:
    """A value in one line of TOML."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        items = (f"{_key(key)} = {_value(each)}" for key, each in value.items())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return f"{{ {', '.join(items)} }}" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"  # pyright: ignore[reportUnknownArgumentType]
    return json.dumps(value)


def _long(text: str) -> str:
    """A text over several lines."""
    lines = (_value(line)[1:-1] for line in text.split("\n"))
    return '"""\n' + "\n".join(lines) + '"""'


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | tuple | dict) and not value)


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_null, value.values()))  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, list):
        return any(map(_has_null, value))  # pyright: ignore[reportUnknownArgumentType]
    return value is None
