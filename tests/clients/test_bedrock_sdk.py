"""botocore's client talks to our mock over real sockets: its parsing judges our server half."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from polyvox.messages import (
    AssistantMessage,
    File,
    Image,
    Text,
    Thinking,
    ToolMessage,
    UserMessage,
    user,
)
from polyvox.request import NamedTool, Reasoning, Request, ResponseFormat
from polyvox.testing import Knobs, MockProvider, ThreadedMock

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HELLO: Any = [{"role": "user", "content": [{"text": "Hello?"}]}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"toolSpec": {"name": "weather", "inputSchema": {"json": SCHEMA}}}
ANSWER = [
    {"type": "thinking", "text": "Hm, Oslo.", "signature": "c2lnbmVk"},
    {"type": "text", "text": "Let me see."},
    {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Oslo"}},
]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


@contextmanager
def serving(script: Any = None, **settings: Any) -> Iterator[tuple[ThreadedMock, Any]]:
    with MockProvider("bedrock-converse", script, **settings) as server:
        client = botocore.session.Session().create_client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=server.url,
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}),
        )
        try:
            yield server, client
        finally:
            client.close()


def read(server: ThreadedMock, index: int = -1) -> Request:
    request = server.requests[index].request
    assert request is not None
    return request


def test_a_tool_call_and_the_final_text():
    with serving([{"message": {"content": ANSWER}}, "Rain."]) as (server, client):
        asked = {"modelId": MODEL, "toolConfig": {"tools": [WEATHER]}}
        said = client.converse(messages=HELLO, **asked)
        assert said["stopReason"] == "tool_use"
        message = said["output"]["message"]
        thought, text, call = message["content"]
        assert thought["reasoningContent"]["reasoningText"] == {
            "text": "Hm, Oslo.",
            "signature": "c2lnbmVk",
        }
        assert text == {"text": "Let me see."}
        assert call["toolUse"] == {"toolUseId": "c1", "name": "weather", "input": {"city": "Oslo"}}
        result = {"toolUseId": "c1", "content": [{"json": {"sky": "rain"}}], "status": "error"}
        more = [*HELLO, message, {"role": "user", "content": [{"toolResult": result}]}]
        last = client.converse(messages=more, **asked)
        assert last["output"]["message"]["content"] == [{"text": "Rain."}]
        assert last["stopReason"] == "end_turn"
        request = read(server)
        assert (request.model, request.stream) == (MODEL, False)
        assert isinstance(request.messages[1], AssistantMessage)
        assert request.messages[1].content[0] == Thinking("Hm, Oslo.", "c2lnbmVk")
        told = ToolMessage("c1", [Text('{"sky":"rain"}')], "weather", is_error=True)
        assert request.messages[2] == told


def test_a_streamed_tool_call_and_the_final_text():
    hidden = {"type": "thinking", "text": "", "signature": "aGlkZGVu", "redacted": True}
    script = [{"message": {"content": [*ANSWER, hidden]}}, "Rain, mostly."]
    with serving(script, knobs=Knobs(write_size=7)) as (server, client):
        asked = {"modelId": MODEL, "messages": HELLO, "toolConfig": {"tools": [WEATHER]}}
        events = list(client.converse_stream(**asked)["stream"])
        assert next(iter(events[0])) == "messageStart"
        deltas = [
            event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event
        ]
        assert "".join(each.get("text", "") for each in deltas) == "Let me see."
        assert "".join(each["toolUse"]["input"] for each in deltas if "toolUse" in each) == (
            '{"city":"Oslo"}'
        )
        reasons = [each["reasoningContent"] for each in deltas if "reasoningContent" in each]
        assert "".join(each.get("text", "") for each in reasons) == "Hm, Oslo."
        assert [each["redactedContent"] for each in reasons if "redactedContent" in each] == [
            b"hidden"
        ]
        starts = [event["contentBlockStart"] for event in events if "contentBlockStart" in event]
        assert [each["start"]["toolUse"]["name"] for each in starts] == ["weather"]
        assert events[-2]["messageStop"]["stopReason"] == "tool_use"
        assert events[-1]["metadata"]["usage"]["outputTokens"] > 0
        more = list(client.converse_stream(**asked)["stream"])
        texts = [
            each["contentBlockDelta"]["delta"]["text"]
            for each in more
            if "contentBlockDelta" in each
        ]
        assert texts == ["Rain,", " mostly."]
        assert read(server).stream is True


def test_usage_with_its_caches():
    usage = {
        "input_tokens": 100,
        "output_tokens": 20,
        "cache_read_tokens": 50,
        "cache_write_tokens": 30,
        "cache_write_1h_tokens": 10,
    }
    with serving([{"message": {"content": "So.", "usage": usage}}]) as (_, client):
        used = client.converse(modelId=MODEL, messages=HELLO)["usage"]
        assert (used["inputTokens"], used["outputTokens"], used["totalTokens"]) == (20, 20, 120)
        assert (used["cacheReadInputTokens"], used["cacheWriteInputTokens"]) == (50, 30)
        assert {each["ttl"]: each["inputTokens"] for each in used["cacheDetails"]} == {
            "1h": 10,
            "5m": 20,
        }


def test_the_requests_fields_are_read():
    with serving() as (server, client):
        client.converse(
            modelId="arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-opus-4-6-v1",
            system=[{"text": "Be brief."}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"text": "See:"},
                        {"image": {"format": "png", "source": {"bytes": PNG}}},
                        {"cachePoint": {"type": "default"}},
                        {
                            "document": {
                                "format": "pdf",
                                "name": "Q3",
                                "source": {"s3Location": {"uri": "s3://bucket/a.pdf"}},
                            }
                        },
                    ],
                }
            ],
            inferenceConfig={
                "maxTokens": 9,
                "temperature": 0.5,
                "topP": 0.9,
                "stopSequences": ["END"],
            },
            toolConfig={"tools": [WEATHER], "toolChoice": {"tool": {"name": "weather"}}},
            additionalModelRequestFields={"thinking": {"type": "adaptive"}, "top_k": 5},
            outputConfig={
                "effort": "low",
                "textFormat": {
                    "type": "json_schema",
                    "structure": {"jsonSchema": {"schema": '{"type":"object"}', "name": "it"}},
                },
            },
            requestMetadata={"team": "blue"},
            serviceTier={"type": "flex"},
        )
        request = read(server)
        assert request.model == (
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-opus-4-6-v1"
        )
        assert request.system == [Text("Be brief.", cache="long")]
        assert request.messages == [
            UserMessage(
                [
                    Text("See:"),
                    Image(PNG, cache="short"),
                    File(url="s3://bucket/a.pdf", media_type="application/pdf", name="Q3"),
                ]
            )
        ]
        assert (request.max_tokens, request.temperature, request.top_p) == (9, 0.5, 0.9)
        assert (request.stop, request.metadata) == (["END"], {"team": "blue"})
        assert request.tools[0].parameters == SCHEMA
        assert request.tool_choice == NamedTool("weather")
        assert request.reasoning == Reasoning("low")
        assert request.response_format == ResponseFormat({"type": "object"}, "it")
        assert request.options == {
            "bedrock-converse": {
                "serviceTier": {"type": "flex"},
                "additionalModelRequestFields": {"top_k": 5},
            }
        }


def test_tokens_are_counted():
    with serving() as (server, client):
        given = {"converse": {"messages": HELLO}}
        assert client.count_tokens(modelId="m", input=given)["inputTokens"] > 0
        assert read(server).messages == [user("Hello?")]


ERRORS = [
    ("bad_request", "ValidationException", 400),
    ("authentication", "UnrecognizedClientException", 401),
    ("permission_denied", "AccessDeniedException", 403),
    ("not_found", "ResourceNotFoundException", 404),
    ("rate_limit", "ThrottlingException", 429),
    ("server", "InternalServerException", 500),
    ("overloaded", "ServiceUnavailableException", 503),
]


@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
@pytest.mark.parametrize(("kind", "name", "status"), ERRORS)
def test_errors_are_those_of_the_client(kind: str, name: str, status: int, operation: str):
    with serving([{"error": {"kind": kind, "text": "this went wrong"}}]) as (_, client):
        with pytest.raises(ClientError) as caught:
            getattr(client, operation)(modelId=MODEL, messages=HELLO)
        response = caught.value.response
        assert response["Error"]["Code"] == name
        assert response["Error"]["Message"] == "this went wrong"
        assert response["ResponseMetadata"]["HTTPStatusCode"] == status
        assert response["ResponseMetadata"]["RequestId"] == "req_mock_1"


def test_an_error_in_the_middle_of_a_stream_is_raised_there():
    with serving(["to be or not"], knobs=Knobs(error_after_chunks=3)) as (_, client):
        stream = client.converse_stream(modelId=MODEL, messages=HELLO)["stream"]
        events = iter(stream)
        assert [next(iter(next(events))) for _ in range(3)] == [
            *("messageStart", "contentBlockDelta", "contentBlockDelta")
        ]
        with pytest.raises(EventStreamError, match="told to fail"):
            next(events)
        stream.close()  # botocore leaves the connection open when it raises


def test_leaving_a_stream_closes_the_connection():
    with serving(["to be"], knobs=Knobs(delay_chunks=3600)) as (server, client):
        with closing(client.converse_stream(modelId=MODEL, messages=HELLO)["stream"]) as stream:
            assert next(iter(stream)).keys() == {"messageStart"}
        assert server.wait_for_hangup().hung_up == "client"
