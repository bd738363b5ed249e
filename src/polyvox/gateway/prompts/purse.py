"""What a rendering may cost: every piece of work is paid for, and the money is limited.

No time is measured, so that a template either always fits or never does. A unit is about the work of one
character; the whole purse is spent in well under a second.
"""

from typing import Any, TypeAlias, cast

from polyvox.errors import BadRequestError

__all__ = ["NODE", "UNITS", "Json", "Purse"]

Json: TypeAlias = Any

UNITS = 10_000_000
NODE = 20
"""What one value costs beside its characters."""


class Purse:
    """Units that are left for one rendering."""

    __slots__ = ("left",)

    def __init__(self, units: int = UNITS) -> None:
        self.left = units

    def spend(self, units: int) -> None:
        """Raises ``BadRequestError`` when there is not so much left."""
        self.left -= units
        if self.left < 0:
            raise BadRequestError(
                "rendering it takes too much work",
                hint="Shorten its loops, or the variables that go through them.",
            )

    def weigh(self, value: Json) -> None:
        """Pay for a value with all that is in it, also where the same thing is in it many times."""
        waiting: list[Json] = [value]
        while waiting:
            each = waiting.pop()
            if isinstance(each, str):
                self.spend(NODE + len(each))
            elif isinstance(each, dict):
                below = cast("dict[Json, Json]", each)
                self.spend(NODE + sum(len(str(key)) for key in below))
                waiting.extend(below.values())
            elif isinstance(each, list | tuple):
                values = cast("list[Json]", each)
                self.spend(NODE * (1 + len(values)))
                waiting.extend(values)
            else:
                self.spend(NODE)
