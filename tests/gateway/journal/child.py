"""A gateway's process in small: calls under load, a journal, a shipper. It is meant to be killed.

    python child.py <root> <database url> <mark>

It says "begun <id> <nanos>" before a call, and "ended <id> <nanos>" once the call's end is written down.
"""

import os
import random
import sys
from pathlib import Path

from polyvox.attempt import Attempt
from polyvox.config.serving import JournalSection
from polyvox.gateway.database.engine import Database
from polyvox.gateway.journal import shipping
from polyvox.gateway.journal.file import Journal
from polyvox.gateway.journal.lines import Begun, Ended
from polyvox.usage import Cost, Usage

ACCOUNT = "budget:till:total"
AT = 1_800_000_000.0
AT_ONCE = 8


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def attempt(nanos: int) -> Attempt:
    usage = Usage(10, 20, cost=Cost("known", nanos))
    return Attempt(provider="test", model="model", started=AT, seconds=0.5, usage=usage)


def begin(journal: Journal, name: str, nanos: int) -> None:
    say("begun", name, nanos)
    journal.begin(Begun(id=name, at=AT, model="test/model", reserved=[(ACCOUNT, 0, 100)]))


def go_on(journal: Journal, name: str, nanos: int) -> None:
    first = nanos // 2
    journal.attempt(name, attempt(first))
    journal.attempt(name, attempt(nanos - first))
    journal.end(Ended(id=name, at=AT, debits=[(ACCOUNT, 0, nanos)]))
    say("ended", name, nanos)


def main() -> None:
    root, url, mark = sys.argv[1:]
    shipping._GATHER_SECONDS = 0.001  # so that whoever is killed is often in the middle of it
    journal = Journal(Path(root), JournalSection(segment_bytes=20_000, fsync_seconds=0.01))
    database = Database(url)
    database.open_now()
    shipping.Shipper(journal, database).start()
    chance, count = random.Random(mark), 0
    calls: list[tuple[str, int]] = []
    while True:
        calls.append((f"{mark}-{count}", chance.randrange(100)))
        count += 1
        begin(journal, *calls[-1])
        if len(calls) == AT_ONCE:
            go_on(journal, *calls.pop(chance.randrange(AT_ONCE)))


if __name__ == "__main__":
    main()
