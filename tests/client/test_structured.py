"""Answers as values: types of all kinds, both clients, every way to ask, and what goes wrong."""

import copy
import enum
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal, NotRequired, Required, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import polyvox
from polyvox import AsyncClient, Client, InvalidAnswerError, parse
from polyvox.client.shapes import shape_of
from polyvox.dialects.schema import ANTHROPIC, OPENAI_STRICT, adapt
from polyvox.errors import BadRequestError, ContentFilterError, ServerError
from polyvox.messages import AssistantMessage, Text, ToolCall
from polyvox.testing import ScriptedModel, ThreadedMock
from polyvox.tools.conformance import problems
from polyvox.usage import Usage


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Address(msgspec.Struct):
    city: str
    zip: Annotated[str, msgspec.Meta(pattern="^[0-9]{4}$")] | None = None


class Person(msgspec.Struct):
    """Somebody."""

    name: str
    age: Annotated[int, msgspec.Meta(ge=0, le=150)]
    home: Address | None = None
    colours: list[Colour] = []
    mood: Literal["good", "bad"] = "good"
    scores: dict[str, int] = {}
    born: date | None = None


class Folder(msgspec.Struct):
    name: str
    inside: list["Folder"] = []


@dataclass
class Point:
    x: float
    y: float = 0.0


class Film(TypedDict):
    title: Required[str]
    year: NotRequired[int]


class Pet(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=2)
    legs: int = 4


ADA = Person(
    "Ada", 36, Address("Oslo", "0150"), [Colour.RED], "bad", {"chess": 3}, date(1990, 1, 2)
)
FULL = msgspec.json.encode(ADA).decode()


@pytest.fixture
def client():
    with Client() as client:
        yield client


@pytest.mark.parametrize(
    ("wanted", "text", "value"),
    [
        (Person, FULL, ADA),
        (Person, '{"name": "Ada", "age": 36, "mood": null}', Person("Ada", 36)),
        (Folder, '{"name": "a", "inside": [{"name": "b"}]}', Folder("a", [Folder("b")])),
        (Point, '{"x": 1.5}', Point(1.5)),
        (Film, '{"title": "Solaris", "year": null}', {"title": "Solaris"}),
        (Pet, '{"name": "Rex", "legs": null}', Pet(name="Rex")),
        (list[Pet], '{"answer": [{"name": "Rex", "legs": 3}]}', [Pet(name="Rex", legs=3)]),
        (list[Point], '{"answer": [{"x": 1}]}', [Point(1)]),
        (int, '{"answer": 3}', 3),
        (int, "3", 3),
        (Colour, '{"answer": "red"}', Colour.RED),
        (dict[str, int], '{"answer": 3}', {"answer": 3}),
    ],
)
def test_a_type_gets_its_value(client: Client, wanted: Any, text: str, value: object):
    reply = client.complete(ScriptedModel([text]), "Who?", response_format=wanted)
    assert reply.parsed == value
    assert reply.text == text


@pytest.mark.parametrize("wanted", [Person, Folder, Point, Film, Pet, list[Pet], int, Colour])
def test_the_schema_of_a_type_has_an_object_at_its_top(wanted: Any):
    asked = shape_of(wanted).format
    assert asked.schema is not None
    assert asked.schema["type"] == "object"
    assert "$ref" not in asked.schema


def test_the_name_of_a_type_is_one_that_providers_take():
    assert shape_of(Person).format.name == "Person"
    assert shape_of(list[Person]).format.name == "Person"


people = st.builds(
    Person,
    st.text(),
    st.integers(0, 150),
    st.none() | st.builds(Address, st.text(), st.none() | st.just("0150")),
    st.lists(st.sampled_from(Colour)),
    st.sampled_from(["good", "bad"]),
    st.dictionaries(st.text(), st.integers(-(2**53), 2**53)),
    st.none() | st.dates(),
)


@given(people)
def test_every_value_of_a_type_fits_its_schema_and_is_read_back(person: Person):
    text = msgspec.json.encode(person).decode()
    schema = shape_of(Person).format.schema
    assert schema is not None
    assert list(problems(msgspec.json.decode(text), schema)) == []
    assert parse(AssistantMessage([Text(text)]), Person) == person


@pytest.mark.parametrize("limits", [OPENAI_STRICT, ANTHROPIC])
@pytest.mark.parametrize("wanted", [Address, Point, Film, Pet, list[Point], Colour])
def test_types_without_maps_fit_every_provider(wanted: Any, limits: Any):
    schema = shape_of(wanted).format.schema
    assert schema is not None
    assert adapt(schema, limits).obstacle is None


async def test_both_clients_give_the_same():
    async with AsyncClient() as client:
        reply = await client.complete(ScriptedModel([FULL]), "Who?", response_format=Person)
    assert reply.parsed == ADA


def test_a_parsed_reply_is_a_message_like_any_other(client: Client):
    reply = client.complete(ScriptedModel([FULL]), "Who?", response_format=Person)
    line = msgspec.json.encode(reply)
    assert b"parsed" not in line
    assert msgspec.json.decode(line, type=AssistantMessage).text == FULL
    for again in (copy.copy(reply), copy.deepcopy(reply), pickle.loads(pickle.dumps(reply))):
        assert again.parsed == ADA
        assert again == reply
    echo = client.complete("simulated/echo", ["Who?", reply, "And who else?"])
    assert echo.text == "And who else?"


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{FULL}\n```",
        f"Here you are:\n\n{FULL}\n\nAnything else?",
        f"Not {{this}}, but:\n```\n{FULL}\n```",
    ],
)
def test_words_around_the_json_are_no_error(client: Client, text: str):
    assert client.complete(ScriptedModel([text]), "?", response_format=Person).parsed == ADA


@pytest.mark.parametrize(
    ("wanted", "text", "reason", "path"),
    [
        (Person, '{"name": "Ada"}', "mismatch", "$"),
        (Person, FULL.replace("36", "200"), "mismatch", "$.age"),
        (Person, FULL.replace('"red"', '"green"'), "mismatch", "$.colours[0]"),
        (list[Point], '{"answer": [{"x": 1}, {"x": "a"}]}', "mismatch", "$[1].x"),
        (Pet, '{"name": "R"}', "mismatch", "$.name"),
        (list[Pet], '{"answer": [{"name": "R"}]}', "mismatch", "$[0].name"),
        (Person, "I don't know.", "not_json", None),
        (Person, "", "not_json", None),
        (Person, '{"name": ', "not_json", None),
    ],
)
def test_what_does_not_fit_says_where(
    client: Client, wanted: Any, text: str, reason: str, path: str | None
):
    with pytest.raises(InvalidAnswerError) as caught:
        client.complete(ScriptedModel([text]), "?", response_format=wanted)
    error = caught.value
    assert (error.reason, error.path) == (reason, path)
    assert error.message is not None
    assert error.message.text == text
    assert (error.provider, error.retryable) == ("simulated", False)
    assert path is None or f" at {path}" in error.text


@pytest.mark.parametrize(
    ("message", "reason", "words"),
    [
        (AssistantMessage([Text('{"x": 1')], "length"), "truncated", "token limit"),
        (AssistantMessage([Text('[{"x": 1}, {"x"')], "length"), "truncated", "token limit"),
        (AssistantMessage([Text("No.")], "refusal"), "refused", "declined to answer: No."),
        (AssistantMessage([Text("")], "aborted", error="stopped"), "truncated", "stopped"),
    ],
)
def test_an_answer_that_is_not_whole_says_why(message: AssistantMessage, reason: str, words: str):
    with pytest.raises(InvalidAnswerError, match=words) as caught:
        parse(message, Point)
    assert caught.value.reason == reason


def test_what_was_cut_by_luck_at_its_end_is_whole():
    assert parse(AssistantMessage([Text('{"x": 1}')], "length"), Point) == Point(1)


def test_a_filtered_answer_is_the_filters_error():
    with pytest.raises(ContentFilterError):
        parse(AssistantMessage([Text("{}")], "content_filter"), Point)


def test_tools_may_be_called_first(client: Client):
    call = {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {}}
    script = [{"message": {"content": [call], "stop_reason": "tool_calls"}}]
    reply = client.complete(ScriptedModel(script), "?", response_format=Point)
    assert isinstance(reply.content[0], ToolCall)
    with pytest.raises(InvalidAnswerError, match="called weather") as caught:
        _ = reply.parsed
    assert caught.value.reason == "unfinished"
    with pytest.raises(InvalidAnswerError):
        _ = copy.copy(reply).parsed


def used(text: str, tokens: int) -> dict[str, Any]:
    usage = msgspec.to_builtins(Usage(input_tokens=tokens, output_tokens=1))
    return {"message": {"content": text, "usage": usage}}


def test_a_repair_shows_the_model_its_answer_and_the_error(
    client: Client, polyvox_mock: Callable[..., ThreadedMock]
):
    server = polyvox_mock("openai-chat", [used('{"x": "a"}', 10), used('{"x": 1}', 20)])
    with Client(base_urls={"openai": server.url}, keys={"openai": "k"}) as client:
        reply = client.complete("openai/gpt-4o", "?", response_format=Point, repair=1)
    assert reply.parsed == Point(1)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (30, 2)
    assert reply.usage.cost.status == "known"
    second = server.requests[1].request
    assert second is not None
    said, complaint = second.messages[1:]
    assert isinstance(said, AssistantMessage)
    assert said.text == '{"x": "a"}'
    assert isinstance(complaint.content[0], Text)
    assert "$.x" in complaint.content[0].text
    assert second.response_format is not None


def test_a_repair_that_fails_too_counts_both(client: Client):
    script = [used("no", 10), used("no", 20)]
    with pytest.raises(InvalidAnswerError) as caught:
        client.complete(ScriptedModel(script), "?", response_format=Point, repair=1)
    assert caught.value.message is not None
    assert caught.value.message.usage.input_tokens == 30


def test_an_error_during_repair_keeps_what_was_used(client: Client):
    script = [used("no", 10), {"error": {"kind": "server", "text": "broken"}}]
    with pytest.raises(ServerError) as caught:
        client.complete(ScriptedModel(script), "?", response_format=Point, repair=1)
    assert caught.value.message is not None
    assert caught.value.message.usage.input_tokens >= 10


def test_a_truncated_answer_is_not_asked_for_again(client: Client):
    script = [{"message": {"content": '{"x', "stop_reason": "length"}}]
    with pytest.raises(InvalidAnswerError, match="token limit"):
        client.complete(ScriptedModel(script), "?", response_format=Point, repair=3)


@pytest.mark.parametrize("wanted", [3, "Person", complex, Person("Ada", 3)])
def test_what_has_no_schema_is_a_bad_request(client: Client, wanted: Any):
    with pytest.raises(BadRequestError):
        client.complete("simulated/echo", "?", response_format=wanted)


def test_repair_needs_a_type(client: Client):
    settings: Any = {"response_format": {"type": "object"}}
    with pytest.raises(BadRequestError, match="repair"):
        client.complete("simulated/echo", "?", repair=1, **settings)


def test_a_schema_is_checked_on_request():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    assert parse(AssistantMessage([Text('{"a": 1}')]), schema) == {"a": 1}
    assert parse(AssistantMessage([Text('{"a": 1}')]), polyvox.ResponseFormat(schema)) == {"a": 1}
    with pytest.raises(InvalidAnswerError) as caught:
        parse(AssistantMessage([Text('{"a": "x"}')]), schema)
    assert caught.value.path == "$.a"


def test_a_stream_asks_for_a_type_too(client: Client):
    with client.stream("simulated/tools", "Ada, 36", response_format=Address) as stream:
        message = stream.result()
    assert isinstance(parse(message, Address), Address)


WITHOUT_PYDANTIC = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pydantic":
            raise ImportError("pydantic is not to be imported")

sys.meta_path.insert(0, Blocker())
import msgspec, polyvox

class Order(msgspec.Struct):
    city: str

print(polyvox.ask("simulated/tools", "To Oslo", response_format=Order).parsed)
"""


def test_pydantic_is_not_needed_for_other_types():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PYDANTIC], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("Order(city='Oslo')\n", "")
