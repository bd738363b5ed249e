"""What the document says of the dialects' bodies: the fields that must be there, and how failures look.

Their makers describe the rest, and fields that nobody here knows are passed on.

Sources: "Create chat completion", "Create a model response" and "Create embeddings" in OpenAI's API
reference, "Create a Message" and "Errors" in Anthropic's, "Generating content" and "Embeddings" in
Gemini's, "API" in Ollama's documentation.
"""

from typing import Any

from polyvox.dialects import Dialect, Route

__all__ = ["answers_of", "failure_of", "takes_of"]

Json = dict[str, Any]

_TEXT: Json = {"type": "string", "minLength": 1}
_TEXTS: Json = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}
_STREAM: Json = {"type": "boolean"}


def _object(required: tuple[str, ...], **fields: Json) -> Json:
    return {"type": "object", "required": list(required), "properties": fields}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items, "minItems": 1}


_SAID = _object(
    ("role", "content"),
    role={"enum": ["user", "assistant"]},
    content={
        "anyOf": [_TEXT, _list(_object(("type", "text"), type={"const": "text"}, text=_TEXT))]
    },
)
_SAID_PLAIN = _object(("role", "content"), role={"enum": ["user", "assistant"]}, content=_TEXT)
_CONTENTS = _list(_object(("parts",), parts=_list(_object(("text",), text=_TEXT))))
_EMBEDDED = _object(("model", "input"), model=_TEXT, input=_TEXTS)
_VECTOR = _object(("parts",), parts=_list(_object(("text",), text=_TEXT)))
_ONE_VECTOR = _object(("content",), content=_VECTOR)
_CHAT = _object(("model", "messages"), model=_TEXT, messages=_list(_SAID), stream=_STREAM)
_ANSWERED: dict[str, Json] = {
    "openai-chat": _CHAT,
    "openai-responses": _object(
        ("model", "input"),
        model=_TEXT,
        input={"anyOf": [_TEXT, _list(_SAID_PLAIN)]},
        stream=_STREAM,
    ),
    "anthropic-messages": _object(
        ("model", "messages"),
        model=_TEXT,
        messages=_list(_SAID),
        max_tokens={"type": "integer", "minimum": 1},
        stream=_STREAM,
    ),
    "gemini": _object(("contents",), contents=_CONTENTS),
    "ollama": _object(
        ("model", "messages"), model=_TEXT, messages=_list(_SAID_PLAIN), stream=_STREAM
    ),
}
_PATHS: dict[str, Json] = {
    "/api/generate": _object(("model", "prompt"), model=_TEXT, prompt=_TEXT, stream=_STREAM),
    ":embedContent": _ONE_VECTOR,
    ":batchEmbedContents": _object(("requests",), requests=_list(_ONE_VECTOR)),
}
_FAILURES: dict[str, Json] = {
    "anthropic-messages": _object(
        ("type", "error"),
        type={"const": "error"},
        error=_object(("type", "message"), type=_TEXT, message={"type": "string"}),
    ),
    "gemini": _object(
        ("error",),
        error=_object(
            ("code", "message", "status"),
            code={"type": "integer"},
            message={"type": "string"},
            status=_TEXT,
        ),
    ),
    "ollama": _object(("error",), error={"type": "string"}),
}
_STREAMED = {
    "ollama": ("application/x-ndjson",),
    "gemini": ("text/event-stream", "application/json"),
}


def takes_of(dialect: Dialect, route: Route, wishes: Json) -> Json:
    """The body of a request; ``wishes`` is the schema of those to the gateway."""
    for ending, schema in _PATHS.items():
        if route.path.endswith(ending):
            return _with(schema, polyvox=wishes)
    schema = _EMBEDDED if route.kind == "embed" else _ANSWERED[dialect.name]
    if route.kind == "count":
        schema = {**schema, "required": [name for name in schema["required"] if name in _COUNTED]}
    return _with(schema, polyvox=wishes)


_COUNTED = ("model", "messages", "input", "contents")


def _with(schema: Json, **fields: Json) -> Json:
    return {**schema, "properties": {**schema["properties"], **fields}}


def answers_of(dialect: Dialect, route: Route) -> Json:
    """The bodies of an answer, by media type: whole, and as a stream."""
    told: Json = {"application/json": {"schema": {"type": ["object", "array"]}}}
    if route.kind == "answer":
        streamed = _STREAMED.get(dialect.name, ("text/event-stream",))
        told |= {media: {"schema": {}} for media in streamed if media not in told}
    return told


def failure_of(dialect: Dialect) -> Json | None:
    """How the dialect tells a failure; None: as OpenAI does."""
    return _FAILURES.get(dialect.name)
