"""What budgets and rate limits have in common: an account that is debited and drains.

An account has a limit and what is ``used`` of it. Reserving debits the most that a call may use, if
that still fits; settling puts what was really used in its place, whatever that is: more than fits is
a debt, which nothing forgives but the draining. Per period that passes the limit's worth drains
away: a rate limit's account drains evenly, a budget's at the turn of its window. That is the only
difference between the two, and it lies in the meter.
"""

__all__ = ["Account"]


class Account:
    """How much of one limit is used.

    ``used`` holds what was settled and what is reserved; ``held`` is the reserved part, as far as
    it was reserved in the present window. ``mark`` says up to where the account has drained.
    """

    __slots__ = ("held", "mark", "used")

    def __init__(self, mark: float) -> None:
        self.used: float = 0
        self.held: float = 0
        self.mark = mark

    def drain(self, limit: float, passed: float, mark: float) -> None:
        """So many periods have passed."""
        self.mark = mark
        if passed > 0:
            drained = limit * passed
            self.used = self.used - drained if drained < self.used else 0
            if passed >= 1:
                self.held = 0

    def settle(self, limit: float, reserved: float, actual: float, passed: float) -> None:
        """Put what was used in the place of what was reserved ``passed`` periods ago.

        An overrun is debited whole. Of what was reserved too much, only that comes back which has
        not drained away meanwhile: a call counts in the window in which it was let in.
        """
        if passed < 1:
            self.held = self.held - reserved if reserved < self.held else 0
        unused = reserved - actual
        if unused > 0 and passed > 0:
            unused = max(0, unused - limit * passed)
        self.used = self.used - unused if unused < self.used else 0
