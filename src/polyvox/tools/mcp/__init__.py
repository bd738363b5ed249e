"""MCP: the tools of servers that speak the Model Context Protocol, as a set of tools like any other.

Belongs here: starting or reaching a server, asking what it has, calling it, reading what it answers.
Does not belong here: the protocol itself, which is the ``mcp`` package's (an extra, imported on first
use); serving tools of ours to others, which is ``polyvox.integrations.mcp_server``.
"""

from polyvox.tools.mcp.toolset import McpToolset

__all__ = ["McpToolset"]
