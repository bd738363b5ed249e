"""Who is asked, and how each is asked: members, their seats, and the request as they are to see it."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from polyvox.composite.prompts import merged_system
from polyvox.errors import ConfigurationError
from polyvox.messages import COMPOSITE, AssistantMessage, Thinking, ToolMessage
from polyvox.model import Model, checked_model
from polyvox.request import Request
from polyvox.suggestions import hint_for

if TYPE_CHECKING:
    from polyvox.catalog import ModelFacts

__all__ = [
    "Member",
    "Models",
    "Seat",
    "as_members",
    "check_quorum",
    "check_seconds",
    "one_or_more",
    "request_for",
    "seats",
]

_FIXED = {"messages", "model", "system", "tools", "tool_choice", "parallel_tool_calls", "stream"}
_SETTINGS = [name for name in Request.__struct_fields__ if name not in _FIXED]


class Member(msgspec.Struct, frozen=True):
    """A model with a seat, or several: asked ``samples`` times, each answer counts.

    A seed goes up by one from sample to sample, and no cache gives one of them for another.

    ``model`` may be a name where the composite is given a ``client`` that makes models of names.
    ``label`` is what events and traces call it, its name by default; other models never see either.
    ``settings`` replace fields of the request, such as ``{"temperature": 0.9}``. Without ``tools``
    it is not given those of the request. ``timeout`` is in seconds. ``system`` are instructions for
    this member, after those of the request.

    Raises ``ConfigurationError`` for a wrong argument.
    """

    model: Model | str
    label: str = ""
    samples: int = 1
    settings: dict[str, Any] = {}
    tools: bool = False
    timeout: float | None = None
    system: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.model, str):
            checked_model(self.model, "a member")
        if self.samples < 1:
            raise ConfigurationError(f"samples is {self.samples}; give 1 or more")
        check_seconds(self.timeout)
        for name in self.settings:
            if name not in _SETTINGS:
                hint = hint_for(name, _SETTINGS)
                raise ConfigurationError(f"a member has no setting {name!r}", hint=hint)

    @property
    def name(self) -> str:
        """What it is called by in events and traces."""
        return self.label or (self.model if isinstance(self.model, str) else self.model.name)

    @property
    def asked(self) -> Model:
        """The model itself. Raises ``ConfigurationError`` when there is only its name."""
        return checked_model(self.model, "a member")  # pyright: ignore[reportArgumentType]


class Seat(NamedTuple):
    """One answer that is asked for, and a label that no other one of its stage has.

    ``sample`` is which of its member's samples it is, counted from 0.
    """

    member: Member
    label: str
    sample: int = 0


class Models(Protocol):
    """Makes models of names, as a client does."""

    def model(self, name: str) -> Model:
        """The model of that name. Raises ``ConfigurationError`` for one that means nothing."""
        ...

    def facts(self, model: str) -> "ModelFacts | None":
        """What is known of it; None for nothing."""
        ...


def as_members(
    models: Iterable[Member | Model | str], where: str, client: Models | None = None
) -> list[Member]:
    """Members, made of bare models and names where need be.

    Raises ``ConfigurationError`` if there are none, and for names without a client.
    """
    if isinstance(models, str):
        raise ConfigurationError(f"{where} is a string; give a list of models")
    members = [_as_member(each, where, client) for each in models]
    if not members:
        raise ConfigurationError(f"{where} is empty; give one model or more")
    return members


def one_or_more(models: Member | Model | str | Sequence[Member | Model | str]) -> Any:
    """A list, where one may stand for a list of one."""
    if isinstance(models, Sequence) and not isinstance(models, str):
        return models
    return [models]


def _as_member(each: Member | Model | str, where: str, client: Models | None) -> Member:
    member = each if isinstance(each, Member) else Member(_name_or_model(each, where))
    if not isinstance(member.model, str):
        return member
    if client is None:
        raise ConfigurationError(
            f"{where} has the name {member.model!r}, and no client to make a model of it",
            hint="Give client=..., or a model: client.model(name).",
        )
    return replace(member, model=client.model(member.model), label=member.name)


def _name_or_model(each: Model | str, where: str) -> Model | str:
    return each if isinstance(each, str) else checked_model(each, where)


def seats(members: Iterable[Member]) -> list[Seat]:
    """A seat for each answer, in the members' order."""
    taken: dict[str, int] = {}
    found: list[Seat] = []
    for member in members:
        for sample in range(member.samples):
            count = taken[member.name] = taken.get(member.name, 0) + 1
            label = f"{member.name} #{count}" if count > 1 else member.name
            found.append(Seat(member, label, sample))
    return found


def check_quorum(quorum: int, places: int) -> int:
    """The quorum itself. Raises ``ConfigurationError`` for one that can't be reached."""
    if not 1 <= quorum <= places:
        raise ConfigurationError(f"quorum is {quorum}; of {places} answers, give 1 to {places}")
    return quorum


def check_seconds(timeout: float | None) -> float | None:
    """The timeout itself. Raises ``ConfigurationError`` for one that nobody can keep."""
    if timeout is not None and not timeout > 0:
        raise ConfigurationError(f"timeout is {timeout}; give seconds, or None")
    return timeout


def request_for(member: Member, request: Request) -> Request:
    """The request as this member is to see it; the caller's stays as it is.

    A conversation in which tools were called keeps their definitions, since some providers refuse it
    without: but none may be called.
    """
    changes: dict[str, Any] = dict(member.settings)
    changes["messages"] = [_without_summary(message) for message in request.messages]
    if member.system:
        changes["system"] = merged_system(request.system, member.system)
    if request.tools and not member.tools:
        if any(isinstance(message, ToolMessage) for message in request.messages):
            changes["tool_choice"] = "none"
        else:
            changes.update(tools=[], tool_choice=None, parallel_tool_calls=None)
    return replace(request, **changes)


def _without_summary(message: Any) -> Any:
    """The message without what a composite has put before its reply."""
    if not isinstance(message, AssistantMessage):
        return message
    content = [
        block
        for block in message.content
        if not (isinstance(block, Thinking) and block.producer == COMPOSITE)
    ]
    return message if len(content) == len(message.content) else replace(message, content=content)
