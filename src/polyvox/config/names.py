"""What a name stands for: aliases lead to routers, deployments, or "provider/model"."""

from polyvox.config.schema import Config
from polyvox.errors import ConfigurationError

__all__ = ["target_of"]


def target_of(config: Config, name: str) -> str:
    """Who is asked under this name in the end. Raises ``ConfigurationError`` for a circle of aliases."""
    way = [name]
    while (alias := config.alias(way[-1])) is not None:
        if alias.model in way:
            circle = " -> ".join([*way, alias.model])
            raise ConfigurationError(f"the alias {name!r} leads back to itself: {circle}")
        way.append(alias.model)
    return way[-1]
