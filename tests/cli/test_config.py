"""`polyvox config`: the file checked, shown, found, begun; and what ask, chat and models make of it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyvox.testing import MockProvider, ThreadedMock

from .conftest import Run

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "polyvox.toml"
SECRET = "sk-canary-0123456789abcdef"


@pytest.fixture
def polyvox_toml(tmp_path: Path) -> Path:
    """A file where the commands are run."""
    path = tmp_path / "polyvox.toml"
    path.write_text("[defaults]\nmodel = 'fast'\n[aliases]\nfast = 'simulated/echo'\n", "utf-8")
    return path


def test_the_example_is_right_without_a_key(run: Run):
    done = run("config", "check", str(EXAMPLE))
    assert done.returncode == 0
    assert "error" not in done.stderr
    assert "router chat: weighted" in done.stdout
    assert "budget everybody: $20 per day, then block" in done.stdout


def test_the_example_uses_every_section(run: Run):
    from polyvox.config import Config

    sections = json.loads(run("config", "show", "--json", str(EXAMPLE)).stdout)["values"]
    assert set(sections) == set(Config.__struct_fields__)


def test_the_example_answers_without_a_key(run: Run, tmp_path: Path):
    env = {"POLYVOX_EXAMPLE_LOG": str(tmp_path / "calls.jsonl")}
    done = run("ask", "--config", str(EXAMPLE), "--no-usage", "-m", "careful", "hello", env=env)
    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert (tmp_path / "calls.jsonl").exists()


def test_a_misspelt_section_fails_naming_the_right_one(run: Run, tmp_path: Path):
    text = EXAMPLE.read_text("utf-8").replace("[routers.chat]", "[rotuer.chat]")
    (tmp_path / "polyvox.toml").write_text(text, "utf-8")
    line = text[: text.index("[rotuer")].count("\n") + 1
    done = run("config", "check")
    assert done.returncode == 1
    wrong = f"error: polyvox.toml, line {line}: unknown key 'rotuer'; did you mean 'routers'?"
    assert wrong in done.stderr.splitlines()


def test_check_tells_all_that_is_wrong_and_counts_it(run: Run, tmp_path: Path):
    (tmp_path / "polyvox.toml").write_text("[a]\n[retry]\nattempts = 'x'\n", "utf-8")
    done = run("config", "check")
    assert done.stderr.count("error: polyvox.toml, line") == 2
    assert "polyvox.toml: 2 errors, 0 warnings" in done.stderr


@pytest.mark.parametrize("text", ["[", None])
def test_what_can_not_be_read_fails(run: Run, tmp_path: Path, text: str | None):
    if text is not None:
        (tmp_path / "x.toml").write_text(text, "utf-8")
    done = run("config", "check", "x.toml")
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: x.toml" in done.stderr


def test_without_a_file_check_says_how_to_begin(run: Run):
    done = run("config", "check")
    assert done.returncode == 1
    assert "polyvox config init" in done.stderr


def test_a_warning_is_told_and_is_no_failure(run: Run, tmp_path: Path):
    (tmp_path / "polyvox.toml").write_text("[templates.t]\nseed = 1\n", "utf-8")
    done = run("config", "check")
    assert done.returncode == 0
    assert "warning: polyvox.toml, line 1: nothing uses the template 't'" in done.stderr
    assert done.stdout.endswith("It is right, with 1 warning.\n")


UNPRICED = """
[deployments.ours]
model = "lab/llama"
[routers.chat]
deployments = ["ours", "openai/gpt-5-mini"]
[providers.lab]
dialect = "openai-chat"
base_url = "https://lab.example/v1"
key = "x"
[providers.openai]
key = "x"
"""
BUDGET = "[budgets.b]\nlimit = 5\n"
PRICE = "[prices.'lab/llama']\ninput = 1\noutput = 2\n"


@pytest.mark.parametrize(
    ("more", "warned"),
    [
        (BUDGET, True),
        ("[gateway]\nport = 1\n", True),  # whose keys may have budgets
        ("", False),
        (f"{BUDGET}unknown_price = 'allow'\n", False),
        (BUDGET + PRICE, False),
    ],
)
def test_a_model_without_a_price_is_warned_of_where_a_budget_may_hold(
    run: Run, tmp_path: Path, more: str, warned: bool
):
    (tmp_path / "polyvox.toml").write_text(UNPRICED + more, "utf-8")
    done = run("config", "check")
    assert done.returncode == 0
    text = "warning: polyvox.toml, line 2: nobody knows what lab/llama costs"
    assert (text in done.stderr) is warned
    assert done.stderr.count("warning: ") == warned


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[gateway.keys.ci]\nkey = 'sk-1234'\n", "[gateway.keys.ci] key is too weak"),
        ("[gateway]\nsecret = 'changeme'\n", "[gateway] secret is too weak"),
        ("[gateway]\nadmin_key = 'admin'\n", "[gateway] admin_key is too weak"),
        ("[gateway]\ndatabase = 'mysql://h/d'\n", "neither SQLite nor PostgreSQL"),
        ("[gateway]\nworkers = 2\n[budgets.b]\nlimit = 1\n", "[budgets.b] for itself alone"),
    ],
)
def test_what_serve_refuses_is_wrong_here_too(run: Run, tmp_path: Path, text: str, wrong: str):
    (tmp_path / "polyvox.toml").write_text(text, "utf-8")
    checked, served = run("config", "check"), run("serve", "--port", "0")
    assert (checked.returncode, served.returncode) == (1, 3)
    assert wrong in checked.stderr
    assert wrong in served.stderr


def test_the_gateway_is_shown_without_its_secrets(run: Run, tmp_path: Path):
    text = f"""
[gateway]
host = "0.0.0.0"
database = "postgresql://ada:{SECRET}@db/polyvox"
[gateway.keys.ci]
key = "9c61e07be94a35a1c7e8f0d9b362542f"
organisation = "acme"
team = "core"
models = ["openai/*"]
budget = {{ limit = "$1", per = "day" }}
"""
    (tmp_path / "polyvox.toml").write_text(text, "utf-8")
    done = run("config", "check")
    assert "gateway at 0.0.0.0:8700: 1 worker, uvicorn" in done.stdout
    assert "key ci: of acme/core, may ask openai/*, budget $1 per day, then block" in done.stdout
    assert "warning: polyvox.toml, line 2: the gateway would listen at 0.0.0.0" in done.stderr
    assert done.returncode == 0
    assert SECRET not in done.stdout + done.stderr
    assert "9c61e07b" not in done.stdout + done.stderr


def test_show_masks_secrets_and_says_where_values_come_from(run: Run, tmp_path: Path):
    text = f"""
[providers.openai]
key = "{SECRET}"
keys = ["${{OTHER_KEY}}"]
headers = {{ x-auth = "Bearer ${{LAB_TOKEN}}", x-team = "${{TEAM}}" }}
[accounts]
kind = "redis"
url = "redis://ada:{SECRET}@lab:6379/0"
[providers.lab]
base_url = "https://ada:{SECRET}@lab.example/v1"
[limits.l]
requests = 1
"""
    (tmp_path / "polyvox.toml").write_text(text, "utf-8")
    env = {
        "OTHER_KEY": f"{SECRET}-2",
        "LAB_TOKEN": f"{SECRET}-3",
        "TEAM": "blue",
        "POLYVOX_PROVIDERS__ANTHROPIC__KEY": f"{SECRET}-4",
        "POLYVOX_LIMITS__L__REQUESTS": "7",
    }
    for arguments in (("show",), ("show", "--json"), ("check",)):
        done = run("config", *arguments, env=env)
        assert done.returncode == 0, done.stderr
        assert SECRET not in done.stdout + done.stderr
    shown = json.loads(run("config", "show", "--json", env=env).stdout)
    assert shown["values"]["providers"]["openai"] == {
        "headers": {"x-auth": "***", "x-team": "blue"},
        "key": "***",
        "keys": ["***"],
    }
    assert shown["values"]["limits"]["l"]["requests"] == 7
    origins = shown["origins"]
    assert origins["limits.l.requests"] == "the environment variable POLYVOX_LIMITS__L__REQUESTS"
    assert origins["limits.l.per"] == "default"
    assert origins["providers.openai.key"] == "polyvox.toml, line 3"
    assert origins["providers.openai.headers.x-team"] == "polyvox.toml, line 5, from TEAM"


def test_show_ends_with_the_code_of_a_wrong_set_up(run: Run, tmp_path: Path):
    (tmp_path / "polyvox.toml").write_text("[rotuer]\n", "utf-8")
    done = run("config", "show")
    assert (done.returncode, done.stdout) == (3, "")


def test_path_prints_which_file_is_used(run: Run, polyvox_toml: Path, tmp_path: Path):
    assert run("config", "path").stdout == f"{polyvox_toml}\n"
    done = run("config", "path", env={"POLYVOX_CONFIG": "off"})
    assert (done.returncode, done.stdout) == (1, "")


def test_init_writes_a_file_that_is_right_and_overwrites_none(run: Run, tmp_path: Path):
    assert run("config", "init").returncode == 0
    assert run("config", "check").returncode == 0
    assert run("ask", "--no-usage", "hello").stdout == "hello\n"
    text = (tmp_path / "polyvox.toml").read_text("utf-8")
    done = run("config", "init")
    assert done.returncode == 2
    assert "polyvox.toml is there already" in done.stderr
    assert (tmp_path / "polyvox.toml").read_text("utf-8") == text


def test_what_is_commented_out_of_the_starter_is_right_too(run: Run, tmp_path: Path):
    run("config", "init", "below/starter.toml")
    text = (tmp_path / "below" / "starter.toml").read_text("utf-8")
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    # Of the prose every line becomes a comment again.
    kept = [line if line[:1] == "[" or " = " in line else f"# {line}" for line in lines]
    (tmp_path / "all.toml").write_text(
        "\n".join(kept).replace("precise]\nmodel", "p]\nmodel"), "utf-8"
    )
    done = run("config", "check", "all.toml", env={"MY_OPENAI_KEY": "sk-1"})
    assert [line for line in done.stderr.splitlines() if line.startswith("error")] == []
    assert "router chat" in done.stdout


def test_ask_uses_the_file_and_its_default_model(run: Run, polyvox_toml: Path):
    done = run("ask", "--json", "hello")
    assert json.loads(done.stdout)["model"] == "simulated/echo"
    assert "Using" not in done.stderr
    assert json.loads(run("ask", "--json", "-m", "fast", "hi").stdout)["text"] == "hi"


def test_ask_fails_on_a_wrong_file_naming_its_line(run: Run, polyvox_toml: Path):
    polyvox_toml.write_text("[rotuer]\n", "utf-8")
    done = run("ask", "-m", "simulated/echo", "hello")
    assert done.returncode == 3
    assert "polyvox.toml, line 1: unknown key 'rotuer'" in done.stderr
    assert run("ask", "hello", env={"POLYVOX_CONFIG": "off"}).returncode == 0


def test_budgets_of_the_file_hold_for_the_command_line(run: Run, tmp_path: Path):
    (tmp_path / "polyvox.toml").write_text("[limits.l]\ntokens = 1\n", "utf-8")
    done = run("ask", "-m", "simulated/echo", "hello", env={"POLYVOX_BUDGETS__B__LIMIT": "ten"})
    assert done.returncode == 3
    assert "POLYVOX_BUDGETS__B__LIMIT" in done.stderr or "budgets.b" in done.stderr


def test_chat_takes_names_of_the_file(run: Run, polyvox_toml: Path):
    done = run("chat", stdin="hello\n/model simulated/echo\n/model fast\nagain\n")
    assert (done.returncode, done.stdout) == (0, "hello\nagain\n")


def test_models_lists_the_names_of_the_file_first(run: Run, polyvox_toml: Path):
    listed = json.loads(run("models", "--json", "fast").stdout)
    assert listed[0]["model"] == "fast"
    assert listed[0]["name"] == "for simulated/echo"
    other = run("models", "--json", "--config", str(EXAMPLE), "careful")
    assert json.loads(other.stdout)[0]["model"] == "careful"


def test_the_log_of_the_file_takes_the_place_of_the_usual_one(run: Run, tmp_path: Path):
    (tmp_path / "polyvox.toml").write_text("[log]\npath = 'calls.jsonl'\n", "utf-8")
    run("ask", "-m", "simulated/echo", "--no-log", "hello")
    assert not (tmp_path / "calls.jsonl").exists()
    run("ask", "-m", "simulated/echo", "hello")
    assert len((tmp_path / "calls.jsonl").read_text("utf-8").splitlines()) == 1
    assert not list((tmp_path / "data").rglob("calls.db"))


def test_doctor_looks_at_the_file(run: Run, polyvox_toml: Path):
    report = json.loads(run("doctor", "--json").stdout)
    assert (report["model"], report["why"]) == ("fast", "the configuration says so.")
    polyvox_toml.write_text("[rotuer]\n", "utf-8")
    (check,) = (
        check
        for check in json.loads(run("doctor", "--json").stdout)["checks"]
        if check["section"] == "configuration"
    )
    assert check["status"] == "failed"
    assert check["text"].startswith("polyvox.toml, line 1: unknown key 'rotuer'")


ROUTED = """
[providers.lab]
base_url = "{url}"
auth = "none"
[deployments.one]
model = "lab/one"
[aliases]
two = "lab/two"
[routers.same]
deployments = ["one", "two"]
fallbacks = ["inner"]
[routers.inner]
deployments = ["lab/three"]
[routers.mixed]
deployments = ["one"]
fallbacks = ["simulated/echo"]
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[ThreadedMock]:
    """A provider that the file's names lead to."""
    with MockProvider("openai-chat") as mock:
        (tmp_path / "polyvox.toml").write_text(ROUTED.format(url=mock.url), "utf-8")
        yield mock


@pytest.mark.parametrize("name", ["one", "two", "same", "inner", "lab/four"])
def test_options_reach_the_provider_under_every_name(run: Run, lab: ThreadedMock, name: str):
    done = run("ask", "-m", name, "-o", "user=ada", "hello")
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
    assert json.loads(lab.requests[0].body)["user"] == "ada"
    done = run("chat", "-m", name, "-o", "user=ada", stdin="hello\n/option user=bob\nagain\n")
    assert done.returncode == 0, done.stderr
    users = [json.loads(request.body)["user"] for request in lab.requests[1:]]
    assert users == ["ada", "bob"]


def test_options_for_a_router_that_asks_several_providers_are_refused(run: Run, lab: ThreadedMock):
    for command in ("ask", "chat"):
        done = run(command, "-m", "mixed", "-o", "user=ada", stdin="hello\n")
        assert done.returncode == 3
        assert "'mixed' asks models of lab, simulated" in done.stderr
        assert "[templates.NAME.options.PROVIDER]" in done.stderr
    done = run("chat", "-m", "mixed", stdin="/option user=ada\nhello\n")
    assert "'mixed' asks models of lab, simulated" in done.stderr
    assert [json.loads(request.body).get("user") for request in lab.requests] == [None]
    assert run("ask", "-m", "mixed", "hello").stdout == "hello\n"
