"""Anonymous names for answers, in an order of its own for each reader.

Judges favour what they wrote themselves and what stands first. So no reader is told who wrote what,
and each gets the answers in another order; the same seed and reader always give the same one.
"""

import re
from collections.abc import Hashable, Iterable, Mapping
from random import Random
from typing import Generic, TypeVar

__all__ = ["Labels", "letters"]

_T = TypeVar("_T", bound=Hashable)

_NAME = r"[*`\"]{0,3}(?!RESPONSE)[A-Z]+\b"
_MORE_NAMES = rf"(?:[*`\"]*\s*(?:,\s*and|,\s*or|,|/|and|or|&)\s*{_NAME})*"
# Begun with a set of letters, and not with \b, it is looked for several times faster.
_MENTION = re.compile(rf"[Rr](?<!\w.)(?i:esponse)(?:\s+{_NAME}|(?i:s)\s+{_NAME}{_MORE_NAMES})")
_LETTERS = re.compile(r"\b[A-Z]+\b")


def letters(number: int) -> str:
    """The letters of the answer of that number, counted from 0: A to Z, then AA, AB, ...

    >>> [letters(0), letters(25), letters(26), letters(701), letters(702)]
    ['A', 'Z', 'AA', 'ZZ', 'AAA']
    """
    written = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        written = chr(ord("A") + digit) + written
    return written


class Labels(Generic[_T]):
    """Who is called what for one reader: "Response A", "Response B", ... in a shuffled order.

    With ``numbered`` it is "Response 1", "Response 2", ...: what is left of another reader's letters
    in a text that was retold can then never mean the wrong one.

    >>> labels = Labels(["ann", "bob", "eve"], seed=7, reader="reviewer 1")
    >>> labels.author(labels.label("bob"))
    'bob'
    """

    def __init__(
        self, authors: Iterable[_T], *, seed: object, reader: object, numbered: bool = False
    ) -> None:
        self.authors = list(authors)
        # A text as the seed gives the same order in every process.
        Random(f"{seed}/{reader}").shuffle(self.authors)
        self.letters = [
            str(place + 1) if numbered else letters(place) for place in range(len(self.authors))
        ]
        self._authors = dict(zip(self.letters, self.authors, strict=True))
        self.names = {author: name for name, author in self._authors.items()}

    def label(self, author: _T) -> str:
        """What the author's answer is called here."""
        return f"Response {self.names[author]}"

    def author(self, label: str) -> _T:
        """Whose answer is called that; "Response B" or just "B"."""
        return self._authors[label.removeprefix("Response ")]

    def retold(self, text: str, names: Mapping[_T, str]) -> str:
        """A text about the answers as they are called here, with other names: those of another reader.

        Of "Response B" and "Responses A, B and C" the letters change; other words stay.
        """

        def renamed(found: re.Match[str]) -> str:
            author = self._authors.get(found[0])
            return found[0] if author is None else names.get(author, found[0])

        def mention(found: re.Match[str]) -> str:
            return _LETTERS.sub(renamed, found[0])

        return _MENTION.sub(mention, text)
