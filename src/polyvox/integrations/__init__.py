"""Integrations: Polyvox inside other people's programs.

Belongs here: our tools, models and agents in the shape that something else expects.
Does not belong here: other people's things inside ours; those are tools, models or providers.
"""

from polyvox.integrations.mcp_server import serve_tools

__all__ = ["serve_tools"]
