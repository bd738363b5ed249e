"""Questions that look alike and are not: what vectors don't tell, told by the words themselves.

To an embedding "with milk" and "without milk", or "3 days" and "5 days", are nearly one. So two
questions pass for the same only if they have the same numbers in the same order and as many of each
word that turns a question round (``turning_words.txt``).

What this can't tell: names ("Oslo", "Bergen"), opposites that are not in the list, who does what to
whom, and any language but English, numbers excepted. For those the threshold is all there is.
"""

import re
from pathlib import Path

__all__ = ["same_facts"]

_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_TURNING = frozenset(Path(__file__).with_name("turning_words.txt").read_text("utf-8").split())


def same_facts(one: str, other: str) -> bool:
    """Whether two questions agree in their numbers and in the words that turn a question round.

    >>> same_facts("How do I brew coffee?", "How is coffee brewed?")
    True
    >>> same_facts("Coffee with milk?", "Coffee without milk?")
    False
    >>> same_facts("May I return it within 30 days?", "May I return it within 90 days?")
    False
    """
    return _facts(one) == _facts(other)


def _facts(text: str) -> tuple[list[str], list[str]]:
    text = text.casefold()
    words = (_turn(word) for word in _WORD.findall(text))
    return _NUMBER.findall(text), sorted(word for word in words if word)


def _turn(word: str) -> str:
    if word.endswith(("n't", "n’t")):
        return "not"
    return word if word in _TURNING else ""
