"""Composite models: several asked together, one answer.

    moa = MixtureOfAgents(["openai/gpt-5-mini", ...], aggregator="openai/gpt-5", client=client)
    reply = await client.complete(moa, "Why is the sky blue?")
    print(reply.text, reply.usage.cost, reply.trace)

    reply = await client.complete("composite/council/openai/gpt-5", "Why is the sky blue?")

Belongs here: who is asked when, what each is told of the others, how one reply comes of it, the trace
of that, and the names under which composites are asked.
Does not belong here: asking one model in place of another, which routing does; agents and tools.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyvox.composite.council import Council as Council
    from polyvox.composite.members import Member as Member
    from polyvox.composite.moa import MixtureOfAgents as MixtureOfAgents
    from polyvox.composite.names import composite_model as composite_model
    from polyvox.composite.options import CompositeOptions as CompositeOptions
    from polyvox.composite.plan import Plan as Plan
    from polyvox.composite.plan import explain as explain
    from polyvox.composite.profile import MemberProfile as MemberProfile
    from polyvox.composite.profile import Profile as Profile
    from polyvox.composite.tool_loop import ToolLoop as ToolLoop

_HOMES = {
    "CompositeOptions": "options",
    "Council": "council",
    "Member": "members",
    "MemberProfile": "profile",
    "MixtureOfAgents": "moa",
    "Plan": "plan",
    "Profile": "profile",
    "ToolLoop": "tool_loop",
    "composite_model": "names",
    "explain": "plan",
}

__all__ = [
    "CompositeOptions",
    "Council",
    "Member",
    "MemberProfile",
    "MixtureOfAgents",
    "Plan",
    "Profile",
    "ToolLoop",
    "composite_model",
    "explain",
]


def __getattr__(name: str) -> object:
    # Each is imported when it is first used: a configuration knows profiles without paying for the rest.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
