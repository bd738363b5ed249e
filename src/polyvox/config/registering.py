"""What a configuration says to the registry: providers, keys, addresses, prices."""

from collections.abc import Mapping
from typing import TypedDict

from polyvox.catalog import Catalog
from polyvox.config.schema import Config
from polyvox.http import Timeouts
from polyvox.providers import Provider, load_providers

__all__ = ["RegistrySettings", "registry_settings"]


class RegistrySettings(TypedDict):
    """What a configuration says to a ``Registry``."""

    keys: Mapping[str, str]
    base_urls: Mapping[str, str]
    providers: Mapping[str, Provider | dict[str, object]]
    timeouts: Timeouts | None
    catalog: Catalog | None


def registry_settings(config: Config) -> RegistrySettings:
    """The providers of a configuration, as arguments of ``Registry`` and of the clients."""
    packaged = load_providers() if config.providers or config.prices else {}
    keys: dict[str, str] = {}
    base_urls: dict[str, str] = {}
    for name, section in config.providers.items():
        known = packaged.get(name)
        if section.all_keys:
            keys[name] = section.all_keys[0].reveal()
        # An address in the file comes before that of the provider's own environment variable.
        if known and section.base_url != known.base_url and "{" not in section.base_url:
            base_urls[name] = section.base_url
    rows = {name: section.row for name, section in config.providers.items()}
    catalog: Catalog | None = None
    if config.prices:
        prices = {name: section.said for name, section in config.prices.items()}
        known_as = {row.name: row.catalog for row in (packaged | rows).values() if row.catalog}
        catalog = Catalog.load(prices, aliases=known_as)
    return RegistrySettings(
        keys=keys,
        base_urls=base_urls,
        providers=rows,
        timeouts=config.timeouts,
        catalog=catalog,
    )
