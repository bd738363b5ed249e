"""What is refused, with which status, in the caller's dialect; and what it costs: nothing."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from polyvox import AsyncClient
from polyvox.gateway.tenants.access import Access, Level
from polyvox.limits import Budget, RateLimit
from polyvox.testing import Knobs, MockProvider

from .rig import CALLERS, asking

MAX_BODY = 1 << 20
CHAT = "/v1/chat/completions"


def hello(model: str = "up/m", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], **more}


def upstream(mock: MockProvider, **more: object) -> AsyncClient:
    row = {"dialect": mock.dialect.name, "base_url": mock.url}
    return AsyncClient(providers={"up": row}, keys={"up": "any"}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "key", ["", "bad", "good'--", "x" * 7_000, "ключ".encode().decode("latin-1")]
)
async def test_without_a_good_key_there_is_401(serve, key: str) -> None:
    async with AsyncClient() as client, serve(client) as gateway:
        status, body = await gateway.post(CHAT, hello("simulated/echo"), key=key)
        assert status == 401
        assert body["error"]["type"] == "authentication_error"
        assert gateway.books.begun == []


async def test_the_key_is_found_where_each_client_puts_it(serve) -> None:
    async with AsyncClient() as client, serve(client) as gateway:
        for headers in (
            {"authorization": "bearer good"},
            {"x-api-key": "good"},
            {"api-key": "good"},
            {"x-goog-api-key": "good"},
        ):
            async with gateway.http.get(gateway.url + "/v1/models", headers=headers) as answer:
                assert answer.status == 200
        async with gateway.http.get(gateway.url + "/v1beta/models?key=good") as answer:
            assert answer.status == 200


async def test_nothing_but_the_key_and_the_connection_decides(serve) -> None:
    hostile = {
        "host": "localhost",
        "x-forwarded-for": "10.0.0.1",
        "x-forwarded-host": "admin",
        "forwarded": "for=127.0.0.1",
        "x-real-ip": "10.0.0.1",
        "x-original-url": "/health",
    }
    async with AsyncClient() as client, serve(client) as gateway:
        status, _ = await gateway.post(CHAT, hello("simulated/echo"), key="bad", **hostile)
        assert status == 401
        status, _ = await gateway.post(CHAT, hello("simulated/echo"), **hostile)
        assert status == 200
        assert {address for _, address in gateway.keys.asked} == {"127.0.0.1"}


async def test_a_key_asks_what_it_may(serve) -> None:
    async with AsyncClient() as client, serve(client) as gateway:
        gateway.keys.known["some"] = Access(
            key="k", models=("simulated/e*",), routes=("chat", "models")
        )
        assert (await gateway.post(CHAT, hello("simulated/echo"), key="some"))[0] == 200
        status, body = await gateway.post(CHAT, hello("simulated/hello"), key="some")
        assert status == 403
        assert "simulated/e*" in body["error"]["message"]
        embed = {"model": "simulated/embedding", "input": "x"}
        status, body = await gateway.post("/v1/embeddings", embed, key="some")
        assert status == 403
        assert "embeddings" in body["error"]["message"]
        headers = {"authorization": "Bearer some"}
        async with gateway.http.get(gateway.url + "/v1/models", headers=headers) as answer:
            listed = await answer.json()
        assert [model["id"] for model in listed["data"]] == ["simulated/echo"]


async def test_a_key_asks_no_more_than_its_organisation_and_team_may(serve) -> None:
    async with AsyncClient() as client, serve(client) as gateway:
        within = (("simulated/*", "agent/*"), ("simulated/h*", "simulated/echo"))
        models = ("simulated/e*", "agent/x")
        gateway.keys.known["some"] = Access(key="k", models=models, within=within)
        assert (await gateway.post(CHAT, hello("simulated/echo"), key="some"))[0] == 200
        for path, model in (
            (CHAT, "simulated/hello"),
            (CHAT, "simulated/error"),
            (CHAT, "agent/x"),
            ("/v1/embeddings", "simulated/embedding"),
        ):
            asked = hello(model) if path == CHAT else {"model": model, "input": "x"}
            status, body = await gateway.post(path, asked, key="some")
            assert (status, "may not ask" in body["error"]["message"]) == (403, True)
        headers = {"authorization": "Bearer some"}
        async with gateway.http.get(gateway.url + "/v1/models", headers=headers) as answer:
            listed = await answer.json()
        assert [model["id"] for model in listed["data"]] == ["simulated/echo"]
        gateway.keys.known["other"] = Access(
            key="k2", models=models
        )  # what is kept is of its rights
        assert (await gateway.post(CHAT, hello("simulated/error"), key="other"))[0] != 403


async def test_a_limit_is_told_by_the_name_that_people_gave_its_owner(serve) -> None:
    async with (
        AsyncClient(keys={"openai": "x"}, base_urls={"openai": "http://127.0.0.1:1"}) as client,
        serve(client) as gateway,
    ):
        budget = Budget("0.000001", name="key:key_1:day", per="day")
        rate = RateLimit(requests=1, per="day", name="key:key_1:burst")
        for limits, status, told in (
            (((budget,), ()), 402, "the budget 'day of key ci' allows "),
            (((), (rate,)), 429, "the rate limit 'requests per day of key ci' has no room"),
        ):
            level = Level("key:key_1", *limits, title="key ci")
            gateway.keys.known["good"] = Access(key=f"k{status}", levels=(level,))
            await gateway.post(CHAT, hello("openai/gpt-4o-mini", max_tokens=60))
            answer = await gateway.post(CHAT, hello("openai/gpt-4o-mini", max_tokens=60))
            assert (answer[0], told in answer[1]["error"]["message"]) == (status, True), answer


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        (CHAT, hello("simulated/nobody"), 404, "simulated/nobody"),
        (CHAT, hello(""), 400, "names no model"),
        (CHAT, {"model": "simulated/echo"}, 400, "messages"),
        (CHAT, [1], 400, "object"),
        (CHAT, hello("simulated/echo", polyvox={"contxt": "a"}), 400, "context"),
        (CHAT, hello("simulated/echo", polyvox={"timeout": -1}), 400, "timeout"),
        (CHAT, hello("simulated/echo", polyvox=7), 400, "object of wishes"),
        (CHAT, hello("simulated/echo", polyvox={"session": "s" * 257}), 400, "session"),
        (CHAT, hello("simulated/echo", polyvox={"end_user": "s" * 257}), 400, "end_user"),
        (CHAT, hello("simulated/echo", polyvox={"tags": {"a": "s" * 257}}), 400, "tags"),
        ("/v1/nothing", {}, 404, "/v1/nothing"),
        ("/v1/models", {}, 405, "GET"),
    ],
)
async def test_a_bad_request_is_told_what_is_wrong(serve, path, body, status, said) -> None:
    async with AsyncClient() as client, serve(client) as gateway:
        told, answer = await gateway.post(path, body)
        assert (told, said in answer["error"]["message"]) == (status, True), answer
        assert gateway.books.begun == []
        assert gateway.admission.in_flight == 0


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/messages", "/v1/messages"),
        ("/chat", "/api/chat"),
        ("/models/simulated/echo:generateContent", "/v1/models/simulated/echo:generateContent"),
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("/nothing", None),
    ],
)
async def test_a_path_that_is_nearly_there_is_told_which_was_meant(serve, path, meant) -> None:
    async with AsyncClient() as client, serve(client) as gateway:
        told, answer = await gateway.post(path, hello("simulated/echo"))
    assert told == 404
    assert answer["error"]["code"] is None  # it is no model that is missing
    hint = f"Did you mean {meant}?" if meant else "GET /openapi.json lists"
    assert hint in answer["error"]["message"]


async def test_each_dialect_is_refused_in_its_own_form(serve) -> None:
    async with AsyncClient() as client, serve(client) as gateway:
        _, chat = await gateway.post(CHAT, hello("simulated/nobody"))
        _, messages = await gateway.post(
            "/v1/messages", {**hello("simulated/nobody"), "max_tokens": 1}
        )
        _, gemini = await gateway.post(
            "/v1beta/models/simulated/nobody:generateContent",
            {"contents": [{"parts": [{"text": "x"}]}]},
        )
        _, ollama = await gateway.post("/api/chat", hello("simulated/nobody"))
    assert chat["error"]["code"] == "model_not_found"
    assert (messages["type"], messages["error"]["type"]) == ("error", "not_found_error")
    assert gemini["error"]["status"] == "NOT_FOUND"
    assert "simulated/nobody" in ollama["error"]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_providers_door_is_no_fault_of_the_caller(serve, status: int) -> None:
    async with (
        MockProvider("openai-chat", knobs=Knobs(status=status)) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        told, body = await gateway.post(CHAT, hello())
    assert told == 502
    assert "up refuses" in body["error"]["message"]


async def test_a_provider_without_a_key_is_no_fault_of_the_caller(serve, monkeypatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with AsyncClient() as client, serve(client) as gateway:
        told, _ = await gateway.post(CHAT, hello("openai/gpt-5-mini"))
    assert told == 502


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "content"), [(CHAT, ""), ("/v1/messages", "begun")])
async def test_at_which_address_a_provider_is_asked_is_not_the_callers_concern(
    serve, stream: bool, path: str, content: str
) -> None:
    """Neither before an answer has begun nor after that."""
    knobs = Knobs(cut_after=400, cut_mode="rst") if content else Knobs()
    async with AsyncExitStack() as stack:
        mock = await stack.enter_async_context(MockProvider("openai-chat", knobs=knobs))
        if not content:
            await stack.aclose()
        async with upstream(mock) as client, serve(client) as gateway:
            headers = {"authorization": "Bearer good"}
            body = hello() | {"max_tokens": 50, "stream": stream}
            async with gateway.http.post(gateway.url + path, json=body, headers=headers) as answer:
                text = await answer.text()
    assert "the connection to up failed" in text
    assert str(mock.url).split("/")[2] not in text
    assert "127.0.0.1" not in text


@pytest.mark.parametrize("stream", [False, True])
async def test_why_a_provider_can_not_be_asked_is_in_the_log(
    serve, monkeypatch, caplog, stream: bool
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with AsyncClient() as client, serve(client) as gateway:
        _, body = await gateway.post(CHAT, hello("openai/gpt-5-mini", stream=stream))
    assert "OPENAI_API_KEY" not in str(body)
    (record,) = [each for each in caplog.records if each.name.startswith("polyvox.gateway")]
    assert (record.name, record.levelname) == ("polyvox.gateway.asking.refusals", "WARNING")
    assert "openai: there is no API key for OpenAI. Set OPENAI_API_KEY" in record.getMessage()


async def test_sdks_are_told_not_to_ask_again_in_vain(serve, monkeypatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    headers = {"authorization": "Bearer good"}
    async with (
        MockProvider("openai-chat", knobs=Knobs(status=503)) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        for model, status, again in (("openai/gpt-5-mini", 502, "false"), ("up/m", 503, None)):
            async with gateway.http.post(
                gateway.url + CHAT, json=hello(model), headers=headers
            ) as answer:
                assert answer.status == status
                assert answer.headers.get("x-should-retry") == again


async def test_failures_before_the_first_content_have_a_status_of_their_own(serve) -> None:
    knobs = Knobs(status=429, retry_after=7)
    async with (
        MockProvider("openai-chat", knobs=knobs) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        headers = {"authorization": "Bearer good"}
        for stream in (False, True):
            async with gateway.http.post(
                gateway.url + CHAT, json=hello(stream=stream), headers=headers
            ) as answer:
                assert answer.status == 429
                assert answer.headers["retry-after"] == "7"
        assert [line.error for line in gateway.books.ended] == ["rate_limit"] * 2
        assert not gateway.books.ended[0].partial


def limited(*budgets: Budget, rates: tuple[RateLimit, ...] = (), shadow: bool = False) -> Access:
    return Access(key="k", levels=(Level("key:k", budgets, rates, shadow),))


@pytest.mark.parametrize(
    "path", [CHAT, "/v1/responses", "/v1/messages", "/api/chat", "/v1/embeddings"]
)
@pytest.mark.parametrize("stream", [False, True])
async def test_of_many_at_once_exactly_as_many_pass_as_there_is_room_for(
    serve, path, stream
) -> None:
    async with AsyncClient() as client, serve(client) as gateway:
        gateway.keys.known["few"] = limited(rates=(RateLimit(requests=3, per="day", name="few"),))
        body = hello("simulated/echo", max_tokens=9, stream=stream, input="x")
        if path == "/v1/embeddings":
            body = {"model": "simulated/embedding", "input": "x"}
        elif path == "/v1/responses":
            body.pop("messages")

        async def ask() -> int:
            headers = {"authorization": "Bearer few"}
            async with gateway.http.post(gateway.url + path, json=body, headers=headers) as answer:
                await answer.read()
                return answer.status

        statuses = await asyncio.gather(*(ask() for _ in range(10)))
        assert sorted(statuses) == [200] * 3 + [429] * 7
        assert gateway.admission.in_flight == 0
        assert len(gateway.books.ended) == 3


async def test_a_budget_is_kept_to_the_nano_dollar(serve) -> None:
    answer = "word " * 50
    async with (
        MockProvider("openai-chat", script=[answer] * 1000) as mock,
        AsyncClient(keys={"openai": "x"}, base_urls={"openai": mock.url}) as client,
        serve(client) as gateway,
    ):
        gateway.keys.known["poor"] = limited(Budget("0.001", name="key:k"))
        for _ in range(1000):
            status, body = await gateway.post(
                CHAT, hello("openai/gpt-4o-mini", max_tokens=60), key="poor"
            )
            if status != 200:
                break
        assert status == 402
        assert body["error"]["code"] == "budget_exceeded"
        spent = sum(nanos for line in gateway.books.ended for _, _, nanos in line.debits)
        costs = sum(attempt.usage.cost.nanos for _, attempt in gateway.books.attempts)
        assert 0 < spent == costs <= 1_000_000


@pytest.mark.parametrize("caller", CALLERS)
async def test_a_model_without_a_price_is_no_budget_that_is_spent(serve, caller: str) -> None:
    async with (
        MockProvider("openai-chat") as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        gateway.keys.known["poor"] = limited(Budget("$5", name="key:k"))
        told = await asking(gateway, caller, key="poor")
        assert told.status == 403
        assert b"nobody knows what up/m costs" in told.body
        assert rb"[prices.\"up/m\"]" in told.body
        assert mock.requests == []
        assert gateway.books.ended == []


async def test_a_shadow_limit_counts_and_stops_nobody(serve) -> None:
    async with AsyncClient() as client, serve(client) as gateway:
        rates = (RateLimit(requests=1, per="day", name="shy"),)
        gateway.keys.known["shy"] = limited(rates=rates, shadow=True)
        told = [await gateway.post(CHAT, hello("simulated/echo"), key="shy") for _ in range(3)]
    assert [status for status, _ in told] == [200] * 3


async def test_when_there_is_no_room_the_rest_is_told_to_come_again(serve) -> None:
    async with (
        MockProvider("openai-chat", knobs=Knobs(hold_until=2)) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        gateway.admission.resize(1, 0, 0.0)
        first = asyncio.create_task(gateway.post(CHAT, hello()))
        await mock.wait_for_request()
        status, body = await gateway.post(CHAT, hello())
        assert status == 429
        assert "busy" in body["error"]["message"]
        mock.release()
        assert (await first)[0] == 200


async def test_a_body_over_the_limit_is_refused_before_it_is_taken_in(serve) -> None:
    async with AsyncClient() as client, serve(client) as gateway:
        for chunked in (False, True):
            body = b"x" * (MAX_BODY + 1)

            async def pieces(body: bytes = body) -> AsyncIterator[bytes]:
                for place in range(0, len(body), 1 << 16):
                    yield body[place : place + (1 << 16)]

            headers = {"authorization": "Bearer good"}
            data = pieces() if chunked else io.BytesIO(body)
            async with gateway.http.post(gateway.url + CHAT, data=data, headers=headers) as answer:
                assert answer.status == 413
                assert "1,048,576 bytes" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize(
    ("path", "headers", "said"),
    [
        ("/v1/models/simulated/echo", {"authorization": "Bearer good"}, ("id", "simulated/echo")),
        (
            "/v1/models/simulated/echo",
            {"x-api-key": "good", "anthropic-version": "2023-06-01"},
            ("type", "model"),
        ),
        (
            "/v1beta/models/simulated/echo",
            {"x-goog-api-key": "good"},
            ("name", "models/simulated/echo"),
        ),
    ],
)
async def test_one_model_is_told_of_as_in_the_list(serve, path, headers, said) -> None:
    async with AsyncClient() as client, serve(client) as gateway:
        async with gateway.http.get(gateway.url + path, headers=headers) as answer:
            told = await answer.json()
            assert answer.status == 200
        async with gateway.http.get(gateway.url + path + "x", headers=headers) as answer:
            assert answer.status == 404
    assert said in told.items()


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/simulated/echo", "/api/tags"])
async def test_head_gives_the_head_of_what_get_tells(serve, path: str) -> None:
    key = {"authorization": "Bearer good"}
    async with AsyncClient() as client, serve(client) as gateway:
        url = gateway.url + path
        async with gateway.http.get(url, headers=key) as whole:
            length = len(await whole.read())
        async with gateway.http.head(url, headers=key) as head:
            assert head.status == 200
            assert int(head.headers["content-length"]) == length
            assert await head.read() == b""
        async with gateway.http.head(url) as refused:
            assert refused.status == 401
