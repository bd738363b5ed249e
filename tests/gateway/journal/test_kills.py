"""Processes that are killed in the middle of their work leave a ledger that is right."""

import random
import subprocess
import sys
from pathlib import Path

from polyvox.gateway.database.engine import Database
from unwatched import unwatched

from .child import AT_ONCE
from .rig import Ledger, settle_all

ROUNDS = 6


def killed(root: Path, url: str, mark: str, after: int) -> tuple[dict[str, int], dict[str, int]]:
    """The calls that a process said it had begun and ended when it was killed after so many ends."""
    command = [sys.executable, str(Path(__file__).with_name("child.py")), str(root), url, mark]
    begun: dict[str, int] = {}
    ended: dict[str, int] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=unwatched()) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if not line.endswith("\n"):
                break
            what, name, nanos = line.split()
            (begun if what == "begun" else ended)[name] = int(nanos)
            if len(ended) == after:
                child.kill()
    assert len(ended) >= after, "the process ended by itself"
    return begun, ended


async def test_after_kills_at_random_moments_the_ledger_is_what_was_acknowledged(
    database_url: str, tmp_path: Path
):
    root, chance = tmp_path / "journals", random.Random(8)
    begun: dict[str, int] = {}
    ended: dict[str, int] = {}
    for number in range(ROUNDS):
        more = killed(root, database_url, f"round{number}", chance.randrange(20, 1500))
        begun |= more[0]
        ended |= more[1]
    database = Database(database_url)
    await database.open()
    await settle_all(root, database)
    ledger = Ledger(database)
    calls, attempts = ledger.calls(), ledger.attempts()
    settled = {name for name, (status, _) in calls.items() if status == "ok"}
    unsettled = {name for name, (status, _) in calls.items() if status == "unsettled"}
    # What was acknowledged is there; what is there beside it was in flight when its process was killed.
    assert settled | unsettled == calls.keys()
    assert {name: calls[name][1] for name in ended} == ended
    assert ended.keys() <= settled
    assert calls.keys() <= begun.keys()
    assert len(calls) - len(ended) <= AT_ONCE * ROUNDS
    assert len(settled) - len(ended) <= ROUNDS  # its end was written down, and not yet told
    # No attempt twice, none lost, and the money of both tables is the same.
    for name in settled:
        assert attempts.pop((name, 0)) + attempts.pop((name, 1)) == begun[name] == calls[name][1]
    assert sum(attempts.values()) == sum(calls[name][1] for name in unsettled)
    assert ledger.balance() == sum(begun[name] for name in settled) + 100 * len(unsettled)
    assert list(root.iterdir()) == []
    await database.aclose()
