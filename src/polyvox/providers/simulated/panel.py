"""``simulated/a``, ``simulated/b``, ``simulated/c``: a panel whose members compute, and sometimes err.

They make it worth one's while to watch several models work together without a network: each is right
on about seven of ten questions, by itself, so that together they are right more often than alone.
What others have said reaches them in the request, in one of two forms that are known by their looks: a
numbered list under a heading about answers, or ``<response name="...">`` tags.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise, takewhile
from random import Random
from textwrap import shorten
from typing import NamedTuple

from polyvox import jsontext
from polyvox.events import Event
from polyvox.messages import Text, UserMessage
from polyvox.providers.simulated.arguments import make_value
from polyvox.providers.simulated.puzzles import Puzzle, solve
from polyvox.providers.simulated.stage import Options, SimulatedModel
from polyvox.request import Request

ERRING = 0.3
"""The share of questions on which each of them errs."""

_SAYS = {
    "a": ("{Asked} is {value}.", "This is a simulated answer to: {question}"),
    "b": ("For {asked} I get {value}.", "Simulated: there is nothing to compute in: {question}"),
    "c": ("My answer is {value}.", "A simulated model has nothing to say to: {question}"),
}
"""How each puts a value, and what it says to a question that it can't compute."""

_RESPONSE = re.compile(r'<response name="([^"\n]+)">\n(.*?)\n</response>', re.DOTALL)
_HEADING = re.compile(r"\b(?:answers|responses|proposals|references)\b.*:\s*\Z", re.IGNORECASE)
_MARKER = re.compile(r"\bfinal ranking:", re.IGNORECASE)
_ANY_OBJECT = {"properties": {"answer": {"type": "string"}}, "required": ["answer"]}


class Panelist(SimulatedModel[Options]):
    """Compute the answer to a small question, and be wrong about 3 in 10 of them.

    Which ones is settled by the model's letter and the question alone, whatever its capitals and white
    space. Of others' answers it makes one, with the value that most of them have; when it is asked to
    review them, it ranks them in this way.
    """

    def __init__(self, letter: str) -> None:
        super().__init__(f"simulated/{letter}", Options)
        self._letter = letter

    def compose(self, request: Request, options: Options) -> Iterable[Event]:
        """The answer or the review, as events."""
        shown = _shown(request)
        puzzle = solve(shown.question)
        say = self._review if shown.reviewed else self._answer
        return self.say_text(request, say(request, shown, puzzle))

    def _opinion(self, question: str, puzzle: Puzzle) -> str:
        random = Random(f"{self._letter}\n{' '.join(question.casefold().split())}")
        errs = random.random() < ERRING and puzzle.wrong
        return random.choice(puzzle.wrong) if errs else puzzle.value

    def _answer(self, request: Request, shown: "_Shown", puzzle: Puzzle | None) -> str:
        said, otherwise = _SAYS[self._letter]
        if puzzle is None:
            told = text = otherwise.format(question=shorten(shown.question, 80, placeholder=" …"))
        else:
            own = self._opinion(shown.question, puzzle)
            votes = Counter(value for text in shown.references if (value := puzzle.read(text)))
            value = max([own, *votes], key=lambda each: votes[each])  # of equals the first: its own
            text, asked = puzzle.written(value), puzzle.asked
            told = said.format(asked=asked, Asked=asked[:1].upper() + asked[1:], value=text)
            text = f'"{value}"'
        if request.response_format is None:
            return told
        made = make_value(request.response_format.schema or _ANY_OBJECT, text)
        return jsontext.encode(made).decode()

    def _review(self, request: Request, shown: "_Shown", puzzle: Puzzle | None) -> str:
        own = self._opinion(shown.question, puzzle) if puzzle else ""
        values = {name: puzzle.read(text) if puzzle else "" for name, text in shown.reviewed}
        votes = Counter(value for value in (own, *values.values()) if value)
        # The sort is stable: of equals the one that was shown first stays first.
        ranked = sorted(values, key=lambda name: (-votes[values[name]], values[name] != own))
        remarks = "\n".join(_remark(name, value, own) for name, value in values.items())
        wanted = request.response_format
        if wanted is not None:
            names = (wanted.schema or {}).get("properties", ("review", "ranking"))
            made = {name: ranked if name == "ranking" else remarks for name in names}
            return jsontext.encode(made).decode()
        if not shown.ranking_wished:
            return remarks
        lines = "\n".join(f"{place}. {name}" for place, name in enumerate(ranked, 1))
        return f"{remarks}\n\nFINAL RANKING:\n{lines}"


def _remark(name: str, value: str, own: str) -> str:
    if not own:
        return f"{name} has nothing in it that could be computed."
    if not value:
        return f"{name} gives no value, and I get {own}."
    return f"{name} says {value}, " + ("as I do." if value == own else f"but I get {own}.")


class _Shown(NamedTuple):
    """What a panelist was asked, and what it was shown of others: to draw on, or to review."""

    question: str
    references: list[str]
    reviewed: Sequence[tuple[str, str]]
    ranking_wished: bool


def _shown(request: Request) -> _Shown:
    said = [
        "\n".join(block.text for block in message.content if isinstance(block, Text))
        for message in request.messages
        if isinstance(message, UserMessage)
    ] or [""]
    parts = [_parted(text) for text in reversed(said)]
    question = next((question for question, _ in parts if question), "")
    system = "\n\n".join(block.text for block in request.system)
    references = [text for _, text in _RESPONSE.findall(system)] + parts[0][1]
    return _Shown(question, references, _RESPONSE.findall(said[-1]), bool(_MARKER.search(said[-1])))


def _parted(text: str) -> tuple[str, list[str]]:
    """The text before it comes to what others said, and the items of its numbered list of answers.

    A paragraph that leads there stands before the tags and before the list.
    """
    before, tag, _ = text.partition("<response name=")
    paragraphs = before.rstrip().split("\n\n")
    if tag:
        paragraphs.pop()
    for place, (heading, first) in enumerate(pairwise(paragraphs)):
        if first.startswith("1. ") and _HEADING.search(heading):
            numbered = enumerate(paragraphs[place + 1 :], 1)
            items = takewhile(lambda each: each[1].startswith(f"{each[0]}. "), numbered)
            listed = [item.partition(" ")[2] for _, item in items]
            return "\n\n".join(paragraphs[:place]).strip(), listed
    return "\n\n".join(paragraphs).strip(), []
