"""Ask until the money is spent: the call that no longer fits is stopped before it is sent.

python examples/budget.py [MODEL DOLLARS]

Without arguments a mock provider answers, whose ten calls cost all of the budget.
"""

import sys

import polyvox
from polyvox.limits import Budget, Budgeted
from polyvox.messages import AssistantMessage
from polyvox.testing import MockProvider

MODEL, DOLLARS = "openai/gpt-4o-mini", "$0.00062"
TOKENS = 100
MOST_CALLS = 100


def main() -> int:
    """Ask a real model, or the one that costs nothing."""
    if len(sys.argv) == 3:
        with polyvox.Client() as client:
            return spend(client, sys.argv[1], sys.argv[2])
    answer = AssistantMessage([polyvox.Text("Four.")], usage=polyvox.Usage(8, TOKENS))
    with (
        MockProvider("openai-chat", [answer] * MOST_CALLS) as server,
        polyvox.Client(base_urls={"openai": server.url}, keys={"openai": "any"}) as client,
    ):
        status = spend(client, MODEL, DOLLARS)
        print(f"The provider was asked {len(server.requests)} times.")
        return status


def spend(client: polyvox.Client, name: str, dollars: str) -> int:
    """Ask the same again and again, and say what it costs."""
    model = Budgeted(client.model(name), Budget(dollars, name="example"))
    spent = polyvox.ZERO_USAGE
    for number in range(1, MOST_CALLS + 1):
        try:
            reply = client.complete(model, "What is two and two?", max_tokens=TOKENS)
        except polyvox.BudgetExceededError as error:
            print(f"call {number:2}  stopped: {error.text}")
            return 0
        spent += reply.usage
        print(f"call {number:2}  {reply.usage.cost}, {spent.cost} in all")
    print(f"{MOST_CALLS} calls, and there is still money left")
    return 1


if __name__ == "__main__":
    sys.exit(main())
