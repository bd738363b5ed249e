"""Requests of the gemini dialect, as they are written."""

from typing import Any

import msgspec
import pytest

from polyvox.dialects import Quirks, Target
from polyvox.dialects.gemini import DIALECT
from polyvox.errors import BadRequestError, ProtocolError
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
from polyvox.request import NamedTool, Reasoning, Request, ResponseFormat, ToolDefinition
from polyvox.secret import Secret

PNG = b"\x89PNG\r\n\x1a\n"
SIGNED = {"gemini": {"thoughtSignature": "c2ln"}}
DUMMY = "skip_thought_signature_validator"
OWN = "google/gemini-3-flash"


def target(model: str = "gemini-3-flash", **fields: Any) -> Target:
    given = {"base_url": "https://g.example", **fields}
    return Target(provider="google", model=model, **given)


def encoded(request: Request, model: str = "gemini-3-flash") -> tuple[Any, dict[str, str]]:
    http = DIALECT.encode_request(request, target(model))
    return msgspec.json.decode(http.body), dict(http.dropped)


def body(*messages: Any, model: str = "gemini-3-flash", **fields: Any) -> Any:
    return encoded(Request(messages=list(messages), **fields), model)[0]


def dropped(model: str = "gemini-3-flash", **fields: Any) -> dict[str, str]:
    return encoded(Request(messages=[user("Hi")], **fields), model)[1]


def config(model: str = "gemini-3-flash", **fields: Any) -> Any:
    return body(user("Hi"), model=model, **fields).get("generationConfig")


# -------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("base", "model", "stream", "expected"),
    [
        ("https://g.example", "a", False, "https://g.example/v1beta/models/a:generateContent"),
        (
            "https://g.example/v1beta/",
            "a",
            True,
            "https://g.example/v1beta/models/a:streamGenerateContent?alt=sse",
        ),
        (
            "https://g.example/v1",
            "tunedModels/b c",
            False,
            "https://g.example/v1/tunedModels/b%20c:generateContent",
        ),
    ],
)
def test_the_address_names_the_model_and_the_way_of_answering(
    base: str, model: str, stream: bool, expected: str
):
    to = target(model, base_url=base, key=Secret("k"), auth="x-goog-api-key", headers={"a": "b"})
    http = DIALECT.encode_request(Request(messages=[user("Hi")], stream=stream), to)
    assert http.url == expected
    assert http.headers == {"content-type": "application/json", "x-goog-api-key": "k", "a": "b"}


def test_the_list_of_models_holds_those_that_answer():
    http = DIALECT.models_request(target(key=Secret("k"), auth="x-goog-api-key"))
    assert http is not None
    assert (http.method, http.url) == ("GET", "https://g.example/v1beta/models?pageSize=1000")
    assert http.headers["x-goog-api-key"] == "k"
    listed = (
        b'{"models": [{"name": "models/a", "supportedGenerationMethods": ["generateContent"]},'
        b'{"name": "models/e", "supportedGenerationMethods": ["embedContent"]},{"name": "models/b"}]}'
    )
    assert DIALECT.decode_models(listed) == ["a", "b"]
    assert DIALECT.models_request(target(quirks=Quirks(models_path=""))) is None
    with pytest.raises(ProtocolError):
        DIALECT.decode_models(b"<html>")


def test_tokens_are_counted_with_instructions_and_tools():
    request = Request(messages=[user("Hi")], system=[Text("S")], tools=[ToolDefinition("t")])
    assert DIALECT.count_request(request, target()) is None
    http = DIALECT.count_request(request, target(quirks=Quirks(count_tokens=True)))
    assert http is not None
    assert http.url.endswith("/models/gemini-3-flash:countTokens")
    asked = msgspec.json.decode(http.body)["generateContentRequest"]
    assert asked.keys() == {"model", "systemInstruction", "contents", "tools"}
    assert asked["model"] == "models/gemini-3-flash"
    assert DIALECT.decode_count(b'{"totalTokens": 7}') == 7


# ------------------------------------------------------------------------------------------ turns


def test_neighbours_of_one_role_are_one_turn_but_results_stay_apart():
    call, other = ToolCall("c1", "t", {"a": 1}), ToolCall("c2", "t")
    sent = body(
        user("a"),
        user("b"),
        AssistantMessage([Text("x")]),
        AssistantMessage([call, other]),
        ToolMessage("c1", [Text("r1")], "t"),
        ToolMessage("c2", [Text("r2")], "t", is_error=True),
        user("c"),
        model="gemini-2.5-flash",
    )
    assert sent["contents"] == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {
            "role": "model",
            "parts": [
                {"text": "x"},
                {"functionCall": {"id": "c1", "name": "t", "args": {"a": 1}}},
                {"functionCall": {"id": "c2", "name": "t", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "c1", "name": "t", "response": {"output": "r1"}}},
                {"functionResponse": {"id": "c2", "name": "t", "response": {"error": "r2"}}},
            ],
        },
        {"role": "user", "parts": [{"text": "c"}]},
    ]


def test_a_result_without_a_name_gets_its_calls_name():
    called = AssistantMessage([ToolCall("c1", "t")])
    sent = body(user("q"), called, ToolMessage("c1", [Text("r")]))
    assert sent["contents"][2]["parts"][0]["functionResponse"]["name"] == "t"


def test_empty_texts_and_turns_are_not_sent():
    sent = body(user("a"), AssistantMessage([Text("")]), user(""), system=[Text("")])
    assert sent == {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}


def test_instructions_in_mid_conversation_are_told_as_the_users():
    request = Request(messages=[user("a"), SystemMessage([Text("Be brief.")])], system=[Text("S")])
    sent, notes = encoded(request)
    assert sent["systemInstruction"] == {"parts": [{"text": "S"}]}
    assert sent["contents"][0]["parts"][1]["text"] == "<system>\nBe brief.\n</system>"
    assert "messages[1]" in notes


def test_pictures_and_files_go_as_bytes_or_as_addresses():
    blocks = [
        Image(PNG, detail="high"),
        Image(url="https://a.example/b.png?c"),
        Image(url="data:image/gif;base64,aGk="),
        File(b"%PDF-1", name="n.pdf"),
        File(id="abc"),
        File(url="https://a.example/x", media_type="video/mp4"),
    ]
    sent, notes = encoded(Request(messages=[UserMessage([*blocks])]))
    assert sent["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
        {"fileData": {"mimeType": "image/png", "fileUri": "https://a.example/b.png?c"}},
        {"inlineData": {"mimeType": "image/gif", "data": "aGk="}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0x"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
        {"fileData": {"mimeType": "video/mp4", "fileUri": "https://a.example/x"}},
    ]
    assert notes.keys() == {"messages[0].content[0].detail", "messages[0].content[3].name"}
    with pytest.raises(BadRequestError, match=r"messages\[0\].content\[0\]"):
        body(UserMessage([Image(url="data:image/png,raw")]))


def test_pictures_of_a_result_go_into_it_from_gemini_3_on_and_after_it_before():
    called = AssistantMessage([ToolCall("c1", "t")])
    result = ToolMessage("c1", [Text("r"), Image(PNG)], "t")
    _, _, turn = body(user("q"), called, result)["contents"]
    assert turn["parts"][0]["functionResponse"]["parts"][0]["inlineData"]["mimeType"] == "image/png"
    sent, notes = encoded(
        Request(messages=[user("q"), called, result, user("Well?")]), "gemini-2.5-flash"
    )
    _, _, alone, after, question = sent["contents"]
    assert alone["parts"][0]["functionResponse"].keys() == {"id", "name", "response"}
    assert [part.keys() for part in after["parts"]] == [{"text"}, {"inlineData"}]
    assert question["parts"] == [{"text": "Well?"}]
    assert "messages[2].content" in notes


def test_pictures_of_results_do_not_part_the_results_of_parallel_calls():
    called = AssistantMessage([ToolCall("c1", "t"), ToolCall("c2", "t")])
    first = ToolMessage("c1", [Text("r1"), Image(PNG)], "t")
    second = ToolMessage("c2", [Text("r2"), Image(PNG)], "t")
    sent = body(user("q"), called, first, second, model="gemini-2.5-flash")
    _, _, results, pictures = sent["contents"]
    assert [part["functionResponse"]["id"] for part in results["parts"]] == ["c1", "c2"]
    assert [*map(set, pictures["parts"])] == [{"text"}, {"inlineData"}] * 2


def test_a_call_that_nothing_precedes_gets_a_turn_of_the_user_before_it():
    call, result = AssistantMessage([ToolCall("c1", "t")]), ToolMessage("c1", [Text("r")], "t")
    sent, notes = encoded(Request(messages=[call, result]))
    assert [turn["role"] for turn in sent["contents"]] == ["user", "model", "user"]
    assert "messages[0]" in notes
    assert body(AssistantMessage([Text("Hello.")]), user("Hi."))["contents"][0]["role"] == "model"


# -------------------------------------------------------------------------------------- reasoning


@pytest.mark.parametrize(
    ("model", "goes_on"),
    [
        ("gemini-2.5-flash", True),
        ("gemini-3.5-flash", True),
        ("gemini-3.5-flash-lite", False),
        ("gemini-3.6-flash", False),
        ("gemini-4-pro", False),
        ("gemini-flash-latest", False),
        ("gemma-4", True),
    ],
)
def test_an_answer_at_the_end_is_gone_on_with_or_the_user_asks_for_it(model: str, goes_on: bool):
    request = Request(messages=[user("q"), AssistantMessage([Text("So")], "aborted")])
    written, notes = encoded(request, model)
    asked = [{"role": "user", "parts": [{"text": "Go on."}]}]
    assert written["contents"][2:] == ([] if goes_on else asked)
    assert list(notes) == ([] if goes_on else ["messages[1]"])


def test_signatures_go_back_to_their_maker_on_the_parts_they_came_with():
    said = AssistantMessage(
        [
            Thinking("hm", "dGg=", producer=OWN),
            Text("a", meta=SIGNED, producer=OWN),
            ToolCall("c1", "t", meta=SIGNED, producer=OWN),
            ToolCall("c2", "t"),
        ]
    )
    thought, text, one, two = body(user("q"), said)["contents"][1]["parts"]
    assert thought == {"text": "hm", "thought": True, "thoughtSignature": "dGg="}
    assert text == {"text": "a", "thoughtSignature": "c2ln"}
    assert one["thoughtSignature"] == "c2ln"
    assert "thoughtSignature" not in two


def test_what_another_model_signed_is_not_sent_and_gemini_3_gets_the_stand_in():
    said = AssistantMessage(
        [
            Thinking("hm", "dGg=", producer="other/m"),
            Text("a", meta=SIGNED, producer="other/m"),
            ToolCall("c1", "t", meta=SIGNED, producer="other/m"),
            ToolCall("c2", "t"),
        ]
    )
    request = Request(messages=[user("q"), said])
    sent, notes = encoded(request)
    text, one, two = sent["contents"][1]["parts"]
    assert text == {"text": "a"}
    assert one["thoughtSignature"] == DUMMY
    assert "thoughtSignature" not in two
    assert "dropped" in notes["messages[1]"]
    older, _ = encoded(request, "gemini-2.5-pro")
    assert "thoughtSignature" not in older["contents"][1]["parts"][1]


def test_hidden_reasoning_of_unknown_origin_is_dropped():
    sent, notes = encoded(
        Request(messages=[user("q"), AssistantMessage([Thinking("", "x", redacted=True)])])
    )
    assert len(sent["contents"]) == 1
    assert "messages[1]" in notes


@pytest.mark.parametrize(
    ("model", "reasoning", "expected"),
    [
        ("gemini-3-flash-preview", Reasoning("minimal"), ("minimal", None)),
        ("gemini-3-pro-preview", Reasoning("medium"), ("high", "reasoning")),
        ("gemini-3.1-pro-preview", Reasoning("medium"), ("medium", None)),
        ("gemini-3-pro-preview", Reasoning("none"), ("low", "reasoning")),
        ("gemini-3.5-flash-lite", Reasoning("max"), ("high", "reasoning")),
        ("gemini-flash-latest", Reasoning(budget_tokens=2000), ("low", "reasoning")),
        ("gemini-2.5-flash", Reasoning("medium"), (8192, None)),
        ("gemini-2.5-flash", Reasoning("none"), (0, None)),
        ("gemini-2.5-pro", Reasoning("none"), (128, "reasoning")),
        ("gemini-2.5-pro", Reasoning(budget_tokens=10**6), (32768, "reasoning")),
        ("gemini-2.5-flash-lite", Reasoning(budget_tokens=600), (600, None)),
        ("gemini-2.5-flash-image", Reasoning("high"), (None, "reasoning")),
        ("gemini-2.0-flash", Reasoning("low"), (None, "reasoning")),
        ("gemini-2.0-flash", Reasoning("none"), (None, None)),
        ("some-proxy-model", Reasoning("low"), ("low", None)),
        ("some-proxy-model", Reasoning(budget_tokens=77), (77, None)),
    ],
)
def test_how_much_to_think_is_asked_as_the_generation_wants_it(
    model: str, reasoning: Reasoning, expected: tuple[Any, str | None]
):
    asked = (config(model, reasoning=reasoning) or {}).get("thinkingConfig", {})
    value = asked.get("thinkingLevel", asked.get("thinkingBudget"))
    notes = dropped(model, reasoning=reasoning)
    assert (value, next(iter(notes), None)) == expected
    thinks = value not in (None, 0) and reasoning.effort != "none"
    assert asked.get("includeThoughts", False) is thinks


# ------------------------------------------------------------------------------------- everything


def test_schemas_lose_what_the_api_does_not_take_and_say_so():
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "kind": {"const": "a"},
            "pattern": {"type": "string", "pattern": "^a", "minLength": 2},
            "who": {"allOf": [{"$ref": "#/definitions/Who"}], "description": "d"},
            "many": {"type": "array", "items": {"oneOf": [{"type": "number", "multipleOf": 2}]}},
        },
        "additionalProperties": False,
        "definitions": {"Who": {"type": "object", "not": {}}},
    }
    tool = ToolDefinition("t", "d", schema, strict=True)
    request = Request(messages=[user("Hi")], tools=[tool], response_format=ResponseFormat(schema))
    sent, notes = encoded(request)
    (declared,) = sent["tools"][0]["functionDeclarations"]
    assert declared == {
        "name": "t",
        "description": "d",
        "parametersJsonSchema": {
            "type": "object",
            "properties": {
                "kind": {"enum": ["a"]},
                "pattern": {"type": "string"},
                "who": {"$ref": "#/$defs/Who", "description": "d"},
                "many": {"type": "array", "items": {"oneOf": [{"type": "number"}]}},
            },
            "additionalProperties": False,
            "$defs": {"Who": {"type": "object"}},
        },
    }
    assert sent["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": declared["parametersJsonSchema"],
    }
    lost = ("properties.pattern.pattern", "properties.pattern.minLength", "$defs.Who.not")
    many = "properties.many.items.oneOf[0].multipleOf"
    places = {f"{at}.{each}" for each in (*lost, many) for at in PLACES}
    assert notes.keys() == places | {"tools[0].strict"}


PLACES = ("tools[0].parameters", "response_format.schema")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        (NamedTool("t"), {"mode": "ANY", "allowedFunctionNames": ["t"]}),
    ],
)
def test_the_choice_of_tools(choice: Any, expected: Any):
    sent = body(user("Hi"), tools=[ToolDefinition("t")], tool_choice=choice)
    assert sent["toolConfig"] == {"functionCallingConfig": expected}


def test_sampling_and_limits():
    sent = config(max_tokens=9, temperature=0.5, top_p=0.9, seed=7, stop=["a"])
    assert sent == {
        "maxOutputTokens": 9,
        "temperature": 0.5,
        "topP": 0.9,
        "stopSequences": ["a"],
        "seed": 7,
    }
    assert config() is None


def test_newer_models_are_not_told_how_to_sample():
    wishes = {"temperature": 0.5, "top_p": 0.9}
    assert config("gemini-3.5-flash", **wishes) == {"temperature": 0.5, "topP": 0.9}
    assert dropped("gemini-3.5-flash", **wishes) == {}
    for model in ("gemini-3.6-flash", "gemini-3.5-flash-lite"):
        assert config(model, **wishes) is None
        assert set(dropped(model, **wishes)) == set(wishes)


def test_options_are_laid_over_and_tools_of_the_api_stand_beside_ours():
    options = {
        "gemini": {"generationConfig": {"topK": 3}, "tools": [{"googleSearch": {}}], "alt": "json"},
        "google": {"safetySettings": [1], "generationConfig": {"thinkingConfig": {"x": 1}}},
    }
    fields: Any = {
        "max_tokens": 9,
        "reasoning": Reasoning("low"),
        "tools": [ToolDefinition("t")],
        "options": options,
    }
    sent = body(user("Hi"), **fields)
    assert sent["generationConfig"] == {
        "maxOutputTokens": 9,
        "thinkingConfig": {"thinkingLevel": "low", "includeThoughts": True, "x": 1},
        "topK": 3,
    }
    assert [list(tool) for tool in sent["tools"]] == [["functionDeclarations"], ["googleSearch"]]
    assert sent["safetySettings"] == [1]
    assert "alt" not in sent
    assert options["gemini"]["generationConfig"] == {"topK": 3}


def test_what_can_not_be_told_is_named():
    notes = dropped(
        parallel_tool_calls=False,
        metadata={"user_id": "u"},
        stop=list("abcdef"),
        tool_choice="required",
    )
    assert notes.keys() == {"parallel_tool_calls", "metadata.user_id", "stop", "tool_choice"}
    assert dropped(cache="auto", parallel_tool_calls=True, tool_choice="auto") == {}
