"""How answers end: finish reasons, OpenAI's and everybody else's.

The words come from the API references of OpenAI, Mistral (``model_length``), DeepSeek
(``insufficient_system_resource``), Z.ai (``sensitive``, ``network_error``), vLLM (``abort``),
OpenRouter (``error``), Together (``eos``) and of Anthropic and Gemini, whose words leak through.
"""

from typing import Any

from polyvox.dialects.errors import status_error
from polyvox.dialects.openai_errors import read_error
from polyvox.errors import ContentFilterError, OverloadedError, PolyvoxError, ServerError
from polyvox.messages import StopReason

STOPPED: dict[str, StopReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "complete": "stop",
    "stop_sequence": "stop_sequence",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "refusal": "refusal",
}
"""Finish reasons, in lower case, that end an answer well enough."""

FAILED: dict[str, type[PolyvoxError]] = {
    "content_filter": ContentFilterError,
    "sensitive": ContentFilterError,
    "safety": ContentFilterError,
    "recitation": ContentFilterError,
    "prohibited_content": ContentFilterError,
    "error": ServerError,
    "network_error": ServerError,
    "abort": ServerError,
    "malformed_function_call": ServerError,
    "insufficient_system_resource": OverloadedError,
}
"""Finish reasons, in lower case, that mean the answer failed."""

FINISH_REASONS: dict[StopReason, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "stop",
    "pause": "stop",
    "error": "length",  # OpenAI has no word for a broken-off answer; this one says it is not whole
    "aborted": "length",
}
"""What we say when it is us who answer: only words that OpenAI's own clients know."""


def cut_error(reason: str, detail: Any = None) -> PolyvoxError:
    """The error that a finish reason means, with what the provider adds to it, if anything."""
    if detail:
        text, code = read_error(detail)
        return status_error(200, {}, text, code=code)
    cls = FAILED[reason]
    if cls is ContentFilterError:
        return cls("the provider's content filter cut the answer", provider_code=reason)
    return cls(f"the provider ended the answer with finish_reason {reason!r}", provider_code=reason)
