"""Tools are those that the configuration names: no request starts another program, and what an agent was
not given is not run, whoever calls it.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from gateway.running import Running
from gateway.security.wire import SECONDS, ask
from polyvox.messages import AssistantMessage, ToolCall
from polyvox.testing import MockProvider

CHAT = "/v1/chat/completions"
SERVER = """
import sys
from pathlib import Path
from mcp.server.mcpserver import MCPServer

server = MCPServer("shed")


@server.tool()
def given() -> str:
    Path(sys.argv[1], "given").touch()
    return "done"


@server.tool()
def kept_back() -> str:
    Path(sys.argv[1], "kept back").touch()
    return "done"


server.run("stdio")
"""
CALLED = [
    *("given", "kept_back", "shed_kept_back", "shed.kept_back", "KEPT_BACK", " kept_back "),
    *("tools/call", "given\nkept_back", "os.system", "polyvox.cli:main", ""),
]


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a file stands for each tool that was run."""
    return tmp_path_factory.mktemp("marks")


@pytest.fixture(scope="module")
def lab() -> Iterator[Any]:
    """A model that calls every tool it can think of, given or not, as long as it is asked."""
    turn = AssistantMessage(
        [ToolCall(f"call-{number}", name) for number, name in enumerate(CALLED)],
        stop_reason="tool_calls",
    )
    with MockProvider("openai-chat", script=[turn, "Done."] * 9) as mock:
        yield mock


@pytest.fixture(scope="module")
def gateway(running_here: Callable[..., Running], marks: Path, lab: Any) -> Running:
    (marks / "shed.py").write_text(SERVER, encoding="utf-8")
    return running_here(f"""
[providers.lab]
dialect = "openai-chat"
base_url = "{lab.url}"
key = "provider-key"
[mcp.shed]
command = '{sys.executable}'
args = ['{marks / "shed.py"}', '{marks}']
only = ["given"]
[agents.helper]
model = "lab/m"
mcp = ["shed"]
""")


def test_an_agent_runs_the_tools_it_was_given_and_no_other_of_their_server(
    gateway: Running, lab: Any, marks: Path
) -> None:
    """The list is looked at when a tool is run, not only when it is told to the model."""
    body = {"model": "agent/helper", "messages": [{"role": "user", "content": "Go."}]}
    told = ask(gateway.url, "POST", CHAT, body, key=gateway.key)
    assert told.status == 200, told.body
    assert (marks / "given").exists()
    assert not (marks / "kept back").exists()
    first, second = (json.loads(request.body) for request in lab.requests)
    assert [each["function"]["name"] for each in first["tools"]] == ["given"]
    results = [each for each in second["messages"] if each["role"] == "tool"]
    assert len(results) == len(CALLED)
    done, *refused = (str(each["content"]) for each in results)
    assert "done" in done
    assert all("There is no tool" in each for each in refused), refused


def described(command: str, *arguments: str) -> list[dict[str, Any]]:
    """A server of tools as somebody might describe it: a command."""
    program = {"command": command, "args": list(arguments)}
    return [
        {"type": "mcp", "server_label": "x", "require_approval": "never", **program},
        {"type": "mcp", "server_label": "x", "server_url": f"stdio://{command}", **program},
        {"type": "mcp", "mcp": program},
        {"type": "stdio", "name": "x", **program},
        {"type": "function", "function": {"name": "x", "parameters": {}, **program}},
        {"name": "x", "type": "url", "url": f"file://{command}", **program},
    ]


def requests(command: str, *arguments: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    said = [{"role": "user", "content": "Hi"}]
    program = {"command": command, "args": list(arguments)}
    for model in ("lab/m", "agent/helper", "simulated/echo"):
        for each in described(command, *arguments):
            more = {"mcp": [each], "mcp_servers": [each], "polyvox": {"mcp": each}}
            for extra in ({"tools": [each]}, *({name: more[name]} for name in more)):
                for path in (CHAT, "/v1/messages", "/api/chat"):
                    yield "POST", path, {"model": model, "messages": said, "max_tokens": 9, **extra}
                yield "POST", "/v1/responses", {"model": model, "input": "Hi", **extra}
    named = {"name": "x", **program}
    for path in ("/admin/mcp", "/admin/agents", "/v1/mcp", "/v1/agents", "/admin/organisations"):
        yield "POST", path, named
    yield "POST", "/admin/keys", {"name": "x", "mcp": {"x": program}}
    yield "POST", "/v1/prompts/x/versions", {"messages": said, "mcp": {"x": program}}
    yield "POST", "/v1/contexts", {"messages": said, "mcp": {"x": program}}


def test_no_request_names_a_program_that_is_started(
    gateway: Running, marks: Path, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    command = sys.executable, "-c", f"open({str(started)!r}, 'w')"
    answered = set()
    for method, path, body in requests(*command):
        answered.add(ask(gateway.url, method, path, body, key=gateway.key).status)
    assert {200, 400, 404} <= answered
    headers = {"authorization": f"Bearer {gateway.key}"}
    url = gateway.url.replace("http", "ws") + "/v1/ws"
    with connect(url, additional_headers=headers) as socket:
        for number, each in enumerate(described(*command)):
            start = {"type": "start", "id": f"{number}", "model": "lab/m", "messages": "Hi"}
            socket.send(json.dumps({**start, "body": {"tools": [each]}, "polyvox": {"mcp": each}}))
            while json.loads(socket.recv(SECONDS))["type"] not in ("closed", "error"):
                pass
    assert not started.exists()
    assert not (marks / "kept back").exists()


def test_nothing_that_can_be_asked_has_a_field_for_a_program(gateway: Running) -> None:
    document = ask(gateway.url, "GET", "/openapi.json").json
    names = {name for each in fields(document) for name in each}
    assert {"models", "messages"} <= names
    assert not names & {"command", "args", "cwd", "env", "stdio", "executable"}


def fields(value: Any) -> Iterator[dict[str, Any]]:
    """The fields of all schemas in a document."""
    if isinstance(value, dict):
        if isinstance(value.get("properties"), dict):
            yield value["properties"]
        for each in value.values():
            yield from fields(each)
    elif isinstance(value, list):
        for each in value:
            yield from fields(each)
