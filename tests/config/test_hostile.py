"""Files and variables that nobody would write on purpose: each is told, in its place, and nothing leaks."""

import json
import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.cli.config_views import show_values
from polyvox.config import Loaded, examine, find_config, load_config
from polyvox.errors import ConfigurationError
from polyvox.secret import Secret

from .conftest import Examine, Write

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "polyvox.toml"
SECRET = "unlikely-secret-4711"


def told(loaded: Loaded) -> list[str]:
    return [str(problem).removeprefix("polyvox.toml, ") for problem in loaded.errors]


# ------------------------------------------------------------------------------------- the file


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 5_000 + "]" * 5_000,
        "a = " + "{a = " * 5_000 + "1" + "}" * 5_000,
    ],
    ids=["lists", "tables"],
)
def test_a_file_that_is_nested_too_deeply_to_be_read_is_told(write: Write, text: str):
    with pytest.raises(ConfigurationError, match=r"polyvox\.toml is nested too deeply"):
        load_config(write(text))


@pytest.mark.parametrize("value", [".".join("a" * 3_000) + " = 1", "a = " + "[" * 90 + "]" * 90])
def test_a_value_that_is_nested_too_deeply_is_told_with_its_line(look: Examine, value: str):
    assert told(look(f"[templates.t.options.openai]\n{value}")) == [
        "line 2: templates.t.options.openai is nested too deeply"
    ]


def test_a_number_that_python_does_not_read_is_told(write: Write):
    with pytest.raises(ConfigurationError, match="this is no TOML"):
        load_config(write("[retry]\nattempts = " + "9" * 5_000))


def test_a_folder_is_no_file(folder: Path):
    (folder / "polyvox.toml").mkdir()
    assert find_config({}) is None
    with pytest.raises(ConfigurationError, match=r"polyvox\.toml can't be read: Is a directory"):
        load_config("polyvox.toml")


def test_a_file_that_may_not_be_read_is_told(write: Write, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    path = write("")
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ConfigurationError, match="can't be read: Permission denied"):
        load_config(path)


def test_a_link_is_followed(write: Write, folder: Path):
    (folder / "polyvox.toml").symlink_to(write("[retry]\nattempts = 7", "elsewhere/file.toml"))
    config = load_config()
    assert config.retry is not None
    assert config.retry.attempts == 7


def test_lines_of_windows_are_counted_as_others(folder: Path):
    (folder / "polyvox.toml").write_bytes(b"[retry]\r\nattempts = 3\r\n\r\natempts = 4\r\n")
    assert told(examine(environ={}))[0].startswith("line 4: unknown key 'atempts'")


def test_a_large_file_is_read(look: Examine):
    names = "\n".join(f"name-{number} = 'simulated/echo'" for number in range(20_000))
    loaded = look(f"[aliases]\n{names}\nlast = 'simulated/ecko'")
    assert told(loaded) == ["line 20002: aliases.last: there is no model 'simulated/ecko'"]


def test_a_home_that_is_not_there_is_no_reason_to_fail(look: Examine):
    config = look("[log]\npath = '~nobody-of-this-name/calls.db'").config
    assert config is not None
    with pytest.raises(ConfigurationError, match="which is not there"):
        find_config({"POLYVOX_CONFIG": "~nobody-of-this-name/polyvox.toml"})


def test_in_a_folder_that_was_deleted_there_is_none(folder: Path):
    folder.rmdir()
    assert find_config({}) is None


@pytest.mark.parametrize("path", ["", ".", "~", "../folder"])
def test_a_path_that_is_no_file_is_told(look: Examine, folder: Path, path: str):
    (folder.parent / "home").mkdir()
    assert told(look(f"[log]\npath = '{path}'")) == [f"line 2: log.path is {path!r}: name a file"]


# ------------------------------------------------------------------------------------- pyproject


def test_a_pyproject_that_is_named_must_have_our_table(write: Write):
    path = write("[tool.ruff]\n", "pyproject.toml")
    with pytest.raises(ConfigurationError, match=r"pyproject\.toml has no table \[tool\.polyvox\]"):
        load_config(path)
    assert find_config({}) is None


def test_a_pyproject_with_a_byte_order_mark_counts(folder: Path):
    text = "\ufeff[tool.polyvox.retry]\nattempts = 7\n"
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    config = load_config(environ={})
    assert config.retry is not None
    assert config.retry.attempts == 7


def test_a_pyproject_that_is_no_toml_is_not_passed_over_if_our_table_stands_in_it(write: Write):
    write("[project\n", "pyproject.toml")
    assert find_config({}) is None
    write("[tool.polyvox.budgets.b]\nlimit = \n", "pyproject.toml")
    with pytest.raises(ConfigurationError, match=r"pyproject\.toml, line 2: this is no TOML"):
        load_config(environ={})


# ------------------------------------------------------------------------------------- the place


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[aliases]\na = 'simulated/echo'\nb = 3",
            "line 3: aliases.b: expected a string or a table",
        ),
        ("[routers]\n\nchat = 'x'", "line 3: routers.chat: expected a table, got a string"),
        ("[[routers.chat]]\na = 1", "line 1: routers.chat: expected a table, got a list"),
        ("[templates.t.options]\n\nx = 1", "line 3: templates.t.options.x: expected a table"),
        (
            "[templates.t]\nmetadata = { a = 'x', b = 2 }",
            "line 2: templates.t.metadata.b: expected a string, got a whole number",
        ),
        (
            "[providers.openai]\nkeys = [\n'sk-1',\n5]",
            "line 4: providers.openai.keys[1]: expected a string, got a whole number",
        ),
        ("[providers.openai]\nkey = 5", "line 2: providers.openai.key: expected a string"),
        ("[providers.openai.key]\na = 1", "line 1: providers.openai.key: expected a string"),
        ("routers.r.deployments = ['${E:-}', 3]", "line 1: routers.r.deployments[1]: expected a"),
        ("[limits.l]\nrequests = 1\nper = -1", "line 3: limits.l: a rate limit can't be per -1"),
        (
            "[deployments.a]\nmodel = 'simulated/echo'\nkey = ''",
            "line 3: deployments.a.key is empty",
        ),
        (
            "[providers.lab]\nbase_url = 'http://lab'\nheaders = { x = \"a\\r\\nb: c\" }",
            "line 3: providers.lab: headers must be names with texts of one line",
        ),
        (
            "[providers.lab]\nheaders = { 'x y' = 'a' }\nbase_url = 'http://lab'",
            "line 2: providers.lab: headers must be names with texts of one line",
        ),
        (
            '[templates."\\u001b[31m"]\nx = 1',
            "line 2: unknown key 'x' in templates.\"\\u001b[31m\"",
        ),
        ("[log]\npath = 'x'\nredact = ['x*']", "line 3: log: redact: 'x*' finds something even"),
    ],
)
def test_the_problem_is_at_the_key_that_is_wrong(look: Examine, text: str, problem: str):
    assert [line[: len(problem)] for line in told(look(text))] == [problem]


@pytest.mark.parametrize(
    "text",
    [
        "[templates.t]\ntemperature = nan",
        "[templates.t]\ntop_p = -inf",
        "[templates.t.options.openai]\nx = inf",
        "[limits.l]\nwait_seconds = nan",
        "[budgets.b]\nlimit = nan",
        "[retry]\ncap = nan",
    ],
)
def test_what_is_no_number_is_told(look: Examine, text: str):
    (problem,) = told(look(text))
    assert problem.startswith("line 2: ")
    assert problem.endswith(
        "inf, which is no number" if "inf" in text else "is nan, which is no number"
    )


def test_not_a_number_is_none_in_a_variable_either(look: Examine):
    (problem,) = look("", POLYVOX_LIMITS__L__WAIT_SECONDS="nan").errors
    assert str(problem).endswith(
        "L__WAIT_SECONDS: limits.l.wait_seconds is nan, which is no number"
    )


def test_a_guess_without_end_is_no_price(look: Examine):
    text = "[budgets.b]\nlimit = 1\nunknown_price = 'estimate'\nper_million_tokens = inf"
    assert told(look(text))[0].startswith("line 4: budgets.b: per_million_tokens is inf")


def test_a_key_may_end_with_a_line_break_of_its_variable(look: Examine):
    config = look("[providers.openai]\nkey = '${MY}'", MY="sk-1\n").config
    assert config is not None
    assert config.providers["openai"].key == Secret("sk-1")


def test_a_key_of_two_lines_is_told_without_it(look: Examine):
    (problem,) = told(look("[providers.openai]\nkey = '${MY}'", MY="sk-1\nsk-2"))
    assert problem == "line 2: providers.openai.key holds characters that can't be sent"


def test_references_do_not_nest(look: Examine):
    (problem,) = told(look("[defaults]\nmodel = '${A:-${B}}'", A="simulated/echo", B="x"))
    assert (
        problem
        == "line 2: defaults.model: '${' is no reference: it is ${NAME} or ${NAME:-otherwise}"
    )


def test_who_is_named_twice_in_a_router_is_told(look: Examine):
    loaded = look("[routers.r]\ndeployments = ['simulated/echo',\n'simulated/echo']")
    assert [str(problem) for problem in loaded.warnings] == [
        "polyvox.toml, line 3: 'simulated/echo' is named twice: it is asked twice"
    ]


def test_routers_of_routers_are_looked_at_once_each(look: Examine):
    layers = [
        f"[routers.{side}{number}]\ndeployments = ['a{number + 1}', 'b{number + 1}']\n"
        for number in range(60)
        for side in "ab"
    ]
    last = "[aliases]\na60 = 'simulated/echo'\nb60 = 'simulated/echo'\n"
    assert told(look("".join(layers) + last)) == []
    circle = told(look("".join(layers) + last.replace("'simulated/echo'\nb", "'a58'\nb")))
    assert [line.partition(": ")[2] for line in circle] == [
        "the router asks itself: a58 -> a59 -> a58",
        "the router asks itself: a59 -> a58 -> a59",
        "the router asks itself: b59 -> a58 -> b59",
    ]


# ------------------------------------------------------------------------------------- variables


def test_what_is_wrong_in_a_table_of_a_variable_names_the_variable(look: Examine):
    text = "[deployments.a]\nmodel = 'simulated/echo'\nrpm = 5\n"
    (problem,) = look(text, POLYVOX_DEPLOYMENTS__A="{model = 'simulated/echo', rpm = 0}").errors
    assert str(problem).startswith(
        "the environment variable POLYVOX_DEPLOYMENTS__A: deployments.a.rpm:"
    )


@pytest.mark.parametrize("value", ["[" * 5_000, "[" + "9" * 5_000 + "]"])
def test_a_variable_that_is_no_toml_is_a_text(look: Examine, value: str):
    (problem,) = look("", POLYVOX_ROUTERS__R__DEPLOYMENTS=value).errors
    assert str(problem).endswith("routers.r.deployments: expected a list, got a string")


def test_a_variable_that_is_not_utf8_is_told(look: Examine):
    text, bad = "[templates.t]\nsystem = '${BAD}'", os.fsdecode(b"\xff\xfe")
    assert told(look(text, BAD=bad)) == [
        "line 2: templates.t.system is not UTF-8 in the environment"
    ]
    (problem,) = look("", POLYVOX_DEFAULTS__MODEL=bad).errors
    assert str(problem).endswith("MODEL: defaults.model is not UTF-8 in the environment")


def test_the_list_of_a_variable_holds_no_references(look: Examine):
    config = look("", POLYVOX_LOG__REDACT="['a${b}']").config
    assert config is not None
    assert config.log is not None
    assert config.log.redact == ("a${b}",)


def test_a_variable_that_may_mean_two_names_is_told(look: Examine):
    text = "[aliases]\na-b = 'simulated/echo'\na_b = 'simulated/echo'"
    with pytest.raises(ConfigurationError, match="POLYVOX_ALIASES__A_B may mean a-b or a_b"):
        look(text, POLYVOX_ALIASES__A_B="simulated/lorem")


# ------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    "text",
    [
        "[providers.lab]\nbase_url = 'http://x'\nauth = '${LAB_KEY}'",
        "[defaults]\nmodel = '${LAB_KEY}'",
        "[aliases]\na = '${LAB_KEY}'",
        "[budgets.b]\nlimit = '${LAB_KEY}'",
        "[budgets.b]\nlimit = 1\nmodels = ['${LAB_KEY}']",
        "[cache]\nkind = '${LAB_KEY}'",
        "[providers.lab]\nbase_url = '${LAB_KEY}'",
        "[log]\nredact = ['(${LAB_KEY}']",
        "[retry]\nattempts = '${LAB_KEY}'",
    ],
)
def test_a_secret_in_a_wrong_place_is_not_told(look: Examine, text: str):
    loaded = look(text, LAB_KEY=SECRET)
    assert loaded.errors
    assert SECRET not in repr(loaded.problems)


def test_a_secret_in_a_variable_of_ours_is_not_told(look: Examine):
    loaded = look(
        "", POLYVOX_PROVIDERS__OPENAI__AUTH=SECRET, POLYVOX_PROVIDERS__OPENAI__KEYS=SECRET
    )
    assert loaded.errors
    assert SECRET not in repr(loaded.problems)


def test_a_header_that_holds_a_secret_by_its_name_is_not_shown(
    write: Write, capsys: pytest.CaptureFixture[str]
):
    path = write(
        f"[providers.lab]\nbase_url = 'http://x'\nheaders = {{ x-api-key = '{SECRET}', x-team = 'a' }}\n"
        f"[templates.t.options.lab]\napi_key = '{SECRET}'\nmax_tokens = 5"
    )
    show_values(path, as_json=True)
    out = capsys.readouterr().out
    assert SECRET not in out
    values = json.loads(out)["values"]
    assert values["providers"]["lab"]["headers"] == {"x-api-key": "***", "x-team": "a"}
    assert values["templates"]["t"]["options"]["lab"]["max_tokens"] == 5


def test_a_number_of_tokens_is_no_secret(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("POLYVOX_LIMITS__L__TOKENS", "500")
    show_values(write("[limits.l]\nrequests = 1"), as_json=True)
    assert json.loads(capsys.readouterr().out)["values"]["limits"]["l"]["tokens"] == 500


# ------------------------------------------------------------------------------------- anything

_VALUES = st.one_of(
    st.sampled_from(["nan", "inf", "-1", "0", "true", "''", "[]", "{}", "1979-05-27", "[[1]]"]),
    st.sampled_from(["'${X}'", "'${X:-}'", "'${'", "'never'", "'a/b'", "['a', 1]", "{a = 1}"]),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)


@st.composite
def spoilt(draw: st.DrawFn) -> str:
    """The example with another value, key or section in some line."""
    lines = EXAMPLE.read_text("utf-8").splitlines()
    keyed = [place for place, line in enumerate(lines) if " = " in line and line[0] not in "#["]
    for place in draw(st.lists(st.sampled_from(keyed), min_size=1, max_size=3, unique=True)):
        key, _, value = lines[place].partition(" = ")
        if draw(st.booleans()):
            value = draw(_VALUES)
        else:
            key += draw(st.sampled_from(["s", ".x", "-", "_y"]))
        lines[place] = f"{key} = {value}"
    return "\n".join(lines)


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


@given(text=spoilt().filter(_is_toml))
def test_whatever_is_wrong_is_told_with_a_line_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, text: str
):
    path = tmp_path_factory.getbasetemp() / "spoilt.toml"
    path.write_text(text, encoding="utf-8")
    for problem in examine(path, {}).problems:
        shown, _, line = problem.where.rpartition(", line ")
        assert os.path.basename(shown) == "spoilt.toml"
        assert 0 < int(line) <= len(text.splitlines())
