"""The servers of tools that a configuration names."""

import os

from polyvox.config.mcp import McpSection
from polyvox.tools.mcp import McpToolset
from polyvox.tools.tool import RunOptions
from polyvox.tools.toolset import BaseToolset

__all__ = ["toolset_of"]


def toolset_of(name: str, section: McpSection) -> BaseToolset:
    """The tools that the section wants of its server. Raises ``ConfigurationError`` without the extra."""
    options: RunOptions = {"timeout": section.timeout, "max_parallel": section.max_parallel}
    patience = section.connect_timeout
    if section.url:
        server: BaseToolset = McpToolset.http(
            section.url, headers=section.headers, name=name, connect_timeout=patience, **options
        )
    else:
        server = McpToolset.stdio(
            os.path.expanduser(section.command),
            *section.args,
            env=section.env,
            cwd=section.cwd and os.path.expanduser(section.cwd),
            name=name,
            connect_timeout=patience,
            **options,
        )
    if section.only:
        server = server.filtered(section.only)
    if section.without:
        server = server.filtered(lambda tool: tool.name not in section.without)
    return server.prefixed(section.prefix) if section.prefix else server
