"""A tool is strict only where the provider takes its schema for that."""

import json
from typing import Any

import pytest

from polyvox.dialects import Quirks, Target, get_dialect
from polyvox.messages import user
from polyvox.request import Request, ToolDefinition

CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TARGET = Target(
    provider="acme", model="m", base_url="https://acme.example", quirks=Quirks(strict_tools=True)
)
DIALECTS = ["openai-chat", "openai-responses", "anthropic-messages"]


def sent(dialect: str, parameters: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    tools = [ToolDefinition("f", "", parameters, strict=True)]
    http = get_dialect(dialect).encode_request(Request(messages=[user("hi")], tools=tools), TARGET)
    (tool,) = json.loads(http.body)["tools"]
    return tool.get("function", tool), dict(http.dropped)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_object_is_closed_for_strict_mode_and_nothing_needs_telling(dialect: str):
    tool, told = sent(dialect, CLOSED)
    assert tool["strict"] is True
    schema = tool.get("parameters") or tool["input_schema"]
    assert schema["additionalProperties"] is False
    assert told == {}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_schema_that_strict_mode_refuses_goes_as_it_is_without_strict(dialect: str):
    open_ended = {**CLOSED, "patternProperties": {"^x": {"type": "string"}}}
    tool, told = sent(dialect, open_ended)
    assert not tool["strict"]
    assert (tool.get("parameters") or tool["input_schema"]) == open_ended
    assert "patternProperties" in told["tools[0].strict"]


def test_an_optional_argument_is_not_made_nullable_behind_the_tools_back():
    optional = {"type": "object", "properties": {"a": {"type": "string"}}}
    tool, told = sent("openai-chat", optional)
    assert (tool["strict"], tool["parameters"]) == (False, optional)
    assert "tools[0].strict" in told
