"""`polyvox composite`, and composites wherever a command takes the name of a model."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from polyvox.composite.names import packaged
from polyvox.messages import ToolCall, assistant
from polyvox.testing import MockProvider

from .conftest import Run
from .terminal import Terminal

BOARD = """
[aliases]
fast = "simulated/a"
panel = "composite/profile/board"
[deployments.many]
model = "composite/moa/simulated/b"
[routers.r]
deployments = ["many", "simulated/echo"]
[profiles.board]
about = "The board of the lab"
strategy = "council"
members = ["fast", { model = "r", label = "router" }, { model = "many", samples = 2 }]
chairman = "fast"
"""
TOOLS = [{"name": "weather", "description": "The weather.", "parameters": {"type": "object"}}]


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A configuration where the commands are run."""
    path = tmp_path / "polyvox.toml"
    path.write_text(BOARD, "utf-8")
    return path


# -------------------------------------------------------------------------------------------- list


def test_list_tells_profiles_and_presets_with_their_calls(run: Run, board: Path):
    rows = {row["name"]: row for row in json.loads(run("composite", "list", "--json").stdout)}
    assert rows["composite/profile/board"] == {
        "name": "composite/profile/board",
        "strategy": "council",
        "calls": 17,
        "turns": 5,
        "about": "The board of the lab",
    }
    assert rows["composite/profile/demo-moa"]["calls"] == 4
    assert rows["composite/moa-13-calls/PROVIDER/MODEL"]["calls"] == 13
    table = run("composite", "list").stdout
    assert table.splitlines()[0].split() == ["NAME", "STRATEGY", "CALLS", "IN", "A", "ROW", "ABOUT"]
    assert all(name in table for name in rows)


def test_list_needs_no_configuration(run: Run):
    done = run("composite", "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert "composite/profile/demo-council" in done.stdout


def test_list_in_a_terminal(terminal: Callable[..., Terminal]):
    terminal("composite", "list").expect("composite/profile/demo-council")


def test_a_narrow_terminal_gets_the_columns_for_which_it_has_room(
    terminal: Callable[..., Terminal],
):
    opened = terminal("composite", "list", env={"COLUMNS": "60"})
    opened.expect("Not shown, for want of room: in a row, about.")
    lines = opened.seen.splitlines()
    assert max(map(len, lines)) == 60
    assert " composite/council-11-calls/PROVIDER/MODEL  council      11 " in lines


# ----------------------------------------------------------------------------------------- explain


def test_explain_says_who_is_asked_when_and_what_is_streamed(run: Run):
    done = run("composite", "explain", "composite/profile/demo-council")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"composite/profile/demo-council: {packaged().profiles['demo-council'].about}",
        "  1. opinions: 3 at once",
        "     - simulated/a",
        "     - simulated/b",
        "     - simulated/c",
        "  2. reviews: 3 at once",
        "     - simulated/a",
        "     - simulated/b",
        "     - simulated/c",
        "  3. chairman: simulated/a, streamed as it comes",
        "7 calls, 3 of them in a row; of what comes before the last stage only the summary is told.",
    ]


def test_explain_in_a_terminal_says_the_same(run: Run, terminal: Callable[..., Terminal]):
    screen = terminal("composite", "explain", "composite/profile/demo-moa")
    for line in run("composite", "explain", "composite/profile/demo-moa").stdout.splitlines():
        screen.expect(line)


def test_explain_follows_aliases_and_deployments_and_shows_what_is_nested(run: Run, board: Path):
    lines = run("composite", "explain", "panel").stdout.splitlines()
    assert lines[0] == "composite/profile/board: The board of the lab"
    assert "     - fast (simulated/a)" in lines
    assert "     - many: 4 calls" in lines
    assert "           - simulated/b #3" in lines
    assert lines[-1].startswith("17 calls, 5 of them in a row")


def test_explain_says_who_is_asked_if_the_last_fails(run: Run, tmp_path: Path):
    text = BOARD.replace('chairman = "fast"', 'chairman = ["fast", "many", "r"]')
    (tmp_path / "polyvox.toml").write_text(text, "utf-8")
    told = run("composite", "explain", "panel").stdout.splitlines()
    last = "chairman: fast, or if that fails many or r, streamed as it comes"
    assert [line.strip() for line in told if "chairman" in line] == [f"3. {last}"]
    assert told[-1].startswith("17 calls")


def test_explained_calls_are_those_that_are_made(run: Run, board: Path):
    plan = json.loads(run("composite", "explain", "--json", "composite/profile/demo-moa").stdout)
    done = run("ask", "-m", "composite/profile/demo-moa", "--json", "What is 2 + 2?")
    trace = json.loads(done.stdout)["trace"]
    asked = [each for stage in plan["stages"] for each in stage["asked"]]
    layer, last = trace["children"]
    assert [each["label"] for each in asked] == [
        *(node["label"] for node in layer["children"]),
        last["label"],
    ]
    assert plan["calls"] == len(asked) == 4
    assert [stage["streamed"] for stage in plan["stages"]] == [False, True]


def test_a_prompt_gets_the_most_that_it_may_cost(run: Run):
    key = {"OPENAI_API_KEY": "sk-any-0000"}
    name = "composite/moa/openai/gpt-5-mini"
    one = json.loads(
        run("composite", "explain", name, "--prompt", "Why?", "--json", env=key).stdout
    )
    few = ("--prompt", "Why?", "--max-tokens", "10")
    less = json.loads(run("composite", "explain", name, *few, "--json", env=key).stdout)
    assert less["at_most"]["output_tokens"] == 40
    assert 0 < less["at_most"]["cost"]["nanos"] < one["at_most"]["cost"]["nanos"]
    told = run("composite", "explain", name, *few, env=key).stdout.splitlines()[-1]
    assert told.startswith("At most $0.000")
    assert told.endswith("40 out).")


def test_without_a_key_the_plan_is_told_and_the_price_is_not(run: Run):
    done = run("composite", "explain", "composite/moa/openai/gpt-5-mini", "--prompt", "Why?")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == (
        "What it may cost can't be told: there is no API key for OpenAI. Set OPENAI_API_KEY."
    )
    arguments = ("composite/moa/openai/gpt-5-mini", "--prompt", "Why?", "--json")
    assert json.loads(run("composite", "explain", *arguments).stdout)["at_most"] is None
    free = run("composite", "explain", "composite/moa/simulated/a", "--prompt", "Why?")
    assert free.stdout.splitlines()[-1] == "It is free of charge."


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("composite/mao/openai/gpt-5", "is no composite; did you mean 'moa'?"),
        ("composite/moa", "names no model"),
        ("composite/moa/gpt-5-mini", "'gpt-5-mini' is no model name"),
        ("composite/moa/opneai/gpt-5", "there is no provider 'opneai'"),
        ("composite/moa/simulated/z", "there is no model 'simulated/z'"),
        ("composite/profile/borad", "there is no profile 'borad'; did you mean 'board'?"),
        ("composite/" * 9, "more than 3 composites in one another"),
        ("simulated/a", "'simulated/a' is no composite"),
        ("fast", "'simulated/a' is no composite"),
        ("board", "Did you mean 'composite/profile/board'?"),
        ("profile/board", "Did you mean 'composite/profile/board'?"),
        ("demo-moa", "Did you mean 'composite/profile/demo-moa'?"),
        ("moa", "Did you mean 'composite/moa/PROVIDER/MODEL'?"),
        ("council/simulated/a", "Did you mean 'composite/council/simulated/a'?"),
        ("Composite/moa/simulated/a", "Did you mean 'composite'?"),
    ],
)
def test_a_wrong_name_is_told_and_nothing_is_explained(
    run: Run, board: Path, name: str, error: str
):
    done = run("composite", "explain", name)
    assert (done.returncode != 0, done.stdout) == (True, "")
    assert error in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_can_not_bend_the_terminal(run: Run):
    done = run("composite", "explain", "composite/moa/litellm/\x1b[31mred")
    assert "\x1b" not in done.stdout + done.stderr


def test_names_complete(run: Run, board: Path):
    def offered(words: str, place: int) -> list[str]:
        env = {"_POLYVOX_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)}
        return [line.partition(",")[2] for line in run(env=env).stdout.splitlines()]

    assert offered("polyvox ask -m composite/profile/b", 3) == ["composite/profile/board"]
    assert offered("polyvox composite explain composite/profile/d", 3) == [
        "composite/profile/demo-council",
        "composite/profile/demo-moa",
    ]
    assert offered("polyvox ask -m composite/moa-", 3) == [
        "composite/moa-4-calls/",
        "composite/moa-7-calls/",
        "composite/moa-13-calls/",
    ]
    assert offered("polyvox ask -m composite/moa/simulated/l", 3) == [
        "composite/moa/simulated/lorem"
    ]
    assert offered("polyvox ask -m composite/council/fa", 3) == ["composite/council/fast"]
    assert offered("polyvox composite e", 2) == ["explain"]


# --------------------------------------------------------------------------- wherever a model is named


def test_ask_streams_the_last_stage_and_shows_the_tree(run: Run, board: Path):
    done = run("ask", "-m", "panel", "--trace", "What is 17 * 23?")
    assert done.returncode == 0
    assert done.stdout.strip()
    assert "composite/profile/board" in done.stderr
    assert "many #2 (opinion)" in done.stderr


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("board", "did you mean 'composite/profile/board'?"),
        ("demo-moa", "did you mean 'composite/profile/demo-moa'?"),
        ("council/simulated/a", "Did you mean 'composite/council/simulated/a'?"),
    ],
)
def test_a_name_without_its_beginning_is_told_the_whole(
    run: Run, board: Path, name: str, meant: str
):
    done = run("ask", "-m", name, "hello")
    assert (done.returncode, done.stdout) == (3, "")
    assert meant in done.stderr


def test_the_line_below_an_answer_names_the_composite(terminal: Callable[..., Terminal]):
    opened = terminal("ask", "-m", "composite/profile/demo-moa", "What is 17 * 23?")
    opened.expect("tokens in")
    opened.expect("· composite/profile/demo-moa\n")


def test_json_tools_and_options_reach_whoever_they_are_for(run: Run, tmp_path: Path):
    schema = '{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}'
    done = run("ask", "-m", "composite/moa/simulated/a", "--schema", schema, "What is 2 + 2?")
    assert (done.returncode, list(json.loads(done.stdout))) == (0, ["a"])
    (tmp_path / "tools.json").write_text(json.dumps(TOOLS))
    tools = ("--tools", "tools.json", "--json", "What is the weather?")
    called = json.loads(run("ask", "-m", "composite/moa/simulated/tools", *tools).stdout)
    assert [call["name"] for call in called["tool_calls"]] == ["weather"]
    wrong = run("ask", "-m", "composite/moa/simulated/a", "-o", "nope=1", "hello")
    assert "simulated/a has no option 'nope'" in wrong.stderr


def test_an_option_for_members_of_several_providers_is_refused(run: Run, tmp_path: Path):
    (tmp_path / "polyvox.toml").write_text(
        "[profiles.two]\nstrategy = 'moa'\nproposers = ['simulated/a', 'ollama/x']\n"
        "aggregator = 'simulated/a'\n"
    )
    done = run("ask", "-m", "composite/profile/two", "-o", "seed=1", "hello")
    assert done.returncode != 0
    assert "asks models of ollama, simulated: an option would go to all of them" in done.stderr


def test_chat_keeps_talking_to_a_composite(run: Run):
    script = "What is 17 * 23?\nWhat is 2 + 2?\n"
    done = run("chat", "-m", "composite/profile/demo-council", stdin=script)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) > 2
    assert "Opinions" not in done.stdout


def test_an_agent_may_think_with_a_composite(run: Run, tmp_path: Path):
    (tmp_path / "weather_here.py").write_text(
        "import polyvox\n\n\n@polyvox.tool\ndef weather(city: str) -> str:\n"
        '    """The weather in a city."""\n    return f"rain in {city}"\n'
    )
    (tmp_path / "agent.toml").write_text(
        'model = "composite/profile/board"\ntools = ["weather_here:weather"]\n'
    )
    calling = assistant(ToolCall("c1", "weather", {"city": "Oslo"}))
    scripts = {
        "p": [{"message": {"content": "Rain?"}, "repeat": True}],
        "c": [calling, "It rains."],
    }
    with MockProvider("openai-chat", scripts) as mock:
        (tmp_path / "polyvox.toml").write_text(
            f"[providers.lab]\nbase_url = '{mock.url}'\nauth = 'none'\nlocal = true\n"
            "[profiles.board]\nstrategy = 'moa'\nproposers = ['lab/p']\naggregator = 'lab/c'\n"
        )
        done = run("agent", "run", "--quiet", "agent.toml", "What is the weather in Oslo?")
    assert (done.returncode, done.stdout) == (0, "It rains.\n"), done.stderr
    asked = [json.loads(request.body) for request in mock.requests]
    assert [body["model"] for body in asked] == ["p", "c", "p", "c"]
    assert "rain in Oslo" in json.dumps(asked[-1]["messages"])
    assert ["tools" in body for body in asked[:2]] == [False, True]


def test_models_lists_profiles(run: Run, board: Path):
    found = {each["model"]: each for each in json.loads(run("models", "--json", "profile/").stdout)}
    assert set(found) >= {"composite/profile/board", "composite/profile/demo-moa", "panel"}
    assert found["composite/profile/board"]["name"] == "The board of the lab"
    assert found["panel"]["input"] is None  # nobody knows what it costs before it is asked
    assert "composite/profile/demo-moa" in run("models", "demo").stdout


def test_check_outlines_profiles(run: Run, board: Path):
    lines = run("config", "check").stdout.splitlines()
    place = lines.index("  profile board: council")
    assert lines[place + 1 : place + 3] == [
        "  ├─ members: fast, r, many x 2",
        "  └─ chairman: fast",
    ]
    assert not any(line.startswith("  deployment many") for line in lines)


def test_doctor_is_content_with_profiles(run: Run, board: Path):
    done = run("doctor")
    assert "ok polyvox.toml" in done.stdout
