"""What a caller wishes of a call is heeded on every path, in the body as in headers, streamed or whole."""

import json
from typing import Any

import pytest

from polyvox import AsyncClient
from polyvox.caching import Cached
from polyvox.dialects import get_dialect
from polyvox.gateway.asking.dialects import SPOKEN
from polyvox.gateway.asking.wishes import wishes_in
from polyvox.gateway.tenants.access import Access, Level
from polyvox.limits import RateLimit
from polyvox.routing import Router
from polyvox.testing import Knobs, MockProvider

from .rig import upstream

ASKED = {
    "openai-chat": {"messages": [{"role": "user", "content": "Hi"}]},
    "openai-responses": {"input": "Hi"},
    "anthropic-messages": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 99},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
    "ollama": {"messages": [{"role": "user", "content": "Hi"}], "prompt": "Hi"},
}
ROUTES = [
    (name, dialect.base_path + route.path, stream)
    for name in SPOKEN
    for dialect in [get_dialect(name)]
    for route in dialect.routes
    if route.kind == "answer"
    for stream in ([False, True] if route.stream is None else [route.stream])
]
PLACES = ("body", "headers")


async def ask(gateway: Any, route: tuple[str, str, bool], place: str, **wishes: Any) -> int:
    """The status."""
    dialect, path, stream = route
    body: dict[str, Any] = {"model": "m", "stream": stream, **ASKED[dialect]}
    if "{model}" in path:
        del body["model"], body["stream"]
    headers = {"authorization": "Bearer good"}
    if place == "body":
        body["polyvox"] = wishes
    else:
        told = {name.replace("_", "-"): value for name, value in wishes.items()}
        headers |= {
            f"x-polyvox-{name}": value if isinstance(value, str) else json.dumps(value)
            for name, value in told.items()
        }
    url = gateway.url + path.replace("{model}", "m")
    async with gateway.http.post(url, json=body, headers=headers) as answer:
        await answer.read()
        return answer.status


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_nobody_else_is_asked_for_a_call_that_wants_no_fallback(
    serve, route: tuple[str, str, bool], place: str
) -> None:
    async with (
        MockProvider("openai-chat", knobs=Knobs(status=503)) as busy,
        MockProvider("openai-chat") as good,
        upstream(busy, good) as client,
        serve(client) as gateway,
    ):
        for wanted, statuses, asked in ((False, (503, 529), 0), (True, (200,), 1)):
            router = Router([client.model("up/m")], fallbacks=[client.model("up2/m")])
            gateway.asking.models.add("m", router)
            assert await ask(gateway, route, place, fallbacks=wanted) in statuses
            assert len(good.requests) == asked


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_a_kept_answer_is_given_again_unless_that_is_not_wished(
    serve, route: tuple[str, str, bool], place: str
) -> None:
    async with (
        MockProvider("openai-chat") as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        gateway.asking.models.add("m", Cached(client.model("up/m")))
        wishes = ("use", 1), ("use", 1), ("skip", 2), ("refresh", 3), ("use", 3)
        for caching, asked in wishes:
            assert await ask(gateway, route, place, caching=caching) == 200
            assert len(mock.requests) == asked


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_a_call_takes_no_longer_than_is_wished(
    serve, route: tuple[str, str, bool], place: str
) -> None:
    async with (
        MockProvider("openai-chat", knobs=Knobs(delay_headers=3_600)) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        gateway.asking.models.add("m", client.model("up/m"))
        assert await ask(gateway, route, place, timeout=0.05) in (408, 504)
        assert gateway.books.ended[-1].error == "timeout"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_words_for_the_books_stand_there(
    serve, route: tuple[str, str, bool], place: str
) -> None:
    words: dict[str, Any] = {"end_user": "ann", "session": "s-1", "tags": {"feature": "plan"}}
    async with (
        MockProvider("openai-chat") as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        gateway.asking.models.add("m", client.model("up/m"))
        assert await ask(gateway, route, place, **words) == 200
        begun = gateway.books.begun[-1]
        assert {name: getattr(begun, name) for name in words} == words
        assert b"plan" not in mock.requests[0].body


OWN = [
    ("openai-chat", "/v1/chat/completions", {"user": "ann"}),
    ("openai-chat", "/v1/chat/completions", {"user": "a-cache", "safety_identifier": "ann"}),
    ("openai-chat", "/v1/embeddings", {"user": "ann"}),
    ("openai-responses", "/v1/responses", {"safety_identifier": "ann"}),
    ("anthropic-messages", "/v1/messages", {"metadata": {"user_id": "ann"}}),
]


@pytest.mark.parametrize(("dialect", "path", "said"), OWN)
async def test_for_whom_a_plain_sdk_asks_is_heeded_and_told_to_the_provider_as_before(
    serve, dialect: str, path: str, said: dict[str, Any]
) -> None:
    async with (
        MockProvider(dialect) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        blocked = Level("user:acme/bob", blocked=True)
        each = Level("user:acme/*", rates=(RateLimit(requests=1, per="day", name="user:acme/*:r"),))
        named = {"bob": blocked}
        gateway.keys.known["good"] = Access(
            key="k", organisation="acme", end_users=each, named_end_users=named
        )
        body = {"model": "up/m", "input": "Hi", **ASKED[dialect], **said}
        if path == "/v1/embeddings":
            body = {"model": "up/m", "input": "Hi", **said}
        for more, status in (
            ({}, 200),
            ({}, 429),
            ({"polyvox": {"end_user": "cy"}}, 200),
            ({"polyvox": {"end_user": "bob"}}, 403),
        ):
            assert (await gateway.post(path, body | more))[0] == status
        assert [line.end_user for line in gateway.books.begun] == ["ann", "cy"]
        for request in mock.requests:
            assert said.items() <= json.loads(request.body).items()


async def test_of_a_name_that_is_none_nothing_is_made(serve) -> None:
    async with AsyncClient() as client, serve(client) as gateway:
        body = {"model": "simulated/echo", **ASKED["openai-chat"]}
        named: list[tuple[object, str]] = [(7, ""), ("", ""), (["ann"], ""), ("x" * 300, "x" * 256)]
        for user, told in named:
            assert (await gateway.post("/v1/chat/completions", body | {"user": user}))[0] == 200
            assert gateway.books.begun[-1].end_user == told
        about = {"metadata": {"user_id": "ann"}}  # which is anything in OpenAI's dialect
        await gateway.post("/v1/chat/completions", body | about)
        assert gateway.books.begun[-1].end_user == ""


def test_wishes_beside_a_request_take_the_place_of_its_own_but_not_of_for_whom_it_asks():
    options = {"openai-chat": {"user": "ann", "polyvox": {"session": "s", "end_user": "bob"}}}
    wishes = wishes_in(options, "openai-chat", {}, {}, {"detach": True})
    assert (wishes.end_user, wishes.session, wishes.detach) == ("ann", None, True)
    assert options == {"openai-chat": {"user": "ann"}}
