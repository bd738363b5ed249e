"""The names of models that may be typed, without asking anybody."""

from polyvox.catalog import Catalog
from polyvox.providers import Provider, load_providers
from polyvox.providers.simulated import SIMULATED

__all__ = ["catalog_name", "model_names"]


def catalog_name(row: Provider) -> str:
    """The name under which the catalog knows a provider."""
    return row.catalog or row.name


def model_names() -> list[str]:
    """Every name that the rows, the catalog and the simulated models give, sorted."""
    catalog = Catalog.load()
    names = set(SIMULATED)
    for row in load_providers().values():
        if row.example:
            names.add(f"{row.name}/{row.example}")
        names.update(
            f"{row.name}/{facts.id}"
            for facts in catalog.models(catalog_name(row))
            if not facts.deprecated
        )
    return sorted(names)
