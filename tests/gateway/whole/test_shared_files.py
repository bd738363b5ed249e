"""Two gateways with folders of their own, which share one of files: batches go from one to the other."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import openai

from gateway.running import Running
from polyvox.testing import Knobs, MockProvider

from .rig import WORDS, toml, until

ANSWER = {"message": {"content": WORDS}, "repeat": True}
LINES = 5


def line(number: int) -> bytes:
    messages = [{"role": "user", "content": f"Say something of mark-{number}."}]
    asked = {"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions"}
    return json.dumps(asked | {"body": {"model": "lab/fast", "messages": messages}}).encode()


def client(gateway: Running) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0)


async def test_what_one_has_begun_is_ended_by_the_other_when_it_is_stopped(
    running: Callable[..., Running], postgres_url: str, tmp_path: Path
) -> None:
    knobs = Knobs(hold_until=10_000, hold_limit=60)
    async with MockProvider("openai-chat", script={"fast": [ANSWER]}, knobs=knobs) as mock:
        files = tmp_path / "shared"
        config = toml(
            {"lab": mock},
            f'database = "{postgres_url}"\nfiles = "{files}"\ndrain_seconds = 0.1',
        )
        first = running(config)
        async with client(first) as asking:
            file = await asking.files.create(
                file=("in.jsonl", b"\n".join(map(line, range(LINES)))), purpose="batch"
            )
            batch = await asking.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
            await mock.wait_for_request()
        second = running(config)
        assert await asyncio.to_thread(first.stop) == 0

        async with client(second) as asking:

            async def is_over() -> bool:
                mock.release()
                return (await asking.batches.retrieve(batch.id)).status == "completed"

            await until(is_over)
            ended = await asking.batches.retrieve(batch.id)
            told = (await asking.files.content(ended.output_file_id or "")).text.splitlines()
        assert [json.loads(each)["custom_id"] for each in told] == list(map(str, range(LINES)))
        assert not (first.folder / "data" / "files").exists()
        assert {file.id, ended.output_file_id} == {
            each.name for each in (files / "files").iterdir()
        }
        assert not [*(files / "batches").iterdir()], "its progress is not needed any more"
