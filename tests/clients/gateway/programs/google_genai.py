"""The google-genai SDK."""

from typing import Any

from common import ABOUT, PARAMETERS, QUESTION, weather
from google import genai
from google.genai import errors, types

DECLARED = types.FunctionDeclaration(
    name="weather", description=ABOUT, parameters_json_schema=PARAMETERS
)
TOOLS: Any = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[DECLARED])])
ASKED = types.Content(role="user", parts=[types.Part(text=QUESTION)])


def _models(job: Any) -> Any:
    options = types.HttpOptions(base_url=job.url)
    _models.client = genai.Client(api_key=job.key, http_options=options)  # closes itself else
    return _models.client.models


def _counts(usage: Any) -> dict[str, int]:
    return {"input": usage.prompt_token_count, "output": usage.candidates_token_count}


def whole(job: Any) -> dict[str, Any]:
    answer = _models(job).generate_content(model=job.model, contents=QUESTION)
    return {"text": answer.text, **_counts(answer.usage_metadata)}


def stream(job: Any) -> dict[str, Any]:
    frames = list(_models(job).generate_content_stream(model=job.model, contents=QUESTION))
    pieces = [frame.text for frame in frames if frame.text]
    return {"pieces": pieces, **_counts(frames[-1].usage_metadata)}


def _round(ask: Any) -> dict[str, Any]:
    said = ask([ASKED])
    calls = [part.function_call for part in said if part.function_call]
    results = [
        types.Part(
            function_response=types.FunctionResponse(
                id=call.id, name=call.name, response={"output": weather(**call.args)}
            )
        )
        for call in calls
    ]
    last = ask(
        [
            ASKED,
            types.Content(role="model", parts=said),
            types.Content(role="user", parts=results),
        ]
    )
    return {
        "calls": [[call.id, call.name, call.args] for call in calls],
        "text": "".join(part.text or "" for part in last),
    }


def tools(job: Any) -> dict[str, Any]:
    def ask(contents: Any) -> Any:
        answer = _models(job).generate_content(model=job.model, contents=contents, config=TOOLS)
        return answer.candidates[0].content.parts

    return _round(ask)


def tools_streamed(job: Any) -> dict[str, Any]:
    def ask(contents: Any) -> Any:
        frames = _models(job).generate_content_stream(
            model=job.model, contents=contents, config=TOOLS
        )
        return [part for frame in frames for part in frame.candidates[0].content.parts or []]

    return _round(ask)


def error(job: Any) -> dict[str, Any]:
    try:
        if job.stream:
            list(_models(job).generate_content_stream(model=job.model, contents=QUESTION))
        else:
            _models(job).generate_content(model=job.model, contents=QUESTION)
    except errors.APIError as error:
        return {
            "status": error.code,
            "retry_after": error.response.headers.get("retry-after"),
            "text": str(error),
            "kind": type(error).__name__,
        }
    raise AssertionError("no error")


def breaks(job: Any) -> dict[str, Any]:
    pieces: list[str] = []
    try:
        for frame in _models(job).generate_content_stream(model=job.model, contents=QUESTION):
            pieces += [frame.text] if frame.text else []
    except errors.APIError as error:
        return {"pieces": pieces, "raised": str(error)}
    return {"pieces": pieces, "raised": None}
