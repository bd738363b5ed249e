"""Agents in files: what may be said in one, and how it becomes an agent.

    model = "openai/gpt-5-mini"
    system = "Be brief."
    tools = ["./tools.py", "shop.orders:find"]

A file is as strict as ``polyvox.toml`` and read in the same way: an unknown key is an error that
names the nearest known one, and ``${NAME}`` stands for an environment variable. Paths begin at the
file's folder. To load a file is to import the code that it names.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import msgspec
from msgspec import Meta

from polyvox.agent.agent import Agent
from polyvox.agent.hooks import Ask, BeforeTool, ToolUse
from polyvox.agent.limits import RunLimits
from polyvox.agent.settings import AgentOptions
from polyvox.client import AsyncClient
from polyvox.config.agents import LimitsSection
from polyvox.config.around import Count, Section
from polyvox.config.positions import KeyPath
from polyvox.config.problems import Problem
from polyvox.config.reading import Reader, dotted
from polyvox.config.schema import Template
from polyvox.config.source import Source, read_source
from polyvox.errors import ConfigurationError
from polyvox.model import Model
from polyvox.tools.discovery import discover, load_tool
from polyvox.tools.tool import Tool
from polyvox.tools.toolset import FunctionToolset, ToolLike

__all__ = ["AgentFile", "LimitsSection", "asking", "described", "load_agent"]

_T = TypeVar("_T")


class AgentFile(Section, frozen=True, kw_only=True):
    """The whole file.

    ``model``           "provider/model", or a name of the configuration
    ``name``            what the agent is called; else the file's name
    ``system``          instructions
    ``system_file``     a file that has them
    ``tools``           "module:function" or "file.py:function"; a module, file or directory: all that
                        ``@tool`` marks there
    ``mcp``             servers of tools, by their names in ``polyvox.toml``
    ``limits``          how far a run may go
    ``parallel_tools``  whether tools of one turn run at the same time; a number: at most so many
    ``settings``        what may be said about answers, as in ``[templates.NAME]``
    ``output_schema``   the JSON schema of the answer: a table, or the name of a file
    ``handoffs``        files of agents that this one may hand the conversation over to
    ``approve``         patterns of the tools that are run only when somebody approves: "delete_*"
    """

    model: str = ""
    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,50}$")] = ""
    system: str = ""
    system_file: Path | None = None
    tools: tuple[str, ...] = ()
    mcp: tuple[str, ...] = ()
    limits: LimitsSection = LimitsSection()
    parallel_tools: bool | Count = True
    settings: Template = Template()
    output_schema: str | dict[str, Any] | None = None
    handoffs: tuple[Path, ...] = ()
    approve: tuple[str, ...] = ()


def load_agent(
    path: str | os.PathLike[str],
    *,
    model: str | Model | None = None,
    client: AsyncClient | None = None,
) -> Agent[Any]:
    """The agent that a file describes, with those it hands over to.

    Args:
        path: the file.
        model: whom all of them ask, in place of the models that the files name.
        client: who makes models and servers of tools of names; one without a configuration by default.

    Raises ``ConfigurationError``, which names the file, the line, the key and the nearest known one.
    """
    return _Loader(model, client, os.environ).agent(Path(path).expanduser())


class _Loader:
    """Loads files, each once: agents may hand over to one another."""

    def __init__(
        self, model: str | Model | None, client: AsyncClient | None, environ: Mapping[str, str]
    ) -> None:
        self._model = model
        self._client = client
        self._environ = environ
        self._agents: dict[Path, Agent[Any]] = {}

    def agent(self, path: Path) -> Agent[Any]:
        key = path.resolve()
        if key not in self._agents:
            file = _read(path, self._environ)
            agent = self._agents[key] = file.agent(self._model, self._client)
            agent.handoffs = [self.agent(each) for each in file.said.handoffs]
        return self._agents[key]


def described(said: AgentFile, place: str, client: AsyncClient) -> Agent[Any]:
    """The agent that is described so elsewhere than in a file; ``place`` says where, in errors.

    Raises ``ConfigurationError``.
    """
    return _File(said, Source(Path(place)), []).agent(None, client)


def _read(path: Path, environ: Mapping[str, str]) -> "_File":
    source = read_source(path)
    reader = Reader(source, environ)
    said = reader.read(AgentFile)
    return _File(said or AgentFile(), source, reader.problems)


class _File:
    """One file. Raises ``ConfigurationError`` when something is wrong with what it says."""

    def __init__(self, said: AgentFile, source: Source, problems: list[Problem]) -> None:
        self.said = said
        self._source = source
        self._problems = problems
        self._raise()

    def agent(self, model: str | Model | None, client: AsyncClient | None) -> Agent[Any]:
        """The agent, which hands over to nobody yet. Raises for everything that is wrong at once."""
        said = self.said
        tools = self._each("tools", self._tools)
        self._check_approve(tools)
        options: AgentOptions = {
            **_settings(said.settings),
            "name": said.name or re.sub(r"[^\w-]", "-", self._stem, flags=re.ASCII)[:50],
            "system": self._system(),
            "tools": [*tools, *self._servers(client)],
            "limits": RunLimits(**msgspec.structs.asdict(said.limits)),
            "parallel_tools": said.parallel_tools,
        }
        if said.approve:
            options["before_tool"] = asking(said.approve)
        if client is not None:
            options["client"] = client
        output = cast("type[Any]", self._schema())
        if not (model or said.model):
            self._wrong((), "model is missing", 'Say whom it asks: model = "openai/gpt-5-mini".')
        for place, file in enumerate(said.handoffs):
            if not file.is_file():
                self._wrong(("handoffs", place), f"handoffs[{place}]: {file.name} is no file")
        if said.settings.system is not None:
            self._wrong(("settings", "system"), "settings.system: system stands above the tables")
        self._raise()
        return Agent[Any](model or said.model, output=output, **options)

    @property
    def _stem(self) -> str:
        return self._source.file.stem if self._source.file else ""

    def _system(self) -> str:
        said = self.said
        if said.system_file is None:
            return said.system
        if said.system:
            self._wrong(("system_file",), "system_file: there is a system too; say one of them")
        return (self._text(said.system_file, ("system_file",)) or "").strip()

    def _schema(self) -> dict[str, Any] | None:
        said = self.said.output_schema
        if not isinstance(said, str):
            return said
        text = self._text(self._path(said), ("output_schema",))
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError as error:
            self._wrong(("output_schema",), f"output_schema: {said} is no JSON schema: {error}")
            return None

    def _text(self, file: Path, path: KeyPath) -> str | None:
        try:
            return file.read_text("utf-8-sig")
        except OSError as error:
            self._wrong(path, f"{dotted(path)}: {file.name} can't be read: {error.strerror}")
        except UnicodeDecodeError:
            self._wrong(path, f"{dotted(path)}: {file.name} is not UTF-8 text")
        return None

    def _path(self, text: str) -> Path:
        return self._source.folder / os.path.expanduser(text)

    def _tools(self, reference: str) -> ToolLike:
        place, colon, name = reference.rpartition(":")
        if colon:
            file = f"{self._path(place)}" if place.endswith(".py") else place
            return load_tool(f"{file}:{name}")
        is_path = reference.startswith((".", "/", "~")) or reference.endswith((".py", "/"))
        found = discover(self._path(reference) if is_path else reference)
        if not len(found):
            raise ConfigurationError(
                f"@tool marks nothing in {reference}",
                hint=f"Any function may be named: {reference}:function.",
            )
        return found

    def _servers(self, client: AsyncClient | None) -> list[ToolLike]:
        if self.said.mcp and client is None:
            hint = "load_agent(path, client=AsyncClient.from_config()) has one."
            self._wrong(("mcp",), "mcp: servers are named by the client's configuration", hint)
        return self._each("mcp", client.toolset) if client is not None else []

    def _check_approve(self, tools: Sequence[ToolLike]) -> None:
        """A pattern with a slip in it would let through what it was to hold up."""
        said = self.said
        if not tools or said.mcp or said.handoffs or self._problems:
            return  # nothing to compare with, or not all that there will be
        each = (list(one) if isinstance(one, FunctionToolset) else [one] for one in tools)
        names = [tool.name for some in each for tool in some if isinstance(tool, Tool)]
        for place, pattern in enumerate(said.approve):
            if not any(fnmatchcase(name, pattern) for name in names):
                text = f"approve[{place}]: no tool is called so: {pattern!r}"
                self._wrong(("approve", place), text, f"There are: {', '.join(names)}.")

    def _each(self, key: str, make: Callable[[str], _T]) -> list[_T]:
        """What is made of each string in a list; what can't be is told at its place."""
        made: list[_T] = []
        for place, text in enumerate(cast("Sequence[str]", getattr(self.said, key))):
            try:
                made.append(make(text))
            except ConfigurationError as error:
                self._wrong((key, place), f"{key}[{place}]: {error.text}", error.hint or "")
        return made

    def _wrong(self, path: KeyPath, text: str, hint: str = "") -> None:
        self._problems.append(Problem(self._source.where(path), text, hint))

    def _raise(self) -> None:
        if self._problems:
            first, *others = self._problems
            hints = [first.hint, *(f"Also: {other}." for other in others)]
            raise ConfigurationError(str(first), hint=" ".join(filter(None, hints)) or None)


def asking(patterns: Sequence[str], where: str = "the agent's file") -> BeforeTool:
    """Has somebody approve of the tools whose names are like one of the patterns."""

    def ask(use: ToolUse) -> Ask | None:
        for pattern in patterns:
            if fnmatchcase(use.tool.name, pattern):
                return Ask(f"{where} wants it for {pattern}")
        return None

    return ask


def _settings(template: Template) -> AgentOptions:
    """What the template says, as options of an agent."""
    fields = msgspec.structs.asdict(template)
    said = {name: value for name, value in fields.items() if value not in (None, (), {})}
    said.pop("system", None)
    return cast("AgentOptions", said)
