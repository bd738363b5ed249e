"""What ``polyvox models`` shows: lists of models and of providers."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec

from polyvox.catalog import ModelFacts, Price, Tiered
from polyvox.catalog.prices import prices_at
from polyvox.cli.configured import configured_client
from polyvox.cli.names import catalog_name
from polyvox.cli.tables import Column, print_table
from polyvox.cli.terminal import note
from polyvox.client import AsyncClient
from polyvox.composite.names import PREFIX, packaged, profile_of
from polyvox.errors import PolyvoxError
from polyvox.providers import Provider, Registry
from polyvox.providers.rows import Tier
from polyvox.providers.simulated import SIMULATED
from polyvox.providers.simulated.stage import PROVIDER
from polyvox.suggestions import hint_for
from polyvox.usage import NANOS_PER_DOLLAR

if TYPE_CHECKING:
    from polyvox.cli.models import ModelsOptions

__all__ = ["ListedModel", "ListedProvider", "show_live", "show_models", "show_providers"]

_NONE = "No model of the catalog has these words. 'polyvox models --live PROVIDER' asks one."
_MODEL_COLUMNS = (
    Column("model", style="bold"),
    Column("context", right=True),
    Column("input $", right=True),
    Column("output $", right=True),
    Column("cached $", right=True),
    Column("key"),
)
_KEY_STYLES = {"set": "green", "credentials": "green", "missing": "yellow", "optional": "dim"}
_PROVIDER_COLUMNS = (
    Column("provider", whole=True, style="bold"),
    Column("title"),
    Column("dialect", whole=True),
    Column("tier", whole=True, styles={"verified": "green", "community": "dim"}),
    Column("key", whole=True, styles=_KEY_STYLES),
    Column("key variable"),
)
_OTHERS = (
    "Besides: simulated/ models, which need no key, and litellm/ with a name that LiteLLM knows."
)


class ListedModel(msgspec.Struct):
    """A model as ``--json`` prints it; prices in US dollars per million tokens, null if not known.

    Where a price depends on the length of the input it is the one for short inputs.
    """

    model: str
    name: str = ""
    context_window: int | None = None
    max_output_tokens: int | None = None
    input: float | None = None
    output: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    usable: bool = False
    deprecated: bool = False

    def cells(self) -> list[str]:
        """The row of the table."""
        prices = (self.input, self.output, self.cache_read)
        return [self.model, _short(self.context_window), *map(_dollars, prices), _tick(self.usable)]


class ListedProvider(msgspec.Struct):
    """A provider as ``--json`` prints it. ``key`` is "set", "missing", "optional" or "credentials"."""

    provider: str
    title: str
    dialect: str
    tier: Tier
    key_env: list[str]
    key: str
    base_url: str | None
    notes: str = ""

    def cells(self) -> list[str]:
        """The row of the table."""
        variables = " or ".join(self.key_env) or "-"
        return [self.provider, self.title, self.dialect, self.tier, self.key, variables]


def show_models(options: "ModelsOptions") -> bool:
    """The catalog's models that have all words of the query; False if there are none."""
    client = configured_client(options.config)
    registry = client.registry
    words = _words(options)
    matching = [
        model
        for model in (*_configured_models(client), *_known_models(registry))
        if all(word in f"{model.model} {model.name}".lower() for word in words)
        and (options.everything or not model.deprecated)
    ]
    found = [model for model in matching if model.usable or not options.usable]
    _print_models(found, as_json=options.as_json)
    if not found:
        note(_without_key(registry, matching) if matching else _NONE)
    return bool(found)


async def show_live(options: "ModelsOptions", provider: str) -> bool:
    """The models that a provider says it serves; False if none of them has all words of the query."""
    words = _words(options)
    async with configured_client(options.config) as client:
        names = sorted(SIMULATED) if provider == PROVIDER else await client.models(provider)
        found = [
            _listed(name, client.facts(name), usable=True)
            for name in names
            if all(word in name.lower() for word in words)
        ]
    _print_models(found, as_json=options.as_json)
    if not found:
        note(f"None of the {len(names)} models that {provider} serves has these words.")
    return bool(found)


def show_providers(options: "ModelsOptions") -> bool:
    """The rows that have all words of the query; False if there are none."""
    registry = configured_client(options.config).registry
    words = _words(options)
    found = [
        _listed_provider(registry, row)
        for row in registry.rows.values()
        if all(word in f"{row.name} {row.title}".lower() for word in words)
    ]
    if options.as_json:
        click.echo(msgspec.json.encode(found).decode())
    elif found:
        print_table(_PROVIDER_COLUMNS, [provider.cells() for provider in found])
        if not words:
            note(_OTHERS)
    if not found:
        hint = hint_for(" ".join(words), registry.rows, "")
        note(f"No provider has these words. {hint}".rstrip())
    return bool(found)


def _words(options: "ModelsOptions") -> list[str]:
    return " ".join(options.query).lower().split()


def _without_key(registry: Registry, matching: Sequence[ListedModel]) -> str:
    """Why none of the models that match can be used."""
    rows = (registry.rows[model.model.partition("/")[0]] for model in matching)
    variables = dict.fromkeys(" or ".join(row.key_env) for row in rows)
    verb = "matches" if len(matching) == 1 else "match"
    return f"{len(matching)} {verb}, but no key is set: {', '.join(variables)}"


def _configured_models(client: AsyncClient) -> Iterator[ListedModel]:
    """The names that the configuration gives, and the profiles."""
    for name in client.setup.names if client.setup else ():
        target = client.target(name)
        listed = _listed(name, client.facts(name) if "/" in target else None, usable=True)
        yield msgspec.structs.replace(listed, name=f"for {target}" if target != name else "")
    profiles = client.setup.config.profiles if client.setup else {}
    for name in {**profiles, **packaged().profiles}:
        name = f"{PREFIX}profile/{name}"
        yield ListedModel(name, profile_of(name, profiles).about, usable=True)


def _known_models(registry: Registry) -> Iterator[ListedModel]:
    for name, what in SIMULATED.items():
        yield ListedModel(name, what, usable=True)
    for row in registry.rows.values():
        usable = _usable(registry, row)
        for facts in registry.catalog.models(catalog_name(row)):
            yield _listed(f"{row.name}/{facts.id}", facts, usable=usable)


def _listed(name: str, facts: ModelFacts | None, *, usable: bool) -> ListedModel:
    if facts is None:
        return ListedModel(name, usable=usable)
    prices = prices_at(facts, datetime.now(UTC), {})
    return ListedModel(
        name,
        facts.name,
        facts.context_window,
        facts.max_output_tokens,
        _per_million(prices.input),
        _per_million(prices.output),
        _per_million(prices.cache_read),
        _per_million(prices.cache_write),
        usable,
        facts.deprecated,
    )


def _listed_provider(registry: Registry, row: Provider) -> ListedProvider:
    try:
        address = registry.base_url(row)
    except PolyvoxError:
        address = None
    key = "set" if registry.key(row) else "optional" if row.local else "missing"
    if row.auth == "none":
        key = "optional"
    elif key == "missing" and registry.credentials(row):
        key = "credentials"
    return ListedProvider(
        row.name, row.title, row.dialect, row.tier, list(row.key_env), key, address, row.notes
    )


def _usable(registry: Registry, row: Provider) -> bool:
    if row.local or row.auth == "none":
        return True
    return registry.key(row) is not None or registry.credentials(row) is not None


def _print_models(models: Sequence[ListedModel], *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(models).decode())
    elif models:
        print_table(_MODEL_COLUMNS, [model.cells() for model in models])


def _per_million(price: Price | None) -> float | None:
    if price is None:
        return None
    return (price.base if isinstance(price, Tiered) else price) / NANOS_PER_DOLLAR


def _dollars(price: float | None) -> str:
    """A price with the two digits of cents, and further ones where it has them.

    >>> _dollars(15.0), _dollars(0.025), _dollars(0.0), _dollars(None)
    ('15.00', '0.025', '0.00', '-')
    """
    if price is None:
        return "-"
    whole, _, digits = f"{price:.6f}".rstrip("0").partition(".")
    return f"{whole}.{digits:0<2}"


def _short(tokens: int | None) -> str:
    """A number of tokens as people say it.

    >>> _short(1_048_576), _short(400_000), _short(8_192), _short(None)
    ('1M', '400k', '8k', '-')
    """
    if tokens is None:
        return "-"
    if tokens >= 1_000_000:
        return f"{tokens / 1_000_000:.3g}M" if tokens % 1_048_576 else f"{tokens // 1_048_576}M"
    return f"{tokens // 1000}k" if tokens % 1024 else f"{tokens // 1024}k"


def _tick(yes: bool) -> str:
    return "yes" if yes else "no"
