"""Looking back: calls are found, searched, added up and pruned."""

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from polyvox.attempt import Attempt
from polyvox.errors import ConfigurationError, NotFoundError
from polyvox.ledger import CallFilter, CallLog, History, SqliteSink, default_log, default_path
from polyvox.ledger import history as history_module
from polyvox.ledger import schema as schema_module
from polyvox.messages import assistant
from polyvox.usage import FREE, Cost, Usage

from .rig import record

NOON = datetime(2026, 3, 1, 12).astimezone().timestamp()
DAY = 86_400.0


def attempt(name: str, cost: Cost, error: str | None = None) -> Attempt:
    provider, _, model = name.partition("/")
    usage = Usage(100, 10, cost=cost)
    return Attempt(provider=provider, model=model, started=0, seconds=0, usage=usage, error=error)


CALLS = [
    record(
        "aa11",
        "Why is the sky blue?",
        time=NOON,
        model="fast",
        session="s1",
        tags={"feature": "search"},
        message=assistant("Rayleigh scattering."),
        attempts=[
            attempt("openai/gpt", Cost("known", 0), "rate_limit"),
            attempt("anthropic/claude", Cost("known", 5)),
        ],
    ),
    record(
        "aa22",
        "Sind Äpfel blau?",
        time=NOON + DAY,
        model="openai/gpt",
        tags={"feature": "mail", "odd\"key'": "x"},
        error={"kind": "rate_limit", "text": "slow down"},
        attempts=[attempt("openai/gpt", Cost("unknown", 2), "rate_limit")],
    ),
    record(
        "bb33",
        "Hello.",
        time=NOON + 2 * DAY,
        model="ollama/llama",
        tenant="ada",
        session="s1",
        attempts=[attempt("ollama/llama", FREE)],
    ),
    record(
        "cc44",
        "Hello again.",
        time=NOON + 2 * DAY + 1,
        model="openai/gpt",
        error={"kind": "missing_key", "text": "there is no key"},
    ),
]


@pytest.fixture(params=["full-text index", "without one"])
def path(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "without one":
        monkeypatch.setattr(
            schema_module, "_SEARCH", "CREATE VIRTUAL TABLE search USING nothing (x)"
        )
    with CallLog(SqliteSink(tmp_path / "calls.db")) as log:
        for call in CALLS:
            log.add(call)
    assert log.failure is None
    return tmp_path / "calls.db"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    with History(path) as opened:
        yield opened


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (CallFilter(), ["cc44", "bb33", "aa22", "aa11"]),
        (CallFilter(model="gpt"), ["cc44", "aa22"]),
        (CallFilter(model="claude"), ["aa11"]),
        (CallFilter(model="fast"), ["aa11"]),
        (CallFilter(session="s1"), ["bb33", "aa11"]),
        (CallFilter(tags={"feature": None}), ["aa22", "aa11"]),
        (CallFilter(tags={"feature": "mail"}), ["aa22"]),
        (CallFilter(tags={"odd\"key'": "x"}), ["aa22"]),
        (CallFilter(since=NOON + DAY), ["cc44", "bb33", "aa22"]),
        (CallFilter(since=NOON + DAY, before=NOON + 2 * DAY), ["aa22"]),
        (CallFilter(errors=True), ["cc44", "aa22"]),
        (CallFilter(errors=True, session="s1"), []),
        (CallFilter(model="' OR 1=1 --"), []),
    ],
)
def test_calls_are_found_newest_first(history: History, wanted: CallFilter, ids: list[str]):
    assert [each.id for each in history.find(wanted)] == ids


def test_only_so_many_are_given(history: History):
    assert [each.id for each in history.find(limit=2)] == ["cc44", "bb33"]


def test_a_call_comes_back_as_it_went_in(history: History):
    (found,) = history.get("aa11")
    assert (found.request, found.message) == (CALLS[0].request, CALLS[0].message)
    assert (found.attempts, found.usage.cost) == (CALLS[0].attempts, Cost("known", 5))


def test_a_call_is_meant_by_its_id_the_beginning_of_it_or_last(history: History):
    assert [each.id for each in history.get("bb")] == ["bb33"]
    assert [each.id for each in history.get("last")] == ["cc44"]
    with pytest.raises(NotFoundError, match="begins several: aa11, aa22"):
        history.get("a")
    for nobody in ("zz", "aa111", "", "%"):
        with pytest.raises(NotFoundError, match="no call is meant"):
            history.get(nobody)


def test_several_records_of_one_call_come_together(path: Path):
    with CallLog(SqliteSink(path)) as log:
        log.add(record("bb33", "Once more."))
        log.add(record("bb", "Its id begins another's."))
    with History(path) as history:
        assert [each.question for each in history.get("bb33")] == ["Hello.", "Once more."]
        assert [each.id for each in history.get("bb")] == ["bb"]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("sky", ["aa11"]),
        ("SKY blue", ["aa11"]),
        ("rayleigh", ["aa11"]),
        ("slow", ["aa22"]),
        ("hello", ["cc44", "bb33"]),
        ("hello sky", []),
        ('"quoted', []),
        ("NOT sky*", []),
    ],
)
def test_calls_are_searched_for_words(history: History, words: str, ids: list[str]):
    assert [each.id for each in history.search(words)] == ids


def test_a_search_is_narrowed_and_cut(history: History):
    assert [each.id for each in history.search("hello", CallFilter(session="s1"))] == ["bb33"]
    assert [each.id for each in history.search("hello", limit=1)] == ["cc44"]


def test_a_reader_who_leaves_early_may_close_the_log_first(path: Path):
    with History(path) as history:
        found = history.find()
        assert next(found).id == "cc44"
    found.close()  # type: ignore[attr-defined]


def test_sums_by_model_count_every_attempt_for_who_was_asked(history: History):
    rows = {row.name: row for row in history.stats("model")}
    assert set(rows) == {"openai/gpt", "anthropic/claude", "ollama/llama", ""}
    gpt = rows["openai/gpt"]
    assert (gpt.calls, gpt.attempts, gpt.errors, gpt.input_tokens) == (2, 2, 2, 200)
    assert gpt.cost == Cost("unknown", 2)
    assert (rows["anthropic/claude"].errors, rows["anthropic/claude"].cost) == (0, Cost("known", 5))
    assert rows["ollama/llama"].cost == FREE
    assert (rows[""].calls, rows[""].attempts, rows[""].errors) == (1, 0, 1)


def test_sums_in_all_by_day_session_and_tag(history: History):
    (total,) = history.stats()
    assert (total.calls, total.attempts, total.errors) == (4, 4, 2)
    assert (total.input_tokens, total.output_tokens, total.cost) == (400, 40, Cost("unknown", 7))
    days = [(row.name, row.calls) for row in history.stats("day")]
    assert days == [("2026-03-03", 2), ("2026-03-02", 1), ("2026-03-01", 1)]
    assert {row.name: row.calls for row in history.stats("session")} == {"s1": 2, "": 2}
    tags = {row.name: row.calls for row in history.stats("tag", tag="feature")}
    assert tags == {"search": 1, "mail": 1, "": 2}
    assert {row.name: row.calls for row in history.stats("tenant")} == {"ada": 1, "": 3}
    assert [row.calls for row in history.stats(None, CallFilter(tenant="ada"))] == [1]
    (narrowed,) = history.stats("tag", CallFilter(session="s1", errors=False), tag="x")
    assert narrowed.calls == 2


@pytest.mark.parametrize(
    ("by", "tag"), [("week", ""), ("tag:feature", ""), ("tag", ""), ("model", "feature")]
)
def test_other_words_to_add_up_by_are_told(history: History, by: str, tag: str):
    with pytest.raises(ConfigurationError, match=f"not added up by '{by}'") as caught:
        history.stats(by, tag=tag)  # type: ignore[arg-type]
    assert 'by="tag" goes tag=' in (caught.value.hint or "")


def test_old_calls_are_deleted_wherever_they_stand(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(history_module, "_PRUNE_BATCH", 1)
    with History(path) as history:
        assert history.prune(NOON + 2 * DAY) == 2
        assert (history.count(), history.prune(NOON)) == (2, 0)
        assert [each.id for each in history.find()] == ["cc44", "bb33"]
        assert list(history.search("sky")) == []
        assert [each.id for each in history.search("hello")] == ["cc44", "bb33"]
        (total,) = history.stats()
        assert total.attempts == 1
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM attempts").fetchone() == (1,)
    connection.close()


def test_a_pruned_file_is_smaller(tmp_path: Path):
    path = tmp_path / "calls.db"
    with CallLog(SqliteSink(path)) as log:
        for number in range(50):
            log.add(record(str(number), "word " * 2_000))
    before = path.stat().st_size
    with History(path) as history:
        history.prune(NOON)
    assert path.stat().st_size < before / 5


def test_an_empty_log_has_no_sums(tmp_path: Path):
    (tmp_path / "calls.db").touch()
    with History(tmp_path / "calls.db") as history:
        assert (history.stats(), history.count(), history.get("last")) == ([], 0, [])


def test_a_log_that_is_not_there_is_told_and_not_made(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="there is no call log at"):
        History(tmp_path / "calls.db")
    with pytest.raises(ConfigurationError, match="can't open the call log"):
        History(tmp_path)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------- the default place


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"POLYVOX_LOG": "off"}, None),
        ({"POLYVOX_LOG": "OFF"}, None),
        ({"POLYVOX_LOG": "/x/y.db", "XDG_DATA_HOME": "/data"}, Path("/x/y.db")),
        ({"XDG_DATA_HOME": "/data"}, Path("/data/polyvox/calls.db")),
        ({"POLYVOX_LOG": "", "XDG_DATA_HOME": "/data"}, Path("/data/polyvox/calls.db")),
    ],
)
def test_where_the_default_place_is(environ: dict[str, str], path: Path | None):
    assert default_path(environ) == path


def test_without_a_word_it_is_below_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = default_path({})
    assert path is not None
    assert path.is_relative_to(tmp_path)


def test_the_default_log_knows_the_keys_of_the_environment(tmp_path: Path):
    environ = {"POLYVOX_LOG": str(tmp_path / "calls.db"), "OPENAI_API_KEY": "shapeless-canary"}
    with default_log(environ) as log:
        log.add(record(text="it is shapeless-canary"))
    with History(tmp_path / "calls.db") as history:
        assert [each.question for each in history.find()] == ["it is ***"]


def test_tests_never_write_among_the_users_own_data():
    path = default_path()
    assert path is not None
    assert not path.is_relative_to(Path.home())


def test_a_log_that_is_off_writes_nowhere():
    assert default_log({"POLYVOX_LOG": "off"}).sinks == ()


@pytest.mark.parametrize("scanned", [False, True], ids=["indexed", "not indexed"])
@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("", ["c", "b", "a"]),
        (" \t", ["c", "b", "a"]),
        ("天气", ["a"]),
        ("HELLO 天气", ["a"]),
        ("hello 雨", []),
        ("ครับ", ["b"]),
        ("\udcff", []),
        ("zz\x00qq", []),
        ("x' OR 1 --", []),
    ],
)
def test_any_words_may_be_searched_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, ids: list[str], scanned: bool
):
    with CallLog(SqliteSink(tmp_path / "calls.db")) as log:
        for id, text in (("a", "今天天气怎么样 Hello"), ("b", "สวัสดีครับ"), ("c", "50% off")):
            log.add(record(id, text))
    monkeypatch.setattr(history_module, "has_search", lambda _: not scanned)
    with History(tmp_path / "calls.db") as history:
        assert [each.id for each in history.search(words)] == ids


def test_words_that_are_no_text_find_nothing(history: History):
    odd = "\udcff"
    assert list(history.find(CallFilter(session=odd, model=odd, tags={odd: odd}))) == []
    with pytest.raises(NotFoundError):
        history.get(odd)


def test_as_many_calls_as_there_are_may_be_asked_for(history: History):
    assert len(list(history.find(limit=10**30))) == len(list(history.find()))


def test_the_newest_are_given_oldest_first(history: History):
    newest = [each.id for each in history.find(limit=2)]
    assert [each.id for each in history.find(limit=2, oldest_first=True)] == newest[::-1]


def test_a_record_that_cant_be_read_is_named(path: Path):
    with CallLog(SqliteSink(path)) as log:
        log.add(record("one"))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE calls SET record = '{'")
    connection.close()
    with History(path) as history, pytest.raises(ConfigurationError, match="call one"):
        list(history.find())


def test_a_damaged_log_is_told(tmp_path: Path):
    path = tmp_path / "calls.db"
    with CallLog(SqliteSink(path)) as log:
        for number in range(50):
            log.add(record(str(number), "word " * 500))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xee" * (len(whole) - 4096))
    with History(path) as history:
        for look in (
            lambda: list(history.find()),
            lambda: history.get("1"),
            lambda: list(history.search("word")),
            history.stats,
            history.count,
            lambda: history.prune(0.0),
        ):
            with pytest.raises(ConfigurationError, match=r"can't read the call log .*calls\.db"):
                look()
