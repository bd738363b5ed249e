"""A model that is asked only as long as there is money for it."""

from collections.abc import AsyncGenerator

from polyvox.around import Around
from polyvox.errors import BudgetExceededError, ConfigurationError
from polyvox.events import Event, Warned
from polyvox.limits.budget import Budget, BudgetLimit
from polyvox.limits.gate import Admission, Gate, admitted, answered
from polyvox.limits.memory import MemoryLimits
from polyvox.limits.store import LimitStore
from polyvox.messages import AssistantMessage
from polyvox.model import Call, Model
from polyvox.quote import quote_of
from polyvox.request import Request

__all__ = ["Budgeted"]


class Budgeted(Around):
    """Ask only if the most that the call may cost fits every budget; then charge what it did cost.

    However many calls come at once, those that are let in fit together. Each attempt is charged
    once, also of a call that failed or was left early. When a call does not fit, the first budget's
    policy holds.

    Args:
        model: who is asked.
        budgets: those that must all have room.
        store: where the accounts are; in this process by default. Give several models the same
            store, and budgets of the same name are one.

    Raises ``ConfigurationError`` without a budget, or for two of the same name.
    """

    def __init__(self, model: Model, *budgets: Budget, store: LimitStore | None = None) -> None:
        if not budgets:
            raise ConfigurationError("Budgeted has no budget", hint='Give one: Budget("$10").')
        super().__init__(model)
        self._limits = [BudgetLimit(budget) for budget in budgets]
        self._gate = Gate(MemoryLimits() if store is None else store, self._limits)

    def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The answer, or ``BudgetExceededError`` as its only event."""
        return admitted(self._admit, request, call)

    async def answer(self, request: Request, call: Call) -> AssistantMessage:
        """The whole answer. Raises ``BudgetExceededError``, and whatever the model raises."""
        return await answered(self._admit, request, call)

    async def _admit(self, request: Request, call: Call) -> Admission:
        """Let the call in, if need be to a cheaper model. Raises ``BudgetExceededError``."""
        model, asked = self.model, [self.model]
        warnings: list[Warned] = []
        while True:
            quote = quote_of(model, request)
            over: list[tuple[BudgetLimit, BudgetExceededError]] = [
                (limit, limit.unpriced(model, request))
                for limit in self._limits
                if limit.denies(quote)
            ]
            if not over or all(limit.soft for limit, _ in over):
                admission = await self._gate.enter(model, quote, call)
                if not over and not admission.over:  # nearly always
                    admission.warnings = warnings
                    return admission
                for standing in admission.over:
                    limit = self._limits[standing.place]
                    over.append((limit, limit.exceeded(standing, request, quote)))
                if not admission.refused:
                    warnings += [Warned(error.text, "budget") for _, error in over]
                    admission.warnings = warnings
                    return admission
            limit, error = next(each for each in over if not each[0].soft)
            cheaper = limit.budget.downgrade
            if cheaper is None or cheaper in asked:
                raise error
            warnings.append(
                Warned(f"{cheaper.name} is asked and not {model.name}: {error.text}", "model")
            )
            asked.append(model := cheaper)
