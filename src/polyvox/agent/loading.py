"""The agent that a reference names, and those it hands over to."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, cast

from polyvox.agent.agent import Agent
from polyvox.agent.files import load_agent
from polyvox.client import AsyncClient
from polyvox.tools.discovery import load_object

__all__ = ["NO_AGENT", "everyone", "look_here", "named_agent"]

NO_AGENT = "Name an Agent, a function without parameters that makes one, or a TOML file."
"""What to do about a reference to something else."""


def named_agent(reference: str, client: AsyncClient, model: str | None) -> Agent[Any]:
    """The agent of that file, or of "module:agent": an agent, or a function that makes one.

    Raises ``ConfigurationError`` when there is none, or something is wrong with the file, and
    ``TypeError`` for what is something else.
    """
    look_here()
    with redirect_stdout(sys.stderr):  # what modules print is none of the answer
        if reference.endswith(".toml"):
            return load_agent(reference, model=model, client=client)
        found = load_object(reference, "agent")
        made = found() if callable(found) else found  # an agent itself can't be called
    if isinstance(made, Agent):
        return cast("Agent[Any]", made)
    raise TypeError(f"{reference} is no agent, but of type {type(made).__name__}")


def look_here() -> None:
    """Modules of the current folder are found from now on, as with ``python -m``."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def everyone(agent: Agent[Any]) -> list[Agent[Any]]:
    """The agent, and all to whom a conversation may be handed over."""
    found = [agent]
    for each in found:
        found += [other for other in each.handoffs if other not in found]
    return found
