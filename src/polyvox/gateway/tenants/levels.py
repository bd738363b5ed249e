"""From what is said of limits to a level: budgets and rates whose accounts have names of their own."""

import msgspec

from polyvox.config.around import budget_of, rate_of
from polyvox.config.serving import KeySection
from polyvox.errors import ConfigurationError
from polyvox.gateway.tenants.access import Level
from polyvox.gateway.tenants.objects import Limited

__all__ = ["level_of", "limits_of_section"]


def level_of(name: str, limited: Limited, title: str) -> Level | None:
    """The level of this name; None where nothing is limited, so that it costs nothing."""
    if not limited.budgets and not limited.limits:
        return None
    return Level(
        name,
        tuple(budget_of(f"{name}:{label}", each) for label, each in limited.budgets.items()),
        tuple(rate_of(f"{name}:{label}", each) for label, each in limited.limits.items()),
        limited.shadow,
        title,
    )


def limits_of_section(section: KeySection, field: str) -> Limited:
    """The limits of a key that stands in the configuration.

    Raises ``ConfigurationError``, which names the field, for what only ``[budgets]`` and ``[limits]`` can.
    """
    said = {
        "budgets": {"budget": section.budget} if section.budget else {},
        "limits": {"limit": section.limit} if section.limit else {},
    }
    try:
        return msgspec.convert(msgspec.to_builtins(said), Limited)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{field}: {str(error).partition(' - at ')[0]}") from None
