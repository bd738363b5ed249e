"""Other people's clients, each running as a program of its own in the environment that it needs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from unwatched import unwatched

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PYTHON, BENCH = sys.executable, str(ROOT / ".venv-bench" / "bin" / "python")
PACKAGES = ROOT / ".node" / "node_modules"
_WORKER = str(HERE / "programs" / "worker.py")
_JS = [str(HERE / "programs" / "openai_js.mjs"), str(PACKAGES)]

CLIENTS: dict[str, list[str]] = {
    "openai, chat": [PYTHON, _WORKER, "openai_chat"],
    "openai, responses": [PYTHON, _WORKER, "openai_responses"],
    "openai for JS, chat": ["node", *_JS, "chat"],
    "openai for JS, responses": ["node", *_JS, "responses"],
    "anthropic": [PYTHON, _WORKER, "anthropic_messages"],
    "google-genai": [PYTHON, _WORKER, "google_genai"],
    "ollama": [PYTHON, _WORKER, "ollama_chat"],
    "litellm, openai/": [BENCH, _WORKER, "litellm_openai"],
    "litellm, anthropic/": [BENCH, _WORKER, "litellm_anthropic"],
    "ChatOpenAI": [PYTHON, _WORKER, "langchain_chat"],
    "ChatOpenAI, responses": [PYTHON, _WORKER, "langchain_responses"],
    "llm": [PYTHON, _WORKER, "llm_chat"],
}
"""Who asks, and the program that does it."""


def missing(client: str) -> str | None:
    """What is not on this machine that the client needs."""
    program = CLIENTS[client][0]
    if program == "node":
        return None if shutil.which("node") else "there is no node on this machine"
    return None if Path(program).exists() else "LiteLLM's environment is missing: run 'make test'"


class Peer:
    """One of them, under way until it is closed."""

    def __init__(self, client: str) -> None:
        hidden = ("_API_KEY", "_BASE_URL", "_HOST", "_proxy", "_PROXY")
        environ = {key: value for key, value in unwatched().items() if not key.endswith(hidden)}
        environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGCHAIN_TRACING_V2": "false"}
        self._process = subprocess.Popen(
            CLIENTS[client],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environ,
        )

    def act(self, act: str, **job: Any) -> dict[str, Any]:
        """What came of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"act": act, **job}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the client ended with {self._process.wait()}"
        told = json.loads(line)
        assert "failed" not in told, told["failed"]
        return told

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()
