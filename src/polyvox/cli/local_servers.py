"""How the model servers of this machine are started."""

from errno import ECONNREFUSED

from polyvox.errors import PolyvoxError

__all__ = ["START", "start_hint"]

START = {
    "ollama": "Start it with 'ollama serve'.",
    "llama-cpp": "Start it with 'llama-server -m MODEL.gguf'.",
    "lmstudio": "Start its server in LM Studio, page Developer.",
    "vllm": "Start it with 'vllm serve MODEL'.",
}
"""What to do when a server is not there, by provider."""


def start_hint(error: PolyvoxError) -> str:
    """How to start the server that refused the connection; "" if it is none of these, or did answer."""
    cause: BaseException | None = error
    while cause is not None and not _is_refusal(cause):
        cause = cause.__cause__
    return START.get(error.provider or "", "") if cause is not None else ""


def _is_refusal(error: BaseException) -> bool:
    """Python's error has a class of its own; polyvox-native's has the system's number."""
    return isinstance(error, ConnectionRefusedError) or ECONNREFUSED in error.args
