"""Large prompts and large pieces of answers go through, whoever asks whom, and leave no memory behind."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from gateway.asking.rig import BEHIND, CALLERS, asking, read
from gateway.running import Running
from polyvox.events import Done
from polyvox.messages import user
from polyvox.request import Request
from polyvox.testing import Knobs, MockProvider

from .process import memory

PROMPT = 10 << 20
LINE = 1 << 20
BODIES, WARM, AT_ONCE = 60, 20, 4
MOST_GROWTH = 20 * PROMPT
"""Allocators give back what they like: half of that comes and goes. Of a body each, 60 would stay."""

ANSWER = json.dumps(
    {
        "id": "c",
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Yes."},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8},
    }
).encode()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
CONFIG = """
[gateway]
max_in_flight = 100
[providers.up]
dialect = "openai-chat"
base_url = "{url}/v1"
key = "any"
"""


class Asked:
    """A gateway with an HTTP client, as the rig of callers wants it."""

    def __init__(self, gateway: Running, http: aiohttp.ClientSession) -> None:
        self.url, self.http, self.key = gateway.url, http, gateway.key


def config(mocks: dict[str, MockProvider]) -> str:
    return "\n".join(
        f'[providers.{name}]\ndialect = "{mock.dialect.name}"\nbase_url = "{mock.url}"\nkey = "any"\n'
        for name, mock in mocks.items()
    )


@pytest.mark.parametrize("behind", BEHIND)
async def test_a_prompt_of_ten_megabytes_and_a_line_of_one_arrive(behind: str, running) -> None:
    said = "word " * 50
    async with (
        MockProvider(behind, [{"message": {"content": said}, "repeat": True}]) as mock,
        aiohttp.ClientSession() as http,
    ):
        mock.knobs = Knobs(huge_line=LINE)
        gateway = await asyncio.to_thread(running, config({"up": mock}))
        prompt = Request(messages=[user("x" * PROMPT)], max_tokens=99)
        for caller in CALLERS:
            asked = Asked(gateway, http)
            answer = await asking(asked, caller, request=prompt, stream=True, key=gateway.key)
            assert answer.status == 200, answer.body[:300]
            done = read(caller, answer.body)[-1]
            assert isinstance(done, Done)
            assert done.message.text == said
            received = mock.requests[-1].request
            assert received is not None
            assert received.messages == prompt.messages


class Deaf:
    """A provider that takes everything in, keeps nothing, and says the same to everybody."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Deaf"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        left = int(head.partition("content-length:")[2].split()[0])
        while left:
            left -= len(await reader.read(left))
        self.asked += 1
        writer.write(HEAD + ANSWER)
        writer.close()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_large_bodies_leave_no_memory_behind(path: str, running) -> None:
    messages = [{"role": "user", "content": "x" * PROMPT}]
    body = json.dumps({"model": "up/m", "max_tokens": 9, "messages": messages}).encode()
    async with Deaf().serving() as deaf:
        gateway = await asyncio.to_thread(running, CONFIG.format(url=deaf.url), watched=False)
        headers = {"authorization": f"Bearer {gateway.key}", "content-type": "application/json"}

        async def ask(http: aiohttp.ClientSession, numbers: Iterator[int]) -> None:
            for _ in numbers:
                data = io.BytesIO(body)
                async with http.post(gateway.url + path, data=data, headers=headers) as answer:
                    assert answer.status == 200, await answer.read()
                    await answer.read()

        async def ask_all(many: int) -> int:
            numbers = iter(range(many))
            async with aiohttp.ClientSession() as http:
                await asyncio.gather(*(ask(http, numbers) for _ in range(AT_ONCE)))
            return memory(gateway.process.pid)

        before = await ask_all(WARM)
        after = await ask_all(BODIES)
        print(f"memory: {before:,} before, {after:,} after")
        assert after - before < MOST_GROWTH
        assert deaf.asked == WARM + BODIES
