"""Scorers: what is right, and what is told of an answer that is not."""

from typing import Any

import pytest

from polyvox.evaluation import Contains, Exact, Regex, Schema
from polyvox.messages import AssistantMessage, Text, assistant

ADDRESS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "zip": {"type": "integer"}},
    "required": ["city"],
}


@pytest.mark.parametrize(
    ("scorer", "expected", "answer", "right"),
    [
        (Exact(), "yes", " yes\n", True),
        (Exact(), "yes", "Yes", False),
        (Exact(), ["no", "yes"], "yes", True),
        (Exact(), 42, "42", True),
        (Exact(strip=False), "yes", "yes\n", False),
        (Exact(ignore_case=True), "straße", "STRASSE", True),
        (Contains(), "42", "It is 42.", True),
        (Contains(), "42", "It is 1420.", True),
        (Contains(words=True), "42", "It is 1420.", False),
        (Contains(words=True), "$5.00", "That is $5.00, please.", True),
        (Contains(), "a.c", "abc", False),
        (Contains(ignore_case=True), "oslo", "In Oslo.", True),
        (Contains(), ["Oslo", "Bergen"], "In Bergen.", True),
        (Contains(match="all"), ["Oslo", "Bergen"], "In Bergen.", False),
        (Contains(match="all"), ["Oslo", "Bergen"], "In Bergen, not in Oslo.", True),
        (Regex(), r"\b4\d\b", "It is 42.", True),
        (Regex(full=True), r"4\d", "42.", False),
        (Regex(full=True), r"4\d", " 42\n", True),
        (Regex(flags="i"), "^YES", "yes, indeed", True),
        (Regex(match="all"), ["a+", "b+"], "aaa", False),
    ],
)
def test_a_text_is_held_against_what_was_expected(
    scorer: Exact | Contains | Regex, expected: Any, answer: str, right: bool
):
    verdict = scorer.judge(assistant(answer), expected)
    assert verdict.score == float(right)
    assert bool(verdict.note) is not right


@pytest.mark.parametrize(
    ("expected", "answer", "right", "note"),
    [
        (None, '{"city": "Oslo"}', True, ""),
        (None, '```json\n{"city": "Oslo"}\n```', True, ""),
        ({"city": "Oslo"}, '{"city": "Oslo"}', True, ""),
        ({"city": "Oslo", "zip": 150}, '{"zip": 150.0, "city": "Oslo"}', True, ""),
        ({"city": "Oslo"}, '{"city": "Bergen"}', False, "{'city': 'Bergen'} is not"),
        (None, '{"town": "Oslo"}', False, "'city' is missing"),
        (None, "Oslo", False, "the answer is no JSON"),
    ],
)
def test_json_is_held_against_schema_and_value(expected: Any, answer: str, right: bool, note: str):
    verdict = Schema(schema=ADDRESS).judge(assistant(answer), expected)
    assert verdict.score == float(right)
    assert note in verdict.note


def test_an_answer_that_was_cut_is_no_json():
    cut = AssistantMessage([Text('{"city": "Os')], "length")
    assert "cut at the token limit" in Schema(schema=ADDRESS).judge(cut, None).note
