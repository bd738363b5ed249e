"""What a template may do with values: filters, tests and methods, each of which pays for what it makes.

All take and give what JSON can hold. Those that could make much of little look before they do.
"""

import operator
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, cast

import msgspec
from jinja2 import pass_context
from jinja2.runtime import Context, Undefined

from polyvox import jsontext
from polyvox.errors import BadRequestError
from polyvox.gateway.prompts.purse import NODE, Json, Purse

__all__ = ["FILTERS", "METHODS", "PURSE", "TESTS", "each", "joined", "paid", "shown"]

PURSE = "_purse"
"""The name of the purse among the variables; a template's own begin with no underscore."""

TESTS = frozenset(
    ("defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping",
     "sequence", "iterable", "true", "false", "odd", "even", "divisibleby")
)  # fmt: skip

METHODS: Mapping[type[Any], frozenset[str]] = {
    str: frozenset(
        ("capitalize", "endswith", "isalpha", "isdigit", "lower", "lstrip", "rstrip", "split",
         "splitlines", "startswith", "strip", "title", "upper")
    ),
    dict: frozenset(("get", "items", "keys", "values")),
}  # fmt: skip

_MOST_PLACES = 15
_ITERABLE = (str, dict, list, tuple, range, KeysView, ItemsView, ValuesView, Undefined)


def purse_of(context: Context) -> Purse:
    """The purse of the rendering that goes on."""
    purse: Purse = context.parent[PURSE]
    return purse


def text_of(value: Json, purse: Purse) -> str:
    """A value as it is written: strings as they are, lists and objects as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, Undefined):
        return str(value)  # raises, and names it
    if value is None or isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, dict | list | tuple):
        purse.weigh(value)
        return jsontext.encode(value).decode()
    raise BadRequestError(f"a {type(value).__name__} can't be written into a prompt")


@pass_context
def shown(context: Context, value: Json) -> str:
    """What is written for an expression."""
    purse = purse_of(context)
    text = text_of(value, purse)
    purse.spend(len(text))
    return text


@pass_context
def paid(context: Context, value: Json) -> Json:
    """The value, paid for."""
    purse_of(context).weigh(value)
    return value


@pass_context
def joined(context: Context, values: list[Json]) -> str:
    """The values as one text: what ``a ~ b`` gives."""
    return _join(context, values)


@pass_context
def each(context: Context, values: Json, cost: int) -> Iterator[Json]:
    """The values one by one, each paid for with what is done for it."""
    purse = purse_of(context)
    for value in _iterable(values):
        purse.spend(cost)
        yield value


def _iterable(values: Json) -> Iterable[Json]:
    if isinstance(values, _ITERABLE):
        return cast("Iterable[Json]", values)
    raise BadRequestError(f"a {type(values).__name__} is nothing to go through")


def _listed(context: Context, values: Json) -> list[Json]:
    purse = purse_of(context)
    found: list[Json] = []
    for value in _iterable(values):
        purse.spend(NODE)
        found.append(value)
    return found


def _text(context: Context, value: Json) -> str:
    return text_of(value, purse_of(context))


def _join(context: Context, values: Json, d: str = "", attribute: str | None = None) -> str:
    purse = purse_of(context)
    texts: list[str] = []
    for value in _listed(context, values):
        texts.append(text_of(_got(context, value, attribute), purse))
        purse.spend(len(texts[-1]) + len(d))
    return d.join(texts)


def _got(context: Context, value: Json, attribute: str | None) -> Json:
    for name in attribute.split(".") if attribute else ():
        value = context.environment.getattr(value, name)
    if isinstance(value, Undefined):
        str(value)  # raises, and names it
    return value


def _map(context: Context, values: Json, *, attribute: str) -> list[Json]:
    return [_got(context, value, attribute) for value in _listed(context, values)]


def _replace(context: Context, value: Json, old: str, new: str) -> str:
    text = _text(context, value)
    purse_of(context).spend(len(text) + text.count(old) * len(new))
    return text.replace(old, new)


def _indent(context: Context, value: Json, width: int = 4, first: bool = False) -> str:
    text = _text(context, value)
    lines = text.split("\n")
    purse_of(context).spend(len(text) + len(lines) * abs(width))
    space = " " * width
    head, *rest = [f"{space}{line}" if line else line for line in lines]
    return "\n".join([head if first else lines[0], *rest])


def _truncate(context: Context, value: Json, length: int = 255, end: str = "...") -> str:
    text = _text(context, value)
    return text if len(text) <= length else text[: max(length - len(end), 0)] + end


def _items(context: Context, value: Json) -> list[Json]:
    return _listed(context, value.items())


def _first(context: Context, values: Json) -> Json:
    nothing = context.environment.undefined("there is no first of nothing")
    return next(iter(_iterable(values)), nothing)


def _default(context: Context, value: Json, default: Json = "", boolean: bool = False) -> Json:
    return default if isinstance(value, Undefined) or (boolean and not value) else value


def _tojson(context: Context, value: Json, indent: int | None = None) -> str:
    if isinstance(value, Undefined):
        return str(value)
    if not isinstance(value, str | int | float | list | tuple | dict | None):
        raise BadRequestError(f"a {type(value).__name__} is no JSON")
    purse_of(context).weigh(value)
    text = jsontext.encode(value)
    if indent is None:
        return text.decode()
    if not 0 <= indent <= 8:
        raise BadRequestError("tojson: indent is from 0 to 8")
    return msgspec.json.format(text, indent=indent).decode()


def _number(kind: type[int] | type[float]) -> Callable[..., Json]:
    def convert(context: Context, value: Json, default: float = 0) -> Json:
        if isinstance(value, Undefined):
            return str(value)
        try:
            return kind(value)
        except (TypeError, ValueError, OverflowError):
            return default

    return convert


def _round(context: Context, value: float, precision: int = 0) -> Json:
    if not 0 <= precision <= _MOST_PLACES:
        raise BadRequestError(f"round: precision is from 0 to {_MOST_PLACES}")
    return round(value, precision) if precision else round(value)


def _sort(
    context: Context, values: Json, reverse: bool = False, attribute: str | None = None
) -> list[Json]:
    items = _listed(context, values)
    return sorted(items, key=lambda each: _got(context, each, attribute), reverse=reverse)


def _unique(context: Context, values: Json) -> list[Json]:
    found: dict[str, Json] = {}
    for value in _listed(context, values):
        found.setdefault(_text(context, value), value)
    return list(found.values())


def _filter(make: Callable[..., Json]) -> Callable[..., Json]:
    """The filter, which pays for what it makes. With the context it is never worked out beforehand."""

    @pass_context
    def with_price(context: Context, value: Json, *args: Any, **kwargs: Any) -> Json:
        made = make(context, value, *args, **kwargs)
        if not isinstance(made, Undefined):
            purse_of(context).weigh(made)
        return made

    return with_price


def _of_value(change: Callable[[Json], Json]) -> Callable[..., Json]:
    def changed(context: Context, value: Json) -> Json:
        return change(value)

    return changed


def _of_text(change: Callable[[str], Json]) -> Callable[..., Json]:
    def changed(context: Context, value: Json) -> Json:
        return change(_text(context, value))

    return changed


_LENGTH = _filter(_of_value(len))
_DEFAULT = _filter(_default)

FILTERS: Mapping[str, Callable[..., Json]] = {
    "abs": _filter(_of_value(abs)),
    "capitalize": _filter(_of_text(str.capitalize)),
    "count": _LENGTH,
    "d": _DEFAULT,
    "default": _DEFAULT,
    "first": _filter(_first),
    "float": _filter(_number(float)),
    "indent": _filter(_indent),
    "int": _filter(_number(int)),
    "items": _filter(_items),
    "join": _filter(_join),
    "last": _filter(_of_value(operator.itemgetter(-1))),
    "length": _LENGTH,
    "list": _filter(_listed),
    "lower": _filter(_of_text(str.lower)),
    "map": _filter(_map),
    "replace": _filter(_replace),
    "reverse": _filter(_of_value(operator.itemgetter(slice(None, None, -1)))),
    "round": _filter(_round),
    "sort": _filter(_sort),
    "string": _filter(_text),
    "title": _filter(_of_text(str.title)),
    "tojson": _filter(_tojson),
    "trim": _filter(_of_text(str.strip)),
    "truncate": _filter(_truncate),
    "unique": _filter(_unique),
    "upper": _filter(_of_text(str.upper)),
    "wordcount": _filter(_of_text(lambda text: len(text.split()))),
}
