"""Rows of the ledger, written the short way."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from sqlalchemy import insert

from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.tables import attempts, calls

DOLLAR = 1_000_000_000


class Ledger:
    """Writes calls, each with one attempt unless said."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers = count()

    def call(self, at: float, *, asked: list[dict[str, Any]] | None = None, **fields: Any) -> str:
        call = f"call_{next(self._numbers):08d}"
        row = {"id": call, "at": at, "model": "openai/gpt-5-mini", "status": "ok", "tags": {}}
        row |= {"cost_status": "known"} | fields
        tries = asked if asked is not None else [{}]
        shared = {name: row[name] for name in ("nanos", "input_tokens") if name in row}
        rows = [
            {"call": call, "number": number, "provider": "openai", "model": "gpt-5-mini", "at": at}
            | {"cost_status": row["cost_status"]}
            | shared
            | each
            for number, each in enumerate(tries)
        ]

        def write(connection: Any) -> None:
            connection.execute(insert(calls).values(row))
            for each in rows:
                connection.execute(insert(attempts).values(each))

        self._database.run_now(write)
        return call


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Everything that was logged, also what is not shown."""
    caplog.set_level(0)
    return lambda: caplog.text
