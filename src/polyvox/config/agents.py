"""The section of an agent that is asked like a model, as ``agent/<name>``; and how far runs may go."""

from typing import Annotated

from msgspec import Meta

from polyvox.config.around import Count, Section

__all__ = ["PREFIX", "AgentSection", "LimitsSection"]

PREFIX = "agent/"
"""What stands before the name of an agent where it is asked like a model."""

_INLINE = ("system", "tools", "mcp", "template")


class LimitsSection(Section, frozen=True, kw_only=True):
    """How far a run may go: ``[limits]``.

    ``turns``    answers of the model
    ``tokens``   all tokens, read and written
    ``cost``     US dollars
    ``seconds``  the whole time, with what tools and people take
    """

    turns: Count = 50
    tokens: Count | None = None
    cost: Annotated[float, Meta(gt=0)] | None = None
    seconds: Annotated[float, Meta(gt=0)] | None = None


class AgentSection(Section, frozen=True, kw_only=True):
    """An agent that the gateway offers like a model: ``[agents.helper]`` is asked as "agent/helper".

    ``model``         whom it asks: "provider/model", or a name of this file
    ``system``        instructions
    ``tools``         "module:function"; or a module: all that ``@tool`` marks there
    ``mcp``           servers of tools, by their names in ``[mcp]``
    ``template``      options for its requests
    ``agent``         one that is described elsewhere, in place of the four above: an agent's file
                      ("helper.toml"), or "module:agent"
    ``limits``        how far a run may go: ``turns``, ``tokens``, ``cost`` (US dollars), ``seconds``; budgets
                      reserve this much while it lasts
    ``approve``       patterns of the tools that are run only when somebody approves: "delete_*"
    ``keep_seconds``  how long a run waits for an approval
    """

    model: str = ""
    system: str = ""
    tools: tuple[str, ...] = ()
    mcp: tuple[str, ...] = ()
    template: str = ""
    agent: str = ""
    limits: LimitsSection | None = None
    approve: tuple[str, ...] = ()
    keep_seconds: Annotated[float, Meta(gt=0)] = 3600.0

    def __post_init__(self) -> None:
        if not (self.model or self.agent):
            raise ValueError("it needs a model, or an agent that is described elsewhere")
        for key in _INLINE if self.agent else ():
            if getattr(self, key):
                raise ValueError(f"{key} means nothing beside agent, which says it already")
