"""How far a run may go."""

import msgspec

from polyvox.errors import ConfigurationError
from polyvox.usage import NANOS_PER_DOLLAR

__all__ = ["RunLimits"]


class RunLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The most that one run may take; None: as much as it likes.

    ``turns`` are answers of the model; ``tokens`` all tokens, read and written; ``cost`` is in US
    dollars; ``seconds`` count from the run's beginning, with whatever tools and people take. Turns,
    tokens and cost are looked at before each turn, so that the last one may go beyond them; what
    must never be overspent is the business of a ``Budget``. Time ends the turn under way.

    Raises ``ConfigurationError`` for a number below nothing.
    """

    turns: int | None = 50
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ConfigurationError(
                    f"limits: {name} is {value!r}", hint="Give 0 or more, or None for no limit."
                )

    def reached(self, turns: int, tokens: int, nanos: int) -> str:
        """Which limit a run has come to, in words; "" for none. ``nanos`` are nano-dollars."""
        if self.turns is not None and turns >= self.turns:
            return f"turn {turns} of {self.turns} was the last (limits.turns)"
        if self.tokens is not None and tokens >= self.tokens:
            return f"{tokens} tokens were used, of {self.tokens} (limits.tokens)"
        if self.cost is not None and nanos >= self.cost * NANOS_PER_DOLLAR:
            return f"${nanos / NANOS_PER_DOLLAR:g} were spent, of ${self.cost:g} (limits.cost)"
        return ""
