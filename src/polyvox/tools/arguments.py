"""Arguments as a model wrote them, held against what a tool takes.

What is wrong is told so that the model can put it right: all of it at once, each with its place.
"""

from collections.abc import Iterable
from typing import Any

from polyvox.dialects.schema import Schema
from polyvox.dialects.schema_nulls import without_nulls
from polyvox.tools.conformance import Problem, problems
from polyvox.tools.errors import ToolArgumentsError

__all__ = ["SchemaArguments", "arguments_error"]


class SchemaArguments:
    """Arguments that are taken as they are, if the schema admits them.

    >>> SchemaArguments({"properties": {"n": {"type": "integer"}}}).read({"n": "one"})
    Traceback (most recent call last):
    ...
    polyvox.tools.errors.ToolArgumentsError: n: expected a whole number, got a string
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def read(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments; null for an optional one that can't be null means that it is left out.

        Where the schema is none, nothing can be said against them: its own server may know better.
        """
        try:
            given: dict[str, Any] = without_nulls(arguments, self._schema)
            found = list(problems(given, self._schema))
        except RecursionError:
            raise ToolArgumentsError("they are nested too deeply") from None
        except (AttributeError, KeyError, TypeError, ValueError):
            return arguments
        if found:
            raise arguments_error(found)
        return given


def arguments_error(found: Iterable[Problem]) -> ToolArgumentsError:
    """The error that tells the model everything that is wrong."""
    lines = [f"{place}: {text}" if (place := _place(path)) else text for path, text in found]
    if len(lines) == 1:
        return ToolArgumentsError(lines[0])
    return ToolArgumentsError(
        "\n".join(["the arguments don't fit:", *(f"- {one}" for one in lines)])
    )


def _place(path: str) -> str:
    """A place as the model knows it: "$.people[0].age" is "people[0].age"."""
    return path.removeprefix("$").removeprefix(".")
