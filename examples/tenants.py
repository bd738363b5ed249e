"""A service for several customers, set up by a file: who answers, what each may spend, and what it cost.

    python examples/tenants.py

Two servers of one model run on this machine, of which the first is down. The configuration has a router
over both, a cache, a budget for each tenant, and a log; the program only asks by name.
"""

import tempfile
from pathlib import Path

import polyvox
from polyvox.ledger import History
from polyvox.messages import AssistantMessage
from polyvox.testing import MockProvider

CONFIGURATION = """
[providers.east]
base_url = "{east}"
auth = "none"
catalog = "openai"                      # whose prices hold

[providers.west]
base_url = "{west}"
auth = "none"
catalog = "openai"

[routers.chat]
deployments = ["east/gpt-5-mini", "west/gpt-5-mini"]

[cache]

[budgets.customer]
limit = "$0.0005"
per = "month"
scope = "tenant"

[log]
path = "calls.db"
"""
DOWN = {"error": {"kind": "server", "text": "the disk is full"}, "repeat": True}
ANSWER = AssistantMessage([polyvox.Text("It is the light.")], usage=polyvox.Usage(12, 100))
CALLS = (
    ("ada", "web", "Why is the sky blue?"),
    ("ada", "app", "Why is the sky blue?"),
    ("bob", "web", "Why is the sky blue?"),
    ("ada", "web", "Why is grass green?"),
    ("ada", "web", "Why is snow white?"),
)


def main() -> None:
    """Write the configuration, ask, and add up."""
    with (
        tempfile.TemporaryDirectory() as folder,
        MockProvider("openai-chat", [DOWN]) as east,
        MockProvider("openai-chat", [{"message": ANSWER, "repeat": True}]) as west,
    ):
        file = Path(folder, "polyvox.toml")
        file.write_text(CONFIGURATION.format(east=east.url, west=west.url), encoding="utf-8")
        with polyvox.Client.from_config(file) as client:
            for tenant, team, question in CALLS:
                ask(client, tenant, team, question)
        with History(file.with_name("calls.db")) as history:
            for title, rows in (
                ("by tenant", history.stats("tenant")),
                ("by team", history.stats("tag", tag="team")),
                ("by who was asked", history.stats("model")),
            ):
                print(f"\n{title}")
                for row in rows:
                    print(
                        f"  {row.name or '-':<16} {row.calls} calls, {row.errors} failed, {row.cost}"
                    )


def ask(client: polyvox.Client, tenant: str, team: str, question: str) -> None:
    """One call of a tenant, or why it is not made."""
    tags = {"team": team}
    try:
        reply = client.complete("chat", question, max_tokens=120, tenant=tenant, tags=tags)
    except polyvox.BudgetExceededError as error:
        print(f"{tenant}  {question:<21} stopped: {error.text}")
        return
    by = "a stored answer" if reply.cached else f"answered by {reply.provider}"
    print(f"{tenant}  {question:<21} {by}, {reply.usage.cost}")


if __name__ == "__main__":
    main()
