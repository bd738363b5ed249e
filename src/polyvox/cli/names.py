"""The names of models that may be typed, without asking anybody."""

from pathlib import Path

from polyvox.catalog import Catalog
from polyvox.composite.names import PREFIX, packaged
from polyvox.config import examine
from polyvox.errors import ConfigurationError
from polyvox.providers import Provider, load_providers
from polyvox.providers.simulated import SIMULATED

__all__ = ["catalog_name", "completed", "configured_names", "model_names"]


def catalog_name(row: Provider) -> str:
    """The name under which the catalog knows a provider."""
    return row.catalog or row.name


def configured_names(path: Path | None = None) -> list[str]:
    """The names of this configuration, or of the one that is found; none of one that can't be read."""
    try:
        config = examine(path).config
    except ConfigurationError:
        return []
    if config is None:
        return []
    return sorted([*config.names, *(f"{PREFIX}profile/{name}" for name in config.profiles)])


def model_names() -> list[str]:
    """Every name that the rows, the catalog and the simulated models give, sorted."""
    catalog = Catalog.load()
    names = {*SIMULATED, *(f"{PREFIX}profile/{name}" for name in packaged().profiles)}
    for row in load_providers().values():
        if row.example:
            names.add(f"{row.name}/{row.example}")
        names.update(
            f"{row.name}/{facts.id}"
            for facts in catalog.models(catalog_name(row))
            if not facts.deprecated
        )
    return sorted(names)


def completed(begun: str, path: Path | None = None) -> list[str]:
    """Every name that begins so; behind a preset any model's may follow."""
    presets = [f"{PREFIX}{name}/" for name in packaged().names]
    head = next((each for each in presets if begun.startswith(each)), "")
    names = [*configured_names(path), *model_names(), *([] if head else presets)]
    return [head + name for name in names if (head + name).startswith(begun)]
