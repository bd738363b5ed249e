"""The example programs: each runs without a key, and against a provider's API."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from polyvox.testing import ThreadedMock

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
KEYS = re.compile(r"_API_KEY$|_BASE_URL$|_HOST$|_TOKEN$|_proxy$|^POLYVOX_", re.IGNORECASE)


def run(
    name: str, *arguments: str, stdin: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """The finished program, which may warn of nothing and find no keys but these."""
    environment = {key: value for key, value in os.environ.items() if not KEYS.search(key)}
    return subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *arguments],
        input=stdin,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def output(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def openai(polyvox_mock: Callable[..., ThreadedMock]) -> Callable[[list[object]], dict[str, str]]:
    """Serve a script as OpenAI: gives the variables that lead there."""

    def serve(script: list[object]) -> dict[str, str]:
        server = polyvox_mock("openai-chat", script)
        return {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "any"}

    return serve


def test_every_example_is_run_here():
    tested = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'run("{path.name}"' not in tested] == []


def test_the_researcher_uses_its_library_and_its_calculator():
    shown = output(run("researcher_tools.py"))
    assert "search_documents says: tides: Spring tides come at new and full moon" in shown
    assert shown.endswith("calculate says: 24.99\n")


def test_the_demo_streams_calls_a_tool_and_says_what_was_used():
    shown = output(run("demo.py"))
    assert "Lorem ipsum dolor sit amet" in shown
    assert "calls weather({'city': 'Oslo'})" in shown
    assert "weather says: 4 degrees and rain in Oslo" in shown
    assert re.search(
        r"^anthropic/claude-sonnet-4-5 +mock over HTTP +5 +\d+  \$0\.000\d+$", shown, re.MULTILINE
    )
    assert re.search(r"^simulated/lorem +simulated +\d+ +45  free$", shown, re.MULTILINE)
    assert re.search(r"^total +\d+ +\d+  \$0\.000\d+$", shown, re.MULTILINE)


def test_the_demo_asks_the_gateway_with_openais_client_and_shows_its_ledger():
    shown = output(run("demo.py"))
    assert re.search(r"^simulated/echo +Hello, gateway\.$", shown, re.MULTILINE)
    assert re.search(r"^mock/claude-sonnet-4-5 +1 +0 +5 +7 +\$0\.00012$", shown, re.MULTILINE)
    assert re.search(r"^sum +2 +0 +7 +9 +\$0\.00012$", shown, re.MULTILINE)


def test_the_calls_of_the_demo_are_in_the_log(tmp_path: Path):
    variables = {"XDG_DATA_HOME": str(tmp_path)}
    output(run("demo.py", **variables))
    done = subprocess.run(
        [sys.executable, "-m", "polyvox.cli", "log", "stats", "--json"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    sums = json.loads(done.stdout)
    calls = {group["name"]: group["calls"] for group in sums["groups"]}
    assert calls == {
        "anthropic/claude-sonnet-4-5": 1,
        "simulated/tools": 2,
        "simulated/lorem": 1,
    }
    assert (sums["total"]["errors"], sums["total"]["unpriced"]) == (0, 0)
    assert sums["total"]["output_tokens"] > 45
    assert sums["total"]["cost_nanos"] > 0


def test_the_demo_has_no_colours_in_a_pipe():
    assert "\033" not in output(run("demo.py"))


def test_the_chat_echoes_and_adds_up():
    shown = output(run("chat_loop.py", stdin="hello\nhow are you\n"))
    assert "> hello\n> how are you\n> \n" in shown
    assert shown.endswith("10 tokens: free\n")


def test_the_chat_sends_the_whole_conversation(polyvox_mock: Callable[..., ThreadedMock]):
    server = polyvox_mock("openai-chat", ["Good morning.", "Fine."])
    variables = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "any"}
    shown = output(
        run("chat_loop.py", "openai/gpt-5-mini", stdin="hello\nhow are you\n", **variables)
    )
    assert "Good morning.\n" in shown
    second = server.requests[1].request
    assert second is not None
    assert [type(message).__name__ for message in second.messages] == [
        "UserMessage",
        "AssistantMessage",
        "UserMessage",
    ]


def test_the_chat_goes_on_after_an_answer_that_broke_off(
    openai: Callable[[list[object]], dict[str, str]],
):
    broken = {"message": {"content": "One two three."}, "knobs": {"error_after_chunks": 3}}
    done = run("chat_loop.py", "openai/gpt-5-mini", stdin="a\nb\n", **openai([broken, "Better."]))
    assert done.returncode == 0
    assert "Better." in done.stdout
    assert "openai/gpt-5-mini" in done.stderr


def test_models_are_compared_in_a_table():
    lines = output(run("compare_models.py")).splitlines()
    assert lines[0].split() == ["model", "first", "total", "in", "out", "cost", "answer"]
    assert {line.split()[0] for line in lines[1:]} == {
        "simulated/echo",
        "simulated/lorem",
        "simulated/tools",
    }


def test_a_model_that_fails_has_its_line_in_the_table(
    openai: Callable[[list[object]], dict[str, str]],
):
    script: list[object] = [{"error": {"kind": "overloaded", "text": "no room"}}]
    shown = output(run("compare_models.py", "Hi.", "openai/gpt-5-mini", **openai(script)))
    assert "(no room)" in shown


def test_facts_are_read_out_of_a_text():
    shown = output(run("extract_json.py"))
    assert re.search(r"^city +Oslo$", shown, re.MULTILINE)
    assert re.search(r"^tickets +3$", shown, re.MULTILINE)
    assert re.search(r"^day +2026-05-17$", shown, re.MULTILINE)
    assert re.search(r"^email +ada@example\.com$", shown, re.MULTILINE)


def test_a_budget_for_ten_calls_stops_the_eleventh_before_it_is_sent():
    shown = output(run("budget.py"))
    assert re.findall(r"^call +(\d+)  \$", shown, re.MULTILINE) == [str(n) for n in range(1, 11)]
    assert (
        "call 11  stopped: the budget 'example' allows $0.00062 in total: $0.000612 spent" in shown
    )
    assert shown.endswith("The provider was asked 10 times.\n")


def test_a_budget_never_stops_a_free_model():
    done = run("budget.py", "simulated/echo", "$0")
    assert done.returncode == 1
    assert "100 calls, and there is still money left" in done.stdout


ORDER = '{"city": "Oslo", "tickets": 3, "day": "2026-05-17", "email": "ada@example.com"}'
CUT = {"message": {"content": '{"ci', "stop_reason": "length"}}


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        (['{"city": "Oslo"}'] * 2, "missing required field"),
        (["I can't."] * 2, "malformed"),
        ([CUT], "cut at the token limit"),
    ],
)
def test_what_is_no_order_is_not_taken_for_one(
    answers: list[object], complaint: str, openai: Callable[[list[object]], dict[str, str]]
):
    done = run("extract_json.py", "openai/gpt-5-mini", "Hm.", **openai(answers))
    assert done.returncode == 1
    assert complaint in done.stderr


def test_an_order_may_be_mended(openai: Callable[[list[object]], dict[str, str]]):
    answers: list[object] = [ORDER.replace("3", "0"), ORDER]
    shown = output(run("extract_json.py", "openai/gpt-5-mini", "Hm.", **openai(answers)))
    assert re.search(r"^tickets +3$", shown, re.MULTILINE)


def test_both_tools_are_run_and_their_results_used():
    shown = output(run("weather_tools.py"))
    assert "weather({'city': 'Oslo'}) -> 4 degrees, rain\n" in shown
    assert "time says: 14:00\n" in shown


def test_a_call_of_a_tool_that_is_not_there_is_answered_with_an_error(
    openai: Callable[[list[object]], dict[str, str]],
):
    call = {"type": "tool_call", "id": "call_1", "name": "tides", "arguments": {"city": "Oslo"}}
    wish = {"message": {"content": [call], "stop_reason": "tool_calls"}}
    shown = output(
        run("weather_tools.py", "openai/gpt-5-mini", "Tides?", **openai([wish, "Sorry."]))
    )
    assert shown == "Sorry.\n"


def test_calls_fall_back_from_a_provider_that_fails():
    shown = output(run("fallback.py"))
    assert shown.count(": Air scatters blue light more than red.\n") == 3
    assert shown.count("openai/gpt-5-mini network") == 1
    assert shown.count("openai/gpt-5-mini overloaded") == 1
    assert "openai/gpt-5-mini is cooling for 30 s after overloaded (503): 0 of 2 calls" in shown
    assert shown.endswith("anthropic/claude-haiku-4-5 is ready: 3 of 3 calls answered\n")


def test_the_chart_of_the_lowest_latency_has_every_call():
    shown = output(run("lowest_latency.py", "12"))
    bars = re.findall(r"^(oslo|lagos|lima) +#* (\d+)$", shown, re.MULTILINE)
    assert [place for place, _ in bars] == ["oslo", "lagos", "lima"] * 2
    assert sum(int(count) for _, count in bars) == 24
    assert len(re.findall(r"^\w+ +\d+ ms to the first word$", shown, re.MULTILINE)) == 3


def test_answers_that_are_kept_are_asked_for_once(tmp_path: Path):
    shown = output(run("caching.py", str(tmp_path / "answers.db")))
    assert shown.count("  stored  $0.00\n") == 1
    assert "1 asked, the others had its answer\n" in shown
    assert "bob  asked " in shown
    assert shown.endswith(
        "10 of 15 answers were stored: $0.00163 saved\nThe provider was asked 5 times.\n"
    )
    again = output(run("caching.py", str(tmp_path / "answers.db")))
    assert "0 asked, the others had its answer\n" in again
    assert again.endswith("The provider was asked 1 times.\n")


def test_every_tenant_has_a_budget_and_a_bill():
    shown = output(run("tenants.py"))
    assert "ada  Why is the sky blue?  a stored answer, $0.00\n" in shown
    assert "bob  Why is the sky blue?  answered by west, $0.000203\n" in shown
    assert "Why is snow white?    stopped: the budget 'customer' allows $0.0005 per month" in shown
    assert "  ada              4 calls, 1 failed, $0.000406\n" in shown
    assert "  east/gpt-5-mini  3 calls, 3 failed, $0.00\n" in shown


def test_the_agent_is_sent_back_until_its_file_is_right():
    shown = output(run("run_until_done.py"))
    assert "attempt 1\n  write: 113 characters written\n  Neptune is missing\nattempt 2\n" in shown
    assert "Earth has a radius of 6371000 km, which can't be\nattempt 4\n" in shown
    assert shown.endswith("  all is well\ndone after 4 attempts: free\n")
