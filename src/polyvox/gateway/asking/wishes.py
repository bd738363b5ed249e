"""What a caller may say to the gateway beside the request: the field ``polyvox`` of any dialect's body.

    {"model": "...", "messages": [...], "polyvox": {"context": "trip", "tags": {"feature": "plan"}}}

Clients that can't add a field to the body send the same as headers: ``x-polyvox-context: trip``. For whom
they ask is also taken from where a dialect itself says so.

Sources: "Safety checks" in OpenAI's API documentation, by which ``safety_identifier`` takes the place of
``user``; "Create a Message" in Anthropic's, of ``metadata.user_id``.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from polyvox.errors import BadRequestError
from polyvox.model import Caching
from polyvox.suggestions import hint_for

__all__ = ["FIELD", "PromptUse", "Wishes", "wishes_in", "wishes_of"]

FIELD = "polyvox"
_HEADER = "x-polyvox-"
_ANTHROPIC = "anthropic-messages"
_LONGEST = 256

Word: TypeAlias = Annotated[str, Meta(max_length=_LONGEST)]
"""What stands in the indexes of the ledger and in the names of budgets' accounts."""


class PromptUse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A template of a prompt, by name; of its versions the newest, or the one of this number or tag."""

    name: str
    version: int | str | None = None
    variables: dict[str, Any] = {}


class Wishes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wished about a call.

    ``context``      the conversation that this goes on with
    ``prompt``       a template that the prompt is made of
    ``end_user``     for whom the caller asks; without it, whom their dialect's own field names
    ``session``      a word by which calls are found again
    ``tags``         words by which costs are sorted
    ``caching``      "use", "skip" or "refresh"; ``caching_ttl`` how many seconds the answer is kept
    ``timeout``      seconds for the whole call
    ``fallbacks``    whether another model may be asked in place of the one that was meant
    ``detach``       go on when the caller leaves
    """

    context: str | None = None
    prompt: PromptUse | str | None = None
    end_user: Word = ""
    session: Word | None = None
    tags: dict[Word, Word] = {}
    caching: Caching = "use"
    caching_ttl: float | None = None
    timeout: Annotated[float, Meta(gt=0)] | None = None
    fallbacks: bool = True
    detach: bool = False


NO_WISHES = Wishes()


def wishes_of(field: Any, headers: Mapping[str, str]) -> Wishes:
    """The wishes in the body's field (None if there is none) and in the headers; the field goes first.

    A header has the field's name with hyphens; what is no string is JSON in it.

    Raises ``BadRequestError`` naming what is unknown or of the wrong kind.

    >>> wishes_of({"context": "trip"}, {"x-polyvox-detach": "true"}).detach
    True
    """
    said = _said(headers) if _HEADER in "\n".join(headers) else {}  # hardly ever
    if field is None and not said:
        return NO_WISHES
    if field is not None and not isinstance(field, dict):
        raise BadRequestError(f"{FIELD} is a {type(field).__name__}; it is an object of wishes")
    said |= field or {}
    for name in said:
        if name not in Wishes.__struct_fields__:
            raise BadRequestError(
                f"{FIELD}.{name} means nothing", hint=hint_for(name, Wishes.__struct_fields__)
            )
    try:
        return msgspec.convert(said, Wishes)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"{FIELD}: {error}") from None


def wishes_in(
    options: dict[str, dict[str, Any]],
    dialect: str,
    headers: Mapping[str, str],
    metadata: Mapping[str, str],
    field: Any = None,
) -> Wishes:
    """The wishes in a request that was read in this dialect, taken out of its ``options``.

    ``metadata`` are those of the request, ``field`` wishes that were sent beside it, in place of its own.
    Raises as ``wishes_of`` does.

    >>> wishes_in({"openai-chat": {"user": "ada"}}, "openai-chat", {}, {}).end_user
    'ada'
    """
    said = options.get(dialect)
    if not said and not metadata:
        return wishes_of(field, headers)
    said = said or {}
    within = said.pop(FIELD, None)
    wishes = wishes_of(within if field is None else field, headers)
    if wishes.end_user:
        return wishes
    name = said.get("safety_identifier") or said.get("user")
    if dialect == _ANTHROPIC:
        name = metadata.get("user_id")
    if not name or not isinstance(name, str):
        return wishes
    return replace(wishes, end_user=name[:_LONGEST])


def _said(headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        name[len(_HEADER) :].replace("-", "_"): _plain(value)
        for name, value in headers.items()
        if name.startswith(_HEADER)
    }


def _plain(text: str) -> Any:
    if text[:1] in "{[" or text in ("true", "false") or text.replace(".", "", 1).isdecimal():
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            return text
    return text
