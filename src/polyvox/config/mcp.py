"""The section of an MCP server: a command or an address, and which of its tools are wanted."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from polyvox.config.around import Count, Section
from polyvox.secret import Secret

__all__ = ["McpSection"]

_PREFIX = re.compile(r"[a-zA-Z0-9_-]*")
_OF_COMMANDS = ("args", "env", "cwd")


class McpSection(Section, frozen=True, kw_only=True):
    """A server of tools: ``[mcp.files]``. ``client.toolset("files")`` gives its tools.

    ``command``          the program that is started; no shell reads it
    ``args``             its arguments
    ``env``              variables for it, beside HOME, PATH and the few that every server gets
    ``cwd``              the folder it runs in; else that of the program
    ``url``              the address of a server that is there already, in place of ``command``
    ``headers``          what goes with every request to it: { Authorization = "Bearer ${TOKEN}" }
    ``connect_timeout``  how many seconds it may take to start and to list its tools
    ``timeout``          how many seconds one call may take
    ``max_parallel``     the most calls of one of its tools at once
    ``prefix``           what is put before the names of its tools
    ``only``             the tools that are wanted, by the server's names; else all
    ``without``          the tools that are not wanted
    """

    command: str = ""
    args: tuple[str, ...] = ()
    env: dict[str, Secret] = msgspec.field(default_factory=dict[str, Secret])
    cwd: str | None = None
    url: str = ""
    headers: dict[str, Secret] = msgspec.field(default_factory=dict[str, Secret])
    connect_timeout: Annotated[float, Meta(gt=0)] = 30.0
    timeout: Annotated[float, Meta(gt=0)] = 120.0
    max_parallel: Count | None = None
    prefix: str = ""
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.url):
            raise ValueError("it needs a command or a url, and not both")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError("url must begin with http:// or https://")
        for key in _OF_COMMANDS if self.url else ("headers",):
            if getattr(self, key):
                raise ValueError(f"{key} means nothing to a server with a {self.kind}")
        if self.only and self.without:
            raise ValueError("take one of only and without")
        if not _PREFIX.fullmatch(self.prefix):
            raise ValueError("prefix may hold letters (a to z), digits, _ and -")

    @property
    def kind(self) -> str:
        """How the server is reached: "url" or "command"."""
        return "url" if self.url else "command"

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must not be told of it."""
        return (*self.env.values(), *self.headers.values())
