"""What a model is told of a function, and how its arguments become the function's values."""

from __future__ import annotations

import datetime
import enum
import functools
import math
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, TypedDict

import msgspec
import pydantic
import pytest

from polyvox.errors import ConfigurationError
from polyvox.tools import ToolArgumentsError, ToolContext, as_tool, tool

if TYPE_CHECKING:
    from fractions import Fraction


class Unit(enum.Enum):
    CELSIUS = "c"
    FAHRENHEIT = "f"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Place:
    lat: float
    lon: float = 0.0


class Address(msgspec.Struct):
    street: str
    place: Place | None = None


class Options(TypedDict):
    loud: bool
    times: NotRequired[int]


class Person(pydantic.BaseModel):
    name: str
    age: int = pydantic.Field(ge=0)

    @pydantic.field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name == "Nobody":
            raise ValueError("that is nobody")
        return name


@dataclass
class Team:
    people: list[Person]
    name: str = ""


class Node(msgspec.Struct):
    value: int
    below: list[Node] = []


def function_of(hint: Any, default: Any = None, required: bool = True) -> Callable[..., Any]:
    """A function with one parameter ``x`` of this type."""

    def f(x: Any = default) -> Any:
        return x

    if required:
        f.__defaults__ = None
    f.__annotations__ = {"x": hint}
    return f


def schema_of(hint: Any) -> dict[str, Any]:
    return as_tool(function_of(hint)).definition.parameters["properties"]["x"]


def value_of(hint: Any, given: object) -> Any:
    return as_tool(function_of(hint)).read({"x": given})["x"]


def complaint(function: Callable[..., Any], arguments: dict[str, Any]) -> str:
    with pytest.raises(ToolArgumentsError) as caught:
        as_tool(function).read(arguments)
    assert caught.value.text == str(caught.value)
    return caught.value.text


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (list[str], {"type": "array", "items": {"type": "string"}}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        ("int | str", {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (Any, {}),
        (Annotated[str, "its name"], {"type": "string", "description": "its name"}),
        (
            Annotated[int, msgspec.Meta(ge=1, description="how many")],
            {"type": "integer", "minimum": 1, "description": "how many"},
        ),
        (Annotated[int, pydantic.Field(ge=1)], {"type": "integer", "minimum": 1}),
        (Unit, {"$ref": "#/$defs/Unit"}),
        (Place, {"$ref": "#/$defs/Place"}),
        (Path | None, {"anyOf": [{"type": "string", "format": "path"}, {"type": "null"}]}),
    ],
)
def test_a_type_is_told_as_a_schema(hint: Any, schema: dict[str, Any]):
    assert schema_of(hint) == schema


@pytest.mark.parametrize(
    ("hint", "given", "value"),
    [
        (Unit, "f", Unit.FAHRENHEIT),
        (Level, 2, Level.HIGH),
        (Place, {"lat": 1, "lon": 2}, Place(1.0, 2.0)),
        (Address, {"street": "S", "place": {"lat": 1}}, Address("S", Place(1.0))),
        (list[Address], [{"street": "S"}], [Address("S")]),
        (Options, {"loud": True}, {"loud": True}),
        (Person, {"name": "Ada", "age": 3}, Person(name="Ada", age=3)),
        (list[Person] | None, [{"name": "Ada", "age": 3}], [Person(name="Ada", age=3)]),
        (Team, {"people": [{"name": "A", "age": 1}]}, Team([Person(name="A", age=1)])),
        (Node, {"value": 1, "below": [{"value": 2}]}, Node(1, [Node(2)])),
        (datetime.date, "2024-02-29", datetime.date(2024, 2, 29)),
        (Decimal, "1.50", Decimal("1.50")),
        (bytes, "aGk=", b"hi"),
        (set[int], [1, 2], {1, 2}),
        (tuple[int, str], [1, "a"], (1, "a")),
        (dict[int, str], {"1": "a"}, {1: "a"}),
        (float, 2, 2.0),
        (int, 2.0, 2),
        (list[int], [1.0, 2], [1, 2]),
        (int | str, "2", "2"),
        (Any, {"a": [1.5]}, {"a": [1.5]}),
        (str | None, None, None),
        (PurePath, "a/b", PurePath("a/b")),
        (dict[str, Place], {"a": {"lat": 1}}, {"a": Place(1.0)}),
        (pydantic.SecretStr, "hush", pydantic.SecretStr("hush")),
    ],
)
def test_an_argument_arrives_as_the_type_it_is_annotated_with(hint: Any, given: Any, value: Any):
    found = value_of(hint, given)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("hint", "given", "text"),
    [
        (str, 3, "x: expected a string, got a whole number"),
        (int, "3", "x: expected a whole number, got a string"),
        (int, 2.5, "x: expected a whole number, got a number"),
        (int, True, "x: expected a whole number, got true or false"),
        (list[str], "a", "x: expected a list, got a string"),
        (list[str], ["a", 1], "x[1]: expected a string, got a whole number"),
        (Place, {"lat": "1"}, "x.lat: expected a number, got a string"),
        (Place, {}, "x: 'lat' is missing"),
        (Place, None, "x: expected an object, got null"),
        (Unit, "k", "x: 'k' is none of 'c', 'f'"),
        (Literal["a", "b"], "c", "x: 'c' is none of 'a', 'b'"),
        (Annotated[int, msgspec.Meta(ge=1)], 0, "x: 0 is not at least 1"),
        (datetime.date, "soon", "x: Invalid RFC3339 encoded date"),
        (Person, {"name": "A", "age": -1}, "x.age: -1 is not at least 0"),
        (Person, {"name": "Nobody", "age": 1}, "x.name: Value error, that is nobody"),
        (dict[int, str], {"a": "b"}, "x: Expected int, got str"),
    ],
)
def test_an_argument_that_does_not_fit_is_told_with_its_place(hint: Any, given: Any, text: str):
    found = complaint(function_of(hint), {"x": given})
    assert found.replace("x[...]", "x") == text


def weather(city: str, unit: Unit = Unit.CELSIUS, days: int = 3, place: Place | None = None) -> str:
    """Tell the weather in a city.

    Args:
        city: The city's name.
        days: For how many days.
        nothing: There is no such parameter.
    """
    return f"{city} {unit} {days} {place}"


def test_the_docstring_and_the_defaults_are_told():
    definition = as_tool(weather).definition
    assert (definition.name, definition.description) == ("weather", "Tell the weather in a city.")
    schema = definition.parameters
    assert schema["properties"]["city"] == {"type": "string", "description": "The city's name."}
    assert schema["properties"]["days"] == {
        "type": "integer",
        "description": "For how many days.",
        "default": 3,
    }
    assert schema["properties"]["unit"]["default"] == "c"
    assert "default" not in schema["properties"]["place"]
    assert schema["required"] == ["city"]
    assert schema["additionalProperties"] is False
    assert schema["$defs"].keys() == {"Unit", "Place"}


def test_the_schema_is_the_same_each_time():
    first, second = (msgspec.json.encode(as_tool(weather).definition) for _ in range(2))
    assert first == second


def test_all_that_is_wrong_is_told_at_once():
    text = complaint(weather, {"unitt": "c", "days": "3"})
    assert text.splitlines()[0] == "the arguments don't fit:"
    assert set(text.splitlines()[1:]) == {
        "- 'city' is missing",
        "- 'unitt' is not known here; did you mean 'unit'?",
        "- days: expected a whole number, got a string",
    }


def test_an_argument_like_no_other_is_named_too():
    assert complaint(weather, {"city": "Oslo", "zzz": 1}) == "'zzz' is not known here"


def test_null_for_what_has_a_default_means_left_out():
    given = {"city": "Oslo", "days": None, "unit": None, "place": None}
    assert as_tool(weather).read(given) == {"city": "Oslo", "place": None}


def test_null_for_what_is_needed_is_told():
    assert complaint(weather, {"city": None}) == "city: expected a string, got null"


def test_the_arguments_are_left_as_they_were():
    given = {"city": "Oslo", "days": None}
    as_tool(weather).read(given)
    assert given == {"city": "Oslo", "days": None}


def test_a_default_without_json_is_not_told_but_holds():
    def f(x: int = 3, y: Any = math.sin) -> None:
        """Do."""

    assert as_tool(f).definition.parameters["properties"]["y"] == {}


@pytest.mark.parametrize(
    "hint", [ToolContext, ToolContext[int], ToolContext[int] | None, "ToolContext[Place]"]
)
def test_the_context_is_not_told_whatever_its_name(hint: Any):
    def f(city: str, anything: Any) -> None:
        """Do."""

    f.__annotations__["anything"] = hint
    assert list(as_tool(f).definition.parameters["properties"]) == ["city"]
    assert complaint(f, {"city": "Oslo", "anything": 1}) == "'anything' is not known here"


def test_a_function_without_parameters_takes_none():
    def now() -> str:
        return "now"

    made = as_tool(now)
    assert made.definition.parameters == {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }
    assert made.read({}) == {}


def test_what_a_partial_fills_is_not_told():
    filled = as_tool(functools.partial(weather, unit=Unit.FAHRENHEIT))
    assert filled.name == "weather"
    assert list(filled.definition.parameters["properties"]) == ["city", "days", "place"]
    assert list(
        as_tool(functools.partial(weather, "Oslo")).definition.parameters["properties"]
    ) == [
        "unit",
        "days",
        "place",
    ]


def test_a_partial_of_a_tool_is_one_of_its_function():
    filled = as_tool(functools.partial(tool(weather), days=1))
    assert list(filled.definition.parameters["properties"]) == ["city", "unit", "place"]


class WeatherService:
    """Tells the weather."""

    def __call__(self, city: str) -> str:
        return city


class Teller:
    def __call__(self, city: str) -> str:
        """Tell it."""
        return city


def test_an_instance_that_can_be_called_is_named_after_its_class():
    definition = as_tool(WeatherService()).definition
    assert (definition.name, definition.description) == ("weather_service", "Tells the weather.")
    assert list(definition.parameters["properties"]) == ["city"]
    assert as_tool(Teller()).definition.description == "Tell it."


def untyped(city) -> None: ...
def many(*cities: str) -> None: ...
def anything(**cities: str) -> None: ...
def by_place(city: str, /) -> None: ...
def unknown(x: Fraction) -> None: ...
def misspelled(x: Strng) -> None: ...  # noqa: F821 # pyright: ignore[reportUndefinedVariable]
def no_json(x: complex) -> None: ...
def two(a: ToolContext, b: ToolContext) -> None: ...
def generating() -> Generator[int]:
    yield 1


async def streaming() -> AsyncGenerator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda city: city, "a lambda can't be a tool: it has neither a name nor types"),
        (functools.partial(lambda city, n: city, 1), "a lambda can't be a tool"),
        (untyped, "untyped can't be a tool: the parameter 'city' has no type"),
        (many, "many can't be a tool: *cities has no names that a model could give"),
        (anything, "anything can't be a tool: **cities may be anything"),
        (by_place, "by_place can't be a tool: 'city' can't be given by name"),
        (unknown, "unknown can't be a tool: a type is not known when the function is made: name"),
        (misspelled, "misspelled can't be a tool: a type is not known"),
        (no_json, "no_json can't be a tool: no JSON schema can be made of the type of 'x'"),
        (two, "two can't be a tool: a and b are both a ToolContext"),
        (generating, "generating can't be a tool: it is a generator"),
        (streaming, "streaming can't be a tool: it is a generator"),
        (Place, "Place can't be a tool: it is a class"),
        (WeatherService.__call__, "__call__ can't be a tool: the parameter 'self' has no type"),
        (3, "3 can't be a tool: it is of type int"),
        (msgspec.json.encode, "json_encode can't be a tool"),
        (math.sqrt, "sqrt can't be a tool: 'x' can't be given by name"),
    ],
)
def test_what_can_be_no_tool_says_why(function: Any, text: str):
    with pytest.raises(ConfigurationError) as caught:
        as_tool(function).definition  # noqa: B018
    assert caught.value.text.startswith(text)
    assert caught.value.hint


def test_two_types_of_one_name_are_told_apart_by_an_error():
    def other() -> Any:
        @dataclass
        class Place:
            name: str = field(default="")

        return Place

    def f(a: Any, b: Any) -> None: ...

    f.__annotations__ = {"a": Place, "b": other()}
    with pytest.raises(ConfigurationError, match="two different types are called Place"):
        as_tool(f)


def test_the_type_of_the_result_need_not_be_known():
    def f(x: int) -> Fraction:
        raise NotImplementedError

    assert as_tool(f).read({"x": 1}) == {"x": 1}


def test_pydantic_is_not_imported_for_types_that_are_not_its_own():
    code = (
        "import sys, dataclasses, polyvox\n"
        "@dataclasses.dataclass\n"
        "class P:\n    x: int\n"
        "@polyvox.tool\n"
        "def f(p: P, n: int) -> int: return n\n"
        "f.read({'p': {'x': 1}, 'n': 2})\n"
        "print('pydantic' in sys.modules, 'click' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


@pytest.mark.parametrize(
    ("hint", "given", "place"),
    [
        (Place, {"lat": 1}, lambda value: value),
        (Address, {"street": "S", "place": {"lat": 1}}, lambda value: value.place),
        (list[Place], [{"lat": 1}], lambda value: value[0]),
        (dict[str, tuple[Place, ...]], {"a": [{"lat": 1}]}, lambda value: value["a"][0]),
    ],
)
def test_a_dataclass_has_its_defaults_as_if_it_were_made_by_hand(
    hint: Any, given: Any, place: Callable[[Any], Place]
):
    assert vars(place(value_of(hint, given))) == {"lat": 1.0, "lon": 0.0}


def test_a_schema_is_the_same_in_every_process():
    code = (
        "import msgspec\n"
        "from polyvox.tools import as_tool\n"
        "class Some(msgspec.Struct): inside: frozenset[str] = frozenset('ijklmnop')\n"
        "def f(x: Some, y: set[str] = {*'abcdefgh'}): ...\n"
        "print(as_tool(f).definition.parameters)"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1


def test_a_default_that_is_a_path_is_told():
    def f(x: Path = Path("here")) -> None: ...

    assert as_tool(f).definition.parameters["properties"]["x"]["default"] == "here"
