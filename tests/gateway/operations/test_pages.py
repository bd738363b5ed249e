"""The metrics of all workers, whichever of them is asked."""

import asyncio
import os
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from gateway.running import Running
from gateway.whole.rig import get, until
from polyvox.gateway.operations.metrics import Metrics
from polyvox.gateway.operations.pages import Pages, joined


def workers(text: str, name: str = "polyvox_calls_total") -> dict[str, float]:
    """The samples of this name by worker. Reading fails where a family is there twice."""
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    samples = (sample for family in families for sample in family.samples)
    return {each.labels["worker"]: each.value for each in samples if each.name == name}


def counted(number: int, model: str = "m") -> Metrics:
    metrics = Metrics(number)
    for _ in range(number):
        metrics.call("openai-chat", model, "ok", seconds=1.0)
    return metrics


async def test_each_tells_of_the_others_too(tmp_path: Path):
    pages = [Pages(counted(number), tmp_path, number, 3) for number in (1, 2, 3)]
    tasks = [asyncio.create_task(each.keep()) for each in pages]

    async def all_told() -> bool:
        return all(
            workers(each.text().decode()) == {"1": 1.0, "2": 2.0, "3": 3.0} for each in pages
        )

    await until(all_told)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_page_that_nobody_writes_any_more_is_left_out(tmp_path: Path):
    other = tmp_path / "metrics-2.txt"
    other.write_bytes(counted(2).text())
    mine = Pages(counted(1), tmp_path, 1, 2)
    assert workers(mine.text().decode()) == {"1": 1.0, "2": 2.0}
    os.utime(other, (0, 0))
    assert workers(mine.text().decode()) == {"1": 1.0}


def test_a_model_that_is_called_like_a_head_is_no_head():
    name = 'x\n# HELP polyvox_calls_total "y"\n# TYPE z'
    pages = [counted(number, name).text() for number in (1, 2)]
    text = joined(pages).decode()
    assert workers(text) == {"1": 1.0, "2": 2.0}
    assert joined([pages[0]]) == pages[0]


async def test_a_worker_alone_writes_nothing(tmp_path: Path):
    await Pages(counted(1), tmp_path, 1, 1).keep()
    assert os.listdir(tmp_path) == []


async def test_one_connection_to_a_gateway_of_two_workers_sees_both(tmp_path: Path):
    gateway = Running(tmp_path, "", arguments=["--workers", "2"]).start()
    try:
        async with aiohttp.ClientSession() as http:
            headers = {"authorization": f"Bearer {gateway.key}"}

            async def both() -> bool:
                async with http.get(f"{gateway.url}/metrics", headers=headers) as answer:
                    found = workers(await answer.text(), "polyvox_in_flight")
                return found.keys() == {"1", "2"}

            await until(both)
        await get(gateway, "/health")
        assert gateway.stop() == 0
    finally:
        gateway.close()
