"""How much to think: the effort scale, what an effort is worth in tokens, and the nearest of both.

Providers take an effort or a budget, and not all of either. No provider documents what an effort is
worth; this table doubles or more at each step, and all dialects share it, so that the same wish
costs about the same wherever it goes.
"""

import math
from typing import Literal, get_args

from polyvox.request import Effort

__all__ = ["BUDGETS", "EFFORTS", "budget_of", "effort_of", "nearest_effort"]

EFFORTS: tuple[Effort, ...] = get_args(Effort)
"""The scale, from no thinking at all upwards."""

BUDGETS: dict[Effort, int] = {
    "none": 0,
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 32768,
    "max": 65536,
}
"""What each effort is worth in tokens."""


def budget_of(effort: Effort, below: int | None = None) -> int:
    """The tokens that an effort is worth; at most half of ``below``, the limit of the whole answer.

    The other half is for the answer itself: who names an effort has not thought of the limit.

    >>> budget_of("medium"), budget_of("medium", below=10_000)
    (8192, 5000)
    """
    budget = BUDGETS[effort]
    return budget if below is None else min(budget, below // 2)


def effort_of(budget: int) -> Effort:
    """The effort whose worth is nearest to this many tokens, by ratio; "none" for no tokens.

    >>> effort_of(0), effort_of(1), effort_of(10_000), effort_of(10**6)
    ('none', 'minimal', 'medium', 'max')
    """
    if budget <= 0:
        return "none"
    return min(EFFORTS[1:], key=lambda effort: abs(math.log(BUDGETS[effort] / budget)))


def nearest_effort(
    wanted: Effort, known: tuple[Effort, ...], *, of_two: Literal["lower", "higher"] = "higher"
) -> Effort:
    """The known effort nearest to the one wanted; of two as near, the one that ``of_two`` names.

    Some thinking never becomes none, unless there is nothing else. Nothing known: all are.

    >>> nearest_effort("medium", ("none", "low", "high"))
    'high'
    """
    usable: list[Effort] = [effort for effort in known if effort != "none" or wanted == "none"]
    place = EFFORTS.index(wanted)
    sign = 1 if of_two == "lower" else -1

    def distance(effort: Effort) -> tuple[int, int]:
        step = EFFORTS.index(effort) - place
        return abs(step), sign * step

    return min(usable or known or (wanted,), key=distance)
