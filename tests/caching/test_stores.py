"""What a store keeps, for how long, how much of it, and what happens when it is away."""

import asyncio
import gc
import resource
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from redis.asyncio import Redis

from polyvox.caching import Cached, CacheStore, DiskCache, MemoryCache, RedisCache
from polyvox.errors import ConfigurationError, NetworkError

from .rig import Asked, Clock, ask, saying, soon

KEY, OTHER = b"k" * 32, b"o" * 32
HOUR = 3600.0


# ------------------------------------------------------------------------------------------- each


async def test_what_is_put_is_got_until_it_is_deleted(store: CacheStore):
    assert await store.get(KEY) is None
    for value in (b"one", b"\x00\xff" * 1000, b""):
        await store.put(KEY, value, HOUR)
        await store.put(OTHER, b"other", HOUR)
        assert await store.get(KEY) == value
    await store.delete(KEY)
    await store.delete(KEY)
    assert [await store.get(KEY), await store.get(OTHER)] == [None, b"other"]


async def test_what_is_cleared_is_gone(store: CacheStore):
    keys = [bytes([number]) * 32 for number in range(200)]
    for key in keys:
        await store.put(key, b"value", HOUR)
    await store.clear()
    assert {await store.get(key) for key in keys} == {None}
    await store.put(KEY, b"new", HOUR)
    assert await store.get(KEY) == b"new"


async def test_any_time_will_do(store: CacheStore):
    for ttl in (60.5, 1e300, float("inf")):
        await store.put(KEY, b"value", ttl)
        assert await store.get(KEY) == b"value"


# ----------------------------------------------------------------------------------------- memory


async def test_memory_lets_go_what_was_not_used_for_longest():
    store = MemoryCache(3 * 500)
    for name in (b"a", b"b", b"c"):
        await store.put(name, b"x" * 100, HOUR)
    await store.get(b"a")
    await store.put(b"d", b"x" * 100, HOUR)
    assert [await store.get(name) is not None for name in (b"a", b"b", b"c", b"d")] == [
        True,
        False,
        True,
        True,
    ]
    assert store.size == 3 * 500


async def test_memory_counts_what_it_keeps():
    store = MemoryCache(10_000, clock=(clock := Clock(0.0)))
    for size in (10, 2_000, 300, 9_000, 20_000, 5):
        await store.put(bytes([size % 7]), b"x" * size, 10)
        kept = [len(value) + 400 for value, _ in store._kept.values()]
        assert store.size == sum(kept) <= store.max_bytes
    await store.put(b"large", b"x" * 10_001, 10)
    assert await store.get(b"large") is None
    clock.now = 10.0
    for key in list(store._kept):
        assert await store.get(key) is None
    assert (store.size, len(store)) == (0, 0)
    await store.put(b"a", b"x", 10)
    await store.clear()
    assert (store.size, len(store)) == (0, 0)


# ------------------------------------------------------------------------------------------- disk


@asynccontextmanager
async def disk(path: Path, *args: int, **settings: object) -> AsyncIterator[DiskCache]:
    store = DiskCache(path, *args, **({"timeout": 30} | settings))
    try:
        yield store
    finally:
        await store.aclose()


def rows(path: Path) -> list[tuple[bytes, int]]:
    with closing(sqlite3.connect(path)) as file:
        return file.execute("SELECT key, size FROM polyvox_answers ORDER BY id").fetchall()


def names_in(folder: Path) -> list[str]:
    return [part.name for part in folder.iterdir()]


def total(path: Path) -> int:
    with closing(sqlite3.connect(path)) as file:
        return file.execute("SELECT bytes FROM polyvox_answers_total").fetchone()[0]


async def test_a_file_outlives_who_wrote_it_and_is_for_its_owner_only(tmp_path: Path):
    path = tmp_path / "new" / "folder" / "answers.db"
    async with disk(path) as store:
        await store.put(KEY, b"value", HOUR)
        assert {part.stat().st_mode & 0o077 for part in path.parent.iterdir()} == {0}
    async with disk(path) as store:
        assert await store.get(KEY) == b"value"


async def test_a_file_is_made_on_first_use(tmp_path: Path):
    async with disk(tmp_path / "answers.db"):
        pass
    assert names_in(tmp_path) == []


async def test_a_file_keeps_so_many_bytes_and_the_oldest_go_first(tmp_path: Path):
    path = tmp_path / "answers.db"
    async with disk(path, 1_000) as store:
        for number in range(50):
            await store.put(bytes([number]), b"x" * 99, HOUR)
        assert [key[0] for key, _ in rows(path)] == list(range(40, 50))
        await store.put(bytes([42]), b"y" * 199, HOUR)
        assert [key[0] for key, _ in rows(path)] == [41, *range(43, 50), 42]
        await store.put(bytes([42]), b"z" * 1_000, HOUR)
        assert [key[0] for key, _ in rows(path)] == [41, *range(43, 50)]
        assert sum(size for _, size in rows(path)) == total(path) <= 1_000


async def test_what_is_over_leaves_the_file_in_bounded_batches(tmp_path: Path):
    clock, path = Clock(0.0), tmp_path / "answers.db"
    async with disk(path, clock=clock) as store:
        for number in range(200):
            await store.put(number.to_bytes(2, "big"), b"x", 10)
        clock.now = 10.0
        assert await store.get((5).to_bytes(2, "big")) is None
        left = []
        for _ in range(4):
            await store.put(KEY, b"x", 10)
            left.append(len(rows(path)))
        assert left == [137, 73, 9, 1]
        assert total(path) == len(KEY) + 1


async def test_a_file_that_is_closed_is_a_fault_and_no_more(tmp_path: Path):
    async with disk(tmp_path / "answers.db") as store:
        await store.put(KEY, b"value", HOUR)
    model = Cached(Asked(), store)
    assert (await ask(model, *saying("Hi."))).text == "answer 1"
    assert model.stats.faults == 2


@pytest.mark.parametrize("damage", ["text", "header", "middle"])
async def test_a_damaged_file_is_a_miss_and_is_left_alone(tmp_path: Path, damage: str):
    path = tmp_path / "answers.db"
    if damage != "text":
        async with disk(path) as store:
            for number in range(50):
                await store.put(bytes([number]) * 32, b"x" * 3_000, HOUR)
        data = bytearray(path.read_bytes())
        begin, end = (0, 100) if damage == "header" else (4096, len(data))
        data[begin:end] = b"#" * (end - begin)
        path.write_bytes(data)
    else:
        path.write_text("Notes of my own. " * 500)
    before = path.read_bytes()
    async with disk(path) as store:
        model = Cached(Asked(), store)
        for number in (1, 2):
            assert (await ask(model, *saying("Hi."))).text == f"answer {number}"
        assert model.stats.faults == 4
    assert path.read_bytes()[100:] == before[100:]


async def test_a_path_where_no_file_can_be_is_a_miss(tmp_path: Path):
    (tmp_path / "file").write_text("")
    async with disk(tmp_path / "file" / "answers.db") as store:
        model = Cached(Asked(), store)
        assert (await ask(model, *saying("Hi."))).text == "answer 1"
        assert model.stats.faults == 2


FULL = """
import asyncio, resource, sys
from polyvox.caching import DiskCache
async def main():
    store = DiskCache(sys.argv[1], timeout=30)
    await store.put(b"small", b"x", 3600)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    faults = 0
    for number in range(20):
        try:
            await store.put(bytes([number]), b"x" * 30_000, 3600)
        except Exception as error:
            faults += 1
    print(faults, await store.get(b"small"))
    await store.aclose()
asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit of a file's size here")
async def test_a_disk_that_is_full_is_a_fault_and_what_was_there_stays(tmp_path: Path):
    path = tmp_path / "answers.db"
    done = await asyncio.to_thread(run, FULL, path)
    faults, _, kept = done.partition(" ")
    assert int(faults) > 0
    assert kept.strip() == "b'x'"
    async with disk(path) as store:
        assert await store.get(b"small") == b"x"
        await store.put(KEY, b"value", HOUR)
        assert await store.get(KEY) == b"value"
    assert sum(size for _, size in rows(path)) == total(path)


def run(code: str, *arguments: object) -> str:
    words = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


WRITER = """
import asyncio, sys
from polyvox.caching import DiskCache
async def main():
    store = DiskCache(sys.argv[1], 400_000, timeout=30)
    number = 0
    while True:
        await store.put(bytes(sys.argv[2], "ascii") + bytes([number % 50]), b"x" * 20_000, 3600)
        number += 1
        print(number, flush=True)
asyncio.run(main())
"""


async def test_killing_a_writer_in_the_middle_leaves_the_file_whole(tmp_path: Path):
    path = tmp_path / "answers.db"
    for life in range(5):
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, path, "w", stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        for _ in range(10 + 3 * life):
            assert await soon(writer.stdout.readline())
        writer.kill()
        await writer.communicate()
        async with disk(path, 400_000) as store:
            await store.put(KEY, b"value", HOUR)
            assert await store.get(KEY) == b"value"
        with closing(sqlite3.connect(path)) as file:
            assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert sum(size for _, size in rows(path)) == total(path) <= 400_000


async def test_several_processes_write_one_file(tmp_path: Path):
    path = tmp_path / "answers.db"
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, path, name, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for name in "abc"
    ]
    async with disk(path, 400_000) as store:
        for writer in writers:
            for _ in range(30):
                assert await soon(writer.stdout.readline()), await writer.stderr.read()
            await store.put(KEY, b"value", HOUR)
    for writer in writers:
        writer.kill()
        await writer.communicate()
    assert {bytes(key[:1]) for key, _ in rows(path)} <= {b"a", b"b", b"c", b"k"}
    assert sum(size for _, size in rows(path)) == total(path) <= 400_000


FORKED = """
import asyncio, os, sys
from polyvox.caching import DiskCache
store = DiskCache(sys.argv[1], timeout=30)
unused = DiskCache(sys.argv[1], timeout=30)
asyncio.run(store.put(b"key", b"value", 3600))
child = os.fork()
if not child:
    try:
        asyncio.run(store.get(b"key"))
    except OSError as error:
        print(error, asyncio.run(unused.get(b"key")), flush=True)
    sys.exit()
os.waitpid(child, 0)
print(asyncio.run(store.get(b"key")))
"""


async def test_a_fork_does_not_touch_what_its_parent_has_opened(tmp_path: Path):
    said = await asyncio.to_thread(run, FORKED, tmp_path / "answers.db")
    in_child, in_parent = said.splitlines()
    assert in_child.startswith("the cache was used before this process was forked")
    assert in_child.endswith("b'value'")
    assert in_parent == "b'value'"


async def test_a_file_locked_by_another_holds_nobody_up_for_long(tmp_path: Path):
    path = tmp_path / "answers.db"
    async with disk(path) as patient, disk(path, timeout=0.05) as store:
        await patient.put(KEY, b"old", HOUR)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises((TimeoutError, sqlite3.OperationalError)):
                await soon(store.put(KEY, b"new", HOUR))
        assert await patient.get(KEY) is not None


async def test_while_the_disk_hangs_it_is_not_asked_for_more(tmp_path: Path):
    hanging = asyncio.Event()
    loop = asyncio.get_running_loop()
    done = threading.Event()

    def clock() -> float:
        loop.call_soon_threadsafe(hanging.set)
        done.wait(60)
        return 0.0

    async with disk(tmp_path / "answers.db", timeout=0.05, clock=clock) as store:
        while not hanging.is_set():
            with pytest.raises(TimeoutError):
                await store.get(KEY)
        for _ in range(50):
            with pytest.raises(TimeoutError, match="still"):
                await store.get(KEY)
        assert store._worker._work_queue.qsize() == 0
        done.set()


async def test_the_event_loop_goes_on_while_the_disk_works(tmp_path: Path):
    """The worker waits for the loop's next turn, which would never come if the loop waited for it."""
    turned = threading.Event()

    def clock() -> float:
        assert turned.wait(60)
        return 0.0

    async with disk(tmp_path / "answers.db", clock=clock) as store:
        asyncio.get_running_loop().call_later(0, turned.set)
        assert await store.get(KEY) is None


async def test_a_forgotten_disk_cache_closes_its_file(tmp_path: Path):
    store = DiskCache(tmp_path / "answers.db", timeout=30)
    await store.put(KEY, b"value", HOUR)
    assert "answers.db-wal" in names_in(tmp_path)
    del store
    gc.collect()
    assert names_in(tmp_path) == ["answers.db"]


async def test_a_disk_cache_may_be_forgotten_by_its_own_worker(tmp_path: Path):
    store = DiskCache(tmp_path / "answers.db", timeout=30)
    await store.put(KEY, b"value", HOUR)
    await asyncio.wrap_future(store._worker.submit(store._close))
    assert names_in(tmp_path) == ["answers.db"]


# ------------------------------------------------------------------------------------------ redis


async def test_redis_keeps_answers_by_prefix_and_lets_them_go_itself(redis_url: str):
    one, two = (RedisCache(redis_url, prefix=prefix, timeout=30) for prefix in ("a*[b]", "aXb"))
    for store in (one, two):
        await store.put(KEY, b"value", 100.0)
    async with Redis.from_url(redis_url) as redis:
        names = sorted(await redis.keys())
        assert names == [f"{each}:answers:v1:{KEY.hex()}".encode() for each in ("a*[b]", "aXb")]
        lives = [await redis.pttl(name) for name in names]
    assert all(0 < life <= 100_000 for life in lives)
    await one.clear()
    assert [await one.get(KEY), await two.get(KEY)] == [None, b"value"]
    for store in (one, two):
        await store.aclose()


async def test_two_processes_share_answers_through_redis(redis_url: str):
    stores = [RedisCache(redis_url, timeout=30) for _ in range(2)]
    one, two = (Cached(Asked(), store) for store in stores)
    await ask(one, *saying("Hi.", "a"))
    assert (await ask(two, *saying("Hi.", "a"))).cached
    assert not (await ask(two, *saying("Hi.", "b"))).cached
    for store in stores:
        await store.aclose()


@asynccontextmanager
async def black_hole() -> AsyncIterator[tuple[str, list[int]]]:
    """A server that takes connections and never says a word, and a list of those it took."""
    taken: list[int] = []

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(1)
        try:
            await reader.read()
        finally:
            writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", taken


async def test_a_redis_that_never_answers_is_waited_for_once_and_not_by_every_call():
    async with black_hole() as (url, taken):
        store = RedisCache(url, timeout=0.05)
        store._link._clock = lambda: 0.0  # the pause after a failure does not end
        model = Cached(inner := Asked(), store)
        await ask(model, *saying("the first"))
        before = len(taken)
        for number in range(50):
            await ask(model, *saying(f"question {number}"))
        assert (len(taken), inner.asked, store.state) == (before, 51, "down")
        assert model.stats.faults == 102
        await store.aclose()


async def test_without_redis_there_are_only_misses():
    store = RedisCache("redis://127.0.0.1:1/0")
    with pytest.raises(NetworkError, match="the Redis of the cache at"):
        await store.get(KEY)
    model = Cached(inner := Asked(), store)
    await ask(model, *saying("Hi."))
    await ask(model, *saying("Hi."))
    assert inner.asked == 2
    await store.aclose()


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "redis.asyncio.connection", None)
    with pytest.raises(ConfigurationError, match=r"polyvox\[redis\]"):
        RedisCache()
