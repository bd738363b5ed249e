"""Which of Ollama's two endpoints a request is for.

``/api/chat`` takes a conversation, ``/api/generate`` one prompt: with it come filling in the middle
(``suffix``) and prompts without a template (``raw``). A request says that it is for the latter by
``options={"ollama": {"endpoint": "generate"}}``, which is ours and not sent.
"""

from polyvox.request import Request

CHAT = "/api/chat"
GENERATE = "/api/generate"
OPTION = "endpoint"


def is_generate(request: Request | None, *names: str) -> bool:
    """Whether the request, in its options for "ollama" or these names, is for ``/api/generate``."""
    if request is None:
        return False
    return any(
        request.options.get(name, {}).get(OPTION) == "generate" for name in ("ollama", *names)
    )
