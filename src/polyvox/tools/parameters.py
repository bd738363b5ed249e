"""What a function takes, read off its signature, its annotations and its docstring."""

import functools
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any, cast, get_args, get_origin

import msgspec

from polyvox.dialects.schema import Schema
from polyvox.errors import ConfigurationError
from polyvox.tools.arguments import SchemaArguments, arguments_error
from polyvox.tools.conformance import Problem
from polyvox.tools.context import ToolContext
from polyvox.tools.docstrings import parse_docstring
from polyvox.tools.result import plain_value
from polyvox.tools.typed import Convert, Misfit, schema_and_convert, schemas_of

__all__ = ["Parameters", "is_method", "parameters_of", "underlying"]

_KINDS = inspect.Parameter
_REFUSED = {
    _KINDS.VAR_POSITIONAL: "*{name} has no names that a model could give",
    _KINDS.VAR_KEYWORD: "**{name} may be anything, and a model has to be told what",
    _KINDS.POSITIONAL_ONLY: "{name!r} can't be given by name",
}


class Parameters:
    """What a function takes.

    ``name`` and ``description`` are those of the function, ``schema`` is what a model is told,
    ``context`` the parameter, if any, that gets the ``ToolContext``.
    """

    def __init__(
        self,
        name: str,
        description: str,
        schema: Schema,
        readers: Mapping[str, Convert],
        context: str | None = None,
    ) -> None:
        self.name = name
        self.description = description
        self.schema = schema
        self.context = context
        self._readers = readers
        self._arguments = SchemaArguments(schema)

    def read(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments as values of the annotated types. Raises ``ToolArgumentsError``."""
        values: dict[str, Any] = {}
        wrong: list[Problem] = []
        for name, given in self._arguments.read(arguments).items():
            try:
                values[name] = self._readers[name](given)
            except Misfit as misfit:
                inside = (misfit.path or "").removeprefix("$")
                wrong.append((f"$.{name}{inside}", misfit.text.replace("`", "")))
        if wrong:
            raise arguments_error(wrong)
        return values


def parameters_of(function: Callable[..., Any], name: str | None = None) -> Parameters:
    """What this function takes. Raises ``ConfigurationError`` if it can be no tool, which says why."""
    name = name or _name_of(function)
    try:
        return _described(function, name)
    except _Unfit as unfit:
        raise ConfigurationError(f"{name} can't be a tool: {unfit}", hint=unfit.hint) from None


def is_method(function: object) -> bool:
    """Whether this is a function of a class, not yet bound to an instance."""
    owner, _, _ = getattr(function, "__qualname__", "").rpartition(".")
    return inspect.isfunction(function) and owner != "" and not owner.endswith("<locals>")


def underlying(function: Any) -> Any:
    """The function itself, out of partials, bound methods and instances that can be called."""
    target = _unpartial(function)
    if inspect.isroutine(target):
        return getattr(target, "__func__", target)
    return getattr(cast("Any", type(target)), "__call__", target)  # noqa: B004 - its class has it


class _Unfit(Exception):  # noqa: N818 - told as a ConfigurationError
    """Why a function is no tool, and what to do."""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.hint = hint


def _described(function: Callable[..., Any], name: str) -> Parameters:
    wanted = _parameters(function)
    hints = _hints(function, wanted)
    contexts = [each for each, hint in hints.items() if _is_context(hint)]
    if len(contexts) > 1:
        raise _Unfit(f"{' and '.join(contexts)} are both a ToolContext", "One is enough.")
    for each in contexts:
        del hints[each], wanted[each]
    told = parse_docstring(_docstring(function))
    readers: dict[str, Convert] = {}
    for each, hint in hints.items():
        try:
            readers[each] = schema_and_convert(hint)[1]
        except (TypeError, ValueError, NameError, RuntimeError, ImportError) as error:
            about = (str(error).strip() or type(error).__name__).splitlines()[-1]
            raise _Unfit(
                f"no JSON schema can be made of the type of {each!r}: {about}",
                "Use plain types, a dataclass, a TypedDict, a msgspec Struct or a pydantic model.",
            ) from error
    schema = _schema(wanted, hints, told.parameters)
    return Parameters(name, told.description, schema, readers, next(iter(contexts), None))


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters that are still open. Those that a partial fills are not a model's business."""
    if isinstance(function, type):
        raise _Unfit("it is a class", "Give a function, or an instance that can be called.")
    target = underlying(function)
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise _Unfit("it is a generator", "Return the result; ToolContext.update tells progress.")
    try:
        wanted = dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        raise _Unfit("it has no signature", "Write a function around it, with types.") from None
    if isinstance(function, functools.partial):
        for filled in function.keywords:
            wanted.pop(filled, None)
    for each, parameter in wanted.items():
        if parameter.kind in _REFUSED:
            about = _REFUSED[parameter.kind].format(name=each)
            raise _Unfit(about, "Name each parameter, with its type.")
    return wanted


def _hints(function: Any, wanted: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """The types of these parameters, with what is said in strings looked up."""
    target = inspect.unwrap(underlying(function))
    written = getattr(target, "__annotations__", {})
    for each in wanted:
        if each not in written:
            hint = f"Write its type, such as {each}: str."
            if each in ("self", "cls"):
                hint = "It is a method: give that of an instance."
            raise _Unfit(f"the parameter {each!r} has no type", hint)

    def holder() -> None:
        """Holds the annotations of interest: that of the result need not be known here."""

    holder.__annotations__ = {each: written[each] for each in wanted}
    names = getattr(target, "__globals__", {})
    try:
        return typing.get_type_hints(holder, globalns=names, include_extras=True)
    except NameError as error:
        raise _Unfit(
            f"a type is not known when the function is made: {error}",
            "Define it before, at the top of the module, and not under TYPE_CHECKING.",
        ) from error
    except (TypeError, SyntaxError, AttributeError) as error:
        raise _Unfit(f"a type can't be read: {error}", "Annotate with types.") from error


def _schema(
    wanted: Mapping[str, inspect.Parameter], hints: Mapping[str, Any], told: Mapping[str, str]
) -> Schema:
    try:
        schemas, shared = schemas_of(hints.values())
    except TypeError as error:
        raise _Unfit(str(error), "Give one of them another name.") from error
    properties = dict(zip(hints, schemas, strict=True))
    for each, schema in properties.items():
        about = _annotated(hints[each]) or told.get(each)
        if about and "description" not in schema:
            schema["description"] = about
        _tell_default(schema, wanted[each].default)
    schema: Schema = {"type": "object", "properties": properties}
    required = [each for each in properties if wanted[each].default is _KINDS.empty]
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False
    return {**schema, "$defs": shared} if shared else schema


def _tell_default(schema: Schema, default: Any) -> None:
    if default is None or default is _KINDS.empty:
        return
    try:
        schema["default"] = plain_value(default, sort=True)
    except (TypeError, ValueError, msgspec.MsgspecError):
        return  # it has no JSON, and need not: whoever leaves the argument out gets it all the same


def _annotated(hint: Any) -> str | None:
    """The plain string in ``Annotated[str, "the city's name"]``."""
    return next((each for each in getattr(hint, "__metadata__", ()) if isinstance(each, str)), None)


def _is_context(hint: Any) -> bool:
    if hint is ToolContext or get_origin(hint) is ToolContext:
        return True
    return any(_is_context(part) for part in get_args(hint))


def _name_of(function: Any) -> str:
    target = _unpartial(function)
    if not callable(target):
        raise ConfigurationError(
            f"{target!r:.60} can't be a tool: it is of type {type(target).__name__}",
            hint="Give a function, a Tool or a Toolset.",
        )
    name: str = getattr(target, "__name__", "")
    if name == "<lambda>":
        raise ConfigurationError(
            "a lambda can't be a tool: it has neither a name nor types",
            hint="Write a function: def name(parameter: type) -> type.",
        )
    # An instance of the class WeatherService is the tool weather_service.
    return name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(target).__name__).lower()


def _docstring(function: Any) -> str:
    """That of the function; of an instance that can be called, else that of its class."""
    target = _unpartial(function)
    own: str | None = underlying(target).__doc__
    return own or ("" if inspect.isroutine(target) else type(target).__doc__) or ""


def _unpartial(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = cast("Any", function).func
    return function
