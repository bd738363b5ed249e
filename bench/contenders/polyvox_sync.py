"""``Client.stream``: the same from synchronous code."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import polyvox
from bench.contenders import Tell

VERSIONS: list[str] = []


@contextmanager
def connect(url: str) -> Generator[Callable[[str, Tell], int]]:
    pieces = (polyvox.TextDelta, polyvox.ToolCallDelta)

    with polyvox.Client(base_urls={"openai": f"{url}/v1"}, keys={"openai": "none"}) as client:

        def read(prompt: str, tell: Tell) -> int:
            seen = 0
            with client.stream("openai/gpt-5-mini", prompt) as stream:
                for event in stream:
                    if isinstance(event, pieces):
                        seen += 1
                        tell(seen)
            return seen

        yield read
