"""The compiled reader of event streams against the Python one: bounded, repeatable, in parallel.

    python tools/fuzz_frames.py                             a million cases, with a seed that is said
    python tools/fuzz_frames.py --cases 20000 --seed 7

A case of "split" is bytes, cut anywhere: both readers give the same frames, or the same error, with
the same piece. A case of a dialect is a stream, often a broken one: its decoder tells the same events
after either reader. For each dialect there is a tenth of the cases. Exit status 1 for a difference,
which is printed, and 2 where polyvox-native is not installed.
"""

import argparse
import json
import os
import random
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

from polyvox.dialects import Dialect, FrameReader, SSEReader, Target, get_dialect
from polyvox.dialects.event_frames import NativeSSEReader
from polyvox.errors import PolyvoxError

DIALECTS = ("openai-chat", "anthropic-messages")
BATCH = 5000
TARGET = Target(provider="fuzzed", model="model", base_url="")
NEW_ID = re.compile("call_[0-9a-f]{24}")

Outcome: TypeAlias = list[Any]
"""What came of each piece of a body, and of its end."""

# ------------------------------------------------------------------------------------------ split

FIELDS = "data: ,data:,data,event: ,event:,id: 1,: ping,x,:, ,é,\ufeff,{},\u2028,0123456789"
SOUP = [each.encode() for each in re.split(",", FIELDS)] + [b"\n", b"\r", b"\r\n", b"\n\n"] * 4
SOUP += [b"\xef\xbb", b"\xff", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\0"]


def soup(rng: random.Random) -> bytes:
    """Bytes that are nearly a stream of events."""
    body = b"".join(rng.choices(SOUP, k=rng.randint(0, 30)))
    return rng.randbytes(rng.randint(0, 20)) + body if rng.random() < 0.1 else body


def cut(rng: random.Random, body: bytes) -> list[bytes]:
    """The body in pieces, some of them perhaps empty."""
    cuts = sorted(rng.randint(0, len(body)) for _ in range(rng.choice([0, 1, 3, 10])))
    return [body[start:end] for start, end in pairwise([0, *cuts, len(body)])]


def split_case(rng: random.Random) -> tuple[list[bytes], Outcome, Outcome]:
    """Bytes, and what both readers make of them."""
    pieces = cut(rng, soup(rng))
    limit = rng.choice([rng.randint(0, 40), 10**6])
    python, native = SSEReader(limit), NativeSSEReader(limit)
    return pieces, _outcome(pieces, python, list), _outcome(pieces, native, list)


def _outcome(pieces: list[bytes], reader: FrameReader, told: Callable[[Any], list[Any]]) -> Outcome:
    calls = [*(partial(reader.feed, piece) for piece in pieces), reader.close, reader.close]
    results: Outcome = []
    for call in calls:
        try:
            results.append(told(call()))
        except PolyvoxError as error:
            results.append(repr((error, error.hint)))
    return results


# ---------------------------------------------------------------------------------------- streams

# JSON texts of members: what is usual, and what is not.
Values: TypeAlias = tuple[list[str], list[str]]
NOTHING: Values = (["null"], ['""', "[]", "{}", "false", "0", '"x"', '["x"]', '{"a": 1}', "nul"])
PASSED_OVER: Values = (
    ["null", '"default"', "1700000000", '{"a": [1.5, true, "b"]}'],
    [
        "1e400",
        "-0",
        "01",
        "1.",
        '"\\ud800"',
        "[1,]",
        "[" * 40 + "]" * 40,
        '"\\x"',
        "NaN",
        "+1",
        "{",
    ],
)
NAMES: Values = (['"chatcmpl-1"', "null"], ["5", '"\\u0041"', '"\\"', "{}", '"é"'])
TEXTS = [
    "Hello",
    " wörld",
    "",
    "😀",
    '"',
    "\\",
    "\n",
    "\x00",
    "\x7f",
    "\u2028",
    "{}",
    "a" * 50,
    "</p>",
]
ODD_TEXTS = [
    '"\\ud83d"',
    '"\\ude00\\ud83d"',
    '"\\ud83d\\u0041"',
    '"\\ud83d\\ue001"',
    '"\\ud83d\\ude0"',
    '"\t"',
    '"\\q"',
]
ODD_TEXTS += [
    "null",
    "7",
    '["x"]',
    '"\\/\\b\\f\\r"',
    '"\\uD83D\\uDE00"',
    '"\\u00e9"',
    '""',
    '"',
    "",
]


STRANGERS = ["x", "p", "audio", "t\\u0065xt", "type"]


def member(rng: random.Random, values: Values) -> str:
    """The text of a value."""
    usual, odd = values
    return rng.choice(odd if rng.random() < 0.02 else usual)


def text(rng: random.Random) -> str:
    """A piece of text as JSON."""
    if rng.random() < 0.03:
        return rng.choice(ODD_TEXTS)
    said = "".join(rng.choices(TEXTS, k=rng.randint(1, 3)))
    return json.dumps(said or "x", ensure_ascii=rng.random() < 0.5)


def written(rng: random.Random, members: dict[str, str]) -> str:
    """An object of these members, perhaps in another order, with one twice, or with white space."""
    pairs = [f'"{name}":{value}' for name, value in members.items()]
    chance = rng.random()
    if chance < 0.02:
        rng.shuffle(pairs)
    elif chance < 0.03:
        pairs.append(rng.choice(pairs))
    elif chance < 0.04:
        pairs.append(f'"{rng.choice(STRANGERS)}":"y"')
    space = rng.choice(["", "", "", " ", "\t", " \n"])
    return "{" + f"{space},{space}".join(pairs) + space + "}"


def some(rng: random.Random, values: dict[str, Values], chance: float) -> dict[str, str]:
    """Some of these members."""
    return {name: member(rng, each) for name, each in values.items() if rng.random() < chance}


CHUNK = {"id": NAMES, "object": NAMES, "created": PASSED_OVER, "model": NAMES}
CHUNK_MORE = dict.fromkeys(["usage", "x_groq", "error"], NOTHING)
CHUNK_MORE |= dict.fromkeys(["system_fingerprint", "obfuscation", "service_tier"], PASSED_OVER)
CHOICE_MORE = dict.fromkeys(["finish_reason", "message", "usage", "error"], NOTHING)
CHOICE_MORE |= dict.fromkeys(["logprobs", "stop_reason", "native_finish_reason"], PASSED_OVER)
INDEX: Values = (["0"], ["1", "null", '"0"', "0.0", "-0", "00", "-1", "2", "4294967296", "1e0"])
DELTA_MORE = dict.fromkeys(["tool_calls", "reasoning_content", "reasoning", "refusal"], NOTHING)
DELTA_MORE |= dict.fromkeys(["reasoning_details", "function_call", "images"], NOTHING)
DELTA_MORE |= {"role": PASSED_OVER}


def chunk(rng: random.Random) -> tuple[str, str]:
    """A frame of openai-chat: its name and its data."""
    delta = written(rng, {"content": text(rng), **some(rng, DELTA_MORE, 0.1)})
    members = {"index": member(rng, INDEX), "delta": delta, **some(rng, CHOICE_MORE, 0.1)}
    choice = written(rng, members)
    choices = rng.choice(["[]", "null", f"[{choice},{choice}]"]) if rng.random() < 0.02 else None
    usual = some(rng, CHUNK, 0.9)
    data = written(
        rng, {**usual, "choices": choices or f"[{choice}]", **some(rng, CHUNK_MORE, 0.1)}
    )
    return rng.choice(["message", "error"] if rng.random() < 0.03 else [""]), data


PIECES = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
KINDS: Values = (["0", "0", "0", "0", "1", "2"], [*INDEX[1], "3", "1000000000"])
BLOCKS = ({"type": "text", "text": ""}, {"type": "thinking", "thinking": ""})
BLOCKS += ({"type": "tool_use", "id": "call_1", "name": "f", "input": {}},)


def piece(rng: random.Random) -> tuple[str, str]:
    """A frame of anthropic-messages: its name and its data."""
    index = member(rng, KINDS)
    usual = list(PIECES)[int(index) % 3 if index.isdecimal() else 0]
    kind = rng.choice(list(PIECES)) if rng.random() < 0.05 else usual
    key = rng.choice(list(PIECES.values())) if rng.random() < 0.03 else PIECES[kind]
    delta = written(rng, {"type": f'"{kind}"', key: text(rng)})
    name = rng.choice(["", "ping"] if rng.random() < 0.05 else ["content_block_delta"])
    of = '"content_block_delta"' if rng.random() < 0.98 else rng.choice(['"ping"', "null", '"x"'])
    return name, written(rng, {"type": of, "index": index, "delta": delta})


def opened() -> Iterator[tuple[str, str]]:
    """How a stream of anthropic-messages begins, with one block of each kind."""
    message = {"type": "message", "id": "m", "model": "x", "content": []}
    yield "message_start", json.dumps({"type": "message_start", "message": message})
    for index, block in enumerate(BLOCKS):
        start = {"type": "content_block_start", "index": index, "content_block": block}
        yield "content_block_start", json.dumps(start)


def mutated(rng: random.Random, data: bytes) -> bytes:
    """The data with some bytes of it lost, replaced, or said twice."""
    start = rng.randint(0, len(data))
    end = min(len(data), start + rng.choice([0, 1, 1, 2, 5, 20]))
    new = rng.choice(
        [b"", rng.randbytes(1), rng.choice(b'"\\{}[],:0 \x7f\xc3').to_bytes(), data[start:end] * 2]
    )
    return data[:start] + new + data[end:]


def stream(rng: random.Random, dialect: str) -> bytes:
    """A body; about one frame in ten is not as it should be."""
    make = chunk if dialect == "openai-chat" else piece
    frames = list(opened()) if make is piece else []
    kept: list[tuple[str, str]] = []
    for _ in range(rng.randint(2, 12)):
        # The same again with another text is what the reader is made for.
        name, data = rng.choice(kept) if kept and rng.random() < 0.7 else make(rng)
        kept.append((name, data))
        frames.append((name, data.replace("Hello", rng.choice(TEXTS[:4])) or data))
    return b"".join(_framed(rng, name, data.encode("utf-8", "replace")) for name, data in frames)


def _framed(rng: random.Random, name: str, data: bytes) -> bytes:
    if rng.random() < 0.04:
        data = mutated(rng, data)
    lines = b"".join(b"data: %b\n" % line for line in data.split(b"\n"))
    return (b"event: %b\n" % name.encode() if name else b"") + lines + b"\n"


def stream_case(dialect: str, rng: random.Random) -> tuple[list[bytes], Outcome, Outcome]:
    """A stream, and what the decoder tells after each of the readers."""
    codec = get_dialect(dialect)
    pieces = cut(rng, stream(rng, dialect))
    python = _outcome(pieces, SSEReader(), _decoding(codec))
    native = _outcome(pieces, NativeSSEReader(dialect=dialect), _decoding(codec))
    return pieces, python, native


def _decoding(codec: Dialect) -> Callable[[list[Any]], list[Any]]:
    decoder = codec.stream_decoder(TARGET)

    def told(frames: list[Any]) -> list[Any]:
        events = [repr(event) for frame in frames for event in decoder.feed(frame)]
        return [NEW_ID.sub("call_", event) for event in events]

    return told


# -------------------------------------------------------------------------------------------- runs

CASES: dict[str, Callable[[random.Random], tuple[list[bytes], Outcome, Outcome]]] = {
    "split": split_case,
    **{name: partial(stream_case, name) for name in DIALECTS},
}


def batch(kind: str, seed: int, numbers: range) -> str:
    """Some cases of one kind: the first that shows a difference, in words, or nothing."""
    for number in numbers:
        pieces, python, native = CASES[kind](random.Random(f"{seed} {kind} {number}"))
        if python != native:
            return f"{kind} {number}, seed {seed}\n{pieces}\nPython: {python}\nnative: {native}"
    return ""


def batches(cases: int, seed: int) -> Iterator[Callable[[], str]]:
    """All the work, in pieces for several processes."""
    for kind in CASES:
        most = cases if kind == "split" else cases // 10
        for start in range(0, most, BATCH):
            yield partial(batch, kind, seed, range(start, min(start + BATCH, most)))


def _call(work: Callable[[], str]) -> str:
    return work()


def first_difference(work: Iterable[Callable[[], str]], processes: int) -> str:
    """Do the work until there is a difference."""
    with ProcessPoolExecutor(processes) as pool:
        for found in pool.map(_call, work):
            if found:
                pool.shutdown(wait=False, cancel_futures=True)
                return found
    return ""


def main(arguments: list[str]) -> int:
    """Fuzz, and say what came of it."""
    parser = argparse.ArgumentParser(description="The compiled reader against the Python one.")
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args(arguments)
    if not NativeSSEReader.available():
        print("polyvox-native is not installed: there is nothing to compare.", file=sys.stderr)
        return 2
    print(f"{asked.cases:,} cases, seed {asked.seed} ...", flush=True)
    found = first_difference(batches(asked.cases, asked.seed), asked.processes)
    print(found or "No difference.")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
