"""From a configuration to models: each name becomes a model with everything around it.

From the outside in: the template of an alias, the log, telemetry, the costs, the cache; then rate
limits, budgets and retries, which a router's deployments may have once more each; last the provider.
"""

import asyncio
import threading
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from msgspec.structs import replace

from polyvox.caching import Cached, CacheStore
from polyvox.caching.similar import SimilarTexts
from polyvox.catalog import ModelFacts
from polyvox.composite.names import PREFIX, composite_model
from polyvox.config.around import budget_of, rate_of
from polyvox.config.keyless import Keyless
from polyvox.config.names import makeup, profile_guess, target_of, targets_of
from polyvox.config.schema import Config
from polyvox.config.stores import accounts_of, answers_of, log_of, secrets_of, similar, traced
from polyvox.config.templated import Templated
from polyvox.embedding import Embedder
from polyvox.errors import ConfigurationError, MissingKeyError
from polyvox.layers import layered
from polyvox.ledger import CallLog, CostTracker, Logged, Tracked
from polyvox.limits import Budget, Budgeted, LimitStore, RateLimited
from polyvox.model import Model
from polyvox.providers import Registry
from polyvox.routing import Deployment, Retrying, RetryPolicy, Router, key_pool
from polyvox.suggestions import did_you_mean

if TYPE_CHECKING:
    from polyvox.composite.members import Models

__all__ = ["Rules", "Setup"]

Rules = frozenset[tuple[str, str]]
"""Budgets and limits by section and name: those that hold already, further out."""

_NONE: Rules = frozenset()


class Setup:
    """The models that a configuration describes, each made when it is first asked for.

    All share one log, one ``tracker`` of costs, one cache and the accounts of budgets and limits;
    what is opened here is closed here.

    Args:
        config: what is wanted; ``load_config`` has checked it.
        registry: where "provider/model" becomes a model; see ``registering``.
        tracked: whether ``tracker`` counts; a gateway has books of its own.
        accounts: where budgets and limits count, in place of what the configuration says. It is not
            closed here.
    """

    def __init__(
        self,
        config: Config,
        registry: Registry,
        *,
        tracked: bool = True,
        accounts: LimitStore | None = None,
    ) -> None:
        self.config = config
        self.registry = registry
        self.tracker = CostTracker()
        self._tracked = tracked
        self._given = accounts
        self._lock = threading.RLock()
        self._made: dict[str, Model] = {}
        self._embedders: dict[str, Embedder] = {}
        self._closed = False
        self._routers: WeakSet[Router] = WeakSet()

    @property
    def routers(self) -> list[Router]:
        """Those that were made, also of single deployments and of providers with several keys."""
        with self._lock:
            return list(self._routers)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that may be asked besides "provider/model": aliases, routers, deployments."""
        return self.config.names

    @cached_property
    def log(self) -> CallLog | None:
        """The call log, if there is one."""
        section = self.config.log
        return log_of(section, secrets_of(self.config)) if section else None

    def model(self, name: str) -> Model:
        """The model of that name, with everything that the configuration puts around it.

        Raises ``ConfigurationError`` for a name that means nothing, ``MissingKeyError`` without a key.
        """
        with self._lock:
            if name not in self._made:
                self._made[name] = self._asked(name)
            return self._made[name]

    def embedder(self, name: str) -> Embedder:
        """The embedding model of that name, within what is around every model but the cache.

        Raises as ``model`` does. Each request that it sends is retried on its own. A budget blocks
        where it would ask a cheaper model: vectors of another one are of no use.
        """
        target = self.target(name)
        if target in self.config.names:
            raise ConfigurationError(
                f"{name!r} is a router or a deployment, and embeddings come from one model",
                hint="Name it as provider/model, or by an alias of that.",
            )
        with self._lock:
            if target not in self._embedders:
                self._embedders[target] = self._embedding(target)
            return self._embedders[target]

    def target(self, name: str) -> str:
        """Who is asked under this name: "provider/model", a router or a deployment."""
        return target_of(self.config, name)

    def targets(self, name: str) -> set[str]:
        """Every "provider/model" that may be asked under this name."""
        return targets_of(self.config, name)

    def facts(self, name: str) -> ModelFacts | None:
        """What is known of the one who is asked; of several only the smallest context window."""
        targets = self.targets(name)
        found = [facts for each in targets if (facts := self.registry.facts(each))]
        if len(targets) == 1 and not self.target(name).startswith(PREFIX):
            return found[0] if found else None
        windows = [facts.context_window for facts in found if facts.context_window]
        return ModelFacts(id=name, context_window=min(windows)) if windows else None

    async def aclose(self) -> None:
        """Write what the log still holds, and close the stores."""
        for store in (self.__dict__.get("_answers"), self.__dict__.get("_own_accounts")):
            if (aclose := getattr(store, "aclose", None)) is not None:
                await aclose()
        if (log := self.__dict__.get("log")) is not None and not self._closed:
            self._closed = True
            await _in_a_thread(log.close)

    @cached_property
    def _answers(self) -> CacheStore | None:
        return answers_of(self.config.cache) if self.config.cache else None

    @cached_property
    def _questions(self) -> SimilarTexts:
        section = self.config.cache and self.config.cache.semantic
        return SimilarTexts(*([section.max_entries] if section else []))

    @property
    def _accounts(self) -> LimitStore:
        return self._own_accounts if self._given is None else self._given

    @cached_property
    def _own_accounts(self) -> LimitStore:
        return accounts_of(self.config.accounts)

    def _asked(self, name: str) -> Model:
        alias = self.config.alias(name)
        if alias is not None:
            return self._templated(self.model(alias.model), alias.template, name)
        if "/" not in name and name not in self.config.names:
            guess = profile_guess(self.config, name) or did_you_mean(name, self.names)
            raise ConfigurationError(
                f"{name!r} is no alias, router or deployment{guess}",
                hint="A model is named provider/model, such as openai/gpt-5-mini.",
            )
        model = self._limited(name, _NONE, self.config.retry)
        if self._answers is not None:
            assert self.config.cache is not None
            cache = self.config.cache
            if cache.semantic is not None:
                embedder = self.embedder(cache.semantic.model)
                model = similar(model, cache, embedder, self._questions)
            variant = makeup(self.config, name)  # a profile that was edited has no answers yet
            model = Cached(model, self._answers, ttl=cache.ttl, scope=cache.scope, variant=variant)
        return self._booked(model)

    def _booked(self, model: Model) -> Model:
        if self._tracked:
            model = Tracked(model, self.tracker)
        if self.config.telemetry is not None:
            model = traced(model, self.config.telemetry, secrets_of(self.config))
        return Logged(model, self.log) if self.log else model

    def _embedding(self, target: str) -> Embedder:
        rules, retry = self._covering(target), self.config.retry
        embedder = self.registry.embedder(target, layers=lambda model: _retried(model, retry))
        return layered(embedder, lambda model: self._booked(self._within(model, rules, None)))

    def _limited(
        self, name: str, held: Rules, retry: RetryPolicy | None, *, routed: bool = False
    ) -> Model:
        """A router, a deployment or a provider's model, within the limits that it has itself."""
        rules = self._covering(name) - held
        held |= rules
        router = self.config.routers.get(name)
        deployment = self.config.deployments.get(name)
        if router is not None:
            model, retry = self._router(name, held), router.retry or retry
        elif deployment is not None:
            model = self._kept(Router(self._deployments(name, held), name=name))
            retry = None if deployment.retry else retry
        else:
            model = self._provided(name, held, retry, routed=routed)
            if name.startswith(PREFIX):
                retry = None  # its members are asked again one by one
        return self._within(_retried(model, retry), rules, held)

    def composite(self, name: str, make: "Callable[[Models], Model]") -> Model:
        """A composite that is made anew, within what is around the one of that name, but not the cache.

        ``make`` is given who makes its members.
        """
        rules = self._covering(name)
        model = make(_Members(self, rules, self.config.retry))
        return self._booked(self._within(model, rules, rules))

    def member(self, name: str, held: Rules, retry: RetryPolicy | None) -> Model:
        """The model of that name as a part of one that is within these rules already."""
        return self._aliased(self._limited(self.target(name), held, retry), name)

    def _router(self, name: str, held: Rules) -> Router:
        section = self.config.routers[name]

        def lanes(members: tuple[str, ...]) -> list[Deployment]:
            return [lane for member in members for lane in self._lanes(member, held)]

        return self._kept(
            Router(
                lanes(section.deployments),
                strategy=section.strategy,
                fallbacks=lanes(section.fallbacks),
                on_context_window=lanes(section.on_context_window),
                on_content_filter=lanes(section.on_content_filter),
                wait_seconds=section.wait_seconds,
                attempts=section.attempts,
                name=name,
            )
        )

    def _kept(self, router: Router) -> Router:
        with self._lock:
            self._routers.add(router)
        return router

    def _lanes(self, name: str, held: Rules) -> list[Deployment]:
        """What a router asks for one of its members."""
        alias = self.config.alias(name)
        if alias is not None:
            lanes = self._lanes(self.target(name), held)
            own = {} if self.target(name) in self.config.deployments else {"name": name}
            return [replace(lane, model=self._aliased(lane.model, name), **own) for lane in lanes]
        if name in self.config.deployments:
            rules = self._covering(name) - held
            lanes = self._deployments(name, held | rules)
            return [
                replace(lane, model=self._within(lane.model, rules, held | rules)) for lane in lanes
            ]
        model = self._limited(name, held, None, routed=True)
        return [Deployment(model, name=name, cooldowns=self.config.cooldowns)]

    def _deployments(self, name: str, held: Rules) -> list[Deployment]:
        """A deployment for each of its keys."""
        section = self.config.deployments[name]
        target = self.target(section.model)
        settings: dict[str, Any] = {
            field: getattr(section, field)
            for field in ("priority", "weight", "max_parallel", "rpm", "tpm")
        }
        settings["cooldowns"] = {**self.config.cooldowns, **section.cooldowns}
        provider = self.config.providers.get(target.partition("/")[0])
        keys = section.all_keys or (provider.all_keys if provider else ())
        if keys:
            lanes = key_pool(self.registry, target, keys, name=name, **settings)
        else:
            model = self._provided(target, held, None, routed=True)
            lanes = [Deployment(model, name=name, **settings)]
        if len(lanes) == 1:
            lanes = [replace(lanes[0], name=name)]
        return [replace(lane, model=self._deployed(lane.model, name, held)) for lane in lanes]

    def _deployed(self, model: Model, name: str, held: Rules) -> Model:
        section = self.config.deployments[name]
        rules = self._covering(model.name) - held
        model = self._templated(self._aliased(model, section.model), section.template, name)
        return self._within(_retried(model, section.retry), rules, held | rules)

    def _provided(
        self, name: str, held: Rules, retry: RetryPolicy | None, *, routed: bool = False
    ) -> Model:
        """The provider's model, or all of its keys in turn, or the composite of that name.

        Without a key a router can do without it.
        """
        provider = self.config.providers.get(name.partition("/")[0])
        if provider is not None and len(provider.all_keys) > 1:
            cooldowns = self.config.cooldowns
            keys = key_pool(self.registry, name, provider.all_keys, cooldowns=cooldowns)
            return self._kept(Router(keys, name=name))
        try:
            if name.startswith(PREFIX):
                return composite_model(name, _Members(self, held, retry), self.config.profiles)
            return self.registry.model(name)
        except MissingKeyError as error:
            if not routed:
                raise
            return Keyless(name, error)

    def _aliased(self, model: Model, name: str) -> Model:
        """The model that a name leads to, with the templates on the way there."""
        alias = self.config.alias(name)
        if alias is None:
            return model
        return self._templated(self._aliased(model, alias.model), alias.template, name)

    def _templated(self, model: Model, template: str, name: str) -> Model:
        return Templated(model, self.config.templates[template], name) if template else model

    def _covering(self, name: str) -> Rules:
        """The budgets and limits that cover whoever is asked by this name, or by an alias of it."""
        sections = {"budgets": self.config.budgets, "limits": self.config.limits}
        return frozenset(
            (section, key)
            for section, rules in sections.items()
            for key, rule in rules.items()
            if any(self._covers(pattern, name) for pattern in rule.models)
        )

    def _covers(self, pattern: str, name: str) -> bool:
        return fnmatchcase(name, self.target(pattern) if pattern in self.names else pattern)

    def _within(self, model: Model, rules: Rules, held: Rules | None) -> Model:
        """The model within these budgets, and those within these rate limits.

        Within ``held`` is who a budget asks instead; None: nobody can be.
        """
        config = self.config
        budgets = [name for section, name in sorted(rules) if section == "budgets"]
        if budgets:
            described = [self._budget(name, held) for name in budgets]
            model = Budgeted(model, *described, store=self._accounts)
        limits = [(name, config.limits[name]) for section, name in rules if section == "limits"]
        limits.sort(key=lambda each: (each[1].wait_seconds, each[0]))
        for seconds, alike in groupby(limits, key=lambda each: each[1].wait_seconds):
            rates = [rate_of(name, section) for name, section in alike]
            model = RateLimited(model, *rates, store=self._accounts, wait_seconds=seconds)
        return model

    def _budget(self, name: str, held: Rules | None) -> Budget:
        section = self.config.budgets[name]
        if not section.downgrade:
            return budget_of(name, section)
        if held is None:
            return budget_of(name, replace(section, policy="block", downgrade=""))
        cheaper = self.member(section.downgrade, held, self.config.retry)
        return budget_of(name, section, cheaper)


class _Members:
    """Makes the members of a composite, within what is not around it as a whole."""

    def __init__(self, setup: Setup, held: Rules, retry: RetryPolicy | None) -> None:
        self._setup = setup
        self._held = held
        self._retry = retry

    def model(self, name: str) -> Model:
        return self._setup.member(name, self._held, self._retry)

    def facts(self, model: str) -> ModelFacts | None:
        return self._setup.facts(model)


def _retried(model: Model, policy: RetryPolicy | None) -> Model:
    return Retrying(model, policy) if policy and policy.attempts > 1 else model


async def _in_a_thread(work: Callable[[], None]) -> None:
    """Do what waits for a disk without holding up the loop; at the interpreter's end there are no threads."""
    try:
        working = asyncio.get_running_loop().run_in_executor(None, work)
    except RuntimeError:
        work()
    else:
        await working
