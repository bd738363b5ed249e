"""A request that goes on from what a provider keeps: it goes there, or is refused, and never half told."""

import json
from typing import Never

import pytest

from polyvox import AsyncClient
from polyvox.testing import MockProvider

from .test_passing_on import behind, raw

RESPONSES = "/v1/responses"
KEPT = [("previous_response_id", "resp_1"), ("conversation", {"id": "conv_1"})]
ANSWER = {
    "id": "resp_2",
    "object": "response",
    "status": "completed",
    "model": "m1",
    "output": [
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hi.", "annotations": []}],
        }
    ],
    "usage": {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9},
}


@pytest.mark.parametrize(("field", "value"), KEPT)
@pytest.mark.parametrize("row", [{}, {"quirks": {"strict_tools": False}}], ids=["as is", "told"])
async def test_a_provider_of_the_dialect_is_told_it(serve, field, value, row) -> None:
    body = json.dumps(ANSWER).encode()
    async with (
        raw(body) as up,
        behind(up.url, "openai-responses", **row) as client,
        serve(client) as gateway,
    ):
        asked = {"model": "up/m1", "input": "And then?", field: value}
        status, answer = await gateway.post(RESPONSES, asked)
    assert (status, answer["id"]) == (200, "resp_2")
    assert up.asked[0][1][field] == value


@pytest.mark.parametrize(("field", "value"), KEPT)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["up/m1", "simulated/echo", "composite/council/simulated/a"])
async def test_for_any_other_it_is_refused_with_what_to_do_instead(
    serve, model, stream, field, value
) -> None:
    async with (
        MockProvider("openai-chat") as mock,
        behind(mock.url, "openai-chat") as client,
        serve(client) as gateway,
    ):
        asked = {"model": model, "input": "And then?", "stream": stream, field: value}
        status, answer = await gateway.post(RESPONSES, asked)
        said = answer["error"]["message"]
        assert (status, mock.requests, gateway.books.attempts) == (400, [], [])
    assert field in said
    assert '"polyvox": {"context": "..."}' in said
    assert "x-polyvox-context" in said
    assert "earlier turns" in said


async def test_what_points_at_nothing_is_no_matter(serve) -> None:
    asked = {"model": "simulated/echo", "input": "Hi", "store": True}
    async with AsyncClient() as client, serve(client) as gateway:
        status, _ = await gateway.post(RESPONSES, {**asked, **{name: None for name, _ in KEPT}})
    assert status == 200


async def test_a_template_kept_elsewhere_is_refused_with_templates_in_its_place(serve) -> None:
    asked = {"model": "simulated/echo", "input": "Hi", "prompt": {"id": "pmpt_1"}}
    async with AsyncClient() as client, serve(client) as gateway:
        status, answer = await gateway.post(RESPONSES, asked)
    assert status == 400
    assert '"polyvox": {"prompt": "..."}' in answer["error"]["message"]


GEMINI = "/v1beta/models/{}:generateContent"
MESSAGES = "/v1/messages"
SAID = {"role": "user", "content": "And of the second chapter?"}
PARTS = [{"parts": [{"text": "And of the second chapter?"}]}]
KEPT_IN_OTHER_DIALECTS = [
    (GEMINI, {"contents": PARTS}, "cachedContent", "cachedContents/1"),
    (GEMINI, {"contents": PARTS}, "cached_content", "cachedContents/1"),
    (MESSAGES, {"messages": [SAID], "max_tokens": 9}, "container", "container_1"),
    (MESSAGES, {"messages": [SAID], "max_tokens": 9}, "container", {"skills": [{"skill_id": "x"}]}),
]


@pytest.mark.parametrize(("path", "body", "field", "value"), KEPT_IN_OTHER_DIALECTS)
async def test_what_is_cached_or_runs_at_a_provider_goes_to_no_other(
    serve, path, body, field, value
) -> None:
    async with (
        MockProvider("openai-chat") as mock,
        behind(mock.url, "openai-chat") as client,
        serve(client) as gateway,
    ):
        asked = body | {"model": "up/m1"}
        status, _ = await gateway.post(path.format("up/m1"), asked)
        assert (status, len(mock.requests)) == (200, 1)
        status, answer = await gateway.post(path.format("up/m1"), asked | {field: value})
        assert (status, len(mock.requests)) == (400, 1)
    assert ("container" if path == MESSAGES else "cachedContent") in answer["error"]["message"]


@pytest.mark.parametrize(("path", "body", "field", "value"), KEPT_IN_OTHER_DIALECTS)
@pytest.mark.parametrize("row", [{}, {"quirks": {"strict_tools": False}}], ids=["as is", "told"])
async def test_and_a_provider_of_that_dialect_is_told_it(
    serve, path, body, field, value, row
) -> None:
    dialect = "anthropic-messages" if path == MESSAGES else "gemini"
    async with (
        MockProvider(dialect) as mock,
        behind(mock.url, dialect, **row) as client,
        serve(client) as gateway,
    ):
        status, answer = await gateway.post(
            path.format("up/m1"), body | {"model": "up/m1", field: value}
        )
        assert status == 200, answer
        (request,) = mock.requests
    told = json.loads(request.body)
    assert value in (told.get("container"), told.get("cachedContent"), told.get("cached_content"))


class Unopened:
    """Conversations of which none is opened."""

    def turn(self, *said: object, **more: object) -> Never:
        raise AssertionError("it was opened")


@pytest.mark.parametrize(("field", "value"), KEPT)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_that_both_sides_keep_is_not_told_twice(
    serve, stream, field, value
) -> None:
    body = json.dumps(ANSWER).encode()
    async with (
        raw(body) as up,
        behind(up.url, "openai-responses") as client,
        serve(client) as gateway,
    ):
        gateway.asking.contexts = Unopened()
        asked = {"model": "up/m1", "input": "And then?", "stream": stream, field: value}
        status, answer = await gateway.post(RESPONSES, asked, **{"x-polyvox-context": "trip"})
        assert (status, up.asked, gateway.books.begun) == (400, [], [])
    said = answer["error"]["message"]
    assert field in said
    assert "context 'trip'" in said
