"""What a provider keeps, and a request only points at.

It is known to those who speak the dialect in which it is said, and to nobody else: for anyone else
the request would be without the very thing that it is about, and the answer to another question.

Sources: "Create a model response" and "Conversation state" in OpenAI's documentation; "Context caching"
in the Gemini API's; "Code execution tool" and "Using Agent Skills with the API" in Anthropic's.
"""

from msgspec.structs import replace

from polyvox.errors import BadRequestError
from polyvox.request import Request

__all__ = ["check_kept", "check_turns", "without_kept"]

_TURNS = (
    "Send the earlier turns; or let Polyvox's gateway keep the conversation, for any model:"
    ' "polyvox": {"context": "..."} in the body, or the header x-polyvox-context.'
)
_TEMPLATE = (
    "Send its text; or let Polyvox's gateway keep it, for any model:"
    ' "polyvox": {"prompt": "..."} in the body, or the header x-polyvox-prompt.'
)
_CONTENT = "Send what was cached: its contents, and its instructions and tools."
_CONTAINER = (
    "Leave it out, and send what the model is to know; or ask a model that has the container."
)
_KEPT = {
    "openai-responses": {
        "previous_response_id": _TURNS,
        "conversation": _TURNS,
        "prompt": _TEMPLATE,
    },
    "gemini": {"cachedContent": _CONTENT},
    "anthropic-messages": {"container": _CONTAINER},
}
"""By dialect: its fields that point at what is kept, with what to do instead."""


def check_kept(request: Request, dialect: str = "") -> None:
    """Raises ``BadRequestError`` where the request points at what nobody keeps who speaks this dialect.

    Without a dialect it is for a model that keeps nothing at all.
    """
    for other, fields in _KEPT.items():
        said = request.options.get(other)
        if not said or other == dialect:
            continue
        for name, hint in fields.items():
            if said.get(name):
                raise BadRequestError(
                    f"{name}: what it points at is kept by providers that speak {other} alone,"
                    " and this model is of none",
                    hint=hint,
                )


def check_turns(request: Request, context: str) -> None:
    """Raises ``BadRequestError`` where earlier turns are kept by a provider, and by this context as well."""
    for dialect, fields in _KEPT.items():
        said = request.options.get(dialect, {})
        for name in fields:
            if fields[name] is _TURNS and said.get(name):
                raise BadRequestError(
                    f"{name} and the context {context!r} both stand for earlier turns,"
                    " which the model would be told twice",
                    hint=f"Leave one of them out: {name}, to go on with what the gateway keeps;"
                    " or context, to go on with what the provider keeps.",
                )


def without_kept(request: Request) -> Request:
    """The request for a model that is to answer all the same: it plays one who keeps things."""
    options = {
        dialect: {name: said[name] for name in said if name not in _KEPT.get(dialect, ())}
        for dialect, said in request.options.items()
    }
    return replace(request, options=options) if request.options else request
