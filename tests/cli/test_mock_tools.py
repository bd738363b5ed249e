"""`polyvox mock --model simulated/tools`: other people's SDKs hold a conversation with tools.

What the mock prints is all they are told: each reads the address and the key from the variables that
it always reads.
"""

import json
from collections.abc import Callable
from typing import Any

import anthropic
import ollama
import openai
import pytest
from google import genai
from google.genai import types

from .test_mock import Start, served

ASKED = "Is it raining in Oslo?"
SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NAMED: Any = {"name": "weather", "description": "The weather in a city."}

Called = tuple[str, dict[str, Any]]


def by_openai_chat() -> tuple[Called, str]:
    talk: Any = [{"role": "user", "content": ASKED}]
    tools: Any = [{"type": "function", "function": {**NAMED, "parameters": SCHEMA}}]
    asking: Any = {"model": "gpt-5-mini", "messages": talk, "tools": tools}
    with openai.OpenAI() as client:
        with client.chat.completions.stream(**asking) as stream:
            said = stream.get_final_completion().choices[0].message
        (call,) = said.tool_calls or []
        talk += [said, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
        with client.chat.completions.stream(**asking) as stream:
            final = stream.get_final_completion().choices[0].message
    return (call.function.name, json.loads(call.function.arguments)), final.content or ""


def by_openai_responses() -> tuple[Called, str]:
    talk: Any = [{"role": "user", "content": ASKED}]
    tools: Any = [{"type": "function", **NAMED, "parameters": SCHEMA, "strict": False}]
    asking: Any = {"model": "gpt-5-mini", "input": talk, "tools": tools}
    with openai.OpenAI() as client:
        with client.responses.stream(**asking) as stream:
            said = stream.get_final_response()
        (call,) = [item for item in said.output if item.type == "function_call"]
        talk += [call.to_dict(), _output(call.call_id)]
        with client.responses.stream(**asking) as stream:
            final = stream.get_final_response()
    return (call.name, json.loads(call.arguments)), final.output_text


def _output(call_id: str) -> dict[str, str]:
    return {"type": "function_call_output", "call_id": call_id, "output": "rain"}


def by_anthropic() -> tuple[Called, str]:
    talk: Any = [{"role": "user", "content": ASKED}]
    asking: Any = {
        "model": "claude-test",
        "max_tokens": 99,
        "messages": talk,
        "tools": [{**NAMED, "input_schema": SCHEMA}],
    }
    with anthropic.Anthropic() as client:
        with client.messages.stream(**asking) as stream:
            said = stream.get_final_message()
        (call,) = [block for block in said.content if block.type == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
        talk += [{"role": "assistant", "content": said.content}]
        talk += [{"role": "user", "content": [result]}]
        with client.messages.stream(**asking) as stream:
            final = stream.get_final_text()
    return (call.name, dict(call.input)), final


def by_google_genai() -> tuple[Called, str]:
    weather = types.FunctionDeclaration(**NAMED, parameters_json_schema=SCHEMA)
    talk: Any = [types.Content(role="user", parts=[types.Part(text=ASKED)])]
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[weather])])
    asking: Any = {"model": "gemini-2.5-flash", "contents": talk, "config": config}
    with genai.Client() as client:
        frames: Any = list(client.models.generate_content_stream(**asking))
        said = [part for each in frames for part in each.candidates[0].content.parts or []]
        (call,) = [part.function_call for part in said if part.function_call]
        result = types.Part.from_function_response(name=call.name, response={"output": "rain"})
        talk += [types.Content(role="model", parts=said)]
        talk += [types.Content(role="user", parts=[result])]
        final = "".join(each.text or "" for each in client.models.generate_content_stream(**asking))
    return (call.name, call.args), final


def by_ollama() -> tuple[Called, str]:
    talk: Any = [{"role": "user", "content": ASKED}]
    tools: Any = [{"type": "function", "function": {**NAMED, "parameters": SCHEMA}}]
    asking: Any = {"model": "llama3.2", "messages": talk, "tools": tools, "stream": True}
    with ollama.Client() as client:
        calls: Any = [
            call for part in client.chat(**asking) for call in part.message.tool_calls or []
        ]
        (function,) = [call.function for call in calls]
        talk += [{"role": "assistant", "tool_calls": calls}]
        talk += [{"role": "tool", "tool_name": "weather", "content": "rain"}]
        final = "".join(part.message.content or "" for part in client.chat(**asking))
    return (function.name, dict(function.arguments)), final


@pytest.mark.parametrize(
    ("dialect", "ask"),
    [
        ("openai-chat", by_openai_chat),
        ("openai-responses", by_openai_responses),
        ("anthropic-messages", by_anthropic),
        ("gemini", by_google_genai),
        ("ollama", by_ollama),
    ],
)
def test_an_sdk_streams_a_tool_call_and_after_its_result_a_text(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    dialect: str,
    ask: Callable[[], tuple[Called, str]],
):
    mock = start("mock", "--dialect", dialect, "--model", "simulated/tools")
    _, variables = served(mock)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    called, final = ask()
    assert called == ("weather", {"city": "Oslo"})
    assert final == "weather says: rain"
