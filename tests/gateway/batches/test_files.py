"""Files: how much there may be, and what becomes of a form that is broken, or of what a crash left."""

import os

import aiohttp
import openai
import pytest
from msgspec.structs import replace

from polyvox.errors import ConfigurationError
from polyvox.gateway.batches.bounds import DAY
from polyvox.gateway.batches.folders import make_writable

from .conftest import QUICK, begun, jsonl, line, until

SMALL = replace(QUICK, file_bytes=1_000, organisation_bytes=1_500)


async def test_a_file_that_is_too_long_is_refused_and_leaves_nothing(rig, tmp_path):
    async with rig(bounds=SMALL) as gateway, gateway.client() as client:
        with pytest.raises(openai.APIStatusError, match="longer than 1,000 bytes") as caught:
            await client.files.create(file=("a.jsonl", b"x" * 1_001), purpose="batch")
        assert caught.value.status_code == 413
        assert [*(tmp_path / "files").iterdir()] == []


async def test_a_long_file_whose_length_is_not_told_beforehand_is_cut_off(rig, tmp_path):
    async def form():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(1_000):
            yield b"x" * 1_000

    async with rig(bounds=SMALL) as gateway, aiohttp.ClientSession() as http:
        headers = {"authorization": "Bearer ada", "content-type": "multipart/form-data; boundary=b"}
        url = f"{gateway.url}/v1/files"
        try:
            async with http.post(url, data=form(), headers=headers) as answer:
                assert answer.status == 413
        except aiohttp.ClientConnectionError:
            pass  # it was hung up on while it still sent
        assert [*(tmp_path / "files").iterdir()] == []


async def test_an_organisation_has_room_for_so_much_and_others_have_their_own(rig):
    async with rig(bounds=SMALL) as gateway, gateway.client() as ada, gateway.client("bob") as bob:
        first = await ada.files.create(file=("a", b"x" * 1_000), purpose="batch")
        with pytest.raises(openai.APIStatusError, match="500 bytes"):
            await ada.files.create(file=("a", b"x" * 501), purpose="batch")
        await bob.files.create(file=("a", b"x" * 501), purpose="batch")
        await ada.files.delete(first.id)
        await ada.files.create(file=("a", b"x" * 501), purpose="batch")


BOUNDARY = {"content-type": "multipart/form-data; boundary=b"}
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n'
PURPOSE = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'


@pytest.mark.parametrize(
    ("body", "headers", "text"),
    [
        (b"{}", {"content-type": "application/json"}, "the body is no form"),
        (b"", {"content-type": "multipart/form-data"}, "the body is no form"),
        (b"nonsense", BOUNDARY, "the form is broken"),
        (FILE + b"--b--\r\n", BOUNDARY, "purpose is None"),
        (PURPOSE + b"--b--\r\n", BOUNDARY, "the form has no file"),
        (FILE + FILE + b"--b--\r\n", BOUNDARY, "more than one file"),
        (PURPOSE * 20 + b"--b--\r\n", BOUNDARY, "more than 16 parts"),
        (PURPOSE.replace(b"batch", b"x" * 5_000) + b"--b--\r\n", BOUNDARY, "'purpose' is too long"),
        (FILE + PURPOSE.replace(b"batch", b"vision") + b"--b--\r\n", BOUNDARY, "for batches only"),
        (FILE + PURPOSE, BOUNDARY, "form"),
    ],
)
async def test_a_broken_form_is_refused_and_leaves_nothing(rig, tmp_path, body, headers, text):
    async with rig() as gateway, aiohttp.ClientSession() as http:
        headers = {"authorization": "Bearer ada", **headers}
        async with http.post(f"{gateway.url}/v1/files", data=body, headers=headers) as answer:
            assert answer.status == 400
            assert text in (await answer.json())["error"]["message"]
        assert [*(tmp_path / "files").iterdir()] == []


async def test_nobody_sees_the_files_and_batches_of_another_organisation(rig):
    async with rig() as gateway, gateway.client() as ada, gateway.client("bob") as bob:
        batch = await until(ada, (await begun(ada, jsonl(line("a", "x")))).id)
        asked = [
            bob.files.retrieve(batch.input_file_id),
            bob.files.content(batch.output_file_id),
            bob.files.delete(batch.output_file_id),
            bob.batches.retrieve(batch.id),
            bob.batches.cancel(batch.id),
            bob.batches.create(
                input_file_id=batch.input_file_id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
            ),
        ]
        for each in asked:
            with pytest.raises(openai.NotFoundError):
                await each
        assert [each async for each in bob.files.list()] == []
        assert [each async for each in bob.batches.list()] == []
        async with gateway.client("admin") as admin:
            assert (await admin.batches.retrieve(batch.id)).id == batch.id
            assert len([each async for each in admin.files.list()]) == 2


async def test_keys_without_an_organisation_see_their_own_only(rig):
    async with rig() as gateway:
        for key in ("ada", "bob"):
            gateway.keys.known[key] = replace(gateway.keys.known[key], organisation="")
        async with gateway.client() as ada, gateway.client("bob") as bob:
            file = await ada.files.create(file=("a", b"x"), purpose="batch")
            assert (await ada.files.retrieve(file.id)).id == file.id
            with pytest.raises(openai.NotFoundError):
                await bob.files.retrieve(file.id)


@pytest.mark.parametrize("id", ["..%2F..%2Fgateway.db", "%2Fetc%2Fpasswd", "file_nonsense"])
async def test_a_name_that_is_no_file_of_ours_reaches_no_file(rig, id):
    async with rig() as gateway, aiohttp.ClientSession() as http:
        headers = {"authorization": "Bearer admin"}
        async with http.get(f"{gateway.url}/v1/files/{id}/content", headers=headers) as answer:
            assert answer.status == 404


async def test_a_key_that_is_not_for_batches_is_refused(rig):
    async with rig() as gateway:
        gateway.keys.known["ada"] = replace(gateway.keys.known["ada"], routes=("chat",))
        async with gateway.client() as client:
            with pytest.raises(openai.PermissionDeniedError, match="batches"):
                await client.files.list()


async def test_the_input_of_a_batch_that_is_not_over_is_not_deleted(rig, held):
    async with rig() as gateway, gateway.client() as client:
        batch = await begun(client, jsonl(line("a", "hold")))
        await held.wait_for(1)
        with pytest.raises(openai.ConflictError, match=batch.id):
            await client.files.delete(batch.input_file_id)
        held.release()
        await until(client, batch.id)
        await client.files.delete(batch.input_file_id)


async def test_contents_that_are_on_another_machine_are_not_told_to_be_gone(rig, tmp_path):
    async with rig() as gateway, gateway.client() as client:
        file = await client.files.create(file=("a", b"x"), purpose="batch")
        (tmp_path / "files" / file.id).unlink()
        with pytest.raises(openai.InternalServerError, match="not on this replica"):
            await client.files.content(file.id)


async def test_what_has_expired_and_what_a_crash_left_is_swept_away(rig, tmp_path):
    async with rig() as gateway, gateway.client() as client:
        file = await client.files.create(file=("a", b"x"), purpose="batch")
        kept = await client.files.create(file=("a", b"x"), purpose="batch")
        folder = tmp_path / "files"
        for name in ("file_stray", "file_new", "notes.txt"):
            (folder / name).write_bytes(b"x")
        long_ago = os.stat(folder / "file_new").st_mtime - 2 * DAY
        for name in ("file_stray", "notes.txt"):
            os.utime(folder / name, (long_ago, long_ago))
        await gateway.files.sweep()
        not_ours = {"file_new", "notes.txt"}
        assert {each.name for each in folder.iterdir()} == {file.id, kept.id, *not_ours}
        gateway.files._clock = lambda: file.created_at + 31 * DAY
        with pytest.raises(openai.NotFoundError):
            await client.files.retrieve(file.id)
        await gateway.files.sweep()
        assert {each.name for each in folder.iterdir()} == not_ours


def test_a_folder_that_cannot_be_written_is_told_at_the_start(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ConfigurationError, match=r"can't be written: Not a directory") as caught:
        make_writable(tmp_path / "file" / "files")
    assert "files in [gateway]" in str(caught.value.hint)


def test_a_folder_that_can_be_written_is_left_empty_and_private(tmp_path):
    make_writable(tmp_path / "one" / "files")
    make_writable(tmp_path / "one" / "files")
    assert (tmp_path / "one" / "files").stat().st_mode & 0o777 == 0o700
    assert [*(tmp_path / "one" / "files").iterdir()] == []
