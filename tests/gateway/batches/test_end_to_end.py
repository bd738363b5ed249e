"""Files and batches as OpenAI's own client sees them."""

import json

import openai
import pytest
from msgspec.structs import replace

from polyvox.client import AsyncClient
from polyvox.errors import ServerError
from polyvox.testing import MockProvider

from .conftest import ADA, QUICK, Rig, begun, jsonl, line, lines_of, served, until


async def test_a_batch_is_answered_line_by_line_in_the_order_of_its_input(rig):
    async with rig() as gateway, gateway.client() as client:
        data = jsonl(*(line(f"id {n}", f"question {n}") for n in range(20)))
        batch = await begun(client, data, metadata={"for": "a test"})
        assert (batch.status, batch.object, batch.metadata) == (
            "validating",
            "batch",
            {"for": "a test"},
        )
        batch = await until(client, batch.id)
        assert batch.status == "completed", batch.errors
        counts = batch.request_counts
        assert (counts.total, counts.completed, counts.failed) == (20, 20, 0)
        assert batch.error_file_id is None
        assert batch.created_at <= batch.in_progress_at <= batch.finalizing_at <= batch.completed_at
        assert batch.expires_at == batch.created_at + 86_400
        told = await lines_of(client, batch.output_file_id)
        assert [each["custom_id"] for each in told] == [f"id {n}" for n in range(20)]
        for n, each in enumerate(told):
            assert each["error"] is None
            assert each["response"]["status_code"] == 200
            assert each["response"]["request_id"].startswith("call_")
            answer = each["response"]["body"]["choices"][0]["message"]["content"]
            assert answer == f"you said question {n}"
        assert len({each["id"] for each in told}) == 20


async def test_files_are_uploaded_shown_listed_read_and_deleted(rig, tmp_path):
    async with rig() as gateway, gateway.client() as client:
        data = jsonl(line("a", "hello"))
        file = await client.files.create(file=("hello.jsonl", data), purpose="batch")
        assert (file.object, file.filename, file.bytes) == ("file", "hello.jsonl", len(data))
        assert (file.purpose, file.status) == ("batch", "processed")
        assert await client.files.retrieve(file.id) == file
        assert (await client.files.content(file.id)).content == data
        other = await client.files.create(
            file=("other.jsonl", b"{}\n"),
            purpose="batch",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
        assert other.expires_at == other.created_at + 3600
        listed = [each.id async for each in client.files.list(limit=1)]
        assert listed == [other.id, file.id]
        assert [each.id async for each in client.files.list(order="asc")] == [file.id, other.id]
        assert [each async for each in client.files.list(purpose="batch_output")] == []
        path = tmp_path / "files" / file.id
        assert path.stat().st_mode & 0o777 == 0o600
        deleted = await client.files.delete(file.id)
        assert (deleted.id, deleted.deleted) == (file.id, True)
        assert not path.exists()
        with pytest.raises(openai.NotFoundError, match="there is no file"):
            await client.files.retrieve(file.id)


async def test_batches_are_listed_the_newest_first(rig):
    async with rig() as gateway, gateway.client() as client:
        made = [(await begun(client, jsonl(line("a", "hi")))).id for _ in range(3)]
        assert [each.id async for each in client.batches.list(limit=2)] == made[::-1]


async def test_each_endpoint_answers_in_its_own_format(rig):
    messages = [{"role": "user", "content": "hi"}]
    bodies = {
        "/v1/responses": {"model": "simulated/echo", "input": "hi"},
        "/v1/messages": {"model": "simulated/echo", "max_tokens": 50, "messages": messages},
        "/v1/embeddings": {"model": "simulated/embedding", "input": ["hi", "ho"]},
    }
    async with rig() as gateway, gateway.client() as client:
        for url, body in bodies.items():
            asked = {"custom_id": "a", "method": "POST", "url": url, "body": body}
            batch = await until(client, (await begun(client, jsonl(asked), url)).id)
            errors = await lines_of(client, batch.error_file_id)
            assert batch.status == "completed", batch.errors
            assert not errors
            (told,) = await lines_of(client, batch.output_file_id)
            answer = told["response"]["body"]
            if url == "/v1/responses":
                assert answer["object"] == "response"
                assert answer["status"] == "completed"
            elif url == "/v1/messages":
                assert answer["type"] == "message"
            else:
                assert [each["index"] for each in answer["data"]] == [0, 1]


async def test_lines_of_one_batch_may_ask_different_models(rig):
    async with rig() as gateway, gateway.client() as client:
        other = line("b", "hi")
        other["body"]["model"] = "simulated/echo"
        batch = await until(client, (await begun(client, jsonl(line("a", "hi"), other))).id)
        told = await lines_of(client, batch.output_file_id)
        texts = [each["response"]["body"]["choices"][0]["message"]["content"] for each in told]
        assert texts[0] == "you said hi"
        assert not texts[1].startswith("you said")


async def test_a_line_that_fails_stands_in_the_error_file_and_the_others_in_the_output(rig):
    async with rig() as gateway, gateway.client() as client:
        wrong = line("wrong", "hi")
        wrong["body"]["messages"] = "none"
        data = jsonl(line("a", "hi"), wrong, line("b", "ho"))
        batch = await until(client, (await begun(client, data)).id)
        counts = batch.request_counts
        assert (batch.status, counts.completed, counts.failed) == ("completed", 2, 1)
        assert [each["custom_id"] for each in await lines_of(client, batch.output_file_id)] == [
            "a",
            "b",
        ]
        (told,) = await lines_of(client, batch.error_file_id)
        assert (told["custom_id"], told["error"]) == ("wrong", None)
        assert told["response"]["status_code"] == 400
        assert told["response"]["body"]["error"]["type"] == "invalid_request_error"


async def test_an_answer_of_several_lines_stands_in_one(rig, tmp_path, database):
    """A provider of the caller's dialect is passed on as it writes, which may be prettily."""
    async with rig() as gateway, gateway.client() as client:
        data = jsonl(line("a", "one\ntwo\u2028three"))
        batch = await until(client, (await begun(client, data)).id)
        content = (await client.files.content(batch.output_file_id)).content
        assert content.count(b"\n") == 1
        told = json.loads(content)["response"]["body"]["choices"][0]["message"]["content"]
        assert told == "you said one\ntwo\u2028three"


WRONG = [
    (b"nonsense\n", "invalid_json_line", 1, "no JSON"),
    (jsonl(line("a", "x")) + b"\n\n[]\n", "invalid_request", 4, "not right"),
    (jsonl({"custom_id": "a", "method": "POST", "url": "/"}), "invalid_request", 1, "body"),
    (jsonl(line("a", "x", method="GET")), "invalid_request", 1, "GET"),
    (jsonl(line("a", "x"), line("b", "x"), line("a", "x")), "duplicate_custom_id", 3, "line 1"),
    (jsonl(line("a", "x", url="/v1/embeddings")), "mismatched_endpoint", 1, "/v1/embeddings"),
    (jsonl(line("a", "x", body={"messages": []})), "invalid_body", 1, "model"),
    (jsonl(line("a", "x", body={"model": "openai/x", "stream": True})), "invalid_body", 1, "stream"),
    (jsonl(line("a", "x"), line("b", "x", body={"model": "my/model"})), "permission_denied", 2, "my/"),
    (b"\n", "empty_file", None, '"url": "/v1/chat/completions", "body": {"model": ...}}'),
    (jsonl(*(line(str(n), "x") for n in range(4))), "too_many_requests", 4, "3 requests"),
    (jsonl(line("a", "x" * 2000)), "line_too_long", 1, "1,000 bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "code", "number", "text"), WRONG, ids=[each[1] for each in WRONG])
async def test_a_wrong_input_fails_the_batch_before_anything_is_asked(
    rig, held, data, code, number, text
):
    async with rig(bounds=replace(QUICK, lines=3, line_bytes=1_000)) as gateway:
        gateway.keys.known["ada"] = replace(ADA, models=("openai/*",))
        async with gateway.client() as client:
            batch = await until(client, (await begun(client, data)).id)
            assert batch.status == "failed"
            assert batch.failed_at
            (error,) = batch.errors.data
            assert (error.code, error.line) == (code, number)
            assert text in error.message
            assert (batch.output_file_id, batch.error_file_id) == (None, None)
            assert held.asked == []


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"endpoint": "/v1/completions"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {"x" * 65: "y"}}, "metadata"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_wish_for_a_batch_is_refused_and_named(rig, given, text):
    async with rig() as gateway, gateway.client() as client:
        file = await client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
        body = {"input_file_id": file.id, "endpoint": "/v1/responses", "completion_window": "24h"}
        with pytest.raises(openai.BadRequestError, match=text):
            await client.post("/batches", cast_to=object, body=body | given)


async def test_a_provider_that_fails_makes_the_line_fail_and_not_the_batch(database, tmp_path):
    script = [ServerError("on fire", status=500)]
    async with (
        MockProvider("openai-chat", script=script) as mock,
        AsyncClient(keys={"openai": "sk"}, base_urls={"openai": mock.url}) as upstream,
        served(Rig(database, tmp_path, upstream)) as gateway,
        gateway.client() as client,
    ):
        batch = await until(client, (await begun(client, jsonl(line("a", "x")))).id)
        assert batch.status == "completed"
        (told,) = await lines_of(client, batch.error_file_id)
        assert told["response"]["status_code"] >= 500
