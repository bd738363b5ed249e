"""Composite models: several asked together, one answer.

    moa = MixtureOfAgents([client.model("openai/gpt-5-mini"), ...], aggregator=client.model("..."))
    reply = await client.complete(moa, "Why is the sky blue?")
    print(reply.text, reply.usage.cost, reply.trace)

Belongs here: who is asked when, what each is told of the others, how one reply comes of it, and the
trace of that.
Does not belong here: asking one model in place of another, which routing does; agents and tools.
"""

from polyvox.composite.council import Council
from polyvox.composite.members import Member
from polyvox.composite.moa import MixtureOfAgents
from polyvox.composite.tool_loop import ToolLoop

__all__ = ["Council", "Member", "MixtureOfAgents", "ToolLoop"]
