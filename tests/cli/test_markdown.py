"""Markdown while it is written: blocks are finished once, whatever pieces the text comes in."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from polyvox.cli.markdown_blocks import LONG_FENCE_LINES, MarkdownBlocks
from polyvox.cli.markdown_view import MarkdownView
from polyvox.events import TextDelta, TextEnd
from polyvox.messages import AssistantMessage, Text

LINES = st.sampled_from(
    ["", "", "text", "more text", "# Title", "- item", "  - nested", "1. one", "```", "```python",
     "~~~", "    code", "| a | b |", "|---|---|", "> quote", "`code`", "````"]
)  # fmt: skip
DOCUMENTS = st.lists(LINES, max_size=60).map("\n".join)


def blocks_of(text: str, sizes: list[int]) -> list[str]:
    blocks = MarkdownBlocks()
    finished = []
    place = 0
    for size in sizes or [1]:
        finished += blocks.feed(text[place : place + size])
        place += size
    finished += blocks.feed(text[place:])
    finished += blocks.close()
    return [block.text for block in finished]


@given(DOCUMENTS, st.lists(st.integers(1, 7)))
def test_the_pieces_make_no_difference(text: str, sizes: list[int]):
    assert blocks_of(text, sizes) == blocks_of(text, [])


@given(st.lists(LINES, max_size=LONG_FENCE_LINES))
def test_nothing_is_lost_and_nothing_is_added(lines: list[str]):
    shown = [line for block in blocks_of("\n".join(lines), []) for line in block.split("\n")]
    assert list(filter(str.strip, shown)) == list(filter(str.strip, lines))


def test_a_block_is_finished_when_the_next_one_begins():
    blocks = MarkdownBlocks()
    assert blocks.feed("one\ntwo\n\n") == []
    (block,) = blocks.feed("t")
    assert block.text == "one\ntwo\n"
    assert blocks.tail == "t"


def test_a_list_with_paragraphs_stays_together():
    assert len(blocks_of("1. one\n\n   more\n\n   and more\n", [])) == 1


def test_an_empty_line_in_code_is_no_end():
    assert len(blocks_of("```\na\n\nb\n```\n", [])) == 1


def test_long_code_is_finished_in_parts_that_are_code():
    code = "".join(f"line {number}\n" for number in range(100))
    blocks = blocks_of(f"```python\n{code}```\n", [3] * 300)
    assert len(blocks) == 100 // LONG_FENCE_LINES + 1
    for block in blocks:
        assert block.startswith("```python\n")
        assert block.endswith("```\n")
    assert (
        "".join(block.removeprefix("```python\n").removesuffix("```\n") for block in blocks) == code
    )


def shown(text: str, sizes: list[int], *, eager: bool) -> str:
    """What stands on the screen in the end, by a console that knows no cursor."""
    out = io.StringIO()
    console = Console(file=out, width=60, height=20, color_system=None, force_terminal=eager)
    view = MarkdownView(console=console)
    place = 0
    for size in [*sizes, len(text)]:
        view.event(TextDelta(0, text[place : place + size]))
        place += size
    view.event(TextEnd(0, Text(text)))
    view.end(AssistantMessage([Text(text)]), None)
    return out.getvalue()


def test_a_whole_document_looks_right():
    text = "# Title\n\nSome *text*.\n\n- a\n- b\n\n```python\nprint(1)\n\nprint(2)\n```\n\nEnd."
    assert shown(text, [3] * 20, eager=False) == (
        "Title\n\nSome text.\n\n • a\n • b\n\n  print(1)\n\n  print(2)\n\nEnd.\n"
    )


def test_lines_end_where_they_were_ended():
    text = "line one\nline two\n\n- a\n  b\n\n> c\n> d\n"
    assert shown(text, [3] * 20, eager=False) == "line one\nline two\n\n • a\n   b\n\n▌ c\n▌ d\n"


def test_every_finished_block_is_drawn_for_good_once():
    text = "\n\n".join(f"paragraph-{number}" for number in range(200))
    drawn = shown(text, [4] * 600, eager=True)
    for number in (0, 100, 199):
        assert drawn.count(f"paragraph-{number}\n") >= 1
    # The live region draws a tail of one paragraph, and not the text so far: that would be 200 times as much.
    assert len(drawn) < 40 * len(text)


def test_control_characters_are_not_passed_on():
    assert "\x1b[31m" not in shown("a \x1b[31mred\x1b[0m b", [], eager=False)
