"""Rankings: how they are asked for, read out of a review, and made into one.

A review ends with a block of numbered lines under a marker, or is JSON with a list "ranking". Models
bend this in many ways, and what can't be read for certain counts for nothing: a ranking that is
guessed from the course of a text would be worse than none.
"""

import re
from collections.abc import Hashable, Iterable, Sequence
from fractions import Fraction
from typing import Any, Generic, TypeVar

import msgspec

from polyvox import jsontext
from polyvox.request import ResponseFormat

__all__ = [
    "MARKER",
    "Ballot",
    "Standing",
    "aggregate",
    "parse_ranking",
    "ranking_format",
    "ranking_wish",
]

_T = TypeVar("_T", bound=Hashable)

MARKER = "FINAL RANKING:"
"""What stands above the ranking at the end of a review."""

_MARKER = re.compile(r"final[\s_]+ranking\b", re.IGNORECASE)
_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_NUMBERED = re.compile(
    r"^[\s>|*_`#-]*(?:rank\s*)?(\d{1,6})(?:st|nd|rd|th)?(?!\w)[\s.):|*_`#-]+(.*)$", re.IGNORECASE
)
_ADORNMENT = re.compile(r"[*_`\"'\[\]<>{}|]")
_LABEL = re.compile(r"\bresponse\s+([A-Z]+)\b", re.IGNORECASE)
_BARE = re.compile(r"\s*(?:response\s+)?([A-Za-z]+)(?:\s*$|\s*[-:,(.–—].*$)", re.IGNORECASE)
_BETWEEN = re.compile(r"[>,;\n≻→]")


def ranking_wish(count: int) -> str:
    """The words that ask for a ranking of so many answers."""
    return (
        f"End with the line {MARKER!r} and below it all {count} responses, the best first, one on "
        "each line: its place, a dot and its name, and nothing else, such as '1. Response' followed "
        "by its letter."
    )


def ranking_format(letters: Sequence[str]) -> ResponseFormat:
    """What asks a model for its review and ranking as JSON."""
    names = [f"Response {each}" for each in letters]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "review": {"type": "string"},
            "ranking": {"type": "array", "items": {"type": "string", "enum": names}},
        },
        "required": ["review", "ranking"],
        "additionalProperties": False,
    }
    return ResponseFormat(schema, name="review")


def parse_ranking(text: str, letters: Sequence[str]) -> list[str]:
    """The letters in the order of the ranking in a review, the best first; empty if there is none.

    Of a letter that comes twice the first place counts, letters that don't exist are left out, and
    not all have to be there. With several markers the last one that a ranking follows counts.

    >>> parse_ranking("A is vague. FINAL RANKING: 1. Response B 2. Response A", ["A", "B"])
    ['B', 'A']
    """
    known = set(letters)
    found = _from_json(text, known)
    if found:
        return found
    parts = _MARKER.split(text)[1:]
    for read in (_from_lines, _from_row):
        for part in reversed(parts):
            found = read(part, known)
            if found:
                return found
    return []


def _from_json(text: str, known: set[str]) -> list[str]:
    """The ranking of the last JSON object with one: the whole text, or fenced in it."""
    for candidate in (text, *reversed(_FENCED.findall(text))):
        if not candidate.lstrip().startswith("{"):
            continue
        try:
            value: dict[str, Any] = jsontext.decode(candidate)
        except msgspec.DecodeError:
            continue
        ranking: Any = value.get("ranking", value.get("final_ranking"))
        if isinstance(ranking, list):
            names = [name for name in ranking if isinstance(name, str)]  # pyright: ignore[reportUnknownVariableType]
            found = _distinct(_leading(name, known) for name in names)
            if found:
                return found
    return []


def _from_lines(part: str, known: set[str]) -> list[str]:
    """The ranking out of numbered lines; of lines that begin again with a number, the first list."""
    places: list[tuple[int, str]] = []
    for line in part.splitlines():
        numbered = _NUMBERED.match(line)
        name = _leading(numbered[2], known) if numbered else None
        if numbered and name:
            places.append((int(numbered[1]), name))
    if len({number for number, _ in places}) == 1:  # all "1.", as Markdown allows: read on in order
        return _distinct(name for _, name in places)
    first: dict[int, str] = {}
    for number, name in places:
        if number in first:
            break
        first[number] = name
    return _distinct(first[number] for number in sorted(first))


def _from_row(part: str, known: set[str]) -> list[str]:
    """The ranking out of what follows the marker at once: "B > A > C", a list without numbers, ..."""
    block = part.lstrip(" \t\r\n:*_#`").partition("\n\n")[0]
    pieces = re.split(r"\b\d+\s*[.)]", block) if re.match(r"\d", block) else _BETWEEN.split(block)
    return _distinct(_leading(piece.lstrip(" -*•\t"), known) for piece in pieces)


def _leading(words: str, known: set[str]) -> str | None:
    """The letters that a line or an item begins with, or else those of the first "Response X" in it."""
    plain = _ADORNMENT.sub("", words)
    bare = _BARE.match(plain)
    if bare is not None and bare[1].upper() in known:
        return bare[1].upper()
    named = (found[1].upper() for found in _LABEL.finditer(plain))
    return next((name for name in named if name in known), None)


def _distinct(names: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name is not None))


class Ballot(msgspec.Struct, Generic[_T], frozen=True):
    """What one reviewer was shown, and what of it they ranked, the best first."""

    shown: Sequence[_T]
    ranked: Sequence[_T]


class Standing(msgspec.Struct, Generic[_T], frozen=True):
    """How one of the candidates stands.

    ``borda`` is the mean of its points, 1 for the best place on a ballot and 0 for the last: so
    ballots of different lengths count the same. ``mean_rank`` is the mean of its places, counted
    from 1. ``votes`` is on how many ballots it was ranked; without any, both are None.
    """

    candidate: _T
    borda: float | None
    mean_rank: float | None
    votes: int


def aggregate(ballots: Iterable[Ballot[_T]], candidates: Sequence[_T]) -> list[Standing[_T]]:
    """All candidates, the best first: by Borda points, then mean rank, then in the given order.

    Whoever was shown but not ranked on a ballot shares what places are left on it. A ballot without a
    ranking, or with a single candidate, tells nothing and is passed over.

    >>> [best, _] = aggregate([Ballot("ab", "ba"), Ballot("ab", "b")], "ab")
    >>> best
    Standing(candidate='b', borda=1.0, mean_rank=1.0, votes=2)
    """
    points: dict[_T, list[Fraction]] = {candidate: [] for candidate in candidates}
    places: dict[_T, list[int]] = {candidate: [] for candidate in candidates}
    for ballot in ballots:
        last = len(ballot.shown) - 1
        if last < 1 or not ballot.ranked:
            continue
        shared = Fraction(last - len(ballot.ranked), 2 * last)
        for candidate in ballot.shown:
            if candidate in ballot.ranked:
                place = ballot.ranked.index(candidate)
                points[candidate].append(Fraction(last - place, last))
                places[candidate].append(place + 1)
            else:
                points[candidate].append(shared)
    order = sorted(candidates, key=lambda each: (-_mean(points[each], -1), _mean(places[each], 0)))
    return [
        Standing(
            each,
            float(_mean(points[each], 0)) if places[each] else None,
            float(_mean(places[each], 0)) if places[each] else None,
            len(places[each]),
        )
        for each in order
    ]


def _mean(numbers: Sequence[Fraction | int], otherwise: int) -> Fraction:
    """Exact, so that equals are equal in whatever order the ballots came."""
    return Fraction(sum(numbers, Fraction(0)), len(numbers)) if numbers else Fraction(otherwise)
