"""A composite written down: who is asked for what, by names, before there are any models."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from polyvox.errors import ConfigurationError
from polyvox.request import Effort, Reasoning

if TYPE_CHECKING:
    from polyvox.composite.council import Council
    from polyvox.composite.members import Member, Models
    from polyvox.composite.moa import MixtureOfAgents

__all__ = ["MemberProfile", "Profile", "Strategy"]

Strategy: TypeAlias = Literal["moa", "council"]
Count: TypeAlias = Annotated[int, Meta(ge=1)]

_ROLES = {"moa": ("proposers", "aggregator"), "council": ("members", "reviewers", "chairman")}
"""Who takes part, in the order of their turns."""

_SETTINGS = {
    "moa": ("layers", "quorum", "timeout", "window_tokens"),
    "council": ("exclude_own", "seed", "quorum", "timeout"),
}
_COMMON = ("strategy", "about")
_SAMPLING = ("max_tokens", "temperature", "top_p", "seed")


class MemberProfile(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Who takes part: a name, or a table with these keys.

    ``model``        "provider/model", an alias, a deployment, a router, or another composite
    ``label``        what events and traces call it; other models never see it
    ``samples``      how many answers of it are wanted
    ``system``       instructions for it, after the caller's
    ``tools``        whether it is given the request's tools; who makes the reply always is
    ``timeout``      seconds after which it is left out
    ``max_tokens``   the most tokens it may write, reasoning included, in place of the caller's wish
    ``temperature``  ... 0 is the most predictable
    ``top_p``        ... sample only from the most likely tokens that make up this share
    ``stop``         ... strings at which to stop
    ``seed``         ... for repeatable sampling, where there is any
    ``reasoning``    ... an effort ("none", "minimal", "low", ... "max"), or a budget in tokens
    ``options``      ... vendor fields, by provider or dialect
    """

    model: str
    label: str = ""
    samples: Count = 1
    system: str = ""
    tools: bool = False
    timeout: Annotated[float, Meta(gt=0)] | None = None
    max_tokens: Count | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    reasoning: Effort | Annotated[int, Meta(ge=0)] | None = None
    options: dict[str, dict[str, Any]] = {}

    @property
    def member(self) -> "Member":
        """The member of that description."""
        from polyvox.composite.members import Member

        settings: dict[str, Any] = {
            name: value for name in _SAMPLING if (value := getattr(self, name)) is not None
        }
        if self.stop:
            settings["stop"] = list(self.stop)
        if isinstance(self.reasoning, int):
            settings["reasoning"] = Reasoning(budget_tokens=self.reasoning)
        elif self.reasoning is not None:
            settings["reasoning"] = Reasoning(effort=self.reasoning)
        if self.options:
            settings["options"] = self.options
        return Member(
            self.model,
            label=self.label,
            samples=self.samples,
            settings=settings,
            tools=self.tools,
            timeout=self.timeout,
            system=self.system,
        )


Who: TypeAlias = str | MemberProfile


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A composite under a name: ``[profiles.board]`` is ``composite/profile/board``.

    ``strategy``       "moa" or "council"; each takes the keys that are its own
    ``about``          what it is for, in words
    ``quorum``         how many answers there must be
    ``timeout``        seconds for each stage but the last, which then goes on with what is there
    ``proposers``      moa: who is asked in each layer
    ``aggregator``     moa: who makes the reply; of several, the next when one fails
    ``layers``         moa: the aggregator's included
    ``window_tokens``  moa: the aggregator's context window, where the catalog does not know it
    ``members``        council: who gives an opinion
    ``reviewers``      council: who reviews the opinions; by default the members
    ``chairman``       council: who makes the reply; of several, the next when one fails
    ``exclude_own``    council: whether nobody reviews what is their own; it is so by default
    ``seed``           council: for the order in which each reviewer sees the opinions
    """

    strategy: Strategy
    about: str = ""
    quorum: Count | None = None
    timeout: Annotated[float, Meta(gt=0)] | None = None
    proposers: tuple[Who, ...] = ()
    aggregator: Who | tuple[Who, ...] = ()
    layers: Annotated[int, Meta(ge=2)] | None = None
    window_tokens: Count | None = None
    members: tuple[Who, ...] = ()
    reviewers: Annotated[tuple[Who, ...], Meta(min_length=1)] = ()
    chairman: Who | tuple[Who, ...] = ()
    exclude_own: bool | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        roles, settings = _ROLES[self.strategy], _SETTINGS[self.strategy]
        for role in roles:
            if not getattr(self, role) and role != "reviewers":
                raise ConfigurationError(f"{role} is missing: a {self.strategy} has {_all(roles)}")
        for name in self.__struct_fields__:
            own = name in (*_COMMON, *roles, *settings)
            if not own and getattr(self, name) not in (None, ()):
                raise ConfigurationError(
                    f"{name} is no key of the strategy {self.strategy!r}",
                    hint=f"It has {_all((*roles, *settings))}.",
                )
        if any(each.samples > 1 for each in self.of(roles[-1])):
            raise ConfigurationError(f"{roles[-1]} gives one answer: samples mean nothing here")
        answers = sum(each.samples for each in self.of(roles[0]))
        if self.quorum is not None and self.quorum > answers:
            raise ConfigurationError(f"quorum is {self.quorum}, and there are {answers} {roles[0]}")

    @property
    def roles(self) -> tuple[str, ...]:
        """Who takes part, in the order of their turns: "proposers", "aggregator", ..."""
        return _ROLES[self.strategy]

    def of(self, role: str) -> tuple[MemberProfile, ...]:
        """Those who have a role. Raises ``ConfigurationError`` for a name that is none."""
        who: Who | tuple[Who, ...] = getattr(self, role)
        several = who if isinstance(who, tuple) else (who,)
        return tuple(
            MemberProfile(model=each) if isinstance(each, str) else each for each in several
        )

    @property
    def names(self) -> dict[str, str]:
        """Everybody who may be asked, by the way to where it is said: "members[0]"."""
        found: dict[str, str] = {}
        for role in self.roles:
            for place, each in enumerate(self.of(role)):
                found[f"{role}[{place}]"] = each.model
        return found

    def model(self, name: str, models: "Models") -> "MixtureOfAgents | Council":
        """The composite itself, asked by that name. Raises ``ConfigurationError`` for a wrong one."""
        from polyvox.composite.council import Council
        from polyvox.composite.moa import MixtureOfAgents

        said: dict[str, Any] = {
            key: value
            for key in _SETTINGS[self.strategy]
            if (value := getattr(self, key)) is not None
        }
        for role in self.roles:
            if members := [each.member for each in self.of(role)]:
                said[role] = members
        kind = MixtureOfAgents if self.strategy == "moa" else Council
        return kind(**said, client=models, name=name)


def _all(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}"
