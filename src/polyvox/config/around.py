"""The sections of what is around every call: cache, budgets, limits, log."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from polyvox.caching.cached import checked_ttl
from polyvox.ledger.log import Content
from polyvox.limits.budget import Budget, Policy, UnknownPrice
from polyvox.limits.meters import Per
from polyvox.limits.money import nanos_of
from polyvox.limits.rate_limit import RateLimit
from polyvox.providers.simulated import simulated_model
from polyvox.secret import Secret

__all__ = [
    "AccountsSection",
    "BudgetSection",
    "CacheSection",
    "Count",
    "LimitSection",
    "LogSection",
    "Seconds",
    "Section",
    "SemanticSection",
    "TelemetrySection",
    "budget_of",
    "rate_of",
]

Count: TypeAlias = Annotated[int, Meta(ge=1)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0)]


class Section(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A table of the file: an unknown key is an error."""


class SemanticSection(Section, frozen=True, kw_only=True):
    """When a question passes for another one: ``[cache.semantic]``.

    ``model``        the embedding model: "provider/model", or an alias of one
    ``threshold``    the cosine from which on two questions are the same, up to 1; it depends on the model
    ``max_entries``  how many questions are kept, in this process
    """

    model: str
    threshold: Annotated[float, Meta(gt=0, le=1)]
    max_entries: Count = 1_000


class CacheSection(Section, frozen=True, kw_only=True):
    """Answers that need not be asked for again: ``[cache]``.

    ``kind``       "memory", "disk" (an SQLite file), "redis" or "off"
    ``ttl``        how many seconds an answer is kept
    ``scope``      who shares answers within a tenant: "tenant", "session" or "tag:<name>"
    ``max_bytes``  how much is kept, of kind "memory" or "disk"
    ``path``       the file, of kind "disk"; relative to the folder of this file
    ``url``        where Redis is, of kind "redis"
    ``semantic``   give the answer to a similar question too: a table with an embedding ``model``, a
                   ``threshold`` (the cosine from which on questions are the same) and ``max_entries`` (1,000)
    """

    kind: Literal["memory", "disk", "redis", "off"] = "memory"
    ttl: float = 3600.0
    scope: str = "tenant"
    max_bytes: Count | None = None
    path: Path | None = None
    url: Secret | None = None
    semantic: SemanticSection | None = None

    def __post_init__(self) -> None:
        checked_ttl(self.ttl)
        if self.kind == "disk" and self.path is None:
            raise ValueError("kind 'disk' needs a path")
        for key, kinds in (("max_bytes", "memory disk"), ("path", "disk"), ("url", "redis")):
            if getattr(self, key) is not None and self.kind not in (*kinds.split(), "off"):
                raise ValueError(f"{key} means nothing to a cache of kind {self.kind!r}")


class BudgetSection(Section, frozen=True, kw_only=True):
    """So much money: ``[budgets.daily]``. All budgets that cover a call must have room.

    ``limit``               "$10", "0.25", 10 or 2.5, in US dollars
    ``per``                 "total", "hour", "day", "week" or "month"
    ``time_zone``           whose hours, days, weeks and months these are
    ``scope``               "global", or an account for each "tenant", "session" or "tag:<name>"
    ``policy``              of a call that does not fit: "block", "warn" or "downgrade"
    ``downgrade``           the model that is asked instead
    ``unknown_price``       of a call whose price nobody knows: "deny", "allow" or "estimate"
    ``per_million_tokens``  US dollars for a million tokens of which nobody knows the price
    ``models``              what it covers, as names or globs ("openai/*"); everything by default
    """

    limit: str | int | float
    per: Per = "total"
    time_zone: str = "UTC"
    scope: str = "global"
    policy: Policy = "block"
    downgrade: str = ""
    unknown_price: UnknownPrice = "deny"
    per_million_tokens: str | int | float | None = None
    models: Annotated[tuple[str, ...], Meta(min_length=1)] = ("*",)

    def __post_init__(self) -> None:
        if (self.policy == "downgrade") != bool(self.downgrade):
            raise ValueError(
                'policy = "downgrade" and downgrade = "<the cheaper model>" go together'
            )
        nanos_of(self.per_million_tokens or 0, "per_million_tokens")
        budget_of("", self, simulated_model("simulated/echo") if self.downgrade else None)


class LimitSection(Section, frozen=True, kw_only=True):
    """So many requests or tokens per period: ``[limits.burst]``.

    ``requests``      how many times providers may be asked
    ``tokens``        how many tokens, input and output together, may be used
    ``per``           "second", "minute", "hour", "day", or a number of seconds
    ``scope``         "global", or an account for each "tenant", "session" or "tag:<name>"
    ``wait_seconds``  how long a call may wait for its turn; else the error comes at once
    ``models``        what it covers, as names or globs ("openai/*"); everything by default
    """

    requests: Count | None = None
    tokens: Count | None = None
    per: str | int | float = "minute"
    scope: str = "global"
    wait_seconds: Seconds = 0.0
    models: Annotated[tuple[str, ...], Meta(min_length=1)] = ("*",)

    def __post_init__(self) -> None:
        if self.requests is None and self.tokens is None:
            raise ValueError("it needs a number of requests, of tokens, or both")
        rate_of("", self)


class AccountsSection(Section, frozen=True, kw_only=True):
    """Where budgets and limits count: ``[accounts]``.

    ``kind``        "memory", for this process alone, or "redis", for all that use it
    ``url``         where Redis is
    ``timeout``     how many seconds Redis may take; 0.5 by default
    ``on_failure``  what becomes of calls while Redis can't be reached: "deny" or "allow"
    """

    kind: Literal["memory", "redis"] = "memory"
    url: Secret | None = None
    timeout: Annotated[float, Meta(gt=0)] | None = None
    on_failure: Literal["deny", "allow"] = "deny"

    def __post_init__(self) -> None:
        for key, default in (("url", None), ("timeout", None), ("on_failure", "deny")):
            if self.kind == "memory" and getattr(self, key) != default:
                raise ValueError(f"{key} means nothing to accounts of kind 'memory'")


class LogSection(Section, frozen=True, kw_only=True):
    """A record of every call: ``[log]``.

    ``path``        the file, relative to the folder of this file; else where ``polyvox log`` looks
    ``format``      "sqlite" or "jsonl"; else told by the end of the path: .jsonl
    ``content``     whether questions and answers are written down: "on", "off" or "sampled"
    ``rate``        for what share of the calls, from 0 to 1, where ``content`` is "sampled"
    ``redact``      regular expressions: what they find is masked; keys always are
    ``keep_bytes``  write the bytes of images and files too
    ``max_bytes``   when a "jsonl" file is put aside and a new one begun
    ``keep``        how many old "jsonl" files stay
    """

    path: Path | None = None
    format: Literal["sqlite", "jsonl"] | None = None
    content: Content = "on"
    rate: Annotated[float, Meta(ge=0, le=1)] | None = None
    redact: tuple[str, ...] = ()
    keep_bytes: bool = False
    max_bytes: Count | None = None
    keep: Annotated[int, Meta(ge=0)] | None = None

    def __post_init__(self) -> None:
        if (self.content == "sampled") != (self.rate is not None):
            raise ValueError('content = "sampled" and rate = <the share> go together')
        if not self.is_jsonl and (self.max_bytes is not None or self.keep is not None):
            raise ValueError("max_bytes and keep mean nothing to a log of format 'sqlite'")
        _check_patterns(self.redact)

    @property
    def is_jsonl(self) -> bool:
        """Whether it is lines of JSON."""
        by_name = self.path is not None and self.path.suffix == ".jsonl"
        return self.format == "jsonl" or (self.format is None and by_name)


class TelemetrySection(Section, frozen=True, kw_only=True):
    """A span and measurements of every call, for the program's OpenTelemetry: ``[telemetry]``.

    ``content``  whether what was asked and answered stands in the span
    ``redact``   regular expressions: what they find in it is masked; keys always are
    """

    content: bool = False
    redact: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.redact and not self.content:
            raise ValueError("redact means nothing without content = true")
        _check_patterns(self.redact)


def _check_patterns(redact: tuple[str, ...]) -> None:
    for pattern in redact:
        try:
            found = re.search(pattern, "")
        except re.error as error:
            raise ValueError(f"redact: {pattern!r} is no regular expression: {error}") from None
        if found:
            raise ValueError(f"redact: {pattern!r} finds something even where there is nothing")


def budget_of(name: str, section: BudgetSection, downgrade: Any = None) -> Budget:
    """The budget that a section describes. Raises ``ConfigurationError``."""
    return Budget(
        section.limit,
        per=section.per,
        time_zone=section.time_zone,
        scope=section.scope,
        policy=section.policy,
        downgrade=downgrade,
        unknown_price=section.unknown_price,
        per_million_tokens=section.per_million_tokens,
        name=name,
    )


def rate_of(name: str, section: LimitSection) -> RateLimit:
    """The rate limit that a section describes. Raises ``ConfigurationError``."""
    return RateLimit(
        requests=section.requests,
        tokens=section.tokens,
        per=section.per,
        scope=section.scope,
        name=name,
    )
