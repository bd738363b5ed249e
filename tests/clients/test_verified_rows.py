"""What makes a row `verified`: its provider's SDK says what our client half says, and reads the answer.

Our client asks a mock as it would ask the provider, with all the row's quirks. Then the SDK asks the
mock the same, in the words of that request, whole and streamed. What both sent must mean one thing
to the mock, and what the SDK read must be what the mock said.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

import anthropic
import msgspec
import ollama
import openai
import pytest
from google import genai
from google.genai import types
from mistralai.client import Mistral

import polyvox
from clients.verified import VERIFIED
from polyvox.messages import assistant, tool_result, user
from polyvox.providers import Provider, load_providers
from polyvox.request import Request
from polyvox.testing import Knobs, MockProvider

ROWS = load_providers()
WEATHER = polyvox.ToolDefinition(
    "weather",
    "The weather in a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
EARLIER = polyvox.ToolCall("call12345", "weather", {"city": "Rome"})
TALK = [user("And in Rome?"), assistant(EARLIER), tool_result(EARLIER, "sun"), user("In Oslo?")]
TEXT = {"type": "text", "text": "Let me see."}
CALLS = [
    {"type": "tool_call", "id": "call67890", "name": "weather", "arguments": {"city": "Oslo"}},
    {"type": "tool_call", "id": "call67891", "name": "weather", "arguments": {"city": "Bergen"}},
]
SCRIPT = [{"message": {"content": [TEXT, *CALLS]}}]
READ = ("Let me see.", [("weather", {"city": "Oslo"}), ("weather", {"city": "Bergen"})])
KNOBS = {"mistral": Knobs(manner="mistral", usage="with_finish", text_piece=4)}

Told = tuple[str, list[tuple[str, dict[str, Any]]]]
"""The text and the tool calls that an SDK read."""

Asker = Callable[[str, dict[str, Any], bool], Told]
"""Ask the server at this address with this body by an SDK: streamed or whole."""


# The SDKs


def _openai_chat(url: str, body: dict[str, Any], streamed: bool) -> Told:
    with openai.OpenAI(base_url=url, api_key="k", max_retries=0) as client:
        # What the SDK has no name for it takes as it is.
        known = {name: body.pop(name) for name in ("model", "messages", "tools")}
        if not streamed:
            message = client.chat.completions.create(**known, extra_body=body).choices[0].message
        else:
            with client.chat.completions.stream(**known, extra_body=body) as stream:
                message = stream.get_final_completion().choices[0].message
    calls = [call.function for call in message.tool_calls or []]
    return message.content or "", [(call.name, json.loads(call.arguments)) for call in calls]


def _openai_responses(url: str, body: dict[str, Any], streamed: bool) -> Told:
    with openai.OpenAI(base_url=url, api_key="k", max_retries=0) as client:
        if not streamed:
            response = client.responses.create(**body)
        else:
            with client.responses.stream(**body) as stream:
                response = stream.get_final_response()
    calls = [item for item in response.output if item.type == "function_call"]
    return response.output_text, [(call.name, json.loads(call.arguments)) for call in calls]


def _anthropic(url: str, body: dict[str, Any], streamed: bool) -> Told:
    with anthropic.Anthropic(base_url=url, api_key="k", max_retries=0) as client:
        if not streamed:
            message = client.messages.create(**body)
        else:
            with client.messages.stream(**body) as stream:
                message = stream.get_final_message()
    texts = [block.text for block in message.content if block.type == "text"]
    calls = [block for block in message.content if block.type == "tool_use"]
    return "".join(texts), [(call.name, dict(call.input)) for call in calls]


def _mistral(url: str, body: dict[str, Any], streamed: bool) -> Told:
    with Mistral(api_key="k", server_url=url.removesuffix("/v1")) as client:
        if not streamed:
            told: Iterable[Any] = [client.chat.complete(**body).choices[0].message]
        else:
            told = [event.data.choices[0].delta for event in client.chat.stream(**body)]
    calls = [call.function for part in told for call in part.tool_calls or []]
    text = "".join(part.content or "" for part in told)
    return text, [(call.name, json.loads(call.arguments)) for call in calls]


def _google(url: str, body: dict[str, Any], streamed: bool) -> Told:
    contents = [types.Content.model_validate(each) for each in body.pop("contents")]
    config = types.GenerateContentConfig.model_validate(
        {**body.pop("generationConfig", {}), **body}
    )
    options = types.HttpOptions(base_url=url)
    with genai.Client(api_key="k", http_options=options) as client:
        asked: dict[str, Any] = {"contents": contents, "config": config}
        asked["model"] = ROWS["google"].example
        if not streamed:
            told = [client.models.generate_content(**asked)]
        else:
            told = list(client.models.generate_content_stream(**asked))
    parts: list[Any] = [part for each in told for part in each.candidates[0].content.parts or []]
    calls = [part.function_call for part in parts if part.function_call]
    return "".join(part.text or "" for part in parts), [(call.name, call.args) for call in calls]


def _ollama(url: str, body: dict[str, Any], streamed: bool) -> Told:
    with ollama.Client(host=url) as client:
        answer = client.chat(**body, stream=streamed)
        told: list[Any] = list(answer) if streamed else [answer]
    calls = [call.function for part in told for call in part.message.tool_calls or []]
    text = "".join(part.message.content or "" for part in told)
    return text, [(call.name, dict(call.arguments)) for call in calls]


ASKERS: dict[tuple[str, str], Asker] = {
    ("openai", "openai-chat"): _openai_chat,
    ("openai", "openai-responses"): _openai_responses,
    ("anthropic", "anthropic-messages"): _anthropic,
    ("mistralai", "openai-chat"): _mistral,
    ("google-genai", "gemini"): _google,
    ("ollama", "ollama"): _ollama,
}


# The rows


def asked_by_us(row: Provider, mock: Any) -> dict[str, Any]:
    """What our client sends there, with the row's quirks; without whether it is to be streamed."""
    there = {"base_url": mock.url, "base_url_env": [], "base_url_suffix": ""}
    rows = {row.name: msgspec.to_builtins(row) | there}
    with polyvox.Client(providers=rows, keys={row.name: "k"}) as client:
        reply = client.complete(
            f"{row.name}/{row.example}", TALK, tools=[WEATHER], max_tokens=9000, reasoning="high"
        )
    assert (reply.text, [(call.name, call.arguments) for call in reply.tool_calls]) == READ
    body: dict[str, Any] = json.loads(mock.requests[0].body)
    return {key: value for key, value in body.items() if key not in ("stream", "stream_options")}


def meaning(request: Request | None) -> tuple[Any, ...]:
    """What both must say alike; Ollama's client has no ids for calls."""
    assert request is not None
    talk = [
        (message.__struct_config__.tag, [_without_id(block) for block in message.content])
        for message in request.messages
    ]
    return request.model, talk, request.tools, request.max_tokens, request.reasoning


def _without_id(block: Any) -> Any:
    return (block.name, block.arguments) if isinstance(block, polyvox.ToolCall) else block


@pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning")
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("sdk", "name"), [(sdk, name) for sdk, names in VERIFIED.items() for name in names]
)
def test_the_sdk_and_our_client_say_the_same_and_read_the_same(sdk: str, name: str, streamed: bool):
    row = ROWS[name]
    with MockProvider(row.dialect, SCRIPT * 2, knobs=KNOBS.get(name)) as mock:
        body = asked_by_us(row, mock)
        assert ASKERS[sdk, row.dialect](mock.url, body, streamed) == READ
        ours, theirs = (received.request for received in mock.requests)
        assert meaning(theirs) == meaning(ours)
        assert theirs is not None
        assert theirs.stream is streamed
