"""What Polyvox does, in a few seconds: no key, no network, nothing to set up.

    python examples/demo.py

A simulated model streams an answer and another one calls a tool. Then a provider's API is served on
this machine, and asked over HTTP as the real one would be. Every call is written into the log that
``polyvox log`` shows. Last the gateway is started, and asked with OpenAI's own client.
"""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import polyvox
from polyvox.ledger import CallLog, Logged, default_log
from polyvox.testing import MockProvider

WEATHER = polyvox.ToolDefinition(
    "weather",
    "The weather in a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
SERVED = "anthropic/claude-sonnet-4-5"


async def main() -> None:
    """Show it all, then what was used."""
    with default_log() as log:
        async with polyvox.AsyncClient() as client:
            lorem = Logged(client.model("simulated/lorem"), log)
            tools = Logged(client.model("simulated/tools"), log)
            answers = [
                ("simulated", await stream_an_answer(client, lorem)),
                *[("simulated", reply) for reply in await call_a_tool(client, tools)],
                ("mock over HTTP", await ask_over_http(log)),
            ]
    show_what_was_used(answers)
    ask_through_the_gateway()


async def stream_an_answer(
    client: polyvox.AsyncClient, model: polyvox.Model
) -> polyvox.AssistantMessage:
    """A model that writes sixty words a second."""
    heading("A streamed answer", model.name)
    pace = {"tokens": 45, "tokens_per_second": 60}
    async with client.stream(model, "Write something.", options={"simulated": pace}) as stream:
        began = time.monotonic()
        pieces = 0
        async for piece in stream.text():
            print(piece, end="", flush=True)
            pieces += 1
    print(dim(f"\n{pieces} pieces in {time.monotonic() - began:.1f} s"))
    return stream.message


async def call_a_tool(
    client: polyvox.AsyncClient, model: polyvox.Model
) -> list[polyvox.AssistantMessage]:
    """Question, call, result, answer."""
    heading("A tool call", model.name)
    question = polyvox.user("What is the weather in Oslo?")
    print("you      What is the weather in Oslo?")
    wish = await client.complete(model, [question], tools=[WEATHER])
    results: list[polyvox.ToolMessage] = []
    for call in wish.tool_calls:
        result = f"4 degrees and rain in {call.arguments['city']}"
        print(f"model    calls {call.name}({call.arguments})")
        print(f"tool     {result}")
        results.append(polyvox.tool_result(call, result))
    reply = await client.complete(model, [question, wish, *results], tools=[WEATHER])
    print(f"model    {reply.text}")
    return [wish, reply]


async def ask_over_http(log: CallLog) -> polyvox.AssistantMessage:
    """Anthropic's API, served from a script on the loopback, asked as the real one is."""
    heading("Over HTTP", SERVED)
    script = ["Air scatters blue light more than red, so blue reaches us from all over the sky."]
    async with MockProvider("anthropic-messages", script) as server:
        print(dim(f"Anthropic's format, served at {server.url} by a mock provider"))
        client = polyvox.AsyncClient(base_urls={"anthropic": server.url}, keys={"anthropic": "any"})
        model = Logged(client.model(SERVED), log)
        async with client, client.stream(model, "Why is the sky blue?") as stream:
            async for piece in stream.text():
                print(piece, end="", flush=True)
        print(dim(f"\n{server.answers[0].bytes_sent} bytes of server-sent events"))
        return stream.message


def show_what_was_used(answers: list[tuple[str, polyvox.AssistantMessage]]) -> None:
    """A line for every answer, and the sum."""
    heading("What was used", "")
    print(dim(f"{'model':<28} {'served by':<15} {'in':>5} {'out':>5}  cost"))
    for served_by, message in answers:
        usage = message.usage
        name = f"{message.provider}/{message.model}"
        counts = f"{usage.input_tokens:>5} {usage.output_tokens:>5}"
        print(f"{name:<28} {served_by:<15} {counts}  {usage.cost}")
    total = answers[0][1].usage
    for _, message in answers[1:]:
        total += message.usage
    print(f"{'total':<44} {total.input_tokens:>5} {total.output_tokens:>5}  {total.cost}")
    print(dim("\nThe price is that of the real model; nothing was sent to it."))
    print(dim("The calls are in the log: .venv/bin/polyvox log stats"))


def ask_through_the_gateway() -> None:
    """The service that programs share: OpenAI's client asks, and the ledger has a line of each call."""
    heading("Through the gateway", "polyvox serve")
    try:
        from openai import OpenAI
    except ImportError:
        print("pip install openai 'polyvox[gateway]' to see it")
        return
    with tempfile.TemporaryDirectory() as folder, gateway(folder) as (url, key):
        print(dim(f"It serves at {url}; OpenAI's client asks it"))
        with OpenAI(base_url=f"{url}/v1", api_key=key) as client:
            for model, question in (
                ("simulated/echo", "Hello, gateway."),
                (f"mock/{SERVED.partition('/')[2]}", "Why is the sky blue?"),
            ):
                stream = client.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": question}], stream=True
                )
                pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
                print(f"{model:<25} {''.join(pieces)}")
        show_the_ledger(url, key, calls=2)
    print(dim("Next: .venv/bin/polyvox doctor, .venv/bin/polyvox chat, .venv/bin/polyvox serve"))


@contextmanager
def gateway(folder: str) -> Iterator[tuple[str, str]]:
    """A gateway with data of its own: its address and its administrator's key."""
    script = ["Air scatters blue light more than red."]
    with MockProvider("anthropic-messages", script) as mock:
        config = os.path.join(folder, "polyvox.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"""
[providers.mock]
dialect = "anthropic-messages"
base_url = "{mock.url}"
auth = "none"

[prices."mock/{SERVED.partition("/")[2]}"]
input = 3
output = 15
""")
        command = [sys.executable, "-m", "polyvox.cli", "serve", "--json", "--port", "0"]
        command += ["--config", config, "--data", folder, "--log", "off"]
        key = secrets.token_hex(24)
        environment = os.environ | {"POLYVOX_GATEWAY__ADMIN_KEY": key}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment
        ) as serving:
            assert serving.stdout is not None
            try:
                yield json.loads(serving.stdout.readline())["url"], key
            finally:
                serving.terminate()


def show_the_ledger(url: str, key: str, calls: int) -> None:
    """``polyvox usage``, as soon as all the calls are in the database; they get there by themselves."""
    usage = [sys.executable, "-m", "polyvox.cli", "usage", "--url", url]
    environment = os.environ | {"POLYVOX_GATEWAY_KEY": key}

    def told(*arguments: str) -> str:
        done = subprocess.run(
            [*usage, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        return done.stdout

    for _ in range(20):
        rows = json.loads(told("--json") or "{}").get("rows", [])
        if sum(row["calls"] for row in rows) >= calls:
            break
        time.sleep(0.2)
    print(dim("\nIts ledger: polyvox usage"))
    print(told().rstrip())


def heading(title: str, model: str) -> None:
    """A line above a part."""
    print(f"\n{bold(title)}  {dim(model)}".rstrip())


def bold(text: str) -> str:
    """The text in bold, on a terminal."""
    return styled(text, "1")


def dim(text: str) -> str:
    """The text in grey, on a terminal."""
    return styled(text, "2")


def styled(text: str, code: str) -> str:
    """The text with an ANSI style, if someone is there to see it."""
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() else text


if __name__ == "__main__":
    asyncio.run(main())
