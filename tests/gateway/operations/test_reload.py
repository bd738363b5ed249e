"""A new configuration takes the old one's place, or is refused."""

import asyncio
from pathlib import Path

from polyvox.errors import ConfigurationError
from polyvox.gateway.operations.reload import Reload


class Shop:
    """Something with a configuration: the text of a file."""

    def __init__(self, path: Path, **settings: object) -> None:
        self.path = path
        self.now = path.read_text()
        self.told: list[tuple[str, str | None]] = []
        self.swapped = asyncio.Event()
        self.reload = Reload(
            self.prepare, self.swap, lambda *told: self.told.append(told), path=path, **settings
        )

    async def prepare(self) -> str:
        text = self.path.read_text()
        if "wrong" in text:
            raise ConfigurationError("polyvox.toml:3: there is no key 'modle'", hint="'model'?")
        if "odd" in text:
            raise KeyError("odd")
        return text

    def swap(self, text: str) -> None:
        self.now = text
        self.swapped.set()


async def test_a_good_one_is_swapped_in(tmp_path: Path):
    (path := tmp_path / "c").write_text("one")
    shop = Shop(path)
    path.write_text("two")
    assert await shop.reload.reload("a signal") == "swapped"
    assert (shop.now, shop.reload.failure) == ("two", None)


async def test_a_bad_one_is_refused_and_told_and_the_old_one_goes_on(tmp_path: Path):
    (path := tmp_path / "c").write_text("one")
    shop = Shop(path)
    for bad in ("wrong", "odd"):
        path.write_text(bad)
        assert await shop.reload.reload("a signal") == "refused"
        assert shop.now == "one"
    assert "there is no key 'modle'" in str(shop.told[0][1])
    assert "KeyError" in str(shop.reload.failure)
    path.write_text("right")
    await shop.reload.reload("a signal")
    assert (shop.now, shop.reload.failure) == ("right", None)


async def test_a_changed_file_is_noticed_and_an_unchanged_one_is_not_read(tmp_path: Path):
    (path := tmp_path / "c").write_text("one")
    ticks: asyncio.Queue[None] = asyncio.Queue()
    asked = asyncio.Queue[None]()

    async def sleep(seconds: float) -> None:
        asked.put_nowait(None)
        await ticks.get()

    shop = Shop(path, sleep=sleep)
    watching = asyncio.create_task(shop.reload.watch())
    await asked.get()
    ticks.put_nowait(None)
    await asked.get()
    assert shop.told == []
    path.write_text("another one")
    ticks.put_nowait(None)
    await shop.swapped.wait()
    await asked.get()
    path.rename(tmp_path / "gone")  # as editors do for a moment
    ticks.put_nowait(None)
    await asked.get()
    assert (shop.now, len(shop.told)) == ("another one", 1)
    watching.cancel()


async def test_asked_from_a_signal_handler_it_happens_soon(tmp_path: Path):
    (path := tmp_path / "c").write_text("one")
    shop = Shop(path)
    path.write_text("two")
    shop.reload.ask("SIGHUP")
    await shop.swapped.wait()
    assert shop.now == "two"
