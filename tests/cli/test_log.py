"""`polyvox log`: what `ask` and `chat` asked, found again, added up and asked once more."""

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polyvox.ledger import CallLog, SqliteSink
from polyvox.ledger.record import CallRecord
from polyvox.messages import Image, assistant, load_messages, user
from polyvox.request import Request
from polyvox.testing import ThreadedMock

from .conftest import Run
from .terminal import Terminal

ASK = ("ask", "-m", "simulated/echo")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the commands of a test write their log."""
    return tmp_path / "data" / "polyvox" / "calls.db"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a log is kept that many tests begin with."""
    return tmp_path_factory.mktemp("log") / "calls.db"


@pytest.fixture
def asked(run: Run, place: Path, kept: Path) -> Run:
    """Three calls, of which the last one failed; asked once, for each test there is a copy of its own."""
    if not kept.exists():
        assert run(*ASK, "-s", "Be kind.", "Why is the sky blue?").returncode == 0
        assert run("ask", "-m", "simulated/lorem", "Write something.").returncode == 0
        assert run(*ASK, "-o", "nope=1", "It fails.").returncode != 0
        shutil.copy(place, kept)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(kept, place)
    return run


def write(place: Path, **fields: Any) -> None:
    """One more call in the log, as a program would write it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    given: dict[str, Any] = {"id": "one", "model": "simulated/echo", "seconds": 0.0}
    given |= {"time": 1_770_000_000.0, "request": Request(messages=[user("Hello.")])}
    with CallLog(SqliteSink(place)) as log:
        log.add(CallRecord(**(given | fields)))


def as_json(run: Run, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("log", *arguments).stdout.splitlines()]


# ------------------------------------------------------------------------------ what is written down


def test_what_is_asked_is_written_down_for_the_owner_alone(run: Run, place: Path):
    assert run(*ASK, "hello").stdout == "hello\n"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    (call,) = as_json(run, "--json")
    assert call["model"] == "simulated/echo"
    assert call["message"]["content"] == [{"type": "text", "text": "hello"}]


def test_a_chat_is_a_session(run: Run):
    assert run("chat", "-m", "simulated/echo", stdin="one\ntwo\n").stdout == "one\ntwo\n"
    second, first = as_json(run, "list", "--json")
    assert first["session"] == second["session"]
    assert [message["role"] for message in second["request"]["messages"]] == [
        *("user", "assistant", "user")
    ]
    assert len(as_json(run, "--session", first["session"], "--json")) == 2


@pytest.mark.parametrize("command", ["ask", "chat"])
def test_nothing_is_written_where_that_is_not_wished(run: Run, place: Path, command: str):
    wish = [command, "-m", "simulated/echo"]
    assert run(*wish, "--no-log", stdin="hello").stdout == "hello\n"
    assert run(*wish, stdin="hello", env={"POLYVOX_LOG": "off"}).stdout == "hello\n"
    assert not place.exists()
    done = run("log", env={"POLYVOX_LOG": "off"})
    assert done.returncode == 3
    assert "the call log is off" in done.stderr


def test_the_log_may_be_elsewhere(run: Run, tmp_path: Path, place: Path):
    env = {"POLYVOX_LOG": str(tmp_path / "mine.db")}
    run(*ASK, "hello", env=env)
    assert len(run("log", "--json", env=env).stdout.splitlines()) == 1
    assert run("log", "path", env=env).stdout == f"{tmp_path / 'mine.db'}\n"
    assert run("log", "path").stdout == f"{place}\n"
    assert not place.exists()


def test_a_log_that_cant_be_written_is_told_and_the_answer_is_there(run: Run, place: Path):
    place.parent.mkdir(parents=True)
    place.write_text("Dear diary, " * 100)
    done = run(*ASK, "hello")
    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert "warning: not logged" in done.stderr
    assert "is not a call log" in done.stderr
    assert place.read_text().startswith("Dear diary")


EMBED = ("embed", "-m", "openai/text-embedding-3-small")


@pytest.fixture
def embedded(run: Run, polyvox_mock: Callable[..., ThreadedMock]) -> Run:
    """Two texts that became vectors, beside an answer."""
    server = polyvox_mock("openai-chat")
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-any-0000"}
    assert run(*ASK, "hello").returncode == 0
    assert run(*EMBED, "fat cats", "dogs", env=env).returncode == 0
    return run


def test_embeddings_are_listed_and_shown_by_their_texts_without_vectors(embedded: Run):
    first, answer = as_json(embedded, "--json")
    assert (first["kind"], "kind" in answer) == ("embedding", False)
    assert first["usage"]["input_tokens"] == 3
    row = embedded("log").stdout.splitlines()[1]
    assert "openai/text-embedding-3-small" in row
    assert "$0.00000006" in row
    assert "[embedding] fat cats" in row
    shown = embedded("log", "show", "last").stdout
    assert "kind      embedding" in shown
    assert "fat cats\ndogs" in shown
    assert "2 vectors of 256 dimensions" in shown
    assert len(shown) < 1_000


def test_embeddings_are_found_and_added_up(embedded: Run):
    (found,) = as_json(embedded, "search", "dogs", "--json")
    assert found["kind"] == "embedding"
    (sums,) = as_json(embedded, "stats", "--by", "kind", "--json")
    told = {group["name"]: group["calls"] for group in sums["groups"]}
    assert told == {"embedding": 1, "answer": 1}
    assert sums["total"]["cost_nanos"] == 60


def test_embeddings_are_no_conversation_and_not_replayed(embedded: Run):
    (conversation,) = as_json(embedded, "export", "--format", "messages")
    assert conversation["messages"][0]["content"][0]["text"] == "hello"
    done = embedded("log", "replay", "last")
    assert done.returncode == 2
    assert "asked for vectors" in done.stderr


def test_embeddings_are_not_written_where_that_is_not_wished(run: Run, place: Path):
    assert run("embed", "-m", "simulated/embedding", "--no-log", "cats").returncode == 0
    assert not place.exists()


def test_a_configured_log_has_an_embedding_once(run: Run, tmp_path: Path, place: Path):
    (tmp_path / "polyvox.toml").write_text('[log]\npath = "here.db"\n')
    assert run("embed", "-m", "simulated/embedding", "cats").returncode == 0
    (call,) = as_json(run, "--json")
    assert call["kind"] == "embedding"
    assert not place.exists()


def test_a_configured_budget_stops_an_embedding(run: Run, tmp_path: Path):
    (tmp_path / "polyvox.toml").write_text("[budgets.none]\nlimit = 0\n")
    done = run(*EMBED, "cats", env={"OPENAI_API_KEY": "sk-any-0000"})
    assert done.returncode != 0
    assert "the budget 'none' allows" in done.stderr
    (call,) = as_json(run, "--errors", "--json")
    assert (call["kind"], call["error"]["kind"]) == ("embedding", "budget_exceeded")


def test_keys_are_not_written_down(
    run: Run, place: Path, polyvox_mock: Callable[..., ThreadedMock]
):
    key = "shapeless-canary-4711"
    server = polyvox_mock("openai-chat", expect_key="another")
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": key}
    done = run("ask", "-m", "openai/gpt-5-mini", f"my key is {key}", env=env)
    assert done.returncode == 4
    assert key.encode() not in place.read_bytes()
    (call,) = as_json(run, "--json")
    assert call["error"]["kind"] == "authentication"
    assert call["request"]["messages"][0]["content"][0]["text"] == "my key is ***"


def test_a_configured_log_is_written_once_and_is_the_one_that_is_shown(
    run: Run, tmp_path: Path, place: Path
):
    (tmp_path / "polyvox.toml").write_text('[log]\npath = "here.db"\n')
    run(*ASK, "hello")
    assert len(as_json(run, "--json")) == 1
    assert run("log", "path").stdout == f"{tmp_path / 'here.db'}\n"
    run("log", "replay", "last")
    assert len(as_json(run, "--json")) == 2
    assert not place.exists()
    (tmp_path / "polyvox.toml").write_text('[log]\npath = "here.jsonl"\n')
    done = run("log")
    assert done.returncode == 3
    assert "is a file of JSON lines" in done.stderr


# --------------------------------------------------------------------------------------- what is seen


def test_calls_are_listed_newest_first(asked: Run):
    done = asked("log")
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["ID", "TIME", "MODEL", "IN", "OUT", "COST", "SECONDS", "ASKED"]
    assert [row.split()[3] for row in rows] == [
        "simulated/echo",
        "simulated/lorem",
        "simulated/echo",
    ]
    assert rows[0].endswith("[bad_request] It fails.")
    assert rows[2].endswith("Why is the sky blue?")
    assert "\x1b" not in done.stdout


def test_the_ids_of_a_gateways_calls_are_listed_whole_since_they_begin_alike(run: Run, place: Path):
    ids = [f"call_01976b2f3c5d{number}0e8c1b7a9f4e21" for number in range(2)]
    for id in ids:
        write(place, id=id)
    listed = [line.split()[0] for line in run("log").stdout.splitlines()[1:]]
    assert sorted(listed) == ids
    assert all(run("log", "show", id).returncode == 0 for id in listed)


@pytest.mark.parametrize(
    ("filters", "questions"),
    [
        (["--limit", "1"], ["It fails."]),
        (["--errors"], ["It fails."]),
        (["--model", "lorem"], ["Write something."]),
        (["--since", "1h"], ["It fails.", "Write something.", "Why is the sky blue?"]),
        (["--since", "2999-01-01"], []),
        (["--tag", "feature"], []),
    ],
)
def test_a_list_is_narrowed(asked: Run, filters: list[str], questions: list[str]):
    done = asked("log", *filters, "--json")
    found = [json.loads(line)["request"]["messages"][-1] for line in done.stdout.splitlines()]
    assert [message["content"][0]["text"] for message in found] == questions
    assert done.returncode == (0 if questions else 1)


def test_tags_are_filters_and_groups(run: Run, place: Path):
    with CallLog(SqliteSink(place)) as log:
        for number, feature in enumerate(("search", "mail", "search")):
            tags = {"feature": feature}
            log.add(CallRecord(id=f"id{number}", time=0.0, model="m", tags=tags, seconds=0.0))
    assert [call["id"] for call in as_json(run, "--tag", "feature=search", "--json")] == [
        "id2",
        "id0",
    ]
    assert len(as_json(run, "--tag", "feature", "--json")) == 3
    (sums,) = as_json(run, "stats", "--by", "tag:feature", "--json")
    assert [(group["name"], group["calls"]) for group in sums["groups"]] == [
        ("search", 2),
        ("mail", 1),
    ]


def test_one_call_is_shown_whole(asked: Run):
    (first,) = as_json(asked, "search", "sky", "--json")
    shown = asked("log", "show", first["id"][:10]).stdout
    facts, _, said = shown.partition("\n\n")
    lines = dict(line.split(maxsplit=1) for line in facts.splitlines())
    assert (lines["id"], lines["model"], lines["ended"]) == (first["id"], "simulated/echo", "stop")
    assert lines["used"].endswith("out · free")
    assert said == (
        "system\nBe kind.\n\nuser\nWhy is the sky blue?\n\nanswer\nWhy is the sky blue?\n"
    )
    assert json.loads(asked("log", "show", first["id"], "--json").stdout) == first
    last = asked("log", "show", "last").stdout
    assert "error     bad_request: simulated/echo has no option 'nope'" in last
    assert "used      nothing: nobody was asked" in last


def test_tools_pictures_and_attempts_are_shown(run: Run, tmp_path: Path):
    (tmp_path / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 100)
    (tmp_path / "tools.json").write_text('[{"name": "weather", "parameters": {"type": "object"}}]')
    run("ask", "-m", "simulated/tools", "--tools", "tools.json", "-f", "cat.png", "In Oslo?")
    shown = run("log", "show", "last").stdout
    assert "(image: sha256:" in shown
    assert "→ weather(" in shown


def test_a_call_without_content_says_so(run: Run, place: Path):
    with CallLog(SqliteSink(place), content="off") as log:
        log.add(CallRecord(id="one", time=0.0, model="m", seconds=0.0))
    assert "(what was said is not in the log)" in run("log", "show", "one").stdout
    done = run("log", "replay", "one", "-m", "simulated/echo")
    assert done.returncode == 2
    assert "is not in the log" in done.stderr


def test_words_are_searched_for(asked: Run):
    assert len(asked("log", "search", "SKY").stdout.splitlines()) == 2
    assert len(asked("log", "search", "lorem", "ipsum").stdout.splitlines()) == 2
    done = asked("log", "search", "sky", "lorem")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No call is like that." in done.stderr


def test_sums_by_model_and_in_all(run: Run, polyvox_mock: Callable[..., ThreadedMock]):
    server = polyvox_mock("openai-chat", ["Hello.", "Hello."])
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "any"}
    run("ask", "-m", "openai/gpt-5-mini", "Hi.", env=env)
    run("ask", "-m", "openai/gpt-99", "Hi.", env=env)
    run(*ASK, "hello")
    done = run("log", "stats")
    head, *rows, total = done.stdout.splitlines()
    assert head.split() == ["MODEL", "CALLS", "ERRORS", "IN", "OUT", "COST"]
    assert {row.split()[0] for row in rows} == {
        "openai/gpt-5-mini",
        "openai/gpt-99",
        "simulated/echo",
    }
    assert total.split()[:2] == ["total", "3"]
    assert "unknown" in total
    (sums,) = as_json(run, "stats", "--json", "--model", "gpt-5")
    assert sums["by"] == "model"
    assert sums["total"]["cost_nanos"] == sums["groups"][0]["cost_nanos"] > 0
    assert sums["total"]["unpriced"] == 0
    (days,) = as_json(run, "stats", "--by", "day", "--json")
    assert [group["calls"] for group in days["groups"]] == [3]


def test_an_unknown_group_is_told(run: Run):
    for wrong in ("week", "tag", "model:x"):
        done = run("log", "stats", "--by", wrong)
        assert done.returncode == 2
        assert "kind or tag:KEY" in done.stderr


def test_calls_are_found_and_added_up_by_tenant(run: Run, place: Path):
    write(place, id="one", tenant="ada")
    write(place, id="two", tenant="bob")
    assert [call["tenant"] for call in as_json(run, "--tenant", "bob", "--json")] == ["bob"]
    rows = run("log", "stats", "--by", "tenant").stdout.splitlines()
    assert rows[0].split()[0] == "TENANT"
    assert sorted(row.split()[:2] for row in rows[1:]) == [
        ["ada", "1"],
        ["bob", "1"],
        ["total", "2"],
    ]


def test_a_stored_answer_is_told_from_one_that_was_asked_for(run: Run, place: Path):
    write(place, id="one", message=assistant("Hi."))
    said = assistant("Hi.")
    said.cached = True
    write(place, id="two", message=said)
    stored, fresh = run("log").stdout.splitlines()[1:]
    assert stored.endswith("[cached] Hello.")
    assert fresh.endswith("0.0  Hello.")
    assert "nothing: the answer is a stored one" in run("log", "show", "last").stdout


def test_a_log_of_json_lines_is_told_from_any_other_file(run: Run, tmp_path: Path):
    lines = tmp_path / "calls.jsonl"
    lines.write_text('{"id":"one"}\n')
    done = run("log", env={"POLYVOX_LOG": str(lines)})
    assert done.returncode == 3
    assert "is not a call log" in done.stderr
    assert "jq" in done.stderr


@pytest.mark.parametrize("columns", ["20", "40", "80", "200"])
def test_a_narrow_terminal_loses_nothing_of_a_table(
    run: Run, terminal: Callable[..., Terminal], place: Path, columns: str
):
    write(place, model="lab/a-model-with-a-long-name")
    screen = terminal("log", env={"COLUMNS": columns})
    assert screen.wait() == 0
    letters = "".join(screen.seen.split())
    for head in ("id", "time", "model", "in", "out", "cost", "seconds", "asked"):
        assert head in letters
    table = screen.seen
    assert "2026" in table
    assert "lab/a-" in table
    assert "Hello." in table


def test_calls_are_exported_as_lines_oldest_first(asked: Run, tmp_path: Path):
    records = as_json(asked, "export")
    assert [call["model"] for call in records] == [
        *("simulated/echo", "simulated/lorem", "simulated/echo")
    ]
    done = asked("log", "export", "--limit", "1", "-o", "calls.jsonl")
    assert (done.stdout, done.stderr) == ("", "1 written to calls.jsonl\n")
    assert json.loads((tmp_path / "calls.jsonl").read_text()) == records[-1]
    assert asked("log", "export", "-o", "no/such/folder").returncode == 3


def test_conversations_are_exported_as_messages(asked: Run):
    lines = as_json(asked, "export", "--format", "messages")
    assert len(lines) == 2, "a call that failed has no conversation"
    system, question, answer = load_messages(json.dumps(lines[0]["messages"]))
    assert type(system).__name__ == "SystemMessage"
    assert question == user("Why is the sky blue?")
    assert answer.content == assistant("Why is the sky blue?").content


def test_a_call_is_asked_again_of_another_model(asked: Run):
    (first,) = as_json(asked, "search", "sky", "--json")
    done = asked("log", "replay", first["id"][:12], "--model", "simulated/lorem")
    assert done.returncode == 0
    before, after = done.stdout.split("\n\n")
    assert before == "simulated/echo\nWhy is the sky blue?"
    assert after.startswith("simulated/lorem\nLorem ipsum")
    assert done.stderr.count("free") == 2
    assert len(as_json(asked, "--json")) == 4
    both = json.loads(asked("log", "replay", first["id"], "--no-log", "--json").stdout)
    assert both["before"]["text"] == both["after"]["text"] == "Why is the sky blue?"
    assert len(as_json(asked, "--json")) == 4


def test_a_replay_that_fails_says_so_after_the_old_answer(asked: Run):
    done = asked("log", "replay", "last")
    assert done.returncode == 6
    assert done.stdout.startswith("simulated/echo\n")
    assert "error: simulated/echo: simulated/echo has no option 'nope'" in done.stderr
    assert asked("log", "replay", "last", "-m", "mistral/small").returncode == 3


def test_a_picture_that_is_not_in_the_log_is_not_asked_again(run: Run, place: Path):
    picture = Image(b"\x89PNG\r\n\x1a\n")
    request = Request(messages=[user("What is this?", picture)])
    for keep_bytes in (False, True):
        with CallLog(SqliteSink(place), keep_bytes=keep_bytes) as log:
            id = f"keep-{keep_bytes}"
            log.add(
                CallRecord(id=id, time=0.0, model="simulated/echo", seconds=0.0, request=request)
            )
    done = run("log", "replay", "keep-False")
    assert done.returncode == 2
    assert "had pictures or files that are not in the log" in done.stderr
    assert run("log", "replay", "keep-True").returncode == 0


def test_old_calls_are_deleted(asked: Run):
    done = asked("log", "prune", "--older-than", "1d")
    assert "0 deleted, 3 left in" in done.stderr
    done = asked("log", "prune", "--older-than", "0s")
    assert (done.returncode, "3 deleted, 0 left in" in done.stderr) == (0, True)
    assert asked("log").returncode == 1
    assert asked("log", "prune").returncode == 2


@pytest.mark.parametrize(
    "command",
    [["list"], ["show", "last"], ["stats"], ["search", "x"], ["export"], ["replay", "last"]],
)
def test_before_anything_was_asked_that_is_said(run: Run, place: Path, command: list[str]):
    done = run("log", *command)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"there is no {place}" in done.stderr
    assert not place.exists()


def test_what_is_not_understood_is_told(asked: Run):
    done = asked("log", "show", "zz")
    assert done.returncode == 5
    assert "no call is meant by 'zz'" in done.stderr
    assert "7d" in asked("log", "--since", "yesterday").stderr
    done = asked("log", "lst")
    assert done.returncode == 2
    assert "Did you mean 'list'?" in done.stderr


def test_ids_models_and_sessions_complete(run: Run):
    run("chat", "-m", "simulated/echo", stdin="one\n")
    (call,) = as_json(run, "--json")

    def offered(words: str) -> list[str]:
        place = str(len(words.split(" ")) - 1)
        env = {"_POLYVOX_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": place}
        return [line.partition(",")[2] for line in run(env=env).stdout.splitlines()]

    assert offered("polyvox log s") == ["search", "show", "stats"]
    assert offered(f"polyvox log show {call['id'][:3]}") == [call["id"]]
    assert offered("polyvox log show l") == ["last"]
    assert offered("polyvox log list --session ") == [call["session"]]
    assert offered("polyvox log replay last -m simulated/l") == ["simulated/lorem"]
    assert offered("polyvox log stats --by d") == ["day"]


def test_completion_without_a_log_offers_nothing_and_makes_none(run: Run, place: Path):
    env = {
        "_POLYVOX_COMPLETE": "bash_complete",
        "COMP_WORDS": "polyvox log show x",
        "COMP_CWORD": "3",
    }
    assert run(env=env).stdout.strip() == ""
    assert not place.exists()


def test_a_terminal_cant_be_bent_by_what_was_said(run: Run, terminal: Callable[..., Terminal]):
    run(*ASK, "ding\x07 \x1b]0;evil\x07")
    screen = terminal("log", "show", "last")
    assert screen.wait() == 0
    assert "\x07" not in screen.raw
    assert "]0;evil" in screen.seen
    screen = terminal("log")
    assert screen.wait() == 0
    assert "\x07" not in screen.raw


@pytest.mark.parametrize(
    ("command", "calls"),
    [
        (["search", ""], 3),
        (["list", "-n", "9" * 30], 3),
        (["search", "b\udcffd"], 0),
        (["list", "--session", "\udcff"], 0),
    ],
)
def test_odd_words_are_no_crash(asked: Run, command: list[str], calls: int):
    done = asked("log", *command, "--json")
    assert "Traceback" not in done.stderr
    assert (len(done.stdout.splitlines()), done.returncode) == (calls, 0 if calls else 1)


@pytest.mark.parametrize(
    "command", [["list"], ["stats"], ["export"], ["prune", "--older-than", "1d"]]
)
def test_a_damaged_log_is_told(asked: Run, place: Path, command: list[str]):
    whole = place.read_bytes()
    place.write_bytes(whole[:4096] + b"\xee" * (len(whole) - 4096))
    done = asked("log", *command)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert f"can't read the call log {place}" in done.stderr
