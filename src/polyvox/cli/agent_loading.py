"""The agent that a command names: from a file or out of a module, with the models it will ask."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, cast

from polyvox.agent import Agent
from polyvox.agent.files import load_agent
from polyvox.cli.ask_once import model_named
from polyvox.cli.options import InputError
from polyvox.client import AsyncClient
from polyvox.ledger import CallLog, Logged
from polyvox.tools.discovery import load_object

__all__ = ["everyone", "load", "make_ready"]


def load(reference: str, client: AsyncClient, model: str | None) -> Agent[Any]:
    """The agent of that file, or of "module:agent": an agent, or a function that makes one.

    Raises ``InputError``, and ``ConfigurationError`` when something is wrong with the file.
    """
    here = str(Path.cwd())
    if here not in sys.path:  # modules of the current folder are found, as with python -m
        sys.path.insert(0, here)
    with redirect_stdout(sys.stderr):  # what modules print is none of the answer
        if reference.endswith(".toml"):
            return load_agent(reference, model=model, client=client)
        found = load_object(reference, "agent")
        made = found() if callable(found) else found  # an agent itself can't be called
    if isinstance(made, Agent):
        return cast("Agent[Any]", made)
    raise InputError(
        f"{reference} is no agent, but of type {type(made).__name__}",
        "Name an Agent, a function without parameters that makes one, or a TOML file.",
    )


def everyone(agent: Agent[Any]) -> list[Agent[Any]]:
    """The agent, and all to whom a conversation may be handed over."""
    found = [agent]
    for each in found:
        found += [other for other in each.handoffs if other not in found]
    return found


def make_ready(
    agent: Agent[Any], client: AsyncClient, model: str | None, log: CallLog | None
) -> None:
    """Give all of them models that are made as the configuration says, and that are logged.

    Raises ``PolyvoxError`` for a model that can't be asked.
    """
    for each in everyone(agent):
        asked = model or each.model
        if isinstance(asked, str):
            own = each.has_client and each.client is not client and not model
            asked = each.client.model(asked) if own else model_named(client, asked)
        each.model = asked if log is None else Logged(asked, log)
