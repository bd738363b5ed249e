"""Templates checked when they are written, and rendered when they are used."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from polyvox import jsontext
from polyvox.dialects.schema import Schema
from polyvox.errors import BadRequestError
from polyvox.gateway.prompts.sandbox import Source, compiled, environment, render
from polyvox.gateway.prompts.shapes import Part, PromptTemplate
from polyvox.suggestions import hint_for
from polyvox.tools.conformance import problems

__all__ = ["Renderer"]

_KEPT = 500
_MAX_SCHEMA = 32_000
_UNBOUNDED = ("$ref", "$dynamicRef", "pattern", "patternProperties")
"""Parts of a schema that could take for ever: patterns, and what may go round in circles."""

_CHILDREN = ("properties", "$defs", "definitions", "dependentSchemas")


class Renderer:
    """Renders templates, and keeps those used last as what can be run. For one thread."""

    def __init__(self) -> None:
        self._environment = environment()
        self._kept: OrderedDict[str, Source] = OrderedDict()

    def check(self, template: PromptTemplate) -> None:
        """Raises ``BadRequestError`` for a template that can't be used, naming the place."""
        if template.options.system is not None:
            raise BadRequestError("options.system: instructions are a message of the role 'system'")
        schema = template.variables
        declared = None if schema is None else _declared(schema)
        for place, part in enumerate(template.messages):
            where = f"messages[{place}]"
            try:
                unknown = self._source(part.text).variables - (declared or set())
            except BadRequestError as error:
                raise BadRequestError(f"{where}: {error.text}", hint=error.hint) from None
            if declared is not None and unknown:
                raise BadRequestError(
                    f"{where} uses the variable {min(unknown)!r}, and variables has no such property",
                    hint=hint_for(min(unknown), declared, "Add it, or leave variables away."),
                )

    def rendered(self, template: PromptTemplate, variables: Mapping[str, Any]) -> list[Part]:
        """What becomes of the template; messages of which nothing is left are left out.

        Raises ``BadRequestError`` that names the variable that is missing or wrong.
        """
        values = _values(template.variables, variables)
        sources = [self._source(part.text) for part in template.messages]
        texts = render(sources, values)
        return [
            replace(part, text=text)
            for part, text in zip(template.messages, texts, strict=True)
            if text.strip()
        ]

    def _source(self, text: str) -> Source:
        source = self._kept.pop(text, None) or compiled(self._environment, text)
        self._kept[text] = source
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return source


def _declared(schema: Schema) -> set[str]:
    """The names of the variables. Raises ``BadRequestError`` for a schema that can't be one of them."""
    if schema.get("type", "object") != "object":
        raise BadRequestError("variables is a schema of another type than 'object'")
    if len(jsontext.encode(schema)) > _MAX_SCHEMA:
        raise BadRequestError(f"variables is longer than {_MAX_SCHEMA:,} characters")
    for where in _unbounded(schema, "variables"):
        raise BadRequestError(
            f"{where} is not taken in the schema of a template's variables",
            hint=f"There may be no {', '.join(_UNBOUNDED)}.",
        )
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise BadRequestError("variables.properties is no object")
    for name, rule in properties.items():  # pyright: ignore[reportUnknownVariableType]
        if isinstance(rule, dict) and "default" in rule:
            _check({name: rule["default"]}, {"properties": {name: rule}}, "the default of ")  # pyright: ignore[reportUnknownArgumentType]
    return set(properties)  # pyright: ignore[reportUnknownArgumentType]


def _unbounded(schema: Any, where: str) -> Iterator[str]:
    """The places of what could take for ever."""
    if isinstance(schema, list):
        for place, each in enumerate(schema):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            yield from _unbounded(each, f"{where}[{place}]")
    if not isinstance(schema, dict):
        return
    for key, below in schema.items():  # pyright: ignore[reportUnknownVariableType]
        if key in _UNBOUNDED:
            yield f"{where}.{key}"
        elif key in _CHILDREN and isinstance(below, dict):
            for name, each in below.items():  # pyright: ignore[reportUnknownVariableType]
                yield from _unbounded(each, f"{where}.{key}.{name}")
        elif key not in ("default", "enum", "const", "examples"):
            yield from _unbounded(below, f"{where}.{key}")


def _values(schema: Schema | None, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables with the defaults of those that are not given. Raises ``BadRequestError``."""
    for name in variables:
        if not name.isidentifier() or name.startswith("_"):
            raise BadRequestError(f"variables: {name[:100]!r} can't be the name of a variable")
    if schema is None:
        return dict(variables)
    properties: dict[str, Any] = schema.get("properties", {})
    defaults: dict[str, Any] = {
        name: rule["default"]
        for name, rule in properties.items()
        if isinstance(rule, dict) and "default" in rule
    }
    values = {**defaults, **variables}
    _check(values, {"additionalProperties": False, **schema}, "")
    return values


def _check(values: dict[str, Any], schema: Schema, what: str) -> None:
    try:
        found = next(problems(values, schema), None)
    except Exception as error:  # noqa: BLE001 - the schema is whatever somebody wrote
        raise BadRequestError(f"variables is no schema: {type(error).__name__}: {error}") from None
    if found is not None:
        place, wrong = found
        raise BadRequestError(f"{what}{place.replace('$', 'variables', 1)}: {wrong}")
