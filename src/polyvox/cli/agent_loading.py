"""The agent that a command names, with the models it will ask."""

from typing import Any

from polyvox.agent import Agent
from polyvox.agent.loading import NO_AGENT, everyone, named_agent
from polyvox.cli.ask_once import model_named
from polyvox.cli.options import InputError
from polyvox.client import AsyncClient
from polyvox.ledger import CallLog, Logged

__all__ = ["everyone", "load", "make_ready"]


def load(reference: str, client: AsyncClient, model: str | None) -> Agent[Any]:
    """The agent of that file, or of "module:agent". Raises ``InputError``, ``ConfigurationError``."""
    try:
        return named_agent(reference, client, model)
    except TypeError as error:
        raise InputError(str(error), NO_AGENT) from error


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
