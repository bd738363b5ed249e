"""`polyvox ask --trace` and `polyvox trace`: what a call was made of, on a terminal, in a pipe, in a file."""

import json
import sqlite3
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from polyvox.ledger import CallLog, SqliteSink
from polyvox.ledger.record import CallRecord
from polyvox.messages import AssistantMessage, Text, user
from polyvox.request import Request
from polyvox.testing import ThreadedMock
from polyvox.trace import TraceNode
from polyvox.usage import Cost, Usage

from .conftest import Run
from .terminal import Terminal

QUESTION = "What is 17 * 23?"
COUNCIL = ("ask", "-m", "composite/profile/demo-council", QUESTION)
ECHO = ("ask", "-m", "simulated/echo", "hello")
ROUTED = """
[deployments.first]
model = "openai/gpt-5-mini"
[deployments.second]
model = "simulated/echo"
[routers.chat]
deployments = ["first"]
fallbacks = ["second"]
"""


def tree(text: str) -> list[str]:
    """The first column of a drawn tree, without its head."""
    lines = text.splitlines()
    head = next(place for place, line in enumerate(lines) if line.startswith("PART"))
    width = lines[head].index("START")
    return [line[:width].rstrip() for line in lines[head + 1 :]]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "data" / "polyvox" / "calls.db"


def write(place: Path, trace: TraceNode | None = None, **fields: object) -> None:
    """One more call in the log, as a program would write it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    message = AssistantMessage([Text("Hi.")], provider="composite", model="mix", trace=trace)
    given: dict[str, object] = {"id": "one", "model": "composite/mix", "seconds": 2.0}
    given |= {"time": 1_770_000_000.0, "request": Request(messages=[user("Hello.")])}
    with CallLog(SqliteSink(place)) as log:
        log.add(CallRecord(message=message, **(given | fields)))  # type: ignore[arg-type]


MIX = TraceNode(
    kind="moa",
    label="moa",
    model="composite/mix",
    seconds=2.0,
    children=[
        TraceNode(
            kind="proposal",
            label="ann",
            seconds=1.0,
            status="left_out",
            error="down\x1b[2J",
            usage=Usage(10, 5, cost=Cost("known", 1_500)),
        ),
        TraceNode(
            kind="aggregation", label="eve", started=1.0, seconds=1.0, preview="<script>1</script>"
        ),
    ],
)


# ------------------------------------------------------------------------------------ polyvox ask


def test_the_tree_of_a_council_is_on_stderr_and_the_answer_alone_on_stdout(run: Run):
    done = run(*COUNCIL, "--trace")
    assert (done.returncode, done.stdout) == (0, "17 * 23 is 391.\n"), done.stderr
    # The standings go by rank, which depends on the labels that are drawn anew each time.
    assert [line for line in tree(done.stderr) if "(standing)" not in line] == [
        "council · composite/profile/demo-council",
        "├─ opinions (stage)",
        "│  ├─ simulated/a (opinion)",
        "│  ├─ simulated/b (opinion)",
        "│  └─ simulated/c (opinion)",
        "├─ reviews (stage)",
        "│  ├─ simulated/a (review)",
        "│  ├─ simulated/b (review)",
        "│  └─ simulated/c (review)",
        "├─ ranking",
        "└─ simulated/a (chairman)",
    ]
    assert "\x1b" not in done.stderr
    assert "391" in done.stderr


def test_a_plain_model_is_a_tree_of_one(run: Run):
    done = run(*ECHO, "--trace")
    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert tree(done.stderr) == ["simulated/echo (answer)"]
    assert done.stderr.rstrip().endswith("hello")


def test_without_the_flag_nothing_is_said(run: Run):
    assert run(*COUNCIL).stderr == ""


def test_a_quiet_command_shows_the_tree_that_it_is_told_to_show(run: Run):
    assert tree(run(*ECHO, "--trace", "-q").stderr) == ["simulated/echo (answer)"]


def test_a_call_that_fails_has_a_tree_before_its_error(run: Run):
    done = run(*ECHO, "--trace", "-o", "nope=1")
    assert done.returncode != 0
    shown, _, error = done.stderr.partition("error: ")
    assert tree(shown) == ["[error] simulated/echo (answer)"]
    assert "no option 'nope'" in error


def test_what_a_router_has_tried_are_the_parts(
    run: Run, tmp_path: Path, polyvox_mock: Callable[..., ThreadedMock]
):
    server = polyvox_mock("openai-chat", [{"error": {"kind": "rate_limit", "text": "slow down"}}])
    (tmp_path / "polyvox.toml").write_text(ROUTED, "utf-8")
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "mock"}
    done = run("ask", "-m", "chat", "hello", "--trace", env=env)
    assert done.stdout == "hello\n", done.stderr
    assert tree(done.stderr) == [
        "chat (answer) · simulated/echo",
        "├─ [error] openai/gpt-5-mini (attempt)",
        "└─ simulated/echo (attempt)",
    ]
    assert "rate_limit (429)" in done.stderr
    assert tree(run("trace", "show", env=env).stdout) == tree(done.stderr)


def test_json_has_the_trace_with_its_total(run: Run):
    told = json.loads(run(*COUNCIL, "--json", "--trace").stdout)
    assert (told["trace"]["kind"], len(told["trace"]["children"])) == ("council", 4)
    assert told["trace"]["total"] == told["usage"]
    assert json.loads(run(*COUNCIL, "--json").stdout)["trace"]["kind"] == "council"


def test_json_has_a_trace_of_a_plain_model_only_when_told_so(run: Run):
    told = run(*ECHO, "--json", "--trace")
    assert (json.loads(told.stdout)["trace"]["kind"], told.stderr) == ("answer", "")
    assert "trace" not in json.loads(run(*ECHO, "--json").stdout)


def test_events_are_the_same_with_and_without(run: Run):
    with_it, without = (run(*ECHO, "--events", *flag) for flag in (("--trace",), ()))
    types = [
        [json.loads(line)["type"] for line in done.stdout.splitlines()]
        for done in (with_it, without)
    ]
    assert types[0] == types[1]
    assert with_it.stderr == ""
    assert '"trace"' not in with_it.stdout


# ---------------------------------------------------------------------------------- polyvox trace


def test_the_trace_of_the_last_call_is_shown_as_it_was_when_it_was_asked(run: Run):
    asked = run(*COUNCIL, "--trace")
    for arguments in ((), ("last",)):
        shown = run("trace", "show", *arguments)
        head, _, rest = shown.stdout.partition("\n")
        assert head.endswith(" · composite/profile/demo-council · What is 17 * 23?")
        assert rest == asked.stderr


@pytest.mark.parametrize("form", [(), ("--no-stream",)])
def test_streamed_and_whole_answers_leave_their_traces(run: Run, form: tuple[str, ...]):
    run(*COUNCIL, *form)
    assert tree(run("trace", "show").stdout)[0] == "council · composite/profile/demo-council"


def test_a_trace_is_found_by_the_beginning_of_its_id(run: Run, place: Path):
    write(place, MIX, id="abcdef0123456789")
    write(place, id="123456789")
    assert tree(run("trace", "show", "abcd").stdout) == [
        "moa · composite/mix",
        "├─ [left out] ann (proposal)",
        "└─ eve (aggregation)",
    ]
    done = run("trace", "show", "nobody")
    assert done.returncode == 5
    assert "no call is meant by 'nobody': it begins no id" in done.stderr


def test_a_plain_call_has_a_tree_too(run: Run):
    run(*ECHO)
    assert tree(run("trace", "show").stdout) == ["simulated/echo (answer)"]


def test_the_list_has_only_calls_of_several_and_takes_the_filters_of_the_log(run: Run, place: Path):
    write(place, MIX, id="one", session="s")
    write(place, MIX, id="two")
    write(place, id="three")
    assert [line[:3] for line in run("trace", "list").stdout.splitlines()[1:]] == ["two", "one"]
    (found,) = run("trace", "list", "--session", "s", "--json").stdout.splitlines()
    assert json.loads(found)["id"] == "one"
    done = run("trace", "list", "--model", "elsewhere")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "No call is like that.\n")


def test_where_nothing_is_logged_nothing_is_shown(run: Run):
    for command in ("show", "list"):
        done = run("trace", command)
        assert (done.returncode, done.stdout) == (1, "")
        assert "No call is logged yet" in done.stderr


def test_json_is_the_trace_with_its_total(run: Run, place: Path):
    write(place, MIX)
    told = json.loads(run("trace", "show", "--json").stdout)
    assert (told["id"], told["model"]) == ("one", "composite/mix")
    assert told["trace"]["children"][0]["status"] == "left_out"
    assert told["trace"]["total"]["input_tokens"] == 10
    assert told["trace"]["total"]["cost"]["dollars"] == "0.0000015"


def test_each_time_that_a_call_asked_is_a_tree(run: Run, place: Path):
    write(place, MIX)
    write(place)
    assert run("trace", "show", "one").stdout.count("PART") == 2
    assert len(run("trace", "show", "one", "--json").stdout.splitlines()) == 2
    page = run("trace", "show", "one", "--html").stdout
    assert (page.count("<h1>"), page.count("2.00 s</span>")) == (1, 2)


def test_html_is_a_page_in_a_file(run: Run, place: Path, tmp_path: Path):
    write(place, MIX)
    done = run("trace", "show", "one", "--html", "-o", "trace.html")
    assert (done.stdout, done.stderr) == ("", "Written to trace.html.\n")
    text = (tmp_path / "trace.html").read_text("utf-8")
    assert text == run("trace", "show", "--html").stdout
    tags: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append(tag)  # type: ignore[method-assign]
    parser.feed(text)
    assert "details" in tags
    assert "script" not in tags
    assert "&lt;script&gt;1&lt;/script&gt;" in text
    assert "Trace of composite/mix" in text


def test_a_file_whose_name_ends_so_is_a_page(run: Run, place: Path, tmp_path: Path):
    write(place, MIX)
    run("trace", "show", "one", "-o", "trace.html")
    assert (tmp_path / "trace.html").read_text("utf-8") == run("trace", "show", "--html").stdout
    run("trace", "show", "one", "-o", "json.html", "--json")
    assert (tmp_path / "json.html").read_text("utf-8") == run("trace", "show", "--json").stdout


def test_a_long_question_is_cut_in_the_heading(run: Run, place: Path):
    run("ask", "-m", "simulated/echo", "Why\n" * 50)
    head = run("trace", "show").stdout.splitlines()[0]
    assert head.endswith(f"simulated/echo · {'Why ' * 24}Why…")


def test_a_tree_can_be_written_to_a_file_and_not_everywhere(run: Run, place: Path, tmp_path: Path):
    write(place, MIX)
    assert run("trace", "show", "-o", "trace.txt").returncode == 0
    assert (tmp_path / "trace.txt").read_text("utf-8") == run("trace", "show").stdout
    done = run("trace", "show", "-o", "no/such/place")
    assert done.returncode == 3
    assert "can't write no/such/place: No such file or directory" in done.stderr


def test_two_forms_at_once_are_none(run: Run):
    done = run("trace", "show", "--json", "--html")
    assert done.returncode == 2
    assert "--json and --html exclude each other" in done.stderr


def test_the_log_says_that_there_is_a_trace(run: Run, place: Path):
    write(place, MIX, id="abcdef0123456789")
    assert "trace     3 parts: 'polyvox trace show abcdef01'" in run("log", "show", "last").stdout
    write(place)
    assert "trace" not in run("log", "show", "last").stdout


def test_ids_complete(run: Run, place: Path):
    write(place, MIX, id="abcdef")
    env = {"COMP_WORDS": "polyvox trace show a", "COMP_CWORD": "3"}
    offered = run(env=env | {"_POLYVOX_COMPLETE": "bash_complete"}).stdout
    assert offered == "plain,abcdef\n"


def test_a_log_from_before_there_were_traces_is_read(run: Run, place: Path):
    write(place, MIX)
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE calls SET record = json_remove(record, '$.message.trace')")
    connection.close()
    assert run("trace", "list").returncode == 1
    assert tree(run("trace", "show").stdout) == ["composite/mix (answer)"]


# ------------------------------------------------------------------------------------ on a terminal


def test_a_terminal_gets_colours_and_bars_and_no_control_characters(
    terminal: Callable[..., Terminal], place: Path
):
    write(place, MIX)
    shown = terminal("trace", "show", env={"COLUMNS": "140"})
    assert shown.wait() == 0, shown.seen
    assert "\x1b[33m[left out] ann (proposal)" in shown.raw
    assert "\x1b[32m████" in shown.raw
    assert "\x1b[2J" not in shown.raw
    assert "down[2J" in shown.seen


@pytest.mark.parametrize("wish", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_that_wants_no_colours_gets_none(
    terminal: Callable[..., Terminal], place: Path, wish: dict[str, str]
):
    write(place, MIX)
    shown = terminal("trace", "show", env=wish)
    assert shown.wait() == 0, shown.seen
    assert "\x1b[3" not in shown.raw
    assert "[left out] ann" in shown.raw


def test_names_come_before_the_start_where_there_is_little_room(
    run: Run, terminal: Callable[..., Terminal]
):
    run(*COUNCIL)
    opened = terminal("trace", "show", env={"COLUMNS": "60"})
    opened.expect("simulated/a (chairman)  ")
    head = next(line for line in opened.seen.splitlines() if line.startswith("PART"))
    assert head.split() == ["PART", "SECONDS", "IN", "OUT", "COST"]


def test_the_tree_is_as_wide_as_the_terminal(terminal: Callable[..., Terminal]):
    shown = terminal(*COUNCIL, "--trace", env={"COLUMNS": ""})  # it has 100 columns
    assert shown.wait() == 0, shown.seen
    head = next(line for line in shown.seen.splitlines() if line.startswith("PART"))
    lines = shown.seen[shown.seen.index(head) :].splitlines()
    assert len(lines) == 15
    assert 80 < max(map(len, lines)) <= 100
