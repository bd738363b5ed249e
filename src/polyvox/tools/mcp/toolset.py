"""The tools of an MCP server, as a set."""

import asyncio
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TextIO, Unpack
from urllib.parse import urlsplit

from polyvox.request import ToolDefinition
from polyvox.secret import Secret
from polyvox.tools.context import ToolContext
from polyvox.tools.mcp.content import legal_names, result_of
from polyvox.tools.mcp.session import Session, SessionForgottenError
from polyvox.tools.mcp.wires import HttpPlace, Place, StdioPlace, check_installed
from polyvox.tools.result import ToolResult, error_result
from polyvox.tools.tool import RunOptions, Tool
from polyvox.tools.toolset import BaseToolset

if TYPE_CHECKING:
    from mcp.types import Tool as RemoteTool

__all__ = ["McpToolset"]

_CONNECT_SECONDS = 30.0
_CALL_SECONDS = 120.0


class McpToolset(BaseToolset):
    """The tools of a server that speaks the Model Context Protocol: ``stdio`` or ``http`` makes one.

    The server is started, or connected to, when its tools are first asked for, and again when it has
    ended and is needed: the call during which it ended fails, and is not sent twice. One set may be
    used in several event loops, each of which has its own session. Close it, or use it in
    ``async with``: that ends the server's process.

    >>> files = McpToolset.stdio("npx", "-y", "@modelcontextprotocol/server-filesystem", ".")
    """

    def __init__(
        self,
        place: Place,
        name: str,
        connect_timeout: float | None = None,
        **options: Unpack[RunOptions],
    ) -> None:
        check_installed()
        self.name = name
        self._place = place
        self._patience = _CONNECT_SECONDS if connect_timeout is None else connect_timeout
        self._options: RunOptions = {"timeout": _CALL_SECONDS, **options}
        self._open: dict[asyncio.AbstractEventLoop, _Open] = {}

    @classmethod
    def stdio(
        cls,
        command: str,
        *args: str,
        env: Mapping[str, str | Secret] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        name: str = "",
        stderr: TextIO | None = None,
        connect_timeout: float | None = None,
        **options: Unpack[RunOptions],
    ) -> "McpToolset":
        """A server that is started as a child process and spoken to over its standard streams.

        Args:
            command: the program, and ``args``; no shell reads them.
            env: variables beside HOME, PATH and the few others that a server gets of ours.
            cwd: the folder it runs in.
            name: what it is called in errors; else as the program.
            stderr: where what it writes there goes; else to the logger "polyvox.mcp", level INFO.
            connect_timeout: how many seconds it may take to start (30).
            **options: of each of its tools; see ``ToolOptions``. ``timeout`` is 120 s by default.

        Raises ``ConfigurationError`` without the extra ``mcp``.
        """
        place = StdioPlace(command=command, args=args, env=_hidden(env), cwd=cwd, stderr=stderr)
        return cls(place, name or PurePath(command).stem, connect_timeout, **options)

    @classmethod
    def http(
        cls,
        url: str,
        *,
        headers: Mapping[str, str | Secret] | None = None,
        name: str = "",
        connect_timeout: float | None = None,
        **options: Unpack[RunOptions],
    ) -> "McpToolset":
        """A server at an address, over streamable HTTP; the arguments are those of ``stdio``.

        ``headers`` go with every request: ``{"Authorization": f"Bearer {token}"}``.
        """
        place = HttpPlace(url=url, headers=_hidden(headers))
        return cls(place, name or urlsplit(url).hostname or url, connect_timeout, **options)

    async def tools(self) -> Sequence[Tool]:
        """The server's tools, asked for again when it has said that they are others.

        A name that no model could call is changed: "files.read" is "files_read". Raises
        ``PolyvoxError`` when there is no server.
        """
        try:
            return await self._listed(await self._opened())
        except SessionForgottenError:
            return await self._listed(await self._opened())

    async def aclose(self) -> None:
        """End the sessions, and with them the server's processes. Closing twice does nothing."""
        here = asyncio.get_running_loop()
        for loop, opened in list(self._open.items()):
            if loop is here:
                await opened.session.aclose()
                self._open.pop(loop, None)
            elif loop.is_running():
                loop.call_soon_threadsafe(opened.session.stop)

    async def _opened(self) -> "_Open":
        """The session of this loop, with what it has listed; a new one if the last is over."""
        here = asyncio.get_running_loop()
        self._open = {loop: each for loop, each in self._open.items() if not loop.is_closed()}
        opened = self._open.get(here)
        if opened is None or opened.session.over:
            wire = self._place.wire(self.name)
            opened = self._open[here] = _Open(Session(self.name, wire, self._patience))
        return opened

    async def _listed(self, opened: "_Open") -> Sequence[Tool]:
        async with opened.listing:  # whoever asks at once gets the same tools, with the same limits
            changes = opened.session.changes
            if opened.tools is None or opened.listed_at != changes:
                found = {each.name: each for each in await opened.session.list()}
                names = legal_names(found)
                opened.tools = [self._tool(names[name], each) for name, each in found.items()]
                opened.listed_at = changes
            return opened.tools

    def _tool(self, name: str, remote: "RemoteTool") -> Tool:
        definition = ToolDefinition(name, remote.description or "", remote.input_schema)
        return Tool.from_schema(
            definition, functools.partial(self._call, remote.name), **self._options
        )

    async def _call(
        self, name: str, values: dict[str, Any], context: ToolContext[Any]
    ) -> ToolResult:
        from mcp import MCPError

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            count = f"{progress:g}" if total is None else f"{progress:g} of {total:g}"
            context.update(message or count, details={"progress": progress, "total": total})

        try:
            try:
                return result_of(
                    await (await self._opened()).session.call(name, values, on_progress)
                )
            except SessionForgottenError:  # which says that it was not done
                return result_of(
                    await (await self._opened()).session.call(name, values, on_progress)
                )
        except MCPError as error:
            return error_result(error.message)


class _Open:
    """A session, and the tools that it had when they were last asked for."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.listing = asyncio.Lock()
        self.tools: list[Tool] | None = None
        self.listed_at = 0


def _hidden(values: Mapping[str, str | Secret] | None) -> dict[str, Secret]:
    """Whatever these are, they are not for anybody who looks at the set."""
    return {
        name: value if isinstance(value, Secret) else Secret(value)
        for name, value in (values or {}).items()
    }
