"""LiteLLM, to which the gateway is a server that speaks as OpenAI does."""

import json
from typing import Any

import litellm
from common import ABOUT, PARAMETERS, QUESTION, refused, weather

TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": "weather", "description": ABOUT, "parameters": PARAMETERS},
    }
]
ASKED: Any = [{"role": "user", "content": QUESTION}]
PREFIX, BASE = "openai/", "/v1"


def ask(job: Any, messages: Any = ASKED, **more: Any) -> Any:
    return litellm.completion(
        model=PREFIX + job.model,
        messages=messages,
        api_base=job.url + BASE,
        api_key=job.key,
        max_retries=0,
        **more,
    )


def whole(job: Any) -> dict[str, Any]:
    answer = ask(job)
    usage = answer.usage
    return {
        "text": answer.choices[0].message.content,
        "input": usage.prompt_tokens,
        "output": usage.completion_tokens,
    }


def stream(job: Any) -> dict[str, Any]:
    chunks = list(ask(job, stream=True, stream_options={"include_usage": True}))
    usage = next(chunk.usage for chunk in reversed(chunks) if getattr(chunk, "usage", None))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    return {
        "pieces": [piece for piece in pieces if piece],
        "input": usage.prompt_tokens,
        "output": usage.completion_tokens,
    }


def _round(asked: Any) -> dict[str, Any]:
    message = asked(ASKED)
    results = [
        {
            "role": "tool",
            "tool_call_id": call.id,
            "content": weather(**json.loads(call.function.arguments)),
        }
        for call in message.tool_calls
    ]
    last = asked([*ASKED, message.model_dump(), *results])
    return {
        "calls": [
            [call.id, call.function.name, json.loads(call.function.arguments)]
            for call in message.tool_calls
        ],
        "text": last.content,
    }


def tools(job: Any) -> dict[str, Any]:
    return _round(lambda messages: ask(job, messages, tools=TOOLS).choices[0].message)


def tools_streamed(job: Any) -> dict[str, Any]:
    def asked(messages: Any) -> Any:
        chunks = list(ask(job, messages, tools=TOOLS, stream=True))
        return litellm.stream_chunk_builder(chunks).choices[0].message

    return _round(asked)


def error(job: Any) -> dict[str, Any]:
    try:
        answer = ask(job, stream=job.stream)
        if job.stream:
            list(answer)
    except Exception as error:  # noqa: BLE001 - it has many kinds
        return refused(error)
    raise AssertionError("no error")


def breaks(job: Any) -> dict[str, Any]:
    pieces: list[str] = []
    try:
        for chunk in ask(job, stream=True):
            pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
    except Exception as error:  # noqa: BLE001 - it has many kinds
        return {"pieces": pieces, "raised": str(error)}
    return {"pieces": pieces, "raised": None}
