"""A model with two tools: it asks for what it needs, we run it, until it answers.

python examples/weather_tools.py [MODEL ["QUESTION"]]
"""

import sys
from collections.abc import Callable

import polyvox
from polyvox.messages import Message

MODEL = "simulated/tools"
QUESTION = "Compare the weather and the time in Oslo."
ROUNDS = 8

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [
    polyvox.ToolDefinition("weather", "The weather in a city, now.", CITY),
    polyvox.ToolDefinition("time", "The local time in a city.", CITY),
]


def weather(city: str) -> str:
    """A real program would ask a weather service."""
    return {"Oslo": "4 degrees, rain", "Lima": "19 degrees, fog"}.get(city, "21 degrees, sun")


def time(city: str) -> str:
    """A real program would look at a clock."""
    return {"Oslo": "14:00", "Lima": "08:00"}.get(city, "12:00")


FUNCTIONS: dict[str, Callable[..., str]] = {"weather": weather, "time": time}


def main() -> int:
    """Ask, run the tools that are called, ask again."""
    model = sys.argv[1] if len(sys.argv) > 1 else MODEL
    question = sys.argv[2] if len(sys.argv) > 2 else QUESTION
    messages: list[Message] = [polyvox.user(question)]
    with polyvox.Client() as client:
        for _ in range(ROUNDS):
            reply = client.complete(model, messages, tools=TOOLS)
            if not reply.tool_calls:
                print(reply.text)
                return 0
            messages += [reply, *map(run, reply.tool_calls)]
    print(f"no answer after {ROUNDS} rounds of tools", file=sys.stderr)
    return 1


def run(call: polyvox.ToolCall) -> polyvox.ToolMessage:
    """The result of a call, or what was wrong with it: the model may do better next time."""
    if not call.executable:
        return polyvox.tool_result(call, "the arguments were not whole JSON", is_error=True)
    try:
        result = FUNCTIONS[call.name](**call.arguments)
    except (KeyError, TypeError) as error:
        return polyvox.tool_result(call, f"can't do that: {error!r}", is_error=True)
    print(f"{call.name}({call.arguments}) -> {result}")
    return polyvox.tool_result(call, result)


if __name__ == "__main__":
    sys.exit(main())
