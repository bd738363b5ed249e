"""What a name stands for: aliases lead to routers, deployments, composites, or "provider/model"."""

from hashlib import blake2b

import msgspec

from polyvox.composite.names import PREFIX, composite_meant, profile_of
from polyvox.config.schema import Config
from polyvox.errors import ConfigurationError

__all__ = ["makeup", "profile_guess", "target_of", "targets_of"]


def target_of(config: Config, name: str) -> str:
    """Who is asked under this name in the end. Raises ``ConfigurationError`` for a circle of aliases."""
    way = [name]
    while (alias := config.alias(way[-1])) is not None:
        if alias.model in way:
            circle = " -> ".join([*way, alias.model])
            raise ConfigurationError(f"the alias {name!r} leads back to itself: {circle}")
        way.append(alias.model)
    return way[-1]


def targets_of(config: Config, name: str) -> set[str]:
    """Every "provider/model" that may be asked under this name. Raises as ``target_of``."""
    found: set[str] = set()
    ahead, seen = [name], set[str]()
    while ahead:
        target = target_of(config, ahead.pop())
        if target in seen:
            continue
        seen.add(target)
        if target in config.routers:
            ahead += config.routers[target].members
        elif target in config.deployments:
            ahead.append(config.deployments[target].model)
        elif target.startswith(PREFIX):
            ahead += profile_of(target, config.profiles).names.values()
        else:
            found.add(target)
    return found


def makeup(config: Config, name: str) -> str:
    """Another text when the composite of that name is made of something else; empty for other models."""
    if not name.startswith(PREFIX):
        return ""
    said = (profile_of(name, config.profiles), config.profiles, config.aliases)
    return blake2b(msgspec.json.encode(said, order="deterministic"), digest_size=8).hexdigest()


def profile_guess(config: Config, name: str) -> str:
    """The rest of a sentence that says by which name a composite is asked; nothing if it is none."""
    meant = composite_meant(name, config.profiles)
    return f"; did you mean {meant!r}?" if meant else ""
