"""What the database takes apart itself is stored as Python would have stored it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select
from sqlalchemy.exc import DataError, IntegrityError

from polyvox.attempt import Attempt
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.tables import attempts, balances, calls
from polyvox.gateway.journal import rows
from polyvox.gateway.journal.folders import Folder
from polyvox.gateway.journal.joining import Joiner, Lines
from polyvox.gateway.journal.lines import Attempted, Begun, Debit, Ended, Reserved, encode_line
from polyvox.gateway.journal.raw_rows import NOTHING
from polyvox.gateway.journal.rows import write_calls
from polyvox.gateway.journal.shipment import REFUSED, Shipment
from polyvox.usage import Cost, Usage
from postgres_server import Postgres, start_postgres

from .rig import ACCOUNT, AT, Ledger, attempt, begun, ended

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["", "\0", "\x01", "a.b", '"', "'", "\\u0041", "\\", "$[0]", "é😀", "null", "1"]
)
MAYBE = st.none() | TEXTS
FLOATS = st.floats(0, 2e9) | st.floats(0, 1e-5) | st.sampled_from([0.0, 1e22, AT + 0.1234567])
COUNTS = st.integers(0, 10_000) | st.sampled_from([2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**70])
NANOS = st.integers(-5, 2**40)
ACCOUNTS = st.sampled_from(["budget:a:month", "budget:a:total", 'x"y.z', "é😀'", "nul\0", "b\\"])
DEBITS = st.lists(st.tuples(ACCOUNTS, st.integers(0, 2**40), NANOS), max_size=4)

COSTS = st.builds(
    Cost,
    st.sampled_from(["known", "free", "unknown"]),
    nanos=COUNTS,
    source=st.sampled_from(["", "catalog", "provider", "override"]),
)
USAGES = st.builds(
    Usage,
    **{name: st.just(0) | COUNTS for name in Usage.__struct_fields__ if name.endswith("_tokens")},
    basis=st.sampled_from(["reported", "partial", "estimated", "missing"]),
    cost=COSTS,
)
ATTEMPTS = st.builds(
    Attempt,
    provider=TEXTS,
    model=TEXTS,
    started=FLOATS,
    seconds=FLOATS,
    first_byte=st.none() | FLOATS,
    error=MAYBE,
    status=st.none() | st.integers(100, 599),
    reason=MAYBE,
    response_model=TEXTS,
    request_id=MAYBE,
) | st.builds(
    Attempt,
    provider=TEXTS,
    model=TEXTS,
    started=FLOATS,
    seconds=FLOATS,
    usage=USAGES,
)


@st.composite
def lines(draw: st.DrawFn, name: str) -> bytes:
    """The lines of a call, of which every field may be anything."""
    line = draw(
        st.builds(
            Begun,
            id=st.just(name),
            at=FLOATS,
            kind=st.sampled_from(["answer", "embedding"]),
            **dict.fromkeys(["session", "context", "prompt", "request_id"], MAYBE),
            **dict.fromkeys(["model", "key", "organisation", "team", "end_user", "dialect"], TEXTS),
            tags=st.dictionaries(TEXTS, TEXTS, max_size=3),
            reserved=DEBITS,
        )
    )
    more = draw(st.lists(st.builds(Reserved, id=st.just(name), debits=DEBITS), max_size=2))
    asked = draw(st.lists(ATTEMPTS, max_size=2) | ATTEMPTS.map(lambda each: [each]))
    over = draw(
        st.none()
        | st.builds(
            Ended,
            id=st.just(name),
            at=FLOATS,
            error=MAYBE,
            reason=MAYBE,
            partial=st.booleans(),
            cached=st.booleans(),
            debits=DEBITS,
            seconds=FLOATS,
            first_token=st.none() | FLOATS,
            overhead=st.none() | FLOATS,
        )
    )
    attempted = (Attempted(id=name, number=n, attempt=each) for n, each in enumerate(asked))
    said = [line, *more, *attempted]
    return b"".join(map(encode_line, said if over is None else [*said, over]))


@st.composite
def batches(draw: st.DrawFn) -> bytes:
    names = [f"{number}{draw(TEXTS)}" for number in range(draw(st.integers(1, 4)))]
    return b"".join(draw(lines(name)) for name in names)


def joined(text: bytes) -> list[Lines]:
    joiner = Joiner()
    over = joiner.read(text, 1)
    found = [*over, *joiner.cut_off()]
    assert (joiner.strays, joiner.torn) == (0, 0)
    return found


def stored(connection: Connection, batch: list[Lines]) -> object:
    """What stands in the tables after these calls; then it is taken back."""
    undo = connection.begin_nested()
    try:
        write_calls(connection, batch)
        return [
            [
                tuple(map(repr, row))
                for row in connection.execute(select(each).order_by(*each.primary_key))
            ]
            for each in (calls, attempts, balances)
        ]
    except (DataError, IntegrityError):
        return "refused"
    finally:
        undo.rollback()


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with start_postgres() as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path_factory) -> Iterator[Database]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('database') / 'gateway.db'}"
    else:
        url = request.getfixturevalue("server").new_database()
    database = Database(url)
    database.open_now()
    yield database
    database.close()


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(text=batches())
def test_whatever_calls_say_both_ways_store_the_same(opened: Database, text: bytes):
    batch = joined(text)
    found = opened.run_now(lambda connection: stored(connection, batch))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "as_rows", lambda batch: (NOTHING, batch))
        expected = opened.run_now(lambda connection: stored(connection, batch))
    assert found == expected


def said(name: str, *asked: Attempt, debits: list[Debit] | None = None, **fields) -> bytes:
    """The lines of a call."""
    attempted = [Attempted(id=name, number=n, attempt=each) for n, each in enumerate(asked)]
    end = ended(name) if debits is None else Ended(id=name, at=AT, debits=debits)
    return b"".join(map(encode_line, [begun(name, **fields), *attempted, end]))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of which calls the lines are decoded, from now on."""
    names: list[str] = []
    real = Lines.call

    def call(self: Lines):
        names.append(self.id)
        return real(self)

    monkeypatch.setattr(Lines, "call", call)
    return names


async def test_usual_calls_are_never_decoded(database: Database, decoded: list[str]):
    odd = {'a.b"': "é\\", "": "😀"}
    batch = joined(
        said("c1", attempt(), tags=odd, session="") + said("c2") + said("c3", attempt(7))
    )
    database.run_now(lambda connection: write_calls(connection, batch))
    assert decoded == []
    ledger = Ledger(database)
    assert ledger.calls() == {"c1": ("ok", 100), "c2": ("ok", 0), "c3": ("ok", 7)}
    assert ledger.attempts() == {("c1", 0): 100, ("c3", 0): 7}
    assert ledger.balance() == 300


async def test_a_usual_call_within_budgets_of_its_models_is_not_decoded_either(
    database: Database, decoded: list[str]
):
    first, *rest = said("c1", attempt()).splitlines(keepends=True)
    reserved = encode_line(Reserved(id="c1", debits=[(ACCOUNT, 0, 9_999)]))
    batch = joined(b"".join([first, reserved, *rest]))
    database.run_now(lambda connection: write_calls(connection, batch))
    assert decoded == []
    assert Ledger(database).balance() == 100


async def test_an_unusual_call_is_decoded_and_the_others_are_not(
    database: Database, decoded: list[str]
):
    batch = joined(
        said("c1", attempt()) + said("c2", attempt(1), attempt(2)) + said("c3", attempt())
    )
    database.run_now(lambda connection: write_calls(connection, batch))
    assert decoded == ["c2"]
    assert Ledger(database).balance() == 300
    assert len(Ledger(database).attempts()) == 4


async def test_unusual_calls_alone_debit_nothing_of_the_batch_before(database: Database):
    for text in (said("c1", attempt()), said("c2", attempt(), attempt())):
        database.run_now(lambda connection, text=text: write_calls(connection, joined(text)))
    assert Ledger(database).balance() == 200


async def test_a_call_that_is_there_already_changes_nothing_and_the_others_are_written(
    database: Database, decoded: list[str]
):
    first = joined(said("c1", attempt(100)))
    database.run_now(lambda connection: write_calls(connection, first))
    again = joined(said("c1", attempt(999)) + said("c2", attempt(5)))
    database.run_now(lambda connection: write_calls(connection, again))
    assert decoded == ["c1", "c2"]
    ledger = Ledger(database)
    assert ledger.calls() == {"c1": ("ok", 100), "c2": ("ok", 5)}
    assert ledger.attempts() == {("c1", 0): 100, ("c2", 0): 5}
    assert ledger.balance() == 200


async def test_debits_that_no_balance_can_hold_together_are_written_singly(
    database: Database, tmp_path: Path
):
    text = b"".join(said(f"c{n}", attempt(), debits=[(f"till{n % 2}", 0, 2**62)]) for n in range(4))
    folder = Folder(tmp_path / "left")
    folder.path.mkdir()
    folder.segment(1).write_bytes(text)
    shipment = Shipment(folder, database)
    while not shipment.done:
        shipment.ship()
    assert len(Ledger(database).calls()) + shipment.refused == 4
    assert len(Ledger(database).calls()) >= 2


async def test_a_call_whose_line_is_no_such_line_is_put_aside_and_the_others_are_written(
    database: Database, tmp_path: Path
):
    wrong = said("c2", attempt()).replace(b'"model":"test/model"', b'"modem":"test/model"')
    folder = Folder(tmp_path / "left")
    folder.path.mkdir()
    folder.segment(1).write_bytes(said("c1", attempt()) + wrong + said("c3", attempt()))
    shipment = Shipment(folder, database)
    while not shipment.done:
        shipment.ship()
    assert sorted(Ledger(database).calls()) == ["c1", "c3"]
    assert Ledger(database).balance() == 200
    assert shipment.refused == 1
    assert (tmp_path / REFUSED).read_bytes() == wrong
