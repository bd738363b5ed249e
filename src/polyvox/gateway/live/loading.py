"""From the sections of a configuration to agents: the code that they name is imported, and checked."""

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

import msgspec

from polyvox.agent import Agent, RunLimits
from polyvox.agent.files import AgentFile, asking, described
from polyvox.agent.loading import NO_AGENT, everyone, look_here, named_agent
from polyvox.client import AsyncClient
from polyvox.config.agents import AgentSection, LimitsSection
from polyvox.config.schema import Template
from polyvox.errors import ConfigurationError

__all__ = ["load_agents"]


def load_agents(
    sections: Mapping[str, AgentSection], templates: Mapping[str, Template], client: AsyncClient
) -> dict[str, Agent[Any]]:
    """The agents of a configuration, by name. The client makes their models and servers of tools.

    Raises ``ConfigurationError``, which names the agent and what is wrong with it.
    """
    if sections:
        look_here()
    return {name: _agent(name, section, templates, client) for name, section in sections.items()}


def _agent(
    name: str, section: AgentSection, templates: Mapping[str, Template], client: AsyncClient
) -> Agent[Any]:
    place = f"agents.{name}"
    if not section.agent:
        with redirect_stdout(sys.stderr):
            agent = described(_said(section, templates), place, client)
    else:
        agent = _elsewhere(place, section, client)
    agent.name = name if not section.agent else agent.name
    for each in everyone(agent):
        if isinstance(each.model, str):
            own = each.has_client and each.client is not client and not section.model
            each.model = (each.client if own else client).model(each.model)
    return agent


def _said(section: AgentSection, templates: Mapping[str, Template]) -> AgentFile:
    template = templates[section.template] if section.template else Template()
    system = "\n\n".join(filter(None, (template.system, section.system)))
    return AgentFile(
        model=section.model,
        system=system,
        tools=section.tools,
        mcp=section.mcp,
        limits=section.limits or LimitsSection(),
        settings=msgspec.structs.replace(template, system=None),
        approve=section.approve,
    )


def _elsewhere(place: str, section: AgentSection, client: AsyncClient) -> Agent[Any]:
    try:
        agent = named_agent(section.agent, client, section.model or None)
    except TypeError as error:
        raise ConfigurationError(f"{place}.agent: {error}", hint=NO_AGENT) from error
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}.agent: {error.text}", hint=error.hint) from error
    for each in everyone(agent):
        each.model = section.model or each.model
        if section.approve and each.before_tool is not None:
            raise ConfigurationError(
                f"{place}.approve: {each.name} has a before_tool, which decides already",
                hint="Let it answer with Ask() for these tools.",
            )
        if section.approve:
            each.before_tool = asking(section.approve, place)
    if section.limits is not None:
        agent.limits = RunLimits(**msgspec.structs.asdict(section.limits))
    return agent
