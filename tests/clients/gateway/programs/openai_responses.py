"""The openai SDK, responses."""

import json
from typing import Any

import openai
from common import ABOUT, PARAMETERS, QUESTION, refused, weather

TOOLS: Any = [
    {"type": "function", "name": "weather", "description": ABOUT, "parameters": PARAMETERS}
]
ASKED: Any = [{"role": "user", "content": QUESTION}]


def _responses(job: Any) -> Any:
    return openai.OpenAI(base_url=f"{job.url}/v1", api_key=job.key, max_retries=0).responses


def whole(job: Any) -> dict[str, Any]:
    answer = _responses(job).create(model=job.model, input=QUESTION)
    assert answer.status == "completed"
    usage = answer.usage
    return {"text": answer.output_text, "input": usage.input_tokens, "output": usage.output_tokens}


def stream(job: Any) -> dict[str, Any]:
    with _responses(job).stream(model=job.model, input=QUESTION) as events:
        pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
        usage = events.get_final_response().usage
    return {"pieces": pieces, "input": usage.input_tokens, "output": usage.output_tokens}


def _round(first: Any, ask: Any) -> dict[str, Any]:
    calls = [item for item in first.output if item.type == "function_call"]
    results = [
        {
            "type": "function_call_output",
            "call_id": call.call_id,
            "output": weather(**json.loads(call.arguments)),
        }
        for call in calls
    ]
    said = [item.to_dict() for item in first.output]
    for item in said:
        item.pop("parsed_arguments", None)
    return {
        "calls": [[call.call_id, call.name, json.loads(call.arguments)] for call in calls],
        "text": ask([*ASKED, *said, *results]).output_text,
    }


def tools(job: Any) -> dict[str, Any]:
    def ask(given: Any) -> Any:
        return _responses(job).create(model=job.model, input=given, tools=TOOLS)

    return _round(ask(ASKED), ask)


def tools_streamed(job: Any) -> dict[str, Any]:
    def ask(given: Any) -> Any:
        with _responses(job).stream(model=job.model, input=given, tools=TOOLS) as events:
            return events.get_final_response()

    return _round(ask(ASKED), ask)


def error(job: Any) -> dict[str, Any]:
    try:
        _responses(job).create(model=job.model, input=QUESTION, stream=job.stream)
    except openai.APIStatusError as error:
        return refused(error)
    raise AssertionError("no error")


def breaks(job: Any) -> dict[str, Any]:
    pieces: list[str] = []
    raised = None
    try:
        for event in _responses(job).create(model=job.model, input=QUESTION, stream=True):
            if event.type == "response.output_text.delta":
                pieces.append(event.delta)
            if event.type == "response.failed":
                raised = event.response.error.message
            assert event.type != "response.completed"
    except openai.APIError as error:
        raised = str(error)
    return {"pieces": pieces, "raised": raised}
