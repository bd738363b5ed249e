"""An agent that is sent back to work until its file is right: a program decides, not the model.

    python examples/run_until_done.py [MODEL]

Without a model a scripted one plays, which forgets something at first.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

import polyvox
from polyvox.agent import ToolExecutionEnd
from polyvox.agent.tasks import AttemptEnd, AttemptStart, CompletionFramework, TaskStatus
from polyvox.messages import AssistantMessage, ToolCall
from polyvox.testing import ScriptedModel

TASK = "Write a JSON file planets.json: an object with the radius in km of each planet by its name."
PLANETS = ["Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune"]
RADII = [2440, 6052, 6371, 3390, 69911, 58232, 25362, 24622]


def main() -> int:
    """Work in an empty folder, and say how it went."""
    model = sys.argv[1] if len(sys.argv) > 1 else forgetful()
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(work(model, Path(folder)))


async def work(model: str | polyvox.Model, folder: Path) -> int:
    """Send the agent to work until the file is right."""

    @polyvox.tool
    def write(name: str, text: str) -> str:
        """Write a file in the folder."""
        (folder / Path(name).name).write_text(text, encoding="utf-8")
        return f"{len(text)} characters written"

    async with polyvox.Agent(model, tools=[write]) as agent:
        framework = CompletionFramework(agent, max_attempts=5)
        async with framework.stream(TASK, lambda initial: status(folder)) as task:
            async for event in task:
                match event:
                    case AttemptStart(number=number):
                        print(f"attempt {number}")
                    case ToolExecutionEnd(call=call, result=result):
                        print(f"  {call.name}: {result.text}")
                    case AttemptEnd(status=None):
                        print("  does not say whether it is done")
                    case AttemptEnd(status=TaskStatus(errors=errors)):
                        print("  " + (", ".join(errors) or "all is well"))
                    case _:
                        pass
    result = task.result
    print(f"{result.outcome} after {result.attempts} attempts: {result.cost}")
    return 0 if result.is_done else 1


def status(folder: Path) -> TaskStatus:
    """What is wrong with the file. What can't be read raises, and that is an error as well."""
    status = TaskStatus()
    radii = json.loads((folder / "planets.json").read_text(encoding="utf-8"))
    for planet in PLANETS:
        if planet not in radii:
            status.error(f"{planet} is missing")
        elif not 2_000 < radii[planet] < 80_000:
            status.error(f"{planet} has a radius of {radii[planet]} km, which can't be")
    return status


def forgetful() -> polyvox.Model:
    """A model that needs to be told twice."""
    radii = dict(zip(PLANETS, RADII, strict=True))
    early = {name: radius for name, radius in radii.items() if name != "Neptune"}
    return ScriptedModel(
        [
            writes(early),
            "TASK COMPLETE",
            writes({**radii, "Earth": 6_371_000}),
            "Neptune is there now.",
            "As I said. TASK COMPLETE",
            writes(radii),
            "TASK COMPLETE",
        ]
    )


def writes(radii: dict[str, int]) -> AssistantMessage:
    arguments = {"name": "planets.json", "text": json.dumps(radii)}
    return AssistantMessage([ToolCall("write", "write", arguments)], stop_reason="tool_calls")


if __name__ == "__main__":
    sys.exit(main())
