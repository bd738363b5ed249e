"""What may be said in ``polyvox.toml``: the sections, and the keys of each.

The docstrings are the reference: the documentation's table of keys is made from them.
"""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from polyvox.composite.profile import Profile
from polyvox.config.agents import AgentSection
from polyvox.config.around import (
    AccountsSection,
    BudgetSection,
    CacheSection,
    Count,
    LimitSection,
    LogSection,
    Seconds,
    Section,
    TelemetrySection,
)
from polyvox.config.mcp import McpSection
from polyvox.config.serving import GatewaySection
from polyvox.http import Timeouts
from polyvox.messages import CacheHint
from polyvox.providers import Provider
from polyvox.request import Effort
from polyvox.routing import Cooldown, RetryPolicy, Strategy
from polyvox.secret import Secret

__all__ = [
    "NAME",
    "NOT_SAID",
    "AliasSection",
    "Config",
    "Defaults",
    "DeploymentSection",
    "PriceSection",
    "ProviderSection",
    "RouterSection",
    "Template",
]

NAME = re.compile(r"\w[\w.:@-]*")
"""What an alias, a router or a deployment may be called: no slash, so that it is no "provider/model"."""

NOT_SAID = ("name", "tier")
"""Fields of ``Provider`` that are no keys: the table's own name, and what only our tests can say."""


class Defaults(Section, frozen=True, kw_only=True):
    """What holds when nothing else is said.

    ``model``  the model that the command line asks when it is given none
    """

    model: str = ""


class ProviderSection(Provider, frozen=True, kw_only=True):
    """Another provider, or what is different about one that is known: ``[providers.lab]``.

    ``key``   its API key, best as a reference: "${LAB_KEY}"
    ``keys``  several of them: when one is refused or used up, the next one's turn comes
    """

    key: Secret | None = None
    keys: tuple[Secret, ...] = ()

    @property
    def all_keys(self) -> tuple[Secret, ...]:
        """The keys, however they were given."""
        return (*([self.key] if self.key else []), *self.keys)

    @property
    def row(self) -> Provider:
        """The provider without the keys."""
        return Provider(**{name: getattr(self, name) for name in Provider.__struct_fields__})


class PriceSection(Section, frozen=True, kw_only=True):
    """What a model costs you, and its limits: ``[prices."openai/gpt-5-mini"]``.

    Prices are US dollars for a million tokens. Any price takes the place of all known ones.

    ``input``              of the prompt
    ``output``             of the answer
    ``cache_read``         of what of the prompt the provider's cache holds
    ``cache_write``        of what of it goes into that cache
    ``cache_write_1h``     ... for an hour
    ``reasoning``          of reasoning, where that is not as ``output``
    ``input_audio``        of sound in the prompt
    ``cache_read_audio``   ... that the provider's cache holds
    ``output_audio``       of sound in the answer
    ``request``            for a million requests
    ``free``               it costs nothing
    ``context_window``     how many tokens prompt and answer may have
    ``max_output_tokens``  how many the answer may have
    ``name``               its name for people
    """

    input: float | None = None
    output: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    reasoning: float | None = None
    input_audio: float | None = None
    cache_read_audio: float | None = None
    output_audio: float | None = None
    request: float | None = None
    free: bool = False
    context_window: Count | None = None
    max_output_tokens: Count | None = None
    name: str = ""

    @property
    def said(self) -> dict[str, Any]:
        """What was said, as the catalog takes it."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields


class AliasSection(Section, frozen=True, kw_only=True):
    """Another name for a model: ``fast = "openai/gpt-5-mini"``, or a table with these keys.

    ``model``     "provider/model", or the name of a deployment, a router, a composite or another alias
    ``template``  the options that go with it
    """

    model: str
    template: str = ""


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options for requests that don't say otherwise: ``[templates.precise]``.

    ``system``       instructions
    ``max_tokens``   the most tokens to be written, reasoning included
    ``temperature``  0 is the most predictable
    ``top_p``        sample only from the most likely tokens that make up this share of probability
    ``stop``         strings at which to stop
    ``seed``         for repeatable sampling, where there is any
    ``reasoning``    an effort ("none", "minimal", "low", ... "max"), or a budget in tokens
    ``cache``        "short", "long" or "auto": ask the provider to cache the prompt
    ``metadata``     strings to be kept with the request by the provider
    ``options``      vendor fields, by provider or dialect
    """

    system: str | None = None
    max_tokens: Count | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    reasoning: Effort | Annotated[int, Meta(ge=0)] | None = None
    cache: CacheHint | Literal["auto"] | None = None
    metadata: dict[str, str] = {}
    options: dict[str, dict[str, Any]] = {}


class DeploymentSection(Section, frozen=True, kw_only=True):
    """A model at a provider, with a key and limits of its own: ``[deployments.east]``.

    ``model``         "provider/model", or an alias of one
    ``key``           its API key; else the provider's
    ``keys``          several of them: each is a deployment with these limits
    ``priority``      the lowest number is asked first
    ``weight``        its share among its equals
    ``max_parallel``  the most calls at once
    ``rpm``           the most requests in a minute
    ``tpm``           the most tokens in a minute
    ``template``      options for requests that don't say otherwise
    ``retry``         ask it again before another one is asked; keys as in ``[retry]``
    ``cooldowns``     by kind of error, before those of ``[cooldowns]``
    """

    model: str
    key: Secret | None = None
    keys: tuple[Secret, ...] = ()
    priority: int = 0
    weight: Count = 1
    max_parallel: Count | None = None
    rpm: Count | None = None
    tpm: Count | None = None
    template: str = ""
    retry: RetryPolicy | None = None
    cooldowns: dict[str, Cooldown] = msgspec.field(default_factory=dict[str, Cooldown])

    @property
    def all_keys(self) -> tuple[Secret, ...]:
        """The keys, however they were given."""
        return (*([self.key] if self.key else []), *self.keys)


class RouterSection(Section, frozen=True, kw_only=True):
    """Several deployments behind one name: ``[routers.chat]``.

    ``deployments``        who may be asked: names of deployments, aliases, routers, or "provider/model"
    ``strategy``           who of them is asked first: "priority", "weighted", "round-robin",
                           "least-busy", "lowest-latency" or "lowest-cost"
    ``fallbacks``          who is asked when none of them could answer, in this order
    ``on_context_window``  who is asked when the prompt was too long
    ``on_content_filter``  who is asked when the provider's filter stopped the prompt or the answer
    ``wait_seconds``       how long to wait when nobody can be asked; else the error comes at once
    ``attempts``           how many of the deployments are asked for one call
    ``retry``              ask all again when all have failed, in place of ``[retry]``
    """

    deployments: Annotated[tuple[str, ...], Meta(min_length=1)]
    strategy: Strategy = "priority"
    fallbacks: tuple[str, ...] = ()
    on_context_window: tuple[str, ...] = ()
    on_content_filter: tuple[str, ...] = ()
    wait_seconds: Seconds = 0.0
    attempts: Count = 5
    retry: RetryPolicy | None = None

    @property
    def members(self) -> tuple[str, ...]:
        """Everybody whom it may ask."""
        return (
            *self.deployments,
            *self.fallbacks,
            *self.on_context_window,
            *self.on_content_filter,
        )


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file.

    ``defaults``     what holds when nothing else is said
    ``providers``    further providers, and keys and addresses of known ones
    ``aliases``      other names for models
    ``templates``    options for requests
    ``deployments``  models at providers, with keys and limits
    ``routers``      several deployments behind one name
    ``profiles``     composites: several models that make one answer
    ``cooldowns``    for how long routers leave alone who has failed, by kind of error, such as "rate_limit"
    ``prices``       what models cost, by "provider/model"
    ``retry``        ask again what was asked by name, a router as a whole
    ``timeouts``     how long to wait for providers, in seconds; "never" waits for ever
    ``cache``        answers that need not be asked for again
    ``budgets``      how much may be spent
    ``limits``       how many requests and tokens may pass
    ``accounts``     where budgets and limits count
    ``log``          a record of every call
    ``telemetry``    a span and measurements of every call, for the program's OpenTelemetry
    ``mcp``          servers whose tools may be given to a model
    ``agents``       agents that the gateway offers like models
    ``gateway``      the service that others ask
    """

    defaults: Defaults = Defaults()
    providers: dict[str, ProviderSection] = {}
    aliases: dict[str, str | AliasSection] = {}
    templates: dict[str, Template] = {}
    deployments: dict[str, DeploymentSection] = {}
    routers: dict[str, RouterSection] = {}
    profiles: dict[str, Profile] = {}
    cooldowns: dict[str, Cooldown] = {}
    prices: dict[str, PriceSection] = {}
    retry: RetryPolicy | None = None
    timeouts: Timeouts | None = None
    cache: CacheSection | None = None
    budgets: dict[str, BudgetSection] = {}
    limits: dict[str, LimitSection] = {}
    accounts: AccountsSection | None = None
    log: LogSection | None = None
    telemetry: TelemetrySection | None = None
    mcp: dict[str, McpSection] = {}
    agents: dict[str, AgentSection] = {}
    gateway: GatewaySection = GatewaySection()

    def alias(self, name: str) -> AliasSection | None:
        """The alias of that name, as a table; None if there is none."""
        found = self.aliases.get(name)
        return AliasSection(model=found) if isinstance(found, str) else found

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that may be asked besides "provider/model"."""
        return (*self.aliases, *self.routers, *self.deployments)
