"""Tools made by `@tool`, of methods, and from schemas."""

import asyncio
import dataclasses
import inspect
from typing import Any, Literal

import pytest

import polyvox
from polyvox.dialects import DIALECTS, Target, get_dialect
from polyvox.errors import ConfigurationError
from polyvox.messages import Image, Text, ToolCall, ToolMessage, user
from polyvox.model import Call
from polyvox.request import Request, ToolDefinition
from polyvox.testing import ScriptedModel
from polyvox.tools import (
    Tool,
    ToolArgumentsError,
    ToolContext,
    ToolResult,
    as_result,
    as_tool,
    error_result,
    message_of,
    tool,
)

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def context(name: str = "f", **more: Any) -> ToolContext[Any]:
    return ToolContext(call=Call(), tool_call=ToolCall("c", name), deps=None, **more)


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"Sunny in {city}."


@tool(name="price_of", description="What it costs.", strict=True, timeout=5, max_retries=7)
async def price(item: str, context: ToolContext[Any]) -> dict[str, object]:
    """Not this."""
    return {"item": item, "call": context.tool_call.id}


def test_a_tool_is_still_the_function_it_was():
    assert weather("Oslo") == "Sunny in Oslo."
    assert (weather.__name__, weather.__doc__) == ("weather", "Tell the weather.")
    assert list(inspect.signature(weather).parameters) == ["city"]
    assert repr(weather) == "<FunctionTool 'weather'>"


def test_what_is_said_counts_more_than_what_is_written():
    assert price.definition.name == "price_of"
    assert price.definition.description == "What it costs."
    assert price.definition.strict is True
    assert (price.timeout, price.max_retries, price.sequential) == (5, 7, False)


async def test_a_coroutine_and_a_function_are_run_alike():
    assert (await weather.execute({"city": "Rome"}, context())).text == "Sunny in Rome."
    found = await price.execute(price.read({"item": "pear"}), context())
    assert found.text == '{"item":"pear","call":"c"}'


async def test_a_function_that_gives_back_a_coroutine_is_waited_for():
    @tool
    def later(city: str) -> Any:
        return price("x", context(city))

    assert (await later.execute({"city": "a"}, context())).text == '{"item":"x","call":"c"}'


class Shop:
    def __init__(self, name: str) -> None:
        self.name = name

    @tool
    def ask(self, item: str) -> str:
        """Ask for something."""
        return f"{self.name}: {item}"

    @tool(sequential=True)
    @staticmethod
    def opens(day: int) -> str:
        return f"{day}"

    @staticmethod
    @tool
    def closes(day: int) -> str:
        return f"{day}"

    @classmethod
    def named(cls, name: str) -> str:
        return f"{cls.__name__} {name}"

    def plain(self, item: str) -> str:
        return item


async def test_a_method_is_the_tool_of_its_instance():
    first, second = Shop("first"), Shop("second")
    assert list(first.ask.definition.parameters["properties"]) == ["item"]
    assert first.ask.definition.description == "Ask for something."
    assert first.ask("a") == "first: a"
    assert (await first.ask.execute({"item": "b"}, context())).text == "first: b"
    assert (await second.ask.execute({"item": "b"}, context())).text == "second: b"
    assert as_tool(first.plain).definition.name == "plain"


async def test_static_and_class_methods_are_tools_too():
    for made, text in ((Shop("a").opens, "3"), (Shop.opens, "3"), (Shop.closes, "3")):
        assert (await made.execute(made.read({"day": 3}), context())).text == text
    assert Shop("a").opens.sequential
    named = as_tool(Shop.named)
    assert (await named.execute({"name": "x"}, context())).text == "Shop x"
    with pytest.raises(ConfigurationError, match="a classmethod is not a tool by itself"):
        tool(classmethod(lambda cls: None))  # pyright: ignore[reportArgumentType, reportUnknownArgumentType]


def test_a_method_without_its_instance_is_no_tool():
    with pytest.raises(ConfigurationError, match="'self' has no type") as caught:
        Shop.ask.definition  # noqa: B018
    assert caught.value.hint == "It is a method: give that of an instance."


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 65, "a.b"])
def test_a_name_that_no_model_can_say_is_refused(name: str):
    with pytest.raises(ConfigurationError, match="no model can call a tool by the name"):
        tool(weather, name=name) if name else Tool.from_schema(ToolDefinition(""), None)  # pyright: ignore[reportArgumentType]


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(TypeError, match="a tool has no option 'retries'; it has"):
        tool(retries=3)(weather)
    with pytest.raises(ConfigurationError, match="timeout is 0"):
        tool(timeout=0)(weather)
    with pytest.raises(ConfigurationError, match="max_parallel is -1"):
        tool(max_parallel=-1)(weather)


def test_a_definition_alone_is_no_tool():
    with pytest.raises(ConfigurationError, match="does not say what to do") as caught:
        as_tool(ToolDefinition("weather"))  # pyright: ignore[reportArgumentType]
    assert "Tool.from_schema" in str(caught.value)
    assert as_tool(weather) is weather


async def test_a_tool_from_a_schema_checks_by_the_schema():
    async def execute(values: dict[str, Any], context: ToolContext[Any]) -> object:
        return [values, context.tool_call.name]

    made = Tool.from_schema(ToolDefinition("look", "Look.", CITY), execute, needs_approval=True)
    assert made.read({"city": "Oslo", "more": 1}) == {"city": "Oslo", "more": 1}
    with pytest.raises(ToolArgumentsError, match="city: expected a string, got a whole number"):
        made.read({"city": 3})
    found = await made.execute({"city": "Oslo"}, context("look"))
    assert found.text == '[{"city":"Oslo"},"look"]'
    assert made.approval_needed({}, context())
    assert made.origin == ""


def test_approval_may_depend_on_the_call():
    made = tool(weather, needs_approval=lambda values, context: values["city"] == "Oslo")
    assert made.approval_needed({"city": "Oslo"}, context())
    assert not made.approval_needed({"city": "Rome"}, context())
    assert not weather.approval_needed({"city": "Oslo"}, context())


async def test_a_renamed_tool_is_the_same_under_another_name():
    other = weather.renamed("eu_weather")
    assert (other.name, weather.name) == ("eu_weather", "weather")
    assert other.definition.parameters == weather.definition.parameters
    assert other.definition.description == weather.definition.description
    assert (await other.execute({"city": "Oslo"}, context())).text == "Sunny in Oslo."
    made = Tool.from_schema(ToolDefinition("look", "Look.", CITY), weather.call).renamed("x")
    assert made.definition == ToolDefinition("x", "Look.", CITY)


async def test_a_bound_tool_keeps_its_other_name():
    renamed = Shop("a").ask.renamed("ask_a")
    assert renamed.definition.name == "ask_a"
    assert (await renamed.execute({"item": "b"}, context())).text == "a: b"


PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("text", [Text("text")]),
        (None, [Text("")]),
        (3, [Text("3")]),
        ({"a": [1, None]}, [Text('{"a":[1,null]}')]),
        ([], [Text("[]")]),
        (["a", "b"], [Text('["a","b"]')]),
        (Text("x"), [Text("x")]),
        (["see", Image(data=PNG)], [Text("see"), Image(data=PNG)]),
        ([Text("x"), 3], [Text('[{"type":"text","text":"x"},3]')]),
        ({1: 2}, [Text('{"1":2}')]),
        ("\ud83d", [Text("\ud83d")]),
        ({"half": "\ud83d"}, [Text('{"half":"\ufffd"}')]),
    ],
)
def test_what_a_function_gives_back_becomes_content(value: object, content: list[Any]):
    assert as_result(value) == ToolResult(content=content)


def test_values_of_every_kind_have_their_json():
    import pydantic

    class Model(pydantic.BaseModel):
        x: int

    @dataclasses.dataclass
    class Plain:
        model: Model

    assert as_result(Plain(Model(x=1))).text == '{"model":{"x":1}}'
    assert as_result([Model(x=1)]).text == '[{"x":1}]'
    assert as_result(Call.timeout(None).tags).text == "{}"
    with pytest.raises(TypeError, match="a function has no JSON"):
        as_result(lambda: 1)


def test_a_result_is_itself_and_becomes_a_message():
    result = ToolResult(content=[Text("a"), Text("b")], details={"n": 1}, terminate=True)
    assert as_result(result) is result
    call = ToolCall("c1", "weather")
    assert message_of(result, call) == ToolMessage(
        "c1", [Text("a"), Text("b")], tool_name="weather"
    )
    assert message_of(error_result("no"), call).is_error


def test_the_front_door_has_them():
    assert polyvox.tool is tool
    assert polyvox.Tool is Tool
    assert issubclass(polyvox.ToolRetry, Exception)


def test_tools_are_offered_to_models_as_they_are():
    def plain(city: str) -> str:
        """Tell more."""
        return city

    model = ScriptedModel(["Good."])
    with polyvox.Client() as client:
        client.complete(model, "Hello.", tools=[weather, plain, Shop("a").ask])
    (request,) = model.requests
    assert [each.name for each in request.tools] == ["weather", "plain", "ask"]
    assert request.tools[0] == weather.definition
    assert request.tools[1].description == "Tell more."


def test_what_is_no_tool_is_told_where_tools_are_offered():
    with polyvox.Client() as client:
        with pytest.raises(ConfigurationError, match="a lambda can't be a tool"):
            client.complete("simulated/echo", "Hello.", tools=[lambda x: x])
        with pytest.raises(polyvox.BadRequestError, match=r"tools\[0\] is a int"):
            client.complete("simulated/echo", "Hello.", tools=[3])


def test_updates_outside_any_loop_are_told_at_once():
    got: list[ToolResult] = []
    made = context(on_update=got.append)
    made.update("half", Text("way"), details=50)
    assert got == [ToolResult(content=[Text("half"), Text("way")], details=50)]
    made.end()
    made.update("too late")
    assert len(got) == 1
    assert made.abandoned


def test_events_from_inside_are_passed_on_with_their_path():
    got: list[tuple[list[str], object]] = []
    made = context(on_nested=lambda path, event: got.append((path, event)))
    made.nested("event", "agent", "tool")
    made.end()
    made.nested("too late")
    assert got == [(["agent", "tool"], "event")]


def test_updates_for_a_loop_that_is_closed_are_dropped():
    async def make() -> ToolContext[Any]:
        return context(on_update=lambda _: pytest.fail("nobody listens"))

    made = asyncio.run(make())
    made.update("late")


@dataclasses.dataclass
class Parcel:
    weight: float
    label: str | None = None


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_provider_is_told_all_of_a_tool(dialect: str):
    @tool
    def send(to: dict[str, str], parcels: list[Parcel], speed: Literal["a", "b"] = "a") -> None:
        """Send parcels."""

    request = Request(messages=[user("Hello.")], tools=[send.definition], max_tokens=10)
    target = Target(provider="any", model="any", base_url="http://127.0.0.1:1")
    sent = get_dialect(dialect).encode_request(request, target)
    assert sent.dropped == ()
    assert b"parcels" in sent.body
    assert b'"default":"a"' in sent.body or b"(default: " in sent.body


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": []},
        {"required": None},
        {"properties": {"x": {"minimum": "5"}}},
        {"properties": {"x": {"pattern": 5}}},
        {"properties": {"x": {"anyOf": []}}},
        {"properties": {"x": {"$ref": "#/$defs/A"}}, "$defs": {"A": True}},
    ],
)
def test_against_a_schema_that_is_none_nothing_is_said(schema: dict[str, Any]):
    remote = Tool.from_schema(ToolDefinition("t", "", schema), lambda _, __: asyncio.sleep(0))
    assert remote.read({"x": "1"}) == {"x": "1"}


def test_arguments_without_an_end_are_told():
    schema: dict[str, Any] = {"properties": {"x": {"$ref": "#"}}}
    arguments: dict[str, Any] = {}
    for _ in range(2000):
        arguments = {"x": arguments}
    remote = Tool.from_schema(ToolDefinition("t", "", schema), lambda _, __: asyncio.sleep(0))
    with pytest.raises(ToolArgumentsError, match="nested too deeply"):
        remote.read(arguments)
