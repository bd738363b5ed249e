"""Models of a configuration of which nobody knows the price: within a budget they are refused."""

from collections.abc import Iterator

from polyvox.catalog import Catalog
from polyvox.catalog.prices import Tariff
from polyvox.composite.names import PREFIX
from polyvox.config.names import targets_of
from polyvox.config.problems import Problem
from polyvox.config.registering import registry_settings
from polyvox.config.schema import Config
from polyvox.config.source import Source
from polyvox.providers import load_providers
from polyvox.usage import Usage

__all__ = ["unpriced"]


def unpriced(config: Config, source: Source) -> Iterator[Problem]:
    """A warning for each, where budgets may cover it: those of the file, and of a gateway's keys."""
    budgets = any(budget.unknown_price == "deny" for budget in config.budgets.values())
    if not budgets and "gateway" not in source.tables:
        return
    catalog = registry_settings(config)["catalog"] or Catalog.load()
    told: set[str] = set()
    for section in ("deployments", "aliases", "routers", "profiles"):
        for name in getattr(config, section):
            asked = targets_of(config, f"{PREFIX}profile/{name}" if section == "profiles" else name)
            for target in sorted(asked - told):
                if not _is_priced(target, config, catalog):
                    yield Problem(
                        source.where((section, name)),
                        f"nobody knows what {target} costs: where a budget holds, it is refused",
                        f'Say its price under [prices."{target}"],'
                        ' or unknown_price = "allow" in the budget.',
                        warning=True,
                    )
            told |= asked


def _is_priced(target: str, config: Config, catalog: Catalog) -> bool:
    provider, _, model = target.partition("/")
    section = config.providers.get(provider)
    row = section.row if section else load_providers().get(provider)
    if row is None or row.local:  # simulated, or LiteLLM's, which has prices of its own
        return True
    facts = catalog.find(row.catalog or provider, model)
    return facts is not None and Tariff(facts)(Usage(1, 1)).status != "unknown"
