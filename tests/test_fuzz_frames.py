"""``tools/fuzz_frames.py``: both readers agree, and it would say so if they did not."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from polyvox.dialects.event_frames import NativeSSEReader

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_frames", ROOT / "tools/fuzz_frames.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


needs_the_wheel = pytest.mark.skipif(
    not NativeSSEReader.available(), reason="polyvox-native is not installed"
)


@needs_the_wheel
@pytest.mark.parametrize("kind", ["split", "openai-chat", "anthropic-messages"])
def test_both_readers_agree(fuzz: ModuleType, kind: str):
    assert fuzz.batch(kind, 1, range(1500)) == ""


@needs_the_wheel
@pytest.mark.parametrize("kind", ["openai-chat", "anthropic-messages"])
def test_a_text_that_another_reader_changes_is_found(
    fuzz: ModuleType, kind: str, monkeypatch: pytest.MonkeyPatch
):
    class Careless(NativeSSEReader):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            feed = self.feed
            self.feed = lambda chunk: [shouted(frame) for frame in feed(chunk)]

    def shouted(frame: Any) -> Any:
        texts = getattr(frame, "texts", [])
        texts[:] = [text + "!" for text in texts]
        return frame

    monkeypatch.setattr(fuzz, "NativeSSEReader", Careless)
    found = fuzz.batch(kind, 1, range(1500))
    assert found.startswith(kind)
    assert "seed 1\n" in found
    assert "!" in found


def test_a_difference_is_said_with_what_repeats_it(
    fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(fuzz.CASES, "split", lambda rng: ([b"x"], [1], [2]))
    assert fuzz.batch("split", 7, range(3)) == "split 0, seed 7\n[b'x']\nPython: [1]\nnative: [2]"


def test_each_dialect_has_a_tenth_of_the_cases(fuzz: ModuleType):
    numbers = dict.fromkeys(fuzz.CASES, 0)
    for work in fuzz.batches(12_000, 7):
        kind, _seed, some = work.args
        numbers[kind] += len(some)
    assert numbers == {"split": 12_000, "openai-chat": 1200, "anthropic-messages": 1200}


def test_without_the_wheel_there_is_nothing_to_compare(
    fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(fuzz.NativeSSEReader, "available", lambda: False)
    assert fuzz.main(["--cases", "1"]) == 2
    assert "not installed" in capsys.readouterr().err


@needs_the_wheel
def test_it_says_its_seed_and_that_nothing_was_found(
    fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "fuzz_frames", fuzz)  # its processes look the work up there
    assert fuzz.main(["--cases", "300", "--seed", "5", "--processes", "2"]) == 0
    assert capsys.readouterr().out == "300 cases, seed 5 ...\nNo difference.\n"
