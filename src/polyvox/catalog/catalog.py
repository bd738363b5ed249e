"""The catalog itself: find a model, search for one, price a usage."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from polyvox.catalog.model_facts import ModelFacts, Pattern
from polyvox.catalog.prices import cost_of
from polyvox.catalog.snapshot import Snapshot, SnapshotSource, decode_models, read_snapshot
from polyvox.usage import UNKNOWN_COST, Cost, Usage

if TYPE_CHECKING:
    from pathlib import Path

    from polyvox.catalog.overrides import Override, Overrides

_COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=[-:]|$)")


class Catalog:
    """Facts about models, by provider and name.

    Providers go by the catalog's own names, which are those of genai-prices ("x-ai", "google"), or
    by the names in ``aliases``. Names of models are read without regard to case.

    >>> catalog = Catalog.load({"local/llama": {"free": True}})
    >>> catalog.find("openai", "gpt-5-mini-2025-08-07").id
    'gpt-5-mini'
    >>> str(catalog.cost("local", "llama", Usage(input_tokens=10, output_tokens=5)))
    'free'
    """

    def __init__(
        self,
        snapshot: Snapshot,
        overrides: "Iterable[Override]" = (),
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._aliases = dict(aliases or {})
        self._overrides: dict[str, list[Override]] = {}
        for override in overrides:
            self._overrides.setdefault(self._id(override.provider), []).append(override)
        self._shelves: dict[str, _Shelf] = {}

    @classmethod
    def load(
        cls,
        overrides: "Overrides | str | Path | None" = None,
        *,
        aliases: Mapping[str, str] | None = None,
    ) -> "Catalog":
        """The catalog of this package's snapshot, with the user's own prices and limits over it.

        ``overrides`` is a mapping, or the path of a TOML file, from ``provider/model`` to prices in
        US dollars per million tokens (``input``, ``output``, ``cache_read``, ``cache_write``,
        ``cache_write_1h``, ``reasoning``, ``input_audio``, ``cache_read_audio``, ``output_audio``;
        ``request`` per million requests), or ``free``, and ``context_window``,
        ``max_output_tokens`` (tokens) and ``name``. An entry with any price replaces all the
        model's prices. ``aliases`` maps other names of providers to the catalog's.

        Raises ``ConfigurationError`` for an entry that can't be read, naming the nearest known key.

        >>> catalog = Catalog.load({"openai/gpt-5-mini": {"input": 0.2, "output": 1.6}})
        """
        checked: list[Override] = []
        if overrides is not None:
            from polyvox.catalog.overrides import read_overrides

            checked = read_overrides(overrides)
        return cls(read_snapshot(), checked, aliases)

    @property
    def source(self) -> SnapshotSource:
        """Where the snapshot's facts come from."""
        return self._snapshot.source

    def providers(self) -> list[str]:
        """The catalog's names of all providers, sorted."""
        return sorted(self._snapshot.providers.keys() | self._overrides.keys())

    def models(self, provider: str) -> list[ModelFacts]:
        """A provider's own models; none for a provider that is not known."""
        return list(self._shelf(self._id(provider)).models)

    def find(self, provider: str, model: str) -> ModelFacts | None:
        """The facts about a model, or None.

        An id comes first, then exact names and families; then the models of those whose models the
        provider resells (the facts then name that provider); then the same with a date in the name
        written as ``-2025-08-07`` instead of ``-20250807``.
        """
        name = model.lower()
        found = self._find(self._id(provider), name)
        dashed = _COMPACT_DATE.sub(r"-\1-\2-\3", name)
        if found is None and dashed != name:
            return self._find(self._id(provider), dashed)
        return found

    def search(self, text: str) -> list[ModelFacts]:
        """All models that have every word of ``text`` in their provider, id or name, in any case."""
        words = text.lower().split()
        return [
            facts
            for provider in self.providers()
            for facts in self._shelf(provider).models
            if all(word in f"{facts.full_name} {facts.name}".lower() for word in words)
        ]

    def cost(
        self,
        provider: str,
        model: str,
        usage: Usage,
        *,
        when: datetime | None = None,
        terms: Mapping[str, str] | None = None,
    ) -> Cost:
        """What ``usage`` cost, in nano-dollars.

        "known" if every part used has a price, "free" if all the model's prices are zero, else
        "unknown", with the part that is known as a lower bound. ``when`` is the time of the request,
        by default now; without a zone it is UTC. ``terms`` are what the request was served on
        where that changes the price (``{"processing": "batch"}``, ``{"service_tier": "flex"}``);
        terms that the model has no prices for change nothing.

        >>> usage = Usage(input_tokens=1_000_000, cache_read_tokens=800_000, output_tokens=2_000)
        >>> str(Catalog.load().cost("openai", "gpt-5-mini", usage))
        '$0.074'
        """
        facts = self.find(provider, model)
        if facts is None:
            return UNKNOWN_COST
        # Special terms are those of the provider that grants them: a reseller has its own.
        if terms is None or facts.provider != self._id(provider):
            terms = {}
        return cost_of(facts, usage, when or datetime.now(UTC), terms)

    def _id(self, provider: str) -> str:
        provider = provider.lower()
        return self._aliases.get(provider, provider)

    def _find(self, provider: str, name: str) -> ModelFacts | None:
        return self._shelf(provider).find(name) or self._find_resold(provider, name)

    def _find_resold(self, provider: str, name: str) -> ModelFacts | None:
        entry = self._snapshot.providers.get(provider)
        shelves = (self._shelf(source) for source in entry.fallbacks) if entry else ()
        return next((found for shelf in shelves if (found := shelf.find(name))), None)

    def _shelf(self, provider: str) -> "_Shelf":
        shelf = self._shelves.get(provider)
        if shelf is None:
            shelf = self._make_shelf(provider)
            if shelf.models:  # made-up names of providers must not pile up here
                self._shelves[provider] = shelf
        return shelf

    def _make_shelf(self, provider: str) -> "_Shelf":
        entry = self._snapshot.providers.get(provider)
        shelf = _Shelf(decode_models(provider, entry) if entry else ())
        for override in self._overrides.get(provider, ()):
            name = override.model.lower()
            facts = override.over(provider, shelf.find(name) or self._find_resold(provider, name))
            shelf = shelf.having(facts)
        return shelf


class _Shelf:
    """A provider's models, found by name without looking at each."""

    def __init__(self, models: Iterable[ModelFacts]) -> None:
        self.models = tuple(models)
        self._ids: dict[str, int] = {}
        self._names: dict[str, int] = {}
        self._patterns: list[tuple[int, Pattern]] = []
        for place, facts in enumerate(self.models):
            self._ids.setdefault(facts.id.lower(), place)
            for entry in facts.match:
                if isinstance(entry, str):
                    self._names.setdefault(entry, place)
                else:
                    self._patterns.append((place, entry))

    def find(self, name: str) -> ModelFacts | None:
        """The model of that id, else the first that the name matches."""
        place = self._ids.get(name)
        if place is None:
            place = self._first_match(name)
        return None if place is None else self.models[place]

    def having(self, facts: ModelFacts) -> "_Shelf":
        """The shelf with ``facts`` in the place of the model of that id, else before all."""
        place = self._ids.get(facts.id.lower())
        if place is None:
            return _Shelf((facts, *self.models))
        return _Shelf((*self.models[:place], facts, *self.models[place + 1 :]))

    def _first_match(self, name: str) -> int | None:
        by_name = self._names.get(name)
        for place, pattern in self._patterns:
            if by_name is not None and place > by_name:
                break
            if pattern.matches(name):
                return place
        return by_name
