"""Rankings: read out of what models really write, and made into one."""

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.composite.labels import letters
from polyvox.composite.ranking import (
    MARKER,
    Ballot,
    Standing,
    aggregate,
    parse_ranking,
    ranking_format,
    ranking_wish,
)

ABC = ["A", "B", "C"]


@pytest.mark.parametrize(
    "block",
    [
        "FINAL RANKING:\n1. Response C\n2. Response A\n3. Response B",
        "FINAL RANKING: \r\n1. Response C\r\n2. Response A\r\n3. Response B\r\n",
        "## Final Ranking\n\n1. **Response C** - precise\n2. **Response A**\n3. **Response B**",
        "**FINAL RANKING:**\n\n1) *Response C*\n2) *Response A*\n3) *Response B*",
        "**FINAL RANKING**:\n**1.** Response C\n**2.** Response A\n**3.** Response B",
        "Final ranking:\n1: response C\n2: response A\n3: response B",
        "FINAL RANKING:\n1. C\n2. A\n3. B",
        "FINAL RANKING:\n1. C - the best\n2. A, but long\n3. B (wrong)",
        "FINAL RANKING:\n1. Response C (better than Response A)\n2. Response A\n3. Response B",
        "FINAL RANKING:\n1. Best: Response C\n2. Then: Response A\n3. Last: Response B",
        "FINAL RANKING:\n1st: Response C\n2nd: Response A\n3rd: Response B",
        "FINAL RANKING:\nRank 1: Response C\nRank 2: Response A\nRank 3: Response B",
        "FINAL RANKING:\n#1 Response C\n#2 Response A\n#3 Response B",
        "FINAL RANKING:\n1. The best is Response C\n2. Response A\n3. Response B",
        "FINAL RANKING:\n1. Response C\n1. Response A\n1. Response B",
        "FINAL RANKING:\n3. Response B\n2. Response A\n1. Response C",
        "> FINAL RANKING:\n> 1. Response C\n> 2. Response A\n> 3. Response B",
        "FINAL RANKING:\n| 1 | Response C |\n| 2 | Response A |\n| 3 | Response B |",
        "FINAL RANKING:\n- Response C\n- Response A\n- Response B",
        "FINAL RANKING: Response C > Response A > Response B",
        "FINAL RANKING: C > A > B",
        "FINAL RANKING: C, A, B",
        "FINAL RANKING: 1. Response C 2. Response A 3. Response B",
        "```\nFINAL RANKING:\n1. Response C\n2. Response A\n3. Response B\n```",
        '```json\n{"ranking": ["C", "a", "response B"]}\n```',
        '```json\n{"final_ranking": ["C", "A", "B"]}\n```\nThat is all.',
        "FINAL RANKING:\n1. Response C\n2. Response A\n3. Response B\n\nWhy:\n1. Response B is wrong.",
        "FINAL RANKING:\n1. Response C\n2. Response C\n3. Response A\n4. Response B",
        "FINAL RANKING:\n1. Response C\n2. Response Q\n3. Response A\n4. Response B",
    ],
)
def test_a_ranking_is_read_however_it_is_written(block: str):
    assert parse_ranking(f"Response B is wrong. Response A is fair.\n\n{block}", ABC) == list("CAB")


def test_a_ranking_is_read_out_of_an_answer_by_schema():
    text = '{"review": "C is best. FINAL RANKING: A", "ranking": ["Response C", "Response A"]}'
    assert parse_ranking(text, ABC) == ["C", "A"]


def test_an_echo_of_the_prompt_before_the_review_is_not_its_ranking():
    echo = f"You asked: {ranking_wish(3)}\n\nResponse A is bad.\n1. Response A\n2. Response B\n"
    answer = f"{MARKER}\n1. Response C\n2. Response B\n3. Response A"
    assert parse_ranking(echo + answer, ABC) == ["C", "B", "A"]


def test_a_marker_that_is_only_mentioned_after_the_ranking_takes_nothing_away():
    text = f"{MARKER}\n1. Response B\n2. Response A\n3. Response C\n\nThis was my final ranking. Thanks."
    assert parse_ranking(text, ABC) == ["B", "A", "C"]


def test_the_last_of_several_rankings_counts():
    first = f"{MARKER}\n1. Response A\n2. Response B\n3. Response C"
    second = f"{MARKER}\n1. Response C\n2. Response B\n3. Response A"
    assert parse_ranking(f"{first}\nOn reflection:\n{second}", ABC) == ["C", "B", "A"]


def test_the_wish_itself_is_no_ranking():
    assert parse_ranking(ranking_wish(3), ABC) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Response B is better than Response A.",
        "1. Response A is long.\n2. Response B is short.",
        f"{MARKER}",
        f"{MARKER} I can't decide.",
        f"{MARKER}\n{'1' * 5_000}. Nobody.",
        f"{MARKER}\n1. Response X\n2. Response Y",
        '{"ranking": "A"}',
        '{"ranking": [1, null, {"a": 2}]}',
        '["A", "B"]',
        "{not json} FINAL RANKING",
    ],
)
def test_where_no_ranking_is_none_is_guessed(text: str):
    assert parse_ranking(text, ABC) == []


def test_a_partial_ranking_is_what_it_is():
    assert parse_ranking(f"{MARKER}\n1. Response B\n", ABC) == ["B"]


ORDERS = st.integers(1, 60).flatmap(lambda n: st.permutations([letters(i) for i in range(n)]))


@given(ORDERS, st.sampled_from(["{}. Response {}", "{}) **Response {}**", "| {} | {} |"]))
def test_any_number_of_answers_is_read_back(order: list[str], line: str):
    block = "\n".join(line.format(place, name) for place, name in enumerate(order, 1))
    assert parse_ranking(f"Some words.\n{MARKER}\n{block}", sorted(order)) == order


@given(ORDERS)
def test_json_is_read_back(order: list[str]):
    text = json.dumps({"review": MARKER, "ranking": [f"Response {name}" for name in order]})
    assert parse_ranking(text, sorted(order)) == order


@given(st.text(), st.text())
def test_any_text_gives_known_letters_each_once(before: str, behind: str):
    found = parse_ranking(f"{before}{MARKER}{behind}", ABC)
    assert len(set(found)) == len(found)
    assert set(found) <= set(ABC)


def test_the_schema_names_every_response():
    schema = ranking_format(["A", "B"]).schema
    assert schema is not None
    assert schema["properties"]["ranking"]["items"]["enum"] == ["Response A", "Response B"]


BALLOTS = st.lists(
    st.permutations("abcd").flatmap(
        lambda shown: st.integers(0, 4).map(
            lambda k: Ballot("".join(sorted(shown)), "".join(shown[:k]))
        )
    ),
    max_size=8,
)


def test_points_and_places_are_means_and_votes_are_counted():
    ballots = [Ballot("abc", "abc"), Ballot("abc", "bac"), Ballot("ab", "ab")]
    assert aggregate(ballots, "abc") == [
        Standing("a", 5 / 6, 4 / 3, 3),
        Standing("b", 0.5, 5 / 3, 3),
        Standing("c", 0.0, 3.0, 2),
    ]


def test_what_a_ballot_leaves_out_shares_the_places_that_are_left():
    standings = aggregate([Ballot("abcd", "a"), Ballot("abcd", "bacd")], "abcd")
    assert [each.candidate for each in standings] == ["a", "b", "c", "d"]
    assert standings[1].borda == pytest.approx((1 + 1 / 3) / 2)
    assert standings[1].votes == 1


def test_ties_keep_the_given_order():
    ballots = [Ballot("abc", "cba"), Ballot("abc", "abc")]
    assert [each.candidate for each in aggregate(ballots, "abc")] == ["a", "b", "c"]
    assert [each.candidate for each in aggregate(ballots, "cba")] == ["c", "b", "a"]


def test_without_a_ranking_nobody_stands_anywhere():
    told_nothing = [Ballot("ab", ""), Ballot("a", "a")]
    assert aggregate(told_nothing, "ab") == [
        Standing("a", None, None, 0),
        Standing("b", None, None, 0),
    ]


@given(BALLOTS, st.randoms(use_true_random=False))
def test_the_order_of_the_ballots_changes_nothing(ballots: list[Ballot[str]], random: Random):
    shuffled = random.sample(ballots, len(ballots))
    assert aggregate(shuffled, "abcd") == aggregate(ballots, "abcd")


@given(BALLOTS)
def test_everybody_stands_once_and_points_are_shares(ballots: list[Ballot[str]]):
    standings = aggregate(ballots, "abcd")
    assert sorted(each.candidate for each in standings) == list("abcd")
    assert all(each.borda is None or 0 <= each.borda <= 1 for each in standings)
    assert all((each.votes == 0) == (each.mean_rank is None) for each in standings)


@given(st.integers(1, 5).map(lambda count: [Ballot("abcd", "dbca")] * count))
def test_what_all_agree_on_is_the_ranking(ballots: list[Ballot[str]]):
    assert [each.candidate for each in aggregate(ballots, "abcd")] == list("dbca")
