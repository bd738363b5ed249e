"""The same request is the same bytes whichever process sends it, so that a prompt cache knows it again."""

import asyncio
import sys
from pathlib import Path

import aiohttp

from gateway.asking.rig import BEHIND, CALLERS, asking
from gateway.running import Running
from polyvox.messages import ToolCall, assistant, tool_result, user
from polyvox.request import Reasoning, Request, ToolDefinition
from polyvox.testing import MockProvider

from .test_large_bodies import Asked, config

MCP = Path(__file__).parents[2] / "tools" / "mcp_rig.py"
SEEDS = ("1", "2", "3")
SCHEMA = {
    "type": "object",
    "properties": {name: {"type": ["string", "null"]} for name in ("zebra", "ape", "mouse")},
    "required": ["zebra", "ape"],
    "additionalProperties": False,
}
CALLS = [ToolCall(f"call_{n}", "zebra", {"zebra": "z", "ape": "a", "mouse": None}) for n in "21"]
ASKED = Request(
    messages=[user("Hi."), assistant(*CALLS), *(tool_result(call, "Yes.") for call in CALLS)],
    tools=[ToolDefinition(name, name, SCHEMA) for name in ("zebra", "ape", "mouse", "bee")],
    max_tokens=9_000,
    reasoning=Reasoning(effort="low"),
    stop=["b", "a"],
    metadata={"user_id": "u", "b": "1", "a": "2"},
)


async def ask_all(gateway: Running, names: list[str]) -> None:
    async with aiohttp.ClientSession() as http:
        for caller in CALLERS:
            for name in names:
                at = Asked(gateway, http)
                answer = await asking(at, caller, f"{name}/m", ASKED, key=gateway.key)
                assert answer.status == 200, (caller, name, answer.body)


async def test_a_request_is_the_same_bytes_whichever_process_sends_it(running) -> None:
    mocks = {f"up-{dialect}": MockProvider(dialect) for dialect in BEHIND}
    for mock in mocks.values():
        await mock.__aenter__()
    try:
        for seed in SEEDS:
            environ = {"PYTHONHASHSEED": seed}
            gateway = await asyncio.to_thread(running, config(mocks), environ=environ)
            await ask_all(gateway, list(mocks))
    finally:
        for mock in mocks.values():
            await mock.__aexit__(None, None, None)
    for mock in mocks.values():
        bodies = [received.body for received in mock.requests]
        of_each = len(CALLERS)
        assert len(bodies) == of_each * len(SEEDS)
        for place in range(of_each):
            assert len(set(bodies[place::of_each])) == 1, mock.dialect.name


async def test_the_tools_of_an_agent_come_in_the_same_order_each_time(running) -> None:
    servers = "\n".join(
        f"[mcp.{name}]\ncommand = '{sys.executable}'\nargs = ['{MCP}']\nprefix = '{name}_'"
        for name in ("zoo", "ark")
    )
    agent = '[agents.keeper]\nmodel = "up/m"\nmcp = ["zoo", "ark"]'
    async with MockProvider("openai-chat") as mock, aiohttp.ClientSession() as http:
        for seed in SEEDS[:2]:
            gateway = await asyncio.to_thread(
                running,
                f"{config({'up': mock})}\n{servers}\n{agent}",
                environ={"PYTHONHASHSEED": seed},
            )
            asked = Request(messages=[user("Hi.")])
            for _ in range(2):
                at = Asked(gateway, http)
                answer = await asking(at, "openai-chat", "agent/keeper", asked, key=gateway.key)
                assert answer.status == 200, answer.body
        (body,) = {received.body for received in mock.requests}
    assert len(mock.requests) == 4
    assert body.index(b"zoo_") < body.index(b"ark_")
