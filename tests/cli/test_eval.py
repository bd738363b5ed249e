"""`polyvox eval`: several models on the same cases, as a table, as JSON and as plots."""

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from polyvox.testing import Knobs

from .conftest import Run
from .terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "eval" / "cases.jsonl"
CASES = [
    {"id": "echo", "prompt": "hello", "expected": "hello", "tags": ["easy"]},
    {"id": "wrong", "prompt": "2 + 2", "expected": "4", "scorer": "contains"},
    {"id": "part", "prompt": "one two", "expected": "two", "scorer": "contains", "tags": ["easy"]},
]


@pytest.fixture(scope="session")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where matplotlib keeps its list of fonts, which takes a while to make."""
    return tmp_path_factory.mktemp("matplotlib")


@pytest.fixture
def environment(environment: dict[str, str], fonts: Path) -> dict[str, str]:
    return environment | {"MPLCONFIGDIR": str(fonts)}


@pytest.fixture(autouse=True)
def cases(tmp_path: Path) -> Path:
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(json.dumps(case) + "\n" for case in CASES))
    return path


def evaluated(run: Run, *arguments: str, code: int = 0, **more: object) -> dict[str, object]:
    done = run("eval", "cases.jsonl", "--json", "--no-plot", *arguments, **more)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_it_compares_a_model_with_a_mixture_and_draws_both(run: Run, tmp_path: Path):
    models = "simulated/a,composite/profile/demo-moa"
    done = run("eval", str(EXAMPLES), "--models", models)
    assert done.returncode == 0, done.stderr
    head, alone, together = done.stdout.splitlines()
    assert head.split()[:2] == ["MODEL", "SCORE"]
    assert [line.split()[0] for line in (alone, together)] == models.split(",")
    assert float(together.split()[1]) > float(alone.split()[1]) + 0.1
    assert int(together.split()[7].replace(",", "")) > int(alone.split()[7].replace(",", ""))
    assert "Plot of score against cost: cases-eval.png and cases-eval.svg.\n" in done.stderr
    assert (tmp_path / "cases-eval.png").read_bytes().startswith(b"\x89PNG")
    assert "composite/profile/demo-moa" in (tmp_path / "cases-eval.svg").read_text()


def test_json_has_every_number(run: Run):
    found = evaluated(run, "-m", "simulated/echo", "--fails")
    [model] = found["models"]
    assert (found["cases"], found["complete"]) == (3, True)
    assert (model["name"], model["answered"], model["correct"], model["errors"]) == (
        *("simulated/echo", 3),
        *(2, 0),
    )
    assert model["score"] == pytest.approx(2 / 3)
    assert model["low"] < 2 / 3 < model["high"]
    assert model["usage"]["cost"]["dollars"] == "0.00"
    assert [(each["case"], each["text"]) for each in found["fails"]] == [("wrong", "2 + 2")]


def test_wrong_answers_are_listed(run: Run):
    done = run("eval", "cases.jsonl", "-m", "simulated/echo", "--fails", "--no-plot")
    assert done.stdout.splitlines()[-3:] == [
        "simulated/echo, case wrong: 2 + 2",
        "  said: 2 + 2",
        "  no '4'",
    ]
    assert done.stderr == ""


def test_cases_are_chosen_by_tag_and_number(run: Run):
    assert evaluated(run, "-m", "simulated/echo", "--tag", "easy")["cases"] == 2
    assert evaluated(run, "-m", "simulated/echo", "--tag", "easy", "-n", "1")["cases"] == 1


@pytest.mark.parametrize(("least", "code"), [("0.6", 0), ("0.7", 1), ("nan", 1)])
def test_a_score_below_what_is_wanted_ends_with_1(run: Run, least: str, code: int):
    done = run("eval", "cases.jsonl", "-m", "simulated/echo", "--no-plot", "--min-score", least)
    assert done.returncode == code
    assert (f"simulated/echo scores 0.667, which is below {least}" in done.stderr) is bool(code)


def test_what_failed_is_warned_of_and_asked_again(run: Run, polyvox_mock, tmp_path: Path):
    server = polyvox_mock(
        "openai-chat", ["hello", {"error": {"kind": "server", "text": "broken"}}, "two", "4"]
    )
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "mock"}
    arguments = ("-m", "openai/gpt-5-mini", "--results", "results.jsonl", "--concurrency", "1")
    done = run("eval", "cases.jsonl", "--no-plot", *arguments, env=env)
    assert done.returncode == 0
    assert "openai/gpt-5-mini: 1 failed and are in no score: broken" in done.stderr
    [model] = evaluated(run, *arguments, env=env)["models"]
    assert (model["correct"], model["errors"]) == (3, 0)
    assert model["dollars_per_correct"] > 0
    assert len(server.requests) == 4
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 5


def test_when_all_fails_it_ends_as_its_first_error_does(run: Run):
    env = {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "OPENAI_API_KEY": "mock"}
    done = run("eval", "cases.jsonl", "-m", "openai/gpt-5-mini", env=env)
    assert done.returncode == 10
    assert "error: openai/gpt-5-mini" in done.stderr
    assert "Plot" not in done.stderr


def test_a_grader_is_asked_and_told_apart(run: Run, polyvox_mock, cases: Path):
    cases.write_text('{"prompt": "hello", "scorer": {"type": "graded", "rubric": "Polite."}}\n')
    server = polyvox_mock("openai-chat", [json.dumps({"reason": "Kind.", "score": 0.5})])
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "mock"}
    arguments = ("eval", "cases.jsonl", "-m", "simulated/echo", "--no-plot")
    done = run(*arguments, "--grader", "openai/gpt-5-mini", env=env)
    assert (done.returncode, done.stdout.splitlines()[1].split()[1]) == (0, "0.50")
    assert "Grading: " in done.stderr
    without = run(*arguments)
    assert without.returncode == 3
    assert "there is no grader" in without.stderr


def test_calls_are_written_into_the_log_with_their_case(run: Run):
    evaluated(run, "-m", "simulated/echo")
    listed = run("log", "--tag", "case=wrong", "--json")
    [record] = [json.loads(line) for line in listed.stdout.splitlines()]
    assert record["tags"] == {"case": "wrong"}
    evaluated(run, "-m", "simulated/a", "--no-log")
    assert run("log", "-m", "simulated/a").returncode == 1


def test_plots_go_where_they_are_wanted(run: Run, tmp_path: Path):
    done = run("eval", "cases.jsonl", "-m", "simulated/echo", "--plot", "a.svg", "--plot", "b.png")
    assert done.returncode == 0
    assert {path.name for path in tmp_path.iterdir()} >= {"a.svg", "b.png"}
    assert not (tmp_path / "cases-eval.png").exists()


@pytest.fixture
def no_matplotlib(tmp_path: Path) -> dict[str, str]:
    """A package of that name that can't be imported, before the real one."""
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "matplotlib.py").write_text("raise ImportError('not installed')\n")
    return {"PYTHONPATH": f"{tmp_path / 'absent'}:{ROOT / 'src'}"}


def test_without_matplotlib_a_plot_nobody_asked_for_is_left_out(
    run: Run, no_matplotlib: dict[str, str]
):
    done = run("eval", "cases.jsonl", "-m", "simulated/echo", env=no_matplotlib)
    assert done.returncode == 0
    assert "No plot: a plot is drawn with matplotlib" in done.stderr
    assert "pip install 'polyvox[eval]'" in done.stderr


def test_without_matplotlib_a_plot_that_was_asked_for_is_an_error_before_anything_is_asked(
    run: Run, no_matplotlib: dict[str, str]
):
    done = run("eval", "cases.jsonl", "-m", "simulated/echo", "--plot", "a.png", env=no_matplotlib)
    assert (done.returncode, done.stdout) == (3, "")
    assert "hint: pip install 'polyvox[eval]'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("nowhere.jsonl", "-m", "simulated/echo"), 3, "can't read the cases of nowhere.jsonl"),
        (("cases.jsonl",), 2, "missing option '-m'"),
        (("cases.jsonl", "-m", ","), 2, "--models names nobody"),
        (("cases.jsonl", "-m", "simulated/ecko"), 3, "simulated/echo"),
        (("cases.jsonl", "-m", "openai/gpt-5-mini"), 3, "OPENAI_API_KEY"),
        (("cases.jsonl", "-m", "simulated/echo", "--tag", "hard"), 2, "no case has the tag 'hard'"),
        (("cases.jsonl", "-m", "simulated/echo", "--plot", "a.pdf"), 3, "'a.pdf' is neither"),
        (("cases.jsonl", "-m", "simulated/echo", "--plot", "x/a.png"), 3, "there is no folder x"),
        (("cases.jsonl", "-m", "simulated/echo", "--plot", "a.png", "--no-plot"), 2, "exclude"),
        (
            ("cases.jsonl", "-m", "simulated/echo", "--results", "cases.jsonl"),
            3,
            "is no file of an",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_exit_code(
    run: Run, arguments: tuple[str, ...], code: int, text: str
):
    done = run("eval", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr


def test_a_bad_line_is_told_with_file_line_and_field(run: Run, cases: Path):
    cases.write_text('{"prompt": "a", "expected": "b"}\n{"prompt": "a", "expcted": "b"}\n')
    done = run("eval", "cases.jsonl", "-m", "simulated/echo")
    assert done.returncode == 3
    assert "cases.jsonl, line 2: expcted: there is no such field; did you mean 'expected'?" in (
        done.stderr
    )


def test_ctrl_c_keeps_what_is_done_and_the_next_run_goes_on(
    start: Callable[..., "subprocess.Popen[str]"], run: Run, polyvox_mock, tmp_path: Path
):
    server = polyvox_mock("openai-chat", ["hello", "no " * 4000, "4", "two"])
    server.knobs = Knobs(text_piece=3, delay_chunks=0.05)
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "mock"}
    arguments = ("-m", "openai/gpt-5-mini", "--results", "results.jsonl", "--concurrency", "1")
    process = start("eval", "cases.jsonl", *arguments, env=env)
    server.wait_for_request()
    server.wait_for_request()
    process.send_signal(signal.SIGINT)
    out, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "1/1" in out
    assert "Stopped: 1 of 3 answers are there, kept in results.jsonl." in complaint
    server.knobs = Knobs()
    [model] = evaluated(run, *arguments, env=env)["models"]
    assert (model["correct"], len(server.requests)) == (3, 4)


def test_a_person_sees_how_far_it_is(terminal: Callable[..., Terminal], polyvox_mock):
    server = polyvox_mock("openai-chat", ["hello", "4", "two"])
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "mock"}
    opened = terminal("eval", "cases.jsonl", "-m", "openai/gpt-5-mini", "--no-plot", env=env)
    opened.expect("0/")
    opened.expect("3/3")
    opened.expect("1.00")
    assert opened.wait() == 0
