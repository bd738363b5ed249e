"""Anonymous labels: shuffled for each reader, and always the way back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.composite.labels import Labels, letters

COUNTS = st.integers(1, 60)
SEEDS = st.one_of(st.integers(), st.text(max_size=5))


def test_after_z_comes_aa():
    assert [letters(number) for number in (0, 1, 25, 26, 51, 52)] == [
        "A",
        "B",
        "Z",
        "AA",
        "AZ",
        "BA",
    ]


@given(st.integers(0, 20_000))
def test_letters_are_all_different_and_grow(number: int):
    assert letters(number) != letters(number + 1)
    assert len(letters(number)) <= len(letters(number + 1))


@given(COUNTS, SEEDS)
def test_every_label_leads_back_to_its_author(count: int, seed: object):
    labels = Labels(range(count), seed=seed, reader=1)
    assert sorted(labels.authors) == list(range(count))
    assert all(labels.author(labels.label(author)) == author for author in range(count))
    assert all(labels.author(name) == labels.authors[i] for i, name in enumerate(labels.letters))


@given(COUNTS, SEEDS)
def test_the_same_seed_and_reader_give_the_same_order(count: int, seed: object):
    one, other = (Labels(range(count), seed=seed, reader="r") for _ in range(2))
    assert one.authors == other.authors


def test_the_order_is_the_same_in_every_process():
    assert Labels(range(6), seed=7, reader=0).authors == [1, 4, 3, 0, 2, 5]


def test_readers_and_seeds_get_orders_of_their_own():
    by_reader = {tuple(Labels(range(8), seed=1, reader=reader).authors) for reader in range(20)}
    by_seed = {tuple(Labels(range(8), seed=seed, reader=1).authors) for seed in range(20)}
    assert len(by_reader) == len(by_seed) == 20


def swapped() -> tuple[Labels[str], Labels[str]]:
    """One for whom A, B, C are x, y, z and one for whom they are z, x, y."""
    one, other = Labels("xyz", seed=0, reader=0), Labels("xyz", seed=0, reader=0)
    for labels, authors in ((one, "xyz"), (other, "zxy")):
        labels.authors = list(authors)
        labels.letters = list("ABC")
        labels._authors = dict(zip("ABC", authors, strict=True))
        labels.names = {author: letter for letter, author in labels._authors.items()}
    return one, other


@pytest.mark.parametrize(
    ("text", "retold"),
    [
        ("Response A beats Response C.", "Response B beats Response A."),
        ("**Response A** and Response `B`", "**Response B** and Response `C`"),
        (
            "Responses A, B and C agree; responses A/C too.",
            "Responses B, C and A agree; responses B/A too.",
        ),
        ("Responses A, B, and C", "Responses B, C, and A"),
        ("Responses A, B and RESPONSE C", "Responses B, C and RESPONSE A"),
        ("Responses **A** and **B**", "Responses **B** and **C**"),
        ("Response A's proof", "Response B's proof"),
        ("A good plan. Plan B. Response D?", "A good plan. Plan B. Response D?"),
        ("1. Response C\n2. Response A", "1. Response A\n2. Response B"),
        ('{"ranking": ["Response B"]}', '{"ranking": ["Response C"]}'),
        ("This is a response a person would give.", "This is a response a person would give."),
    ],
)
def test_a_review_is_retold_in_another_readers_labels(text: str, retold: str):
    one, other = swapped()
    assert one.retold(text, other.names) == retold
    assert other.retold(retold, one.names) == text


@given(st.integers(1, 40), st.lists(st.integers(0, 39), max_size=10))
def test_retelling_keeps_who_is_meant(count: int, named: list[int]):
    one, other = (Labels(range(count), seed=3, reader=reader) for reader in "ab")
    authors = [number % count for number in named]
    text = " then ".join(one.label(author) for author in authors)
    assert one.retold(text, other.names) == " then ".join(other.label(author) for author in authors)


def test_to_a_reader_of_numbers_a_letter_that_is_left_means_nobody():
    one, chairman = Labels("xyz", seed=0, reader=0), Labels("xyz", seed=0, reader=1, numbered=True)
    first = one.authors[0]
    assert (
        one.retold("Response A, that is A.", chairman.names)
        == f"{chairman.label(first)}, that is A."
    )
    assert chairman.letters == ["1", "2", "3"]
