"""A trace: what it adds up, and how it is drawn, as text and as a page."""

from html.parser import HTMLParser

import pytest

from polyvox import jsontext
from polyvox.trace import NodeStatus, TraceNode, beginning
from polyvox.usage import FREE, NO_USAGE, Cost, Usage

PAID = Usage(1_200, 340, cost=Cost("known", 1_500_000))
VOID = {"meta", "br", "img"}


def part(label: str, *children: TraceNode, **fields: object) -> TraceNode:
    given = {"kind": "opinion", "label": label, "seconds": 1.0} | fields
    return TraceNode(**given, children=list(children))  # type: ignore[arg-type]


def council() -> TraceNode:
    """Two stages of one second each; one member was late."""
    ann = part("ann", model="acme/one", usage=PAID, preview="Air scatters\nblue light.")
    late: NodeStatus = "timeout"
    bob = part("acme/two", model="acme/two", status=late, error="no answer within 1 s")
    opinions = part("opinions", ann, bob, kind="stage")
    chair = part("chair", kind="chairman", started=1.0, usage=PAID, preview="Because.")
    return part("council", opinions, chair, kind="council", model="composite/c", seconds=2.0)


def lines(trace: TraceNode, width: int = 140) -> list[str]:
    return trace.text(width).splitlines()


TREE = """\
PART                                START  SECONDS     IN  OUT     COST  WHEN                      SAID
council · composite/c                0.00     2.00  2,400  680   $0.003  ████████████████████████
├─ opinions (stage)                  0.00     1.00  1,200  340  $0.0015  ████████████············
│  ├─ ann (opinion) · acme/one       0.00     1.00  1,200  340  $0.0015  ████████████············  Air scatters blue li…
│  └─ [timeout] acme/two (opinion)   0.00     1.00                       ████████████············  no answer within 1 s
└─ chair (chairman)                  1.00     1.00  1,200  340  $0.0015  ············████████████  Because."""  # noqa: E501


# ----------------------------------------------------------------------------------------- as text


def test_the_tree_shows_who_when_how_much_and_what():
    assert council().text(120) == TREE


def test_str_is_the_tree():
    assert str(council()) == council().text(100)


def test_the_root_has_the_totals_and_every_line_counts_what_is_below_it():
    _, root, stage, *_ = lines(council())
    assert "2,400  680   $0.003" in root
    assert "1,200  340  $0.0015" in stage


def test_a_part_that_used_nothing_has_no_numbers_but_one_of_whom_nobody_knows_has():
    silent = part("silent", usage=Usage(basis="missing"))
    _, _, unasked, asked = lines(part("root", part("left"), silent))
    assert unasked.split() == ["├─", "left", "(opinion)", "0.00", "1.00", "█" * 24]
    assert asked.split()[5:8] == ["?", "?", "unknown"]


def test_usage_without_an_identity_of_its_own_is_still_none_after_a_round_trip():
    again = jsontext.decode(jsontext.encode(council()), TraceNode)
    assert again.total == council().total
    assert again.children[0].usage is NO_USAGE
    assert str(again) == str(council())


@pytest.mark.parametrize(
    ("usage", "shown"),
    [
        (Usage(10, 5, basis="estimated", cost=FREE), ["~10", "~5", "free"]),
        (Usage(10, 5, basis="partial", cost=Cost("unknown", 500)), ["≥10", "≥5", "≥$0.0000005"]),
        (Usage(10, 5), ["10", "5", "unknown"]),
    ],
)
def test_what_is_not_certain_says_so(usage: Usage, shown: list[str]):
    assert lines(part("a", usage=usage))[1].split()[4:7] == shown


def test_bars_tell_which_part_of_the_time_a_part_took():
    words = [[word for word in line.split() if "█" in word] for line in lines(council())]
    bars = [word for line in words for word in line]
    half, full = "█" * 12 + "·" * 12, "█" * 24
    assert bars == [full, half, half, half, "·" * 12 + "█" * 12]


def test_a_bar_is_never_empty_and_never_longer_than_its_column():
    moment = part("moment", started=2.0, seconds=0.0)
    _, _, line = lines(part("root", moment, seconds=2.0))
    assert f"{'·' * 23}█" in line
    assert "█" * 24 in lines(part("root", seconds=0.0))[1]


def test_where_there_is_little_room_bars_go_first_then_texts_then_numbers():
    assert ["█" in council().text(width) for width in (100, 140)] == [False, True]
    assert ["Because." in council().text(width) for width in (70, 100)] == [False, True]
    assert ["1,200" in council().text(width) for width in (40, 70)] == [False, True]
    for shown in (council().text(width) for width in (40, 70)):
        assert "[timeout] acme/" in shown
        assert "chair" in shown


@pytest.mark.parametrize("width", [1, 12, 40, 60, 80, 100, 120, 200])
def test_no_line_is_longer_than_there_is_room(width: int):
    tree = part("漢字" * 40, council(), preview="漢字" * 200, usage=PAID)
    for line in lines(tree, width):
        assert sum(2 if each in "漢字" else 1 for each in line) <= width


def test_wide_characters_keep_the_columns_straight():
    first, second = lines(part("漢字", part("ab")))[1:]
    assert first.index("0.00") == second.index("0.00") - 2


def test_nothing_that_was_said_moves_the_cursor_or_breaks_a_line():
    rude = "\x1b[2Jred\x9b31m\r\nnext\u202egpj.exe\u2028\ud800"
    shown = part(rude, model=rude, kind=rude, preview=rude, error=rude).text(200)
    assert len(shown.splitlines()) == 2
    assert all(line.isprintable() for line in shown.splitlines())


def test_looks_are_given_to_whole_cells_so_that_columns_stay_straight():
    from polyvox.trace_text import drawn

    painted = drawn(council(), 140, lambda text, look: f"<{look}>{text}</>")
    assert "<timeout>[timeout] acme/two (opinion)" in painted
    assert "<ok>" + "█" * 24 in painted
    for look in ("<ok>", "<dim>", "<timeout>", "<>", "</>"):
        painted = painted.replace(look, "")
    assert [line.rstrip() for line in painted.splitlines()] == lines(council())


# ------------------------------------------------------------------------------------- beginnings


def test_a_short_text_is_its_own_beginning():
    assert beginning("x" * 200) == "x" * 200


@pytest.mark.parametrize(
    "text",
    [
        f"{'word ' * 38}sk-canary-0123456789abcdef",
        f"{'密' * 190}sk-canary-0123456789abcdef",
        f'{{"{"a,b;" * 47}":"sk-canary-0123456789abcdef"}}',
        f"eyJ{'x' * 400}",
    ],
)
def test_the_half_of_a_key_is_not_left_at_the_end(text: str):
    assert len(beginning(text)) <= 201
    assert beginning(text).endswith("…")
    assert "sk-" not in beginning(text)
    assert "eyJ" not in beginning(text)


# --------------------------------------------------------------------------------------- as a page


class Page(HTMLParser):
    """Checks that every tag is closed in its turn, and keeps what there is."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_is_well_formed_and_has_a_folder_for_each_part_with_something_in_it():
    page = Page(council().html("My trace"))
    assert page.tags.count("details") == page.tags.count("summary") == 5
    assert page.tags.count("h1") == 1
    assert ("lang", "en") in page.attributes
    for shown in ("My trace", "composite/c", "timeout", "no answer within 1 s", "$0.003"):
        assert shown in page.text


def test_a_page_is_the_same_for_the_same_trace():
    again = jsontext.decode(jsontext.encode(council()), TraceNode)
    assert council().html() == again.html()


def test_what_was_said_is_text_in_a_page_and_nothing_else():
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&\x00\x1b"
    text = part(
        evil, part(evil, kind=f"{evil}s", model=f"by {evil}", error=evil), preview=evil
    ).html(evil)
    page = Page(text)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert page.text.count("<script>alert(1)</script>") == 8
    assert "\x00" not in text
    assert "\x1b" not in text


def test_a_page_needs_nothing_from_anywhere_and_is_light_or_dark():
    text = council().html()
    assert "default-src 'none'" in text
    assert "color-scheme: light dark" in text
    assert "http://" not in text
    assert "https://" not in text
    assert "src=" not in text


def test_bars_are_not_read_out_and_stay_within_their_track():
    late = part("late", started=5.0, seconds=0.0)
    text = part("root", late, seconds=5.0).html()
    assert text.count('aria-hidden="true"') == 2
    assert "margin-left:0.00%;width:100.00%" in text
    assert "margin-left:99.00%;width:1.00%" in text
