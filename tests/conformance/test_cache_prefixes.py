"""A conversation that grows keeps the bytes of its beginning, so that providers' caches are hit."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from polyvox.dialects import DIALECTS, Quirks, Target, get_dialect
from polyvox.messages import (
    AssistantMessage,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    assistant,
    tool_result,
    user,
)
from polyvox.request import Request, ToolDefinition

LISTS = ("messages", "input", "contents")
"""The names under which the dialects send a conversation."""

MARKING = {
    "anthropic-messages": Quirks(),
    "openai-chat": Quirks(cache_control=True),
}
"""The dialects that mark what to cache, and what their providers understand."""

TOOLS = [ToolDefinition("look", "Look."), ToolDefinition("go", "Go.", {"type": "object"})]
SYSTEM = [Text("You are a guide."), Text("Be brief.")]
CONVERSATION: list[Message] = [
    user("Where are we?", Image(b"\x89PNG\r\n\x1a\n")),
    assistant(Thinking("Hm.", producer="else/one"), "Let me look.", ToolCall("fn.look:0", "look")),
    tool_result("fn.look:0", "A tram."),
    assistant(ToolCall("a", "look", {"b": 1, "a": 2**60}), ToolCall("b", "go")),
    tool_result("a", "A dog.", Image(b"\x89PNG\r\n\x1a\n")),
    tool_result("b", "There.", is_error=True),
    AssistantMessage([Text("It is"), ToolCall("c", "go", unparsed="{")], "aborted"),
    user("Go on."),
    assistant("It is Lisbon.", ToolCall("a", "go")),
    tool_result("a", "Here."),
]
ENDS = [1, 3, 6, 8, 10]
"""How long it was when it was sent: always before an answer."""


def target(name: str, **quirks: Any) -> Target:
    return Target(
        provider="acme", model="one-large", base_url="https://acme.example", quirks=Quirks(**quirks)
    )


def request(length: int, **fields: Any) -> Request:
    return Request(messages=CONVERSATION[:length], tools=TOOLS, system=SYSTEM, **fields)


def parts(name: str, asked: Request, to: Target) -> tuple[bytes, bytes]:
    """The conversation, and all the rest of the body."""
    body = msgspec.json.decode(get_dialect(name).encode_request(asked, to).body)
    (place,) = [each for each in LISTS if each in body]
    return msgspec.json.encode(body.pop(place)), msgspec.json.encode(body)


@pytest.mark.parametrize("cache", [None, "auto"])
@pytest.mark.parametrize("name", DIALECTS)
def test_what_was_sent_before_is_the_beginning_of_what_is_sent_next(name: str, cache: Any):
    """For providers that cache by themselves, "auto" is nothing else than nothing."""
    sent = [parts(name, request(length, cache=cache), target(name)) for length in ENDS]
    if cache and name in MARKING and name != "openai-chat":
        sent = [(without_marks(said), without_marks(rest)) for said, rest in sent]
    for (said, rest), (later, rest_later) in pairwise(sent):
        assert later.startswith(said.removesuffix(b"]"))
        assert rest == rest_later


def without_marks(data: bytes) -> bytes:
    """The same without the marks, and with every text in a list, as a marked one has to be."""
    return msgspec.json.encode(_plain(msgspec.json.decode(data)))


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    plain = {key: _plain(each) for key, each in value.items() if key != "cache_control"}
    for key in ("content", "system"):
        if isinstance(plain.get(key), str):
            plain[key] = [{"type": "text", "text": plain[key]}]
    return plain


@pytest.mark.parametrize("name", DIALECTS)
def test_auto_is_never_a_reason_to_warn(name: str):
    dropped = get_dialect(name).encode_request(request(1, cache="auto"), target(name)).dropped
    assert [field for field, _ in dropped if "cache" in field] == []


# -------------------------------------------------------------------------------------- auto marks


@pytest.fixture(params=MARKING.items(), ids=MARKING)
def marking(request: pytest.FixtureRequest) -> tuple[str, Target]:
    name, quirks = request.param
    return name, msgspec.structs.replace(target(name), quirks=quirks)


def marks(value: Any) -> Iterator[tuple[str, str]]:
    """(what is marked, for how long), in the order of the prompt."""
    body: dict[str, Any] = msgspec.json.decode(value)
    for place in ("tools", "system", "messages"):
        yield from _marks(body.get(place))


def _marks(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for each in value:
            yield from _marks(each)
    elif isinstance(value, dict):
        yield from _marks(value.get("content"))
        if "cache_control" in value:
            function = value.get("function", value)
            said = value.get("content", value.get("text", function.get("name")))
            text = said if isinstance(said, str) else value["type"]
            yield text, value["cache_control"].get("ttl", "5m")


def marked(marking: tuple[str, Target], asked: Request) -> list[tuple[str, str]]:
    name, to = marking
    return list(marks(get_dialect(name).encode_request(asked, to).body))


def test_auto_marks_tools_instructions_the_last_request_and_this_one(marking: tuple[str, Target]):
    short = "5m"
    assert marked(marking, request(8, cache="auto")) == [
        ("go", short),
        ("Be brief.", short),
        ("image_url" if marking[0] == "openai-chat" else "There.", short),  # it waits for results
        ("Go on.", short),
    ]


def test_what_one_request_marks_last_the_next_one_marks_again(marking: tuple[str, Target]):
    ends = [[text for text, _ in marked(marking, request(n, cache="auto"))][-2:] for n in ENDS]
    for (_, last), (before, _) in pairwise(ends[1:]):
        assert before == last


def test_never_more_than_four_and_the_users_own_come_first(marking: tuple[str, Target]):
    own = [Text("One.", cache="short"), Text("Two."), Text("Three.", cache="short")]
    asked = Request(messages=CONVERSATION[:8], tools=TOOLS, system=own, cache="auto")
    found = [text for text, _ in marked(marking, asked)]
    assert found[:2] == ["One.", "Three."]
    assert found[-1] == "Go on."
    assert len(found) == 4
    own[1] = Text("Two.", cache="short")
    asked.messages = [user(Text("Four.", cache="short")), *CONVERSATION[1:8]]
    assert [text for text, _ in marked(marking, asked)] == ["One.", "Two.", "Three.", "Four."]
    assert len(marked(marking, asked)) == 4


def test_a_mark_on_a_text_within_a_result_is_sent(marking: tuple[str, Target]):
    asked = request(3, cache="auto")
    asked.messages[2] = tool_result("fn.look:0", Text("A tram.", cache="short"))
    assert "A tram." in [text for text, _ in marked(marking, asked)]
    asked.cache = None
    assert [text for text, _ in marked(marking, asked)] == ["A tram."]


def test_a_mark_before_the_users_long_one_is_long_too(marking: tuple[str, Target]):
    asked = request(1, cache="auto")
    asked.system = [Text("The rules.", cache="long")]
    found = marked(marking, asked)
    assert found[:2] == [("go", "1h"), ("The rules.", "1h")]
    assert found[-1][1] == "5m"


def test_nothing_to_mark_is_no_problem(marking: tuple[str, Target]):
    assert marked(marking, Request(messages=[user("Hi.")], cache="auto")) == [("Hi.", "5m")]
    silent: list[Message] = [user("Hi."), assistant(ToolCall("a", "look")), ToolMessage("a", [])]
    assert len(marked(marking, Request(messages=silent, cache="auto"))) <= 4
