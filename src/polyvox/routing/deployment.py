"""A deployment, as the user describes it, and how it stands."""

from collections.abc import Mapping
from typing import Literal, TypeAlias, TypedDict

import msgspec

from polyvox.errors import ConfigurationError, PolyvoxError
from polyvox.model import Model, checked_model
from polyvox.routing.breaker import COOLDOWNS, Breaker, Cooldown
from polyvox.routing.latency import Latency
from polyvox.routing.window import MinuteWindow

__all__ = ["Deployment", "DeploymentSettings", "DeploymentStatus", "Lane", "State"]

State: TypeAlias = Literal["ready", "full", "limited", "cooling", "trying"]


class Deployment(msgspec.Struct, frozen=True):
    """One of those that a router chooses among: a model at a provider, with a key.

    ``name``          in ``status()``; the model's name by default
    ``priority``      the lowest number comes first; the next when nobody of that can be asked
    ``weight``        its share among its equals, a whole number
    ``max_parallel``  the most calls at once
    ``rpm``, ``tpm``  the most requests and tokens in a minute; a call reserves its quote, and gives back
                      what it does not use
    ``cooldowns``     by kind of error, in place of those of ``COOLDOWNS``

    Raises ``ConfigurationError`` for a number that is out of range.
    """

    model: Model
    name: str = ""
    priority: int = 0
    weight: int = 1
    max_parallel: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    cooldowns: Mapping[str, Cooldown] = {}

    def __post_init__(self) -> None:
        checked_model(self.model, "a deployment")
        for field in ("weight", "max_parallel", "rpm", "tpm"):
            value = getattr(self, field)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ConfigurationError(
                    f"{field} of the deployment {self.name or self.model.name!r} is {value!r}",
                    hint="Give a whole number, 1 or more.",
                )
        if unknown := self.cooldowns.keys() - COOLDOWNS.keys():
            raise ConfigurationError(
                f"cooldowns: there is no kind of error {min(unknown)!r}",
                hint=f"There are {', '.join(COOLDOWNS)}.",
            )


class DeploymentSettings(TypedDict, total=False):
    """What may be said of a ``Deployment`` besides its model."""

    name: str
    priority: int
    weight: int
    max_parallel: int | None
    rpm: int | None
    tpm: int | None
    cooldowns: Mapping[str, Cooldown]


class DeploymentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How one deployment stands.

    ``state`` is "ready", "full" (of parallel calls), "limited" (by rpm or tpm), "cooling", or "trying":
    one call is under way after a cooldown. ``seconds_left`` until it may be asked, ``latency`` in
    seconds to the first content. It ``rests`` from the failure after which it was left alone until it
    answers again, also while it may be tried. Of ``asked`` calls so many were ``answered`` and ``failed``
    (those that broke off count as both); the rest is under way, or was left.
    """

    name: str
    model: str
    state: State
    in_flight: int
    asked: int
    answered: int
    failed: int
    latency: float | None = None
    seconds_left: float = 0.0
    last_error: str | None = None
    rests: bool = False

    def __str__(self) -> str:
        left = f" for {self.seconds_left:.0f} s" if self.seconds_left else ""
        after = f" after {self.last_error}" if self.state == "cooling" and self.last_error else ""
        return f"{self.name} is {self.state}{left}{after}"


class Lane:
    """One deployment in a pool: how busy and how quick it is, and from when on it may be asked."""

    __slots__ = (
        "answered",
        "asked",
        "breaker",
        "cooldowns",
        "deployment",
        "failed",
        "in_flight",
        "last_error",
        "latency",
        "model",
        "name",
        "open",
        "place",
        "requests",
        "tokens",
        "unlimited",
    )

    def __init__(self, deployment: Deployment, name: str, place: int) -> None:
        self.deployment = deployment
        self.model = deployment.model
        self.name = name
        self.place = place
        own = deployment.cooldowns
        self.cooldowns = {**COOLDOWNS, **own} if own else COOLDOWNS
        self.breaker = Breaker(self.cooldowns)
        self.latency = Latency()
        self.requests = MinuteWindow(deployment.rpm) if deployment.rpm else None
        self.tokens = MinuteWindow(deployment.tpm) if deployment.tpm else None
        self.unlimited = deployment.max_parallel is deployment.rpm is deployment.tpm is None
        self.open = False
        self.in_flight = self.asked = self.answered = self.failed = 0
        self.last_error: str | None = None

    @property
    def full(self) -> bool:
        """Whether it has as many calls as it may have at once."""
        most = self.deployment.max_parallel
        return most is not None and self.in_flight >= most

    def due(self, now: float) -> float:
        """From when on it may be asked; infinity: only when a call of its own has ended."""
        if self.full:
            return float("inf")
        due = self.breaker.due() if self.breaker.level else 0.0
        return max(due, self.room_at(1, now)) if self.requests or self.tokens else due

    def room_at(self, tokens: int, now: float) -> float:
        """From when on a call with so many tokens keeps the limits of a minute."""
        due = self.requests.room_at(1, now) if self.requests else 0.0
        return max(due, self.tokens.room_at(tokens, now)) if self.tokens else due

    def note(self, error: PolyvoxError) -> None:
        """It has failed like this."""
        self.failed += 1
        self.last_error = error.kind if error.status is None else f"{error.kind} ({error.status})"

    def status(self, now: float) -> DeploymentStatus:
        """How it stands now."""
        due = self.due(now)
        return DeploymentStatus(
            name=self.name,
            model=self.model.name,
            state=self._state(now),
            in_flight=self.in_flight,
            asked=self.asked,
            answered=self.answered,
            failed=self.failed,
            latency=self.latency.last,
            seconds_left=0.0 if due == float("inf") else max(0.0, due - now),
            last_error=self.last_error,
            rests=self.breaker.level > 0,
        )

    def _state(self, now: float) -> State:
        if self.breaker.probing:
            return "trying"
        if self.breaker.due() > now:
            return "cooling"
        if self.full:
            return "full"
        return "ready" if self.due(now) <= now else "limited"
