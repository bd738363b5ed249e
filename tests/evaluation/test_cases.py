"""Cases: what a line may say, and what is told of one that says something else."""

import json
from pathlib import Path

import pytest

from polyvox.errors import ConfigurationError
from polyvox.evaluation import Case, Contains, Exact, Graded, Regex, Schema, load_cases
from polyvox.evaluation.cases import check_cases
from polyvox.messages import assistant, user

ROOT = Path(__file__).resolve().parents[2]


def written(tmp_path: Path, *lines: object) -> Path:
    path = tmp_path / "cases.jsonl"
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text(text, encoding="utf-8")
    return path


def complaint(tmp_path: Path, *lines: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_cases(written(tmp_path, *lines))
    return str(caught.value).replace(str(tmp_path), "")


def test_a_prompt_and_what_is_expected_is_a_case(tmp_path: Path):
    [case] = load_cases(written(tmp_path, {"prompt": "Say yes.", "expected": "yes"}, ""))
    assert (case.prompt, case.expected, case.scorer, case.weight) == (
        *("Say yes.", "yes"),
        *(Exact(), 1.0),
    )


@pytest.mark.parametrize(
    ("said", "scorer"),
    [
        ("exact", Exact()),
        (
            {"type": "exact", "ignore_case": True, "strip": False},
            Exact(ignore_case=True, strip=False),
        ),
        ({"type": "contains", "match": "all", "words": True}, Contains(match="all", words=True)),
        ({"type": "regex", "flags": "im"}, Regex(flags="im")),
        ({"type": "schema", "schema": {"type": "string"}}, Schema(schema={"type": "string"})),
        ({"type": "graded", "rubric": "Polite."}, Graded(rubric="Polite.")),
    ],
)
def test_a_scorer_is_a_name_or_an_object_with_options(tmp_path: Path, said: object, scorer: object):
    [case] = load_cases(written(tmp_path, {"prompt": "a", "expected": "b", "scorer": said}))
    assert case.scorer == scorer


def test_a_prompt_may_be_a_conversation_with_a_system_text_and_settings(tmp_path: Path):
    messages = [
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Who are you?"},
    ]
    line = {
        "prompt": messages,
        "system": "Be brief.",
        "expected": "x",
        "settings": {"max_tokens": 9, "timeout": 5},
    }
    request = load_cases(written(tmp_path, line))[0].request()
    assert request.messages == [user("Hi."), assistant("Hello."), user("Who are you?")]
    assert [block.text for block in request.system] == ["Be brief."]
    assert request.max_tokens == 9


def test_a_schema_is_asked_for_unless_that_is_turned_off():
    schema = {"type": "object"}
    asked = Case(prompt="a", scorer=Schema(schema=schema)).request()
    assert asked.response_format is not None
    assert asked.response_format.schema == schema
    checked = Case(prompt="a", scorer=Schema(schema=schema, ask=False)).request()
    assert checked.response_format is None


GOOD = {"prompt": "a", "expected": "b"}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("{", "line 2: this is no JSON"),
        ([1], "line 2: a case is an object"),
        (
            {"prompt": "a", "expectd": "b"},
            "line 2: expectd: there is no such field; did you mean 'expected'?",
        ),
        ({"expected": "b"}, "line 2: prompt: say what is asked"),
        ({"prompt": "  ", "expected": "b"}, "line 2: prompt: the prompt is empty"),
        (
            {"prompt": [{"role": "robot"}], "expected": "b"},
            "line 2: prompt: messages[0] has the role",
        ),
        ({"prompt": "a"}, "line 2: expected: say what the answer is held against"),
        (
            {"prompt": "a", "expected": {"n": 1}},
            "line 2: expected: an object is what the scorer 'schema'",
        ),
        (GOOD | {"system": 3}, "line 2: system: expected 'str', got 'int'"),
        (GOOD | {"weight": 0}, "line 2: weight: it is 0; give more than 0"),
        (
            GOOD | {"scorer": "exactly"},
            "line 2: scorer: there is no scorer 'exactly'; did you mean 'exact'?",
        ),
        (GOOD | {"scorer": {"typ": "exact"}}, "line 2: scorer.type: there is no scorer ''"),
        (
            GOOD | {"scorer": {"type": "exact", "ignorecase": True}},
            "line 2: scorer.ignorecase: there is no such field; did you mean 'ignore_case'?",
        ),
        (
            GOOD | {"scorer": {"type": "contains", "match": "some"}},
            "line 2: scorer.match: invalid enum value 'some'",
        ),
        (GOOD | {"scorer": "schema"}, "line 2: scorer: missing required field 'schema'"),
        (
            {"prompt": "a", "expected": "(", "scorer": "regex"},
            "line 2: expected: '(' is no regular expression",
        ),
        (
            GOOD | {"scorer": {"type": "regex", "flags": "iq"}},
            "line 2: scorer.flags: there is no flag 'q'",
        ),
        (
            {
                "prompt": "a",
                "expected": 1,
                "scorer": {"type": "schema", "schema": {"type": "string"}},
            },
            "line 2: expected: it does not fit the case's own schema: expected a string",
        ),
        (
            {"prompt": "a", "scorer": "graded"},
            "line 2: scorer.rubric: say what makes an answer good",
        ),
        (
            GOOD | {"scorer": {"type": "graded", "threshold": 2}},
            "line 2: scorer.threshold: it is 2",
        ),
        (
            GOOD | {"settings": {"max_token": 3}},
            "line 2: settings.max_token: there is no such setting; did you mean 'max_tokens'?",
        ),
        (GOOD | {"settings": {"temperature": "hot"}}, "line 2: settings: a setting is not right"),
        (
            GOOD | {"settings": {"timeout": "soon"}},
            "line 2: settings: timeout is a str; give seconds",
        ),
        (GOOD | {"settings": {"timeout": 0}}, "line 2: settings.timeout: it is 0; give more than"),
        (
            GOOD | {"expected": "a{99999999999999999999}", "scorer": "regex"},
            "line 2: expected: 'a{99999999999999999999}' is no regular expression: the repetition",
        ),
        (
            GOOD | {"expected": "(?u)a", "scorer": {"type": "regex", "flags": "a"}},
            "line 2: expected: '(?u)a' is no regular expression: ASCII and UNICODE",
        ),
        (
            GOOD | {"expected": "(#)", "scorer": {"type": "regex", "flags": "x"}},
            "line 2: expected: '(#)' is no regular expression: missing )",
        ),
        (
            {"prompt": "a", "scorer": {"type": "schema", "schema": {"properties": {"n": 5}}}},
            "line 2: scorer.schema: this is no JSON schema: expected an object or true or false",
        ),
        (
            {"prompt": "a", "scorer": {"type": "schema", "schema": {"items": {"required": True}}}},
            "line 2: scorer.schema: this is no JSON schema: expected a list",
        ),
        (
            {"prompt": "a", "scorer": {"type": "schema", "schema": {"$ref": "http://x/y"}}},
            "line 2: scorer.schema: this is no JSON schema: 'http://x/y' does not match",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line_its_field_and_what_to_do(
    tmp_path: Path, line: object, text: str
):
    assert f"/cases.jsonl, {text}" in complaint(tmp_path, {**GOOD, "id": "one"}, line)


def test_a_regular_expression_is_read_with_its_flags(tmp_path: Path):
    line = {
        "prompt": "a",
        "expected": "yes  # (or no",
        "scorer": {"type": "regex", "flags": "xi"},
    }
    [case] = load_cases(written(tmp_path, line))
    assert case.scorer.judge(assistant("YES"), case.expected).score == 1


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -1.0])
def test_a_weight_that_can_not_be_reckoned_with_is_told(weight: float):
    with pytest.raises(ConfigurationError, match="case 0: weight: it is"):
        check_cases([Case(prompt="a", expected="b", weight=weight)])


def test_two_cases_of_one_id_can_not_be_told_apart(tmp_path: Path):
    assert "line 3: id: 'one' is the id of line 1 already" in complaint(
        tmp_path, {**GOOD, "id": "one"}, GOOD, {**GOOD, "id": "one"}
    )
    assert "is the id of line 1 already; to ask the same again, repeat" in complaint(
        tmp_path, GOOD, GOOD
    )


def test_the_first_problem_is_told_and_how_many_more_there_are(tmp_path: Path):
    assert complaint(tmp_path, "{", "[", "]").endswith("There are 2 more problems.")


def test_a_file_that_is_not_there_or_empty_is_told(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"can't read the cases of .*nowhere"):
        load_cases(tmp_path / "nowhere")
    assert "there are no cases in /cases.jsonl" in complaint(tmp_path, "")


def test_a_digest_changes_with_all_that_matters_to_an_answer_and_nothing_else():
    case = Case(prompt="a", expected="b", id="one")
    same = Case(prompt="a", expected="b", id="two", weight=2.0, tags=["t"])
    assert same.digest() == case.digest()
    others = [
        Case(prompt="c", expected="b"),
        Case(prompt="a", expected="c"),
        Case(prompt="a", expected="b", system="s"),
        Case(prompt="a", expected="b", scorer=Exact(strip=False)),
        Case(prompt="a", expected="b", settings={"seed": 1}),
    ]
    digests = {case.digest(), case.digest("a grader"), *(other.digest() for other in others)}
    assert len(digests) == 7


def test_the_cases_of_the_examples_are_good_and_of_several_kinds():
    cases = load_cases(ROOT / "examples" / "eval" / "cases.jsonl")
    assert len(cases) >= 30
    assert {type(case.scorer) for case in cases} == {Contains, Regex, Schema}
