"""Which requests have one key."""

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from polyvox.caching.keys import KeyMaker, canonical
from polyvox.messages import (
    AssistantMessage,
    File,
    Image,
    SystemMessage,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
    user,
)
from polyvox.model import Call
from polyvox.request import NamedTool, Reasoning, Request, ResponseFormat, ToolDefinition
from polyvox.usage import Usage
from strategies import Carries, json_objects, requests, response_formats, texts

CARRIES = Carries(
    cache_hints=4,
    system_in_middle=True,
    response_format=st.none() | response_formats,
    max_tokens=st.none() | st.integers(1, 9),
    temperature=st.none() | st.floats(0, 2),
    seed=st.none() | st.integers(0, 9),
    metadata=st.dictionaries(texts, texts, max_size=2),
)
MAKER = KeyMaker("tenant")


def key(request: Request, name: str = "test/one", **call: Any) -> bytes | None:
    return MAKER.key(name, request, Call(**call))


def meaning(request: Request) -> str:
    """What stands in a key, written down another way."""
    value = msgspec.to_builtins(request)
    for name in ("metadata", "cache", "stream"):
        value.pop(name, None)
    for message in value["messages"]:
        message.pop("cache", None)
        if message["role"] == "assistant":
            for name in set(message) - {"role", "content", "stop_reason"}:
                del message[name]
    blocks = [block for message in value["messages"] for block in message["content"]]
    for block in [*blocks, *value.get("system", []), *value.get("tools", [])]:
        block.pop("cache", None)
    return json.dumps(value, sort_keys=True)


def shuffled(value: Any, order: random.Random) -> Any:
    """The same JSON value with its keys in another order."""
    if isinstance(value, dict):
        items = [(name, shuffled(each, order)) for name, each in value.items()]
        order.shuffle(items)
        return dict(items)
    return [shuffled(each, order) for each in value] if isinstance(value, list) else value


@st.composite
def relatives(draw: Any) -> tuple[Request, Request]:
    """A request and one that differs in little or nothing; or another altogether."""
    request = draw(requests(CARRIES))
    request.options = draw(st.dictionaries(texts, json_objects, max_size=2))
    other = msgspec.convert(msgspec.to_builtins(request), Request)
    for change in draw(st.lists(st.sampled_from(CHANGES), max_size=2)):
        change(other, draw)
    return request, draw(st.just(other) | requests(CARRIES))


def _reorder(request: Request, draw: Any) -> None:
    request.options = shuffled(request.options, draw(st.randoms()))
    request.tools = [
        replace(tool, parameters=shuffled(tool.parameters, draw(st.randoms())))
        for tool in request.tools
    ]


def _hint(request: Request, draw: Any) -> None:
    request.cache = draw(st.sampled_from(["short", "long", "auto", None]))
    hint = draw(st.sampled_from(["short", "long", None]))
    request.system = [replace(block, cache=hint) for block in request.system]
    for message in request.messages:
        message.content = [replace(block, cache=hint) for block in message.content]
        if isinstance(message, ToolMessage):
            message.cache = hint


def _history(request: Request, draw: Any) -> None:
    for message in request.messages:
        if isinstance(message, AssistantMessage):
            message.usage, message.id, message.cached = Usage(1, 2), draw(texts), True
            message.request_id = message.response_model = draw(texts)


def _say_more(request: Request, draw: Any) -> None:
    request.messages = [*request.messages, user(draw(texts))]


def _set(name: str, values: st.SearchStrategy[Any]) -> Any:
    return lambda request, draw: setattr(request, name, draw(values))


CHANGES = [
    _reorder,
    _hint,
    _history,
    _say_more,
    _set("metadata", st.dictionaries(texts, texts, max_size=2)),
    _set("stream", st.booleans()),
    _set("seed", st.integers(0, 9)),
    _set("model", texts),
    _set("stop", st.lists(texts, max_size=2)),
    _set("options", st.dictionaries(texts, json_objects, max_size=2)),
]


@given(relatives())
@example((Request(messages=[user("\ud800")]), Request(messages=[user("\\ud800")])))
@example((Request(messages=[user("\ud800")]), Request(messages=[user("\ufffd")])))
@example((Request(messages=[user("a", "b")]), Request(messages=[user("ab")])))
@example((Request(messages=[user("a")]), Request(messages=[SystemMessage([Text("a")])])))
def test_keys_are_the_same_exactly_when_the_requests_mean_the_same(pair: tuple[Request, Request]):
    one, other = pair
    same = meaning(one) == meaning(other)
    assert (key(one) == key(other)) is same
    assert (canonical(one) == canonical(other)) is same


@given(requests(CARRIES))
def test_making_a_key_changes_nothing(request: Request):
    before = msgspec.json.encode(request)
    assert key(request) == key(request)
    assert msgspec.json.encode(request) == before


BASE = Request(messages=[user("Hi.")])
CHANGED = {
    "messages": [user("Hi!")],
    "model": "another",
    "system": [Text("Be brief.")],
    "tools": [ToolDefinition("weather")],
    "tool_choice": NamedTool("weather"),
    "parallel_tool_calls": False,
    "response_format": ResponseFormat(),
    "max_tokens": 5,
    "temperature": 0.5,
    "top_p": 0.5,
    "stop": ["."],
    "seed": 1,
    "reasoning": Reasoning("low"),
    "options": {"openai": {"service_tier": "flex"}},
}
INDIFFERENT = {"cache": "auto", "metadata": {"user_id": "u"}, "stream": False}


def test_every_field_of_a_request_is_known_to_matter_or_not():
    assert {*CHANGED, *INDIFFERENT} == set(Request.__struct_fields__)


@pytest.mark.parametrize("field", CHANGED)
def test_what_changes_the_answer_is_in_the_key(field: str):
    assert key(replace(BASE, **{field: CHANGED[field]})) != key(BASE)


@pytest.mark.parametrize("field", INDIFFERENT)
def test_what_does_not_is_not(field: str):
    assert key(replace(BASE, **{field: INDIFFERENT[field]})) == key(BASE)


PNG = b"\x89PNG\r\n\x1a\n"
BLOCKS = [
    Text("a"),
    Text("a", meta={"id": 1}),
    Text("a", meta={"id": 1}, producer="test/one"),
    Thinking("a"),
    Thinking("a", "signed"),
    Thinking("a", "signed", redacted=True),
    Image(PNG),
    Image(PNG + b"."),
    Image(PNG, detail="low"),
    Image(url="https://img.example/a.png"),
    File(PNG),
    File(PNG, name="a.png"),
    File(id="a"),
    ToolCall("a", "b"),
    ToolCall("a", "b", {"c": 1}),
    ToolCall("a", "b", {"c": True}),
    ToolCall("a", "b", unparsed='{"c'),
]


def test_every_part_of_a_block_is_in_the_key():
    keys = {key(Request(messages=[UserMessage([block])])) for block in BLOCKS}
    assert len(keys) == len(BLOCKS)


def test_who_asks_whom_is_in_the_key_and_can_not_run_into_one_another():
    keys = {
        key(BASE),
        key(BASE, tenant="a"),
        key(BASE, tenant="ab"),
        key(BASE, "atest/one"),
        key(BASE, "test/one", fallbacks=False),
        KeyMaker("session").key("test/one", BASE, Call(session="a")),
        KeyMaker("tag:session").key("test/one", BASE, Call(tags={"session": "a"})),
        KeyMaker("tag:a").key("test/one", BASE, Call(tags={"a": "session:a"})),
    }
    assert len(keys) == 8


def test_a_key_is_the_same_in_every_process_and_version():
    request = Request(messages=[user("Hi.")], options={"a": {"y": 1, "x": [2.5, None]}})
    assert canonical(request) == (
        b'{"messages":[{"role":"user","content":[{"type":"text","text":"Hi."}]}],'
        b'"options":{"a":{"x":[2.5,null],"y":1}}}'
    )
    assert key(request, tenant="t") is not None
    assert len(key(request, tenant="t") or b"") == 32


def test_keys_that_are_numbers_are_told_from_words_and_do_not_keep_an_answer_from_being_kept():
    biased, worded = (
        replace(BASE, options={"openai": {"logit_bias": {token: -100}}}) for token in (50256, 5025)
    )
    assert key(biased) is not None
    assert key(biased) == key(msgspec.convert(msgspec.to_builtins(biased), Request))
    assert key(biased) != key(worded)


def test_what_is_asked_for_vectors_has_no_key():
    assert key(BASE, kind="embedding") is None
