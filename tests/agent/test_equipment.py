"""What an agent's functions become: tools, once, that all of its runs share."""

import threading

from .rig import agent_of, calls


async def test_a_function_is_made_a_tool_once_and_not_in_each_run():
    def weather() -> str:
        return "Sunny."

    agent = agent_of(["Done."], tools=[weather])
    first, second = [(await agent.role_of("agent")).tools["weather"] for _ in range(2)]
    assert first is second


async def test_the_runs_of_an_agent_share_the_threads_of_its_functions():
    seen: set[threading.Thread] = set()

    def look() -> str:
        seen.add(threading.current_thread())
        return "seen"

    agent = agent_of([calls("look"), "Done."] * 20, tools=[look])
    for _ in range(20):
        await agent.run("Look.")
    assert len(seen) < 20
