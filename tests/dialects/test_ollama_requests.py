"""Requests to Ollama, written and read."""

import json
from base64 import b64encode
from typing import Any

import pytest

from polyvox.dialects import Place, Quirks, Target, find_route, get_dialect
from polyvox.dialects.base import ANYWHERE
from polyvox.errors import BadRequestError
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
    assistant,
    tool_result,
    user,
)
from polyvox.providers.rows import load_providers, quirks_for
from polyvox.request import NamedTool, Reasoning, Request, ResponseFormat, ToolDefinition
from polyvox.secret import Secret

DIALECT = get_dialect("ollama")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
PNG_TEXT = b64encode(PNG).decode()
WEATHER = ToolDefinition("weather", "d", {"type": "object", "properties": {}})
CALL = ToolCall("c1", "weather", {"city": "Oslo"})


def target(**fields: Any) -> Target:
    base = {"provider": "ollama", "model": "llama3.2", "base_url": "http://127.0.0.1:11434/"}
    return Target(**{**base, **fields})


def sent(*messages: Any, to: Target | None = None, **wishes: Any) -> dict[str, Any]:
    request = Request(messages=list(messages) or [user("hi")], **wishes)
    return json.loads(DIALECT.encode_request(request, to or target()).body)


def dropped(to: Target | None = None, *messages: Any, **wishes: Any) -> list[str]:
    request = Request(messages=list(messages) or [user("hi")], **wishes)
    return [field for field, _ in DIALECT.encode_request(request, to or target()).dropped]


def got(place: Place = ANYWHERE, **fields: Any) -> Request:
    return DIALECT.decode_request(json.dumps({"model": "m", **fields}).encode(), place)


def chat(*messages: dict[str, Any], **fields: Any) -> Request:
    return got(messages=list(messages) or [{"role": "user", "content": "hi"}], **fields)


def test_a_plain_request():
    http = DIALECT.encode_request(Request(messages=[user("hi")], system=[Text("Be.")]), target())
    assert (http.method, http.url) == ("POST", "http://127.0.0.1:11434/api/chat")
    assert "authorization" not in http.headers
    assert json.loads(http.body) == {
        "model": "llama3.2",
        "messages": [{"role": "system", "content": "Be."}, {"role": "user", "content": "hi"}],
        "stream": True,
    }


def test_a_key_goes_along_where_there_is_one():
    http = DIALECT.encode_request(Request(messages=[user("hi")]), target(key=Secret("k")))
    assert http.headers["authorization"] == "Bearer k"


def test_wishes_go_into_the_options_under_ollamas_names():
    body = sent(max_tokens=9, temperature=0.5, top_p=0.9, stop=["END"], seed=7, stream=False)
    assert body["options"] == {
        "num_predict": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "seed": 7,
    }
    assert body["stream"] is False


def test_vendor_options_lie_over_the_body():
    mine = {"keep_alive": "1h", "options": {"num_ctx": 32768, "temperature": 0.1}}
    body = sent(temperature=0.5, max_tokens=9, options={"ollama": mine})
    assert body["keep_alive"] == "1h"
    assert body["options"] == {"num_predict": 9, "temperature": 0.1, "num_ctx": 32768}


@pytest.mark.parametrize(
    ("wanted", "think"),
    [
        (Reasoning("none"), False),
        (Reasoning("minimal"), "low"),
        (Reasoning("medium"), "medium"),
        (Reasoning("xhigh"), "max"),
        (Reasoning(budget_tokens=0), False),
        (Reasoning(budget_tokens=2000), "low"),
    ],
)
def test_effort_is_a_level_of_thinking(wanted: Reasoning, think: bool | str):
    assert sent(reasoning=wanted)["think"] == think


def test_thinking_that_was_not_spoken_of_is_left_to_the_model():
    assert "think" not in sent()
    assert "think" not in sent(reasoning=Reasoning())


def test_a_model_that_knows_fewer_levels_gets_the_nearest():
    to = target(quirks=Quirks(efforts=("low", "medium", "high")))
    assert sent(reasoning=Reasoning("none"), to=to)["think"] == "low"
    assert dropped(to, reasoning=Reasoning("none")) == ["reasoning.effort"]
    assert dropped(to, reasoning=Reasoning("low")) == []


def test_a_model_that_is_not_asked_to_think_or_only_to():
    to = target(quirks=Quirks(reasoning_style="none"))
    assert "think" not in sent(reasoning=Reasoning("high"), to=to)
    assert dropped(to, reasoning=Reasoning("high")) == ["reasoning"]
    to = target(quirks=Quirks(reasoning_style="enable_thinking"))
    assert sent(reasoning=Reasoning("high"), to=to)["think"] is True
    assert dropped(to, reasoning=Reasoning("high")) == ["reasoning.effort"]


def test_a_schema_or_any_json():
    schema = {"type": "object", "properties": {}}
    assert sent(response_format=ResponseFormat(schema))["format"] == schema
    assert sent(response_format=ResponseFormat())["format"] == "json"


def test_tools_and_what_cannot_be_said_of_them():
    body = sent(tools=[WEATHER])
    function = {"name": "weather", "description": "d", "parameters": WEATHER.parameters}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert "tools" not in sent(tools=[WEATHER], tool_choice="none")
    for choice in ("required", NamedTool("weather")):
        assert dropped(tools=[WEATHER], tool_choice=choice) == ["tool_choice"]
    assert dropped(tools=[WEATHER], tool_choice="auto") == []
    assert dropped(tools=[WEATHER], parallel_tool_calls=False) == ["parallel_tool_calls"]
    strict = ToolDefinition("weather", strict=True)
    assert dropped(tools=[strict], cache="long", metadata={"a": "b"}) == [
        "tools[].strict",
        "metadata",
        "cache",
    ]
    assert dropped(cache="auto") == []


def test_pictures_stand_beside_the_text():
    (message,) = sent(user("What", "is this?", Image(PNG)))["messages"]
    assert message == {"role": "user", "content": "What\nis this?", "images": [PNG_TEXT]}
    url = f"data:image/png;base64,{PNG_TEXT}"
    assert sent(user(Image(url=url)))["messages"][0]["images"] == [PNG_TEXT]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (user("a", Image(url="https://x.example/a.png")), r"messages\[0\].content\[1\].*URL"),
        (user(File(b"%PDF-")), r"messages\[0\].content\[0\].*no files"),
        (UserMessage([]), r"messages\[0\].content: a user message is empty"),
        (AssistantMessage([]), "there are none"),
    ],
)
def test_what_cannot_be_carried_is_an_error_that_names_it(message: Any, problem: str):
    with pytest.raises(BadRequestError, match=problem):
        sent(message)


def test_a_turn_with_tools():
    ours = Thinking("Hm.", producer="ollama/llama3.2")
    said = assistant(ours, "So:", CALL, ToolCall("c2", "go", unparsed='{"'))
    results = [tool_result("c1", "rain"), tool_result("c2", "no", is_error=True)]
    _, answer, *told = sent(user("hi"), said, *results)["messages"]
    assert (answer["thinking"], answer["content"]) == ("Hm.", "So:")
    one, two = answer["tool_calls"]
    assert one["function"] == {"index": 0, "name": "weather", "arguments": {"city": "Oslo"}}
    assert two["function"] == {"index": 1, "name": "go", "arguments": {}}
    # The names of tools are known from the calls.
    assert told == [
        {"role": "tool", "content": "rain", "tool_name": "weather", "tool_call_id": "c1"},
        {"role": "tool", "content": "Error: no", "tool_name": "go", "tool_call_id": "c2"},
    ]


def test_what_broke_off_or_has_no_place_is_named():
    said = assistant("a", ToolCall("c", "go", unparsed='{"'), Image(PNG))
    assert dropped(None, user("hi"), said, tool_result("c", "no")) == [
        "messages[1].content[1].arguments",
        "messages[1].content[2]",
    ]


def test_others_reasoning_is_left_out():
    said = assistant(Thinking("Hm.", producer="acme/one"))
    assert [each["role"] for each in sent(user("hi"), said, user("go"))["messages"]] == [
        "user",
        "user",
    ]


def test_pictures_of_tools_follow_the_results():
    said = assistant(CALL, ToolCall("c2", "look"))
    results = [tool_result("c1", Image(PNG)), tool_result("c2", "dark")]
    *_, one, two, seen = sent(user("hi"), said, *results, user("go"))["messages"][:-1]
    assert one["content"] == "(see the user message after this)"
    assert two["content"] == "dark"
    assert (seen["role"], seen["images"]) == ("user", [PNG_TEXT])
    to = target(quirks=Quirks(tool_result_images=True))
    told = sent(user("hi"), assistant(CALL), results[0], to=to)["messages"][-1]
    assert (told["role"], told["images"]) == ("tool", [PNG_TEXT])


# /api/generate

PROMPT = {"ollama": {"endpoint": "generate", "suffix": "    return x"}}


def test_a_prompt_for_generate():
    request = Request(
        messages=[user("def f(x):", Image(PNG))], system=[Text("Code.")], options=PROMPT
    )
    http = DIALECT.encode_request(request, target())
    assert http.url == "http://127.0.0.1:11434/api/generate"
    assert json.loads(http.body) == {
        "model": "llama3.2",
        "prompt": "def f(x):",
        "system": "Code.",
        "images": [PNG_TEXT],
        "stream": True,
        "suffix": "    return x",
    }


def test_generate_takes_no_conversation():
    for messages in ([user("a"), user("b")], [assistant("a")]):
        with pytest.raises(BadRequestError, match="one user message"):
            sent(*messages, options=PROMPT)


def test_the_address_says_which_endpoint_is_meant():
    found = find_route(DIALECT, "POST", "/api/generate")
    assert found is not None
    request = got(found[1], prompt="hi", system="Be.", raw=True, images=[PNG_TEXT])
    assert request.messages == [user("hi", Image(PNG))]
    assert request.system == [Text("Be.")]
    assert request.options == {"ollama": {"endpoint": "generate", "raw": True}}
    with pytest.raises(BadRequestError, match="prompt: there is none"):
        got(found[1], prompt="")


# Read


def test_requests_stream_unless_they_say_otherwise():
    assert chat().stream is True
    assert chat(stream=True).stream is True
    assert chat(stream=False).stream is False


def test_options_are_read_and_others_kept():
    options = {"num_predict": 9, "temperature": 1, "stop": "END", "num_ctx": 4096}
    request = chat(options=options, keep_alive="5m")
    assert (request.max_tokens, request.temperature, request.stop) == (9, 1.0, ["END"])
    assert request.options == {"ollama": {"keep_alive": "5m", "options": {"num_ctx": 4096}}}
    endless = chat(options={"num_predict": -1})
    assert endless.max_tokens is None
    assert endless.options == {"ollama": {"options": {"num_predict": -1}}}


@pytest.mark.parametrize(
    ("think", "wanted"),
    [
        (True, Reasoning("medium")),
        (False, Reasoning("none")),
        ("high", Reasoning("high")),
        (None, None),
    ],
)
def test_thinking_is_read(think: Any, wanted: Reasoning | None):
    assert chat(think=think).reasoning == wanted


def test_formats_are_read():
    assert chat(format="json").response_format == ResponseFormat()
    assert chat(format={"type": "object"}).response_format == ResponseFormat({"type": "object"})
    assert chat(format="").response_format is None


def test_calls_and_results_without_ids_are_matched_by_name_and_order():
    made = [
        {"function": {"name": name, "arguments": {"n": n}}}
        for n, name in enumerate(["look", "go", "go"])
    ]
    turn = [
        {"role": "assistant", "content": "", "tool_calls": made},
        {"role": "tool", "content": "left", "tool_name": "go"},
        {"role": "tool", "content": "dark", "tool_name": "look"},
        {"role": "tool", "content": "right"},
        {"role": "tool", "content": "who asked?"},
    ]
    said, *results = chat({"role": "user", "content": "hi"}, *turn).messages[1:]
    look, one, two = said.tool_calls
    assert len({look.id, one.id, two.id}) == 3
    assert [(each.tool_call_id, each.tool_name) for each in results[:3]] == [
        (one.id, "go"),
        (look.id, "look"),
        (two.id, "go"),
    ]
    assert results[3].tool_call_id not in {look.id, one.id, two.id}
    # The same conversation again has the same ids.
    assert chat({"role": "user", "content": "hi"}, *turn).messages[1] == said


def test_a_result_belongs_to_the_answer_before_it():
    made = {"role": "assistant", "tool_calls": [{"function": {"name": "go", "arguments": {}}}]}
    result = {"role": "tool", "content": "ok", "tool_name": "go"}
    _, said, told = chat(made, made, result).messages
    assert told.tool_call_id == said.tool_calls[0].id


def test_ids_that_are_there_are_kept():
    made = {"id": "c9", "function": {"name": "go", "arguments": '{"a": 1}'}}
    said, result = chat(
        {"role": "assistant", "tool_calls": [made]},
        {"role": "tool", "content": "ok", "tool_call_id": "c9"},
    ).messages
    assert said.tool_calls == [ToolCall("c9", "go", {"a": 1})]
    assert result == ToolMessage("c9", [Text("ok")], "go")


def test_instructions_may_stand_in_the_middle():
    messages = chat(
        {"role": "User", "content": "hi"}, {"role": "system", "content": "Be brief."}
    ).messages
    assert messages == [user("hi"), SystemMessage([Text("Be brief.")])]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"messages": []}, "messages: there are none"),
        ({"messages": [{"role": "narrator"}]}, r"messages\[0\].role: .*narrator"),
        ({"messages": [{"role": "user", "content": 5}]}, r"messages\[0\].content: "),
        (
            {"messages": [{"role": "user", "images": ["aGk="]}]},
            r"messages\[0\].images\[0\]: is no PNG",
        ),
        ({"messages": [{"role": "user", "images": ["?"]}]}, r"messages\[0\].images\[0\]"),
        ({"messages": [], "think": "lots"}, "think: "),
        ({"messages": [], "model": 5}, "model: "),
        ({"messages": [{"role": "user"}], "options": {"seed": "x"}}, r"options\.seed: "),
        ({"messages": [{"role": "user"}], "format": "xml"}, "format: "),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], problem: str):
    with pytest.raises(BadRequestError, match=problem):
        got(**fields)


@pytest.mark.parametrize(
    ("model", "think"), [("llama3.2", None), ("gpt-oss:20b", "high"), ("qwen3", "max")]
)
def test_the_row_knows_which_models_think(model: str, think: str | None):
    quirks = quirks_for(load_providers()["ollama"], model)
    to = target(model=model, quirks=quirks)
    assert sent(reasoning=Reasoning("max"), to=to).get("think") == think


def test_a_body_cannot_choose_another_endpoint_than_its_address():
    assert chat(endpoint="generate").options == {}
