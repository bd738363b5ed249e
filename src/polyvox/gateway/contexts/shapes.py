"""What is said of a conversation, and what is sent and given over HTTP."""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from polyvox.errors import BadRequestError, ConfigurationError
from polyvox.gateway.asking.wishes import PromptUse
from polyvox.gateway.tenants.access import Level
from polyvox.limits import Budget
from polyvox.messages import Message, Text

__all__ = [
    "About",
    "Change",
    "Compacting",
    "ContextView",
    "Export",
    "ExportQuery",
    "FoundMessage",
    "KeptMessage",
    "ListQuery",
    "NewContext",
    "NewFork",
    "NewMessages",
    "PlaceQuery",
    "SearchQuery",
    "Spending",
    "checked_name",
]

_LONGEST_NAME = 200
_ID = "ctx_"


class Spending(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much a conversation may cost: ``limit`` in US dollars ("$2"), in all or ``per`` window.

    ``unknown_price`` is what becomes of a call whose price nobody knows. In ``shadow`` it is counted
    and told of, and blocks nothing.
    """

    limit: str
    per: Literal["total", "hour", "day", "week", "month"] = "total"
    time_zone: str = "UTC"
    unknown_price: Literal["deny", "allow"] = "deny"
    shadow: bool = False

    def level(self, name: str) -> Level:
        """What is to be asked before a call. Raises ``BadRequestError`` for what is no budget."""
        try:
            budget = Budget(
                self.limit,
                per=self.per,
                time_zone=self.time_zone,
                unknown_price=self.unknown_price,
                name=name,
            )
        except ConfigurationError as error:
            raise BadRequestError(f"budget: {error.text}", hint=error.hint) from None
        return Level(name, budgets=(budget,), shadow=self.shadow)


class About(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the owner of a conversation says of it, as it is kept."""

    system: list[Text] = []
    template: PromptUse | None = None
    budget: Spending | None = None
    tags: dict[str, str] = {}


class NewContext(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A conversation to begin.

    ``name`` is what calls name it by; else only its id. ``system`` are instructions for calls that
    bring none, ``template`` a prompt for calls that name none, ``tags`` words of your own.
    ``messages`` is what has been said before, in our form or in OpenAI's: what an export holds.
    """

    name: str = ""
    system: str = ""
    template: PromptUse | str | None = None
    budget: Spending | None = None
    tags: dict[str, str] = {}
    messages: list[dict[str, Any]] = []


class Change(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What shall be different; what is not said stays."""

    name: str | UnsetType = UNSET
    system: str | UnsetType = UNSET
    template: PromptUse | str | UnsetType | None = UNSET
    budget: Spending | UnsetType | None = UNSET
    tags: dict[str, str] | UnsetType = UNSET


class ContextView(msgspec.Struct, kw_only=True):
    """A conversation in short.

    ``title`` is how its first user message begins, ``messages`` how many there are. ``summary``
    stands for the first ``summarised`` of them when a model is asked. ``parent`` is the one that it
    was forked from. ``created`` and ``used`` are seconds since the epoch.
    """

    id: str
    name: str
    organisation: str
    title: str
    system: str
    template: PromptUse | None
    budget: Spending | None
    tags: dict[str, str]
    messages: int
    summary: str
    summarised: int
    parent: str
    version: int
    created: float
    used: float


class NewMessages(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Messages to be put behind the last one, in our form or in OpenAI's."""

    messages: Annotated[list[dict[str, Any]], Meta(min_length=1)]


class KeptMessage(msgspec.Struct, kw_only=True):
    """A message at its place, the first being 0."""

    place: int
    created: float
    message: Message


class FoundMessage(msgspec.Struct, kw_only=True):
    """A message in which something was found: where it stands, and the words around."""

    context: str
    name: str
    place: int
    role: str
    created: float
    excerpt: str


class NewFork(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A copy of a conversation's first ``messages``; of all by default."""

    messages: Annotated[int, Meta(ge=0)] | None = None
    name: str = ""


class Compacting(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Have the older part summarised by ``model``; about ``keep_tokens`` of the newest turns stay.

    ``polyvox`` are wishes about the call, such as for which end user it is.
    """

    model: str
    keep_tokens: Annotated[int, Meta(ge=1)] | None = None
    polyvox: dict[str, Any] | None = None


class ListQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which conversations: the next ``limit`` (1 to 1,000) after the one that a list ended with.

    ``organisation`` is for the administrator, who sees those of all.
    """

    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
    after: str | None = None
    organisation: str | None = None


class PlaceQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which messages: the next ``limit`` (1 to 1,000) behind the place ``after``."""

    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
    after: Annotated[int, Meta(ge=-1, le=2**31)] = -1


class SearchQuery(ListQuery, kw_only=True, forbid_unknown_fields=True):
    """Which messages: those in which all words of ``q`` stand, in upper or lower case."""

    q: str


Export: TypeAlias = Literal["polyvox", "openai"]


class ExportQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """In which form messages are written: ours, or that of OpenAI's chat completions."""

    form: Export = "polyvox"


def checked_name(name: str) -> str:
    """The name itself. Raises ``BadRequestError`` for one that no address could hold.

    >>> checked_name("trip to Oslo")
    'trip to Oslo'
    """
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable() or "/" in name:
        raise BadRequestError(
            f"{name[:_LONGEST_NAME]!r} can't be a context's name",
            hint=f"A name has 1 to {_LONGEST_NAME} printable characters and no slash.",
        )
    if name.startswith(_ID):
        raise BadRequestError(
            f"{name!r} can't be a context's name", hint=f"Only ids begin with {_ID!r}."
        )
    return name
