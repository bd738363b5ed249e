"""What OpenTelemetry's conventions for generative AI call the parts of a call.

Sources: "Semantic conventions for generative client AI spans", "Semantic conventions for generative
AI metrics", and the JSON schemas of "gen_ai.input.messages" and "gen_ai.output.messages".
"""

from typing import Any

from polyvox import jsontext
from polyvox.attempt import Attempt
from polyvox.ledger.redaction import Redactor
from polyvox.messages import (
    AssistantMessage,
    Block,
    File,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
)
from polyvox.model import Call, Kind
from polyvox.request import Request
from polyvox.usage import Usage

__all__ = [
    "FIRST_SECONDS",
    "SECONDS",
    "answered",
    "asked",
    "attempt_attributes",
    "content_attributes",
    "request_attributes",
    "response_attributes",
    "span_name",
    "usage_attributes",
]

SECONDS = [0.01 * 2**power for power in range(14)]
"""The buckets that the conventions recommend for how long a call takes."""

FIRST_SECONDS = [
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    7.5,
    10.0,
]
"""The same for the first piece of an answer."""

_OPERATIONS: dict[Kind, str] = {"answer": "chat", "embedding": "embeddings"}

# Where the conventions have another name for a provider than its row here.
_PROVIDERS = {
    "azure-openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "openai-responses": "openai",
    "xai": "x_ai",
}
_FINISH_REASONS = {
    "stop_sequence": "stop",
    "tool_calls": "tool_call",
    "refusal": "content_filter",
    "pause": "stop",
    "aborted": "error",
}


def asked(name: str, kind: Kind) -> dict[str, Any]:
    """Who is asked for what, by a model's name."""
    provider, slash, model = name.partition("/")
    return {
        "gen_ai.operation.name": _OPERATIONS[kind],
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider) if slash else "polyvox",
        "gen_ai.request.model": model or name,
    }


def span_name(name: str, kind: Kind) -> str:
    """How the span of a call to that model is called."""
    return f"{_OPERATIONS[kind]} {name.partition('/')[2] or name}"


def answered(message: AssistantMessage) -> dict[str, Any]:
    """Who answered, which a router knows only afterwards."""
    found: dict[str, Any] = {}
    if message.provider:
        found["gen_ai.provider.name"] = _PROVIDERS.get(message.provider, message.provider)
    if model := message.response_model or message.model:
        found["gen_ai.response.model"] = model
    return found


def request_attributes(request: Request, call: Call) -> dict[str, Any]:
    """What is told of a request beside its content."""
    wanted = {
        "gen_ai.request.stream": request.stream or None,
        "gen_ai.request.max_tokens": request.max_tokens,
        "gen_ai.request.temperature": request.temperature,
        "gen_ai.request.top_p": request.top_p,
        "gen_ai.request.seed": request.seed,
        "gen_ai.request.stop_sequences": request.stop or None,
        "gen_ai.output.type": "json" if request.response_format else None,
        "gen_ai.conversation.id": call.session,
        "polyvox.call.id": call.id,
        "polyvox.tenant": call.tenant or None,
    }
    tags = {f"polyvox.tag.{key}": value for key, value in call.tags.items()}
    return {key: value for key, value in wanted.items() if value is not None} | tags


def response_attributes(message: AssistantMessage) -> dict[str, Any]:
    """What is told of an answer beside its content."""
    found: dict[str, Any] = {"gen_ai.response.finish_reasons": [_finish_reason(message)]}
    if message.id:
        found["gen_ai.response.id"] = message.id
    return found


def usage_attributes(usage: Usage) -> dict[str, Any]:
    """The tokens and the cost of all attempts; parts of the tokens only where there are any."""
    parts = {
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
        "gen_ai.usage.audio.input_tokens": usage.input_audio_tokens,
        "gen_ai.usage.audio.output_tokens": usage.output_audio_tokens,
    }
    cost = {"polyvox.cost.status": usage.cost.status, "polyvox.cost.nanos": usage.cost.nanos}
    found = {key: value for key, value in parts.items() if value} | cost
    if usage.basis == "missing":
        return found
    whole = {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
    }
    return whole | found


def attempt_attributes(attempt: Attempt, kind: Kind) -> dict[str, Any]:
    """One attempt of several."""
    found = asked(attempt.name, kind) | {"polyvox.attempt.seconds": attempt.seconds}
    if attempt.error:
        found["error.type"] = attempt.error
    if attempt.status is not None:
        found["http.response.status_code"] = attempt.status
    return found


def content_attributes(
    request: Request, message: AssistantMessage | None, redactor: Redactor
) -> dict[str, str]:
    """What was asked and answered, as JSON in the form of the conventions."""
    content: dict[str, Any] = {"gen_ai.input.messages": list(map(_message, request.messages))}
    if request.system:
        content["gen_ai.system_instructions"] = list(map(_part, request.system))
    if message is not None:
        answer = _message(message) | {"finish_reason": _finish_reason(message)}
        content["gen_ai.output.messages"] = [answer]
    return {key: jsontext.encode(redactor.clean(value)).decode() for key, value in content.items()}


def _finish_reason(message: AssistantMessage) -> str:
    return _FINISH_REASONS.get(message.stop_reason, message.stop_reason)


def _message(message: Message) -> dict[str, Any]:
    role = str(message.__struct_config__.tag)
    if isinstance(message, ToolMessage):
        result = [_part(block) for block in message.content]
        part = {"type": "tool_call_response", "id": message.tool_call_id, "response": result}
        return {"role": role, "parts": [part]}
    return {"role": role, "parts": [_part(block) for block in message.content]}


def _part(block: Block) -> dict[str, Any]:
    match block:
        case Text():
            return {"type": "text", "content": block.text}
        case Thinking():
            return {"type": "reasoning", "content": block.text}
        case ToolCall():
            given = block.arguments if block.unparsed is None else block.unparsed
            return {"type": "tool_call", "id": block.id, "name": block.name, "arguments": given}
        case Image() | File():
            return _attached(block)
        case _:
            return {"type": str(type(block).__name__).lower()}


def _attached(block: Image | File) -> dict[str, Any]:
    kind = block.media_type.partition("/")[0]
    modality = "image" if isinstance(block, Image) else kind if kind == "audio" else "document"
    about = {"modality": modality, "mime_type": block.media_type}
    if block.url is not None:
        return {"type": "uri", **about, "uri": block.url}
    if isinstance(block, File) and block.id is not None:
        return {"type": "file", **about, "file_id": block.id}
    return {"type": "blob", **about, "content": block.data}
