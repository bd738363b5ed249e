"""A provider that fails is seen although another one answers: in metrics, health, the log and the answer."""

import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from gateway.running import Running
from gateway.whole.rig import asked_of, get, metric, until
from polyvox.testing import MockProvider


def toml(*mocks: MockProvider) -> str:
    rows = "".join(
        f'[providers.lab{number}]\ndialect = "openai-chat"\nbase_url = "{mock.url}"\nkey = "any"\n'
        for number, mock in enumerate(mocks)
    )
    return f"""
[retry]
attempts = 1
[cooldowns]
overloaded = {{ after = 1, seconds = 0.01, longest = 0.01 }}
[routers.safe]
deployments = ["lab0/m", "simulated/echo"]
[routers.alone]
deployments = ["lab0/m"]
{rows}"""


async def ask(gateway: Running, model: str = "safe", **more: Any) -> dict[str, str]:
    """The headers of the answer."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **more}
    url, headers = gateway.url + "/v1/chat/completions", {"authorization": f"Bearer {gateway.key}"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, json=body, headers=headers) as answer,
    ):
        await answer.read()
        return dict(answer.headers)


async def part(gateway: Running, name: str) -> dict[str, Any]:
    parts = (await get(gateway, "/health"))["parts"]
    return next(part for part in parts if part["name"] == name)


def told(gateway: Running) -> list[str]:
    """What the log has of deployments."""
    said = [json.loads(line) for line in gateway.log.splitlines() if line.startswith("{")]
    return [line["text"] for line in said if line.get("of") == "routing.pool"]


async def test_a_deployment_that_rests_is_told_once_and_once_that_it_answers_again(
    running: Callable[..., Running],
) -> None:
    down: dict[str, Any] = {"message": {"content": "x"}, "knobs": {"status": 503}}
    good = {"message": {"content": "Fine."}, "repeat": True}
    async with MockProvider("openai-chat", script=[down, down, down, good]) as mock:
        gateway = running(toml(mock))
        resting = {"router": "safe", "deployment": "lab0/m"}
        await ask(gateway)
        assert await metric(gateway, "deployment_resting", **resting) == 1
        assert (await part(gateway, "deployments"))["numbers"] == {"resting": 1, "deployments": 2}

        async def answers() -> bool:
            await ask(gateway)
            return await metric(gateway, "deployment_resting", **resting) == 0

        await until(answers)
        assert (await part(gateway, "deployments"))["state"] == "up"
        lab = {"provider": "lab0", "model": "m"}
        assert await metric(gateway, "attempts_total", **lab, outcome="overloaded") == 3
        assert await metric(gateway, "attempts_total", **lab, outcome="ok") >= 1

        async def both() -> bool:
            return len(told(gateway)) == 2

        await until(both)
        begins, ends = told(gateway)
        assert begins == "lab0/m is not asked for 0 s: overloaded (503)"
        assert ends == "lab0/m answers again"


async def test_a_router_with_nobody_left_is_told_in_words(running: Callable[..., Running]) -> None:
    down = {"message": {"content": "x"}, "knobs": {"status": 401}, "repeat": True}
    async with MockProvider("openai-chat", script=[down]) as mock:
        gateway = running(toml(mock))
        await ask(gateway, "safe")
        report = await get(gateway, "/health")
        assert report["status"] == "ok"
        await ask(gateway, "alone")
        report = await get(gateway, "/health")
        assert report["status"] == "degraded"
        assert report["degraded"] == ["1 of 2 routers have nobody to ask who answers"]
        assert await metric(gateway, "degraded", part="deployments") == 1
        assert await metric(gateway, "degraded", part="database") == 0


@pytest.mark.parametrize("more", [{}, {"stream": True}])
async def test_an_answer_says_who_gave_it(
    running: Callable[..., Running], more: dict[str, Any]
) -> None:
    good = {"message": {"content": "Fine."}, "repeat": True}
    async with MockProvider("openai-chat", script=[good]) as mock:
        gateway = running(toml(mock))
        for model, by in (("safe", "lab0/m"), ("simulated/echo", "simulated/echo")):
            headers = await ask(gateway, model, **more)
            assert headers["x-polyvox-model"] == by


async def test_embeddings_say_who_gave_them(running: Callable[..., Running]) -> None:
    gateway = running()
    url, headers = gateway.url + "/v1/embeddings", {"authorization": f"Bearer {gateway.key}"}
    body = {"model": "simulated/embedding", "input": "Hi"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, json=body, headers=headers) as answer,
    ):
        assert answer.headers["x-polyvox-model"] == "simulated/embedding"


async def test_requests_are_counted_by_the_gateways_own_routes_whatever_callers_ask(
    running: Callable[..., Running],
) -> None:
    gateway = running()
    for name in ("acme", "umbrella"):
        await asked_of(gateway, "POST", "/admin/organisations", {"name": name})
        await get(gateway, f"/admin/organisations/{name}/teams")
    await ask(gateway, "simulated/echo")
    for path in ("/nothing", "/v1/nothing/at-all", "/v1/contexts/trip/nothing"):
        with pytest.raises(AssertionError, match="404"):
            await get(gateway, path)
    await get(gateway, "/v1/models/simulated/echo")
    teams = "/admin/organisations/{organisation}/teams"
    for route, status, times in (
        (teams, "200", 2),
        ("/v1/chat/completions", "200", 1),
        ("/v1/models/{model}", "200", 1),
        ("none", "404", 3),
    ):
        found = await metric(gateway, "http_requests_total", route=route, status=status)
        assert (route, found) == (route, times)
    assert "acme" not in await get(gateway, "/metrics")
