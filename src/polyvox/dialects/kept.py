"""What a provider keeps, and a request only points at.

It is known to those who speak the dialect in which it is said, and to nobody else: for anyone else
the request would be without the very thing that it is about, and the answer to another question.

Source: "Create a model response" and "Conversation state" in OpenAI's documentation.
"""

from msgspec.structs import replace

from polyvox.errors import BadRequestError
from polyvox.request import Request

__all__ = ["check_kept", "without_kept"]

_TURNS = (
    "Send the earlier turns; or let Polyvox's gateway keep the conversation, for any model:"
    ' "polyvox": {"context": "..."} in the body, or the header x-polyvox-context.'
)
_TEMPLATE = (
    "Send its text; or let Polyvox's gateway keep it, for any model:"
    ' "polyvox": {"prompt": "..."} in the body, or the header x-polyvox-prompt.'
)
_KEPT = {
    "openai-responses": {
        "previous_response_id": _TURNS,
        "conversation": _TURNS,
        "prompt": _TEMPLATE,
    }
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


def without_kept(request: Request) -> Request:
    """The request for a model that is to answer all the same: it plays one who keeps things."""
    options = {
        dialect: {name: said[name] for name in said if name not in _KEPT.get(dialect, ())}
        for dialect, said in request.options.items()
    }
    return replace(request, options=options) if request.options else request
