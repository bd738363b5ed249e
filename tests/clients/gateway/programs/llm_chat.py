"""Simon Willison's llm, told of the gateway in its extra-openai-models.yaml."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

HOME = tempfile.TemporaryDirectory(prefix="llm-")  # goes with the program
os.environ["LLM_USER_PATH"] = HOME.name

import llm  # noqa: E402 - it looks for its folder when it is imported
import openai  # noqa: E402
from common import QUESTION, refused, weather  # noqa: E402

# It has no word for how often is asked again, and would wait as long as the gateway says.
openai.OpenAI.__init__.__kwdefaults__["max_retries"] = 0


def _model(job: Any) -> Any:
    told = [
        {
            "model_id": "there",
            "model_name": job.model,
            "api_base": f"{job.url}/v1",
            "api_key_name": "gateway",
            "supports_tools": True,
            "can_stream": True,
        }
    ]
    home = Path(HOME.name)
    (home / "extra-openai-models.yaml").write_text(json.dumps(told))  # YAML has JSON in it
    (home / "keys.json").write_text(json.dumps({"gateway": job.key}))
    return llm.get_model("there")


def _counts(response: Any) -> dict[str, Any]:
    usage = response.usage()
    return {"input": usage.input, "output": usage.output}


def whole(job: Any) -> dict[str, Any]:
    response = _model(job).prompt(QUESTION, stream=False)
    return {"text": response.text(), **_counts(response)}


def stream(job: Any) -> dict[str, Any]:
    response = _model(job).prompt(QUESTION, stream=True)
    pieces = [piece for piece in response if piece]
    return {"pieces": pieces, **_counts(response)}


def _round(job: Any, *, stream: bool) -> dict[str, Any]:
    chain = _model(job).chain(QUESTION, tools=[weather], stream=stream)
    first, last = list(chain.responses())
    return {
        "calls": [[c.tool_call_id, c.name, c.arguments] for c in first.tool_calls()],
        "text": last.text(),
    }


def tools(job: Any) -> dict[str, Any]:
    return _round(job, stream=False)


def tools_streamed(job: Any) -> dict[str, Any]:
    return _round(job, stream=True)


def error(job: Any) -> dict[str, Any]:
    try:
        _model(job).prompt(QUESTION, stream=job.stream).text()
    except openai.APIStatusError as error:
        return refused(error)
    raise AssertionError("no error")


def breaks(job: Any) -> dict[str, Any]:
    pieces: list[str] = []
    try:
        for piece in _model(job).prompt(QUESTION, stream=True):
            pieces += [piece] if piece else []
    except openai.APIError as error:
        return {"pieces": pieces, "raised": str(error)}
    return {"pieces": pieces, "raised": None}
