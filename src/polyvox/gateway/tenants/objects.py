"""What an administrator creates, sees and changes: organisations, teams, keys, end users, providers' keys.

One struct serves for all three, so that what was got can be put back and changes nothing. The fields
that the gateway fills in itself may come back with it, unchanged.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from polyvox.config.around import BudgetSection, LimitSection
from polyvox.errors import ConfigurationError
from polyvox.gateway.tenants.addresses import network_of
from polyvox.gateway.tenants.keys import LONGEST
from polyvox.gateway.web.patterns import (
    IN_A_PATH,
    NO_CONTROLS,
    SHA256_OR_NONE,
    SLUG,
    SLUG_OR_NONE,
)

__all__ = [
    "EVERYBODY",
    "MASK",
    "EndUser",
    "Key",
    "Limited",
    "NewKey",
    "Organisation",
    "ProviderKey",
    "Slug",
    "Team",
    "TenantBudget",
    "TenantLimit",
    "WantedKey",
]

Slug: TypeAlias = Annotated[str, Meta(pattern=SLUG)]
SlugOrNone: TypeAlias = Annotated[str, Meta(pattern=SLUG_OR_NONE)]
Title: TypeAlias = Annotated[str, Meta(pattern=NO_CONTROLS, max_length=200)]
Pattern: TypeAlias = Annotated[str, Meta(pattern=NO_CONTROLS, min_length=1, max_length=200)]
Patterns: TypeAlias = Annotated[tuple[Pattern, ...], Meta(min_length=1, max_length=1_000)]

EVERYBODY = "*"
"""The name of the end user whose limits are those of each who has none of their own."""

MASK = "***"


class TenantBudget(BudgetSection, frozen=True, kw_only=True, gc=False):
    """So much money; the keys are those of ``[budgets]`` in the configuration.

    It covers all models, and it can't ask a cheaper one: that is done by ``[budgets]``.
    """

    def __post_init__(self) -> None:
        if self.policy == "downgrade" or self.downgrade:
            raise ValueError(
                "it can't downgrade; a budget under [budgets] in the configuration can"
            )
        _check_covers_all(self.models)
        try:
            super().__post_init__()
        except ConfigurationError as error:
            raise ValueError(_in_one(error)) from None


class TenantLimit(LimitSection, frozen=True, kw_only=True, gc=False):
    """So many requests or tokens per period; the keys are those of ``[limits]`` in the configuration.

    It covers all models, and nobody waits for it.
    """

    def __post_init__(self) -> None:
        if self.wait_seconds:
            raise ValueError("wait_seconds means nothing here: whoever comes too often is told so")
        _check_covers_all(self.models)
        try:
            super().__post_init__()
        except ConfigurationError as error:
            raise ValueError(_in_one(error)) from None


class Limited(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What has limits: ``budgets`` and ``limits`` by names of your choice.

    In ``shadow`` they are counted and told of, and block nothing. What is ``blocked`` is refused until
    it is so no more.
    """

    budgets: Annotated[dict[Slug, TenantBudget], Meta(max_length=20)] = {}
    limits: Annotated[dict[Slug, TenantLimit], Meta(max_length=20)] = {}
    shadow: bool = False
    blocked: bool = False


class Organisation(Limited, frozen=True, kw_only=True, gc=False):
    """Who shares contexts, prompts and cached answers. Its ``name`` stays; ``title`` is for people.

    None of its keys may ask more than its ``models``, which are names or globs.
    """

    name: Slug
    title: Title = ""
    models: Patterns = ("*",)
    created: float = 0.0


class Team(Limited, frozen=True, kw_only=True, gc=False):
    """A part of an organisation that has limits together. Its keys may ask no more than its ``models``."""

    organisation: SlugOrNone = ""
    name: Slug
    title: Title = ""
    models: Patterns = ("*",)
    created: float = 0.0


class Key(Limited, frozen=True, kw_only=True, gc=False):
    """A key, without the key itself.

    ``models``     what may be asked with it, as names or globs
    ``routes``     what it may be used for: "chat", "embeddings", "contexts", ... or globs
    ``addresses``  from where, as addresses or networks; empty: from anywhere
    ``manager``    whether its holder sees what all of the organisation use
    ``expires``    seconds since the epoch from which on it is refused; null: never
    ``revoked``    since when it is refused for good, if it is; ``blocked`` is for a while
    ``mark``       how it begins, which is no secret; empty for one that was brought along
    """

    id: str = ""
    name: Title = ""
    organisation: SlugOrNone = ""
    team: SlugOrNone = ""
    models: Patterns = ("*",)
    routes: Patterns = ("*",)
    addresses: Annotated[tuple[str, ...], Meta(max_length=1_000)] = ()
    manager: bool = False
    expires: float | None = None
    revoked: float | None = None
    mark: str = ""
    created: float = 0.0

    def __post_init__(self) -> None:
        for address in self.addresses:
            network_of(address)
        if self.team and not self.organisation:
            raise ValueError("a team is one of an organisation: name that, too")
        if self.manager and not self.organisation:
            raise ValueError("a manager is one of an organisation: name that, too")


class WantedKey(Key, frozen=True, kw_only=True, gc=False):
    """A key to be made; or to be brought along, if its secret is given: some service has it already.

    ``key``     the secret
    ``sha256``  ... or only its SHA-256, as other gateways keep it
    """

    key: Annotated[str, Meta(max_length=LONGEST)] = ""
    sha256: Annotated[str, Meta(pattern=SHA256_OR_NONE)] = ""

    def __repr__(self) -> str:
        return f"WantedKey({self.name!r})"


class NewKey(msgspec.Struct, kw_only=True):
    """A key as it was just made: ``secret`` is the key itself, which is shown this once.

    It is empty for one that was brought along.
    """

    secret: str
    key: Key

    def __repr__(self) -> str:
        return f"NewKey({self.key.id})"


class EndUser(Limited, frozen=True, kw_only=True, gc=False):
    """The limits of one end user of an organisation, or with the name "*" of each other one."""

    organisation: SlugOrNone = ""
    name: Annotated[str, Meta(pattern=IN_A_PATH, min_length=1, max_length=256)]
    created: float = 0.0


class ProviderKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key of ours at a provider.

    ``value``  the key, which is kept sealed and never shown again, or "env:NAME", a variable of the
               gateway's environment. What is got shows "***" for a key; putting that back keeps it
    ``state``  "usable"; "missing", the variable is not set; "unreadable", it was sealed with another
               ``secret`` than the gateway has now
    """

    name: Slug
    provider: Slug
    value: Annotated[str, Meta(pattern=NO_CONTROLS, max_length=8192)] = ""
    state: Literal["", "usable", "missing", "unreadable"] = ""
    created: float = 0.0

    def __repr__(self) -> str:
        return f"ProviderKey({self.name!r}, {self.provider!r})"


def _check_covers_all(models: tuple[str, ...]) -> None:
    if models != ("*",):
        raise ValueError("models means nothing here: it covers all that a key may ask")


def _in_one(error: ConfigurationError) -> str:
    return f"{error.text}. {error.hint}" if error.hint else error.text
