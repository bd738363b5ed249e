"""simulated/tools: which tools it calls, with what arguments, and what it makes of the results."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.assembly import fold
from polyvox.errors import BadRequestError
from polyvox.events import Event, Failed
from polyvox.messages import AssistantMessage, Message, tool_result, user
from polyvox.model import Call
from polyvox.providers.simulated import simulated_model
from polyvox.providers.simulated.arguments import make_arguments, make_value
from polyvox.providers.simulated.grammar import check_grammar
from polyvox.request import NamedTool, Request, ResponseFormat, ToolDefinition

STRING = {"type": "string"}
CITY = {"type": "object", "properties": {"city": STRING}, "required": ["city"]}
SUM = {"type": "object", "properties": {"expression": STRING}, "required": ["expression"]}

WEATHER = ToolDefinition("get_weather", "The weather in a city.", CITY)
CALCULATOR = ToolDefinition("calculator", "Computes a formula.", SUM)
CLOCK = ToolDefinition("clock", "Tells what time it is.")
TOOLS = [WEATHER, CALCULATOR, CLOCK]


async def events_of(asked: Request) -> list[Event]:
    events = [event async for event in simulated_model("tools").stream(asked, Call())]
    check_grammar(events)
    return events


async def answer(said: str | list[Message], **fields: Any) -> AssistantMessage:
    messages = [user(said)] if isinstance(said, str) else said
    fields = {"tools": TOOLS, **fields}
    return fold(await events_of(Request(messages=messages, **fields)))


def calls(message: AssistantMessage) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, call.arguments) for call in message.tool_calls]


async def test_it_calls_the_tool_that_the_text_names():
    message = await answer("What is the weather in Oslo?")
    assert calls(message) == [("get_weather", {"city": "Oslo"})]
    assert message.stop_reason == "tool_calls"
    assert message.tool_calls[0].executable


async def test_it_calls_several_tools_in_parallel_if_the_text_names_several():
    message = await answer(
        "Ask the clock, the calculator for 12*(3+4), and the weather in New York."
    )
    assert calls(message) == [
        ("get_weather", {"city": "New York"}),
        ("calculator", {"expression": "12*(3+4)"}),
        ("clock", {}),
    ]
    assert len({call.id for call in message.tool_calls}) == 3


async def test_one_call_at_a_time_is_honoured():
    message = await answer("clock and calculator 1+1", parallel_tool_calls=False)
    assert calls(message) == [("calculator", {"expression": "1+1"})]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Is it raining in this city, Oslo?", "get_weather"),
        ("How much is 2 + 2?", "calculator"),
        ("What time is it?", "clock"),
    ],
)
async def test_without_a_name_it_calls_the_likeliest_tool(text: str, name: str):
    assert [call.name for call in (await answer(text)).tool_calls] == [name]


async def test_it_uses_the_results_in_its_answer():
    asked = user("weather in Oslo, and the clock")
    called = await answer([asked])
    weather, clock = called.tool_calls
    results = [
        tool_result(weather.id, "4 degrees"),
        tool_result(clock, "no battery", is_error=True),
    ]
    message = await answer([asked, called, *results])
    assert message.text == "get_weather says: 4 degrees\nclock failed: no battery"
    assert message.stop_reason == "stop"


async def test_after_the_results_a_new_question_calls_again():
    asked = user("weather in Oslo")
    called = await answer([asked])
    conversation = [
        asked,
        called,
        tool_result(called.tool_calls[0], "rain"),
        user("and the clock?"),
    ]
    assert calls(await answer(conversation)) == [("clock", {})]


@pytest.mark.parametrize("fields", [{"tools": []}, {"tool_choice": "none"}])
async def test_without_tools_it_answers_in_words(fields: dict[str, Any]):
    message = await answer("weather in Oslo", **fields)
    assert message.tool_calls == []
    assert "weather in Oslo" in message.text


async def test_a_named_tool_is_called_whatever_the_text_says():
    message = await answer("weather in Oslo", tool_choice=NamedTool("clock"))
    assert calls(message) == [("clock", {})]


@pytest.mark.parametrize(
    ("fields", "text", "hint"),
    [
        ({"tool_choice": NamedTool("clok")}, "names 'clok', which is not offered", "'clock'"),
        ({"tool_choice": "required", "tools": []}, "no tool is offered", ""),
    ],
)
async def test_a_choice_that_cannot_be_kept_is_a_bad_request(
    fields: dict[str, Any], text: str, hint: str
):
    asked = Request(messages=[user("hi")], **{"tools": TOOLS, **fields})
    (last,) = await events_of(asked)
    assert isinstance(last, Failed)
    assert isinstance(last.error, BadRequestError)
    assert text in last.error.text
    assert hint in (last.error.hint or "")


async def test_the_same_request_gets_the_same_answer():
    one, other = await answer("weather please"), await answer("weather please")
    assert one == other
    reseeded = await answer("weather please", options={"simulated": {"seed": 5}})
    assert reseeded.tool_calls[0].id != one.tool_calls[0].id


async def test_a_response_format_is_kept():
    wanted = ResponseFormat(
        {"type": "object", "properties": {"city": STRING}, "required": ["city"]}
    )
    message = await answer("I live in Oslo", tools=[], response_format=wanted)
    assert json.loads(message.text) == {"city": "Oslo"}


def filled(text: str, *required: str, **properties: Any) -> dict[str, Any]:
    return make_arguments({"properties": properties, "required": list(required)}, text)


@pytest.mark.parametrize(
    ("text", "name", "schema", "value"),
    [
        ("Paris weather", "city", STRING, "Paris"),
        ("is it warm in bergen today", "location", STRING, "bergen"),
        ("Please tell me about Marie Curie.", "person", STRING, "Marie Curie"),
        ("find cheap flights", "query", STRING, "find cheap flights"),
        ('search for "red shoes" please', "query", STRING, "red shoes"),
        ("open src/main.py please", "path", STRING, "src/main.py"),
        ("compute 3 * (4 + 5)!", "expression", STRING, "3 * (4 + 5)"),
        ("mail ada@example.org now", "to", {**STRING, "format": "email"}, "ada@example.org"),
        ("see https://example.org/a?b=1.", "link", {**STRING, "format": "uri"}, "https://example.org/a?b=1"),
        ("on 2024-02-29 at 10:30", "day", {**STRING, "format": "date"}, "2024-02-29"),
        ("on 2024-02-29, 7 seats", "seats", {"type": "integer"}, 7),
        ("it is -3.5 outside", "degrees", {"type": "number"}, -3.5),
        ("99 or 5?", "rating", {"type": "integer", "minimum": 1, "maximum": 10}, 5),
        ("in fahrenheit", "unit", {"enum": ["celsius", "fahrenheit"]}, "fahrenheit"),
        ("the big one", "size", {"enum": ["very_big", "big"]}, "big"),
        ("anything", "mode", {"const": "fast"}, "fast"),
        ("anything", "mode", {**STRING, "default": "slow"}, "slow"),
        ("anything", "note", {"type": ["string", "null"]}, None),
        ("anything", "note", {"anyOf": [STRING, {"type": "null"}]}, None),
        ("take AB-12", "code", {**STRING, "pattern": r"^[A-Z]{2}-\d+$"}, "AB-12"),
        ("Oslo and Bergen", "cities", {"type": "array", "items": STRING}, ["Oslo", "Bergen"]),
        ("1, 2 and 3", "numbers", {"type": "array", "items": {"type": "integer"}, "maxItems": 2}, [1, 2]),
    ],
)  # fmt: skip
def test_a_required_property_takes_what_the_text_offers(
    text: str, name: str, schema: dict[str, Any], value: Any
):
    assert filled(text, name, **{name: schema}) == {name: value}


def test_nothing_is_taken_twice():
    made = filled("from Oslo to Bergen", "origin", "destination", origin=STRING, destination=STRING)
    assert made == {"origin": "Oslo", "destination": "Bergen"}


def test_an_optional_property_is_left_out_unless_the_text_offers_it():
    unit = {"enum": ["celsius", "fahrenheit"]}
    assert filled("Oslo", "city", city=STRING, unit=unit) == {"city": "Oslo"}
    both = filled("Oslo in celsius", "city", city=STRING, unit=unit)
    assert both == {"city": "Oslo", "unit": "celsius"}


def test_what_is_required_picks_before_what_is_optional():
    made = filled("3", "days", hours={"type": "integer"}, days={"type": "integer"})
    assert made == {"days": 3}


def test_references_are_followed_also_in_a_circle():
    node = {
        "type": "object",
        "properties": {"next": {"$ref": "#/$defs/node"}},
        "required": ["next"],
    }
    schema = {"$ref": "#/$defs/node", "$defs": {"node": node}}
    depth, value = 0, make_value(schema, "")
    while value:
        depth, value = depth + 1, value["next"]
    assert depth < 20


def test_combined_schemas_are_merged():
    one = {"properties": {"a": {"const": 1}}, "required": ["a"]}
    other = {"properties": {"b": {"const": 2}}, "required": ["b"]}
    assert make_arguments({"allOf": [one, other]}, "") == {"a": 1, "b": 2}


FORMATS = {
    "date": r"\d{4}-\d\d-\d\d",
    "time": r"\d\d:\d\d:\d\dZ",
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "email": r"\w+@example\.com",
    "uri": r"https://example\.com/\w+",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}",
    "ipv4": r"192\.0\.2\.\d+",
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_made_up_where_the_text_has_none(name: str):
    assert re.fullmatch(FORMATS[name], make_value({**STRING, "format": name}, "", 3))


integers = st.builds(
    lambda low, room: {"type": "integer", "minimum": low, "maximum": low + room},
    st.integers(-1000, 1000),
    st.integers(0, 50),
)
strings = st.builds(
    lambda low, room: {"type": "string", "minLength": low, "maxLength": low + room},
    st.integers(0, 40),
    st.integers(0, 10),
)
leaves = st.one_of(
    integers,
    strings,
    st.just({"type": "boolean"}),
    st.lists(st.text(max_size=5), min_size=1, max_size=4).map(lambda names: {"enum": names}),
)
schemas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(
            lambda items, low, room: {
                "type": "array",
                "items": items,
                "minItems": low,
                "maxItems": low + room,
            },
            inner,
            st.integers(0, 3),
            st.integers(0, 3),
        ),
        st.dictionaries(st.text(max_size=5), inner, max_size=4).map(
            lambda each: {"type": "object", "properties": each, "required": list(each)}
        ),
    ),
    max_leaves=8,
)


def fits(value: Any, schema: dict[str, Any]) -> bool:
    if "enum" in schema:
        return value in schema["enum"]
    match schema["type"]:
        case "integer":
            return type(value) is int and schema["minimum"] <= value <= schema["maximum"]
        case "string":
            return schema["minLength"] <= len(value) <= schema["maxLength"]
        case "boolean":
            return isinstance(value, bool)
        case "array":
            in_bounds = schema["minItems"] <= len(value) <= schema["maxItems"]
            return in_bounds and all(fits(item, schema["items"]) for item in value)
        case _:
            below = schema["properties"]
            return set(value) == set(below) and all(fits(value[k], below[k]) for k in below)


@given(schemas, st.text(), st.integers())
def test_a_value_always_fits_its_schema(schema: dict[str, Any], text: str, seed: int):
    value = make_value(schema, text, seed)
    assert fits(value, schema)
    assert make_value(schema, text, seed) == value
