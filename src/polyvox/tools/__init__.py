"""Tools: functions that a model may call.

Belongs here: schemas out of types and docstrings, arguments checked, a call run within its limits,
sets of tools, a tool as a command.
Does not belong here: which tool is called when, and what becomes of its result; the agent decides.
"""

from collections.abc import Callable
from typing import Any, NoReturn

from polyvox.errors import ConfigurationError
from polyvox.tools.context import ToolContext
from polyvox.tools.discovery import discover
from polyvox.tools.errors import ToolArgumentsError, ToolRetry
from polyvox.tools.result import ToolResult, as_result, error_result, message_of
from polyvox.tools.running import run_tool
from polyvox.tools.tool import FunctionTool, Tool, ToolOptions, as_tool, tool
from polyvox.tools.toolset import BaseToolset, FunctionToolset, ToolLike, Toolset, combine

__all__ = [
    "BaseToolset",
    "FunctionTool",
    "FunctionToolset",
    "Tool",
    "ToolArgumentsError",
    "ToolContext",
    "ToolLike",
    "ToolOptions",
    "ToolResult",
    "ToolRetry",
    "Toolset",
    "as_result",
    "as_tool",
    "combine",
    "command",
    "discover",
    "error_result",
    "message_of",
    "run_tool",
    "tool",
]


def command(function: Tool | Callable[..., Any]) -> NoReturn:
    """Run a function as the command that this program is, with the options given to it.

    At the end of a script, ``if __name__ == "__main__": command(weather)`` makes
    ``python weather.py --city Oslo`` print the JSON of the result. Raises ``ConfigurationError``
    when click is not installed.
    """
    try:
        from polyvox.tools.command_line import command_of
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"a command needs {error.name}, which is not installed",
            hint="pip install 'polyvox[cli]'",
        ) from error
    command_of(as_tool(function)).main()
    raise SystemExit  # click does not come back
