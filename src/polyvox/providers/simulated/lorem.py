"""``simulated/lorem``: as much text as wanted, as fast as wanted."""

from collections.abc import Iterable, Iterator
from random import Random
from typing import Annotated

import msgspec

from polyvox.events import Event
from polyvox.providers.simulated.stage import Options, SimulatedModel
from polyvox.request import Request

OPENING = ("lorem", "ipsum", "dolor", "sit", "amet", "consectetur", "adipiscing", "elit")
WORDS = (
    *OPENING,
    *("ad", "aliqua", "aliquip", "anim", "aute", "cillum", "commodo", "consequat", "culpa"),
    *("cupidatat", "deserunt", "dolore", "duis", "ea", "eiusmod", "enim", "esse", "est", "et"),
    *("eu", "ex", "excepteur", "exercitation", "fugiat", "id", "in", "incididunt", "irure"),
    *("labore", "laboris", "laborum", "magna", "minim", "mollit", "nisi", "non", "nostrud"),
    *("nulla", "occaecat", "officia", "pariatur", "proident", "qui", "quis", "reprehenderit"),
    *("sed", "sint", "sunt", "tempor", "ullamco", "ut", "velit", "veniam", "voluptate"),
)


class LoremOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pace, and:

    ``tokens``  how many tokens (words) the answer has
    ``seed``    which text it is; without it the request's ``seed`` counts
    """

    tokens: Annotated[int, msgspec.Meta(ge=0)] = 60
    seed: int | None = None


class Lorem(SimulatedModel[LoremOptions]):
    """Answer with Latin-looking text of the length and at the pace asked for, the same for a seed."""

    def __init__(self) -> None:
        super().__init__("simulated/lorem", LoremOptions)

    def compose(self, request: Request, options: LoremOptions) -> Iterable[Event]:
        """The text, as events."""
        seed = request.seed if options.seed is None else options.seed
        return self.say_text(request, lorem(options.tokens, seed or 0))


def lorem(words: int, seed: int = 0) -> str:
    """A text of that many words, in sentences.

    >>> lorem(5)
    'Lorem ipsum dolor sit amet.'
    """
    random = Random(seed)
    source = _words(random)
    sentences: list[str] = []
    while words > 0:
        length = min(words, random.randint(6, 14))
        sentences.append(_sentence([next(source) for _ in range(length)], random))
        words -= length
    return " ".join(sentences)


def _words(random: Random) -> Iterator[str]:
    yield from OPENING
    while True:
        yield random.choice(WORDS)


def _sentence(words: list[str], random: Random) -> str:
    if len(words) > 8:
        words[random.randint(2, len(words) - 4)] += ","
    return " ".join(words).capitalize() + "."
