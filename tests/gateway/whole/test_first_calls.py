"""The whole service as a process: the first things that somebody does with it."""

import json
import urllib.request

from openai import OpenAI


def test_an_sdk_asks_and_the_usage_is_there_afterwards(running) -> None:
    gateway = running()
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key) as client:
        told = client.chat.completions.create(
            model="simulated/echo", messages=[{"role": "user", "content": "Hello there."}]
        )
    assert told.choices[0].message.content == "Hello there."
    assert gateway.stop() == 0
    gateway.start()
    request = urllib.request.Request(
        f"{gateway.url}/v1/usage?by=model", headers={"authorization": f"Bearer {gateway.key}"}
    )
    with urllib.request.urlopen(request) as answer:
        usage = json.load(answer)
    assert [(row["by"]["model"], row["calls"]) for row in usage["rows"]] == [("simulated/echo", 1)]
