"""A long prompt, written by one dialect's client half, and the same body by ``json.dumps``.

Run as ``python -S -c "from bench.encoding import main; main(DIALECT, TIMES)"``.
"""

import json
import time
from collections.abc import Callable, Iterator
from statistics import median

from polyvox.dialects import Target, get_dialect
from polyvox.messages import Message, Text, ToolCall, ToolMessage, assistant, user
from polyvox.request import Request

_TURNS = 50
_TARGET = Target(provider="bench", model="m", base_url="http://bench.invalid")


def main(dialect: str, times: int) -> None:
    """Print the body's size and the CPU milliseconds of both ways as JSON."""
    encode = get_dialect(dialect).encode_request
    request = Request(messages=list(conversation()))
    body = encode(request, _TARGET).body
    value = json.loads(body)
    ours: list[float] = []
    plain: list[float] = []
    for _ in range(times):
        ours.append(_cpu_ms(lambda: encode(request, _TARGET)))
        plain.append(_cpu_ms(lambda: json.dumps(value).encode()))
    print(json.dumps({"kb": len(body) / 1e3, "ours": median(ours), "plain": median(plain)}))


def conversation() -> Iterator[Message]:
    """Some 500 KB: an agent's turns, with a tool called in each, and a document."""
    for turn in range(_TURNS):
        call = ToolCall(f"call_{turn}", "search", {"query": f"Straßen № {turn}", "limit": 10})
        yield user(f"{turn}: " + "Wie heißt das auf Englisch? " * 10)
        yield assistant("I'll look it up — one moment. " * 5, call)
        yield ToolMessage(call.id, [Text(f"{turn}: " + "naïve café 漢字 " * 120)], call.name)
        yield assistant(f"{turn}: " + "It is called “that”. " * 20)
    yield user("The quick brown fox jumps over the lazy dog — again and again. " * 4900)


def _cpu_ms(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1e3
