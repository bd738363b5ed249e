"""What a composite's call will be made of: told before anybody is asked, and money is spent."""

from collections.abc import AsyncGenerator, Callable, Sequence

import msgspec

from polyvox.composite.members import Seat
from polyvox.composite.names import PREFIX, Profiles, composite_model
from polyvox.errors import ConfigurationError
from polyvox.events import Event
from polyvox.model import Call, Model
from polyvox.request import Request

__all__ = ["Plan", "PlannedCall", "PlannedStage", "explain", "planned", "planned_last"]


class PlannedCall(msgspec.Struct, frozen=True):
    """One who will be asked: a label, the model's name, and the plan of one that is a composite."""

    label: str
    model: str
    plan: "Plan | None" = None

    @property
    def calls(self) -> int:
        """How many models are asked for it in the end."""
        return 1 if self.plan is None else self.plan.calls


class PlannedStage(msgspec.Struct, frozen=True):
    """Those who are asked at the same time. What the ``streamed`` stage says is the reply.

    ``instead`` are those who are asked one after another if that one fails; no ``calls`` count them.
    """

    label: str
    asked: list[PlannedCall]
    streamed: bool = False
    instead: list[PlannedCall] = []

    @property
    def calls(self) -> int:
        """How many models are asked in it in the end."""
        return sum(each.calls for each in self.asked)

    @property
    def turns(self) -> int:
        """How many have to answer one after the other."""
        return max((each.plan.turns if each.plan else 1 for each in self.asked), default=0)


class Plan(msgspec.Struct, frozen=True):
    """The stages of a call in which nothing fails, one after the other.

    No tool is called in it, and the aggregator can be shown all proposals at once.
    """

    name: str
    stages: list[PlannedStage]

    @property
    def calls(self) -> int:
        """How many models are asked in all."""
        return sum(stage.calls for stage in self.stages)

    @property
    def turns(self) -> int:
        """How many have to answer one after the other: the call takes as long as the slowest of each."""
        return sum(stage.turns for stage in self.stages)


def explain(
    name: str, profiles: Profiles | None = None, target: Callable[[str], str] = str
) -> Plan:
    """The plan of the composite of that name; nothing is asked, and no key is needed.

    ``target`` says what an alias stands for, as ``client.target`` does. Raises ``ConfigurationError``
    for a name that means nothing, for one of a plain model, and for a profile that asks itself.

    >>> explain("composite/moa/openai/gpt-5").calls
    4
    """
    composite = _Names(profiles or {}, target).model(name)
    plan = _plan_of(composite)
    if plan is None:
        raise ConfigurationError(
            f"{name!r} is no composite", hint=f"Their names begin with {PREFIX!r}."
        )
    return plan


def planned(label: str, seats: Sequence[Seat]) -> PlannedStage:
    """A stage in which these are asked."""
    return PlannedStage(label, [_call_of(seat) for seat in seats])


def planned_last(label: str, seats: Sequence[Seat]) -> PlannedStage:
    """The stage whose words are the reply: the first of these is asked, then who can take its place."""
    first, *others = map(_call_of, seats)
    return PlannedStage(label, [first], streamed=True, instead=others)


def _call_of(seat: Seat) -> PlannedCall:
    return PlannedCall(seat.label, seat.member.asked.name, _plan_of(seat.member.asked))


def _plan_of(model: Model) -> Plan | None:
    """The plan of a composite, also of one within other models; None for what is none."""
    while True:
        plan = getattr(model, "plan", None)
        if plan is not None:
            return plan()
        inner = getattr(model, "model", None)
        if inner is None or not hasattr(inner, "stream"):
            return None
        model = inner


class _Name:
    """Stands for the model of that name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        raise ConfigurationError(f"{self.name} is only a name")


class _Names:
    """Makes composites whose members can't be asked."""

    def __init__(
        self, profiles: Profiles, target: Callable[[str], str], way: tuple[str, ...] = ()
    ) -> None:
        self._profiles = profiles
        self._target = target
        self._way = way

    def model(self, name: str) -> Model:
        name = self._target(name)
        if not name.startswith(PREFIX):
            return _Name(name)
        way = (*self._way, name)
        if name in self._way:
            raise ConfigurationError(f"the profile asks itself: {' -> '.join(way)}")
        return composite_model(name, _Names(self._profiles, self._target, way), self._profiles)

    def facts(self, model: str) -> None:
        return None
