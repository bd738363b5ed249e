"""Small questions that are computed: sums, comparisons, letters, words turned about, days of the week."""

import ast
import re
from datetime import date
from fractions import Fraction
from typing import NamedTuple

_LONGEST = 1_000  # a longer text is about something else, whatever numbers stand in it

# No such date, 1 / 0, "3 4 +", and a hundred brackets or signs in a row.
_UNREADABLE = (ValueError, ArithmeticError, SyntaxError, RecursionError, MemoryError)

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SIGNS = {
    r"\bplus\b": "+",
    r"\bminus\b|−": "-",
    r"\btimes\b|\bmultiplied by\b|×|(?<=\d) ?x ?(?=\d)": "*",
    r"\bdivided by\b|÷": "/",
}
_LISTED = {"sum": " + ", "product": " * ", "difference": " - ", "quotient": " / "}

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
_DAY = re.compile(rf"\b(?:{'|'.join(_DAYS)})\b")
_VERDICT = re.compile(r"\b(?:[Yy]es|[Nn]o)\b")
_QUOTED = re.compile(r"(?<!\w)['\"`“]([^'\"`“”\n]+)['\"`”](?!\w)")
_DATE = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_TERM = r"(?:(?<!\d)-)?\(*\d[\d .()+*/-]*"
_EITHER = re.compile(rf"({_TERM}),? ?\b(?:or|and) ({_TERM})")
_THAN = re.compile(rf"({_TERM})\b\w+ than ({_TERM})")
_MORE = re.compile(r"\b(?:larg|great|bigg|high)(?:er|est)\b|\bmore\b")
_LESS = re.compile(r"\b(?:small|low|few)(?:er|est)\b|\bless\b")
_LIST = re.compile(rf"\b({'|'.join(_LISTED)})\b[a-z ]*(-?\d[\d.]*(?:(?:, and|,| and) -?\d[\d.]*)+)")
_LETTER = re.compile(
    r"(?:(?:letter |['\"`])([a-z])\b|\b([a-z])'s\b).*?\bin (?:the word )?(?!the\b)['\"`]?(\w+)"
)


class Puzzle(NamedTuple):
    """A question that was understood: what is asked, as a phrase, its value and likely wrong ones.

    ``pattern`` finds values of the kind in what others say; a word's stands in quotes.
    """

    asked: str
    value: str
    wrong: list[str]
    pattern: re.Pattern[str]

    def read(self, text: str) -> str:
        """The value that a text ends up with, or ""."""
        found = ["", *self.pattern.findall(_THOUSANDS.sub("", text))]
        lower = found[-1].lower()
        return lower if lower in (self.value, *self.wrong) else found[-1]

    def written(self, value: str) -> str:
        """A value as it stands in a sentence."""
        return f"'{value}'" if self.pattern is _QUOTED else value


def solve(question: str) -> Puzzle | None:
    """The question with its values, or None when it is none that can be computed here.

    >>> solve("What is 17 * 23?")[:2]
    ('17 * 23', '391')
    """
    for solver in (_weekday, _letters, _word, _comparison, _arithmetic):
        try:
            puzzle = solver(question) if len(question) <= _LONGEST else None
        except _UNREADABLE:
            continue
        if puzzle:
            return puzzle
    return None


def _weekday(question: str) -> Puzzle | None:
    found = _DATE.search(question)
    if not found or "day" not in question.lower():
        return None
    day = date.fromisoformat(found[0]).weekday()
    wrong = [_DAYS[(day + off) % 7] for off in (1, -1, 2, -2)]
    return Puzzle(f"the day of the week of {found[0]}", _DAYS[day], wrong, _DAY)


def _letters(question: str) -> Puzzle | None:
    lower = question.lower()
    if not re.search(r"\bhow (?:many|often)\b", lower):
        return None
    if found := _LETTER.search(lower):
        letter, word = found[1] or found[2], found[3]
        asked = f"the number of times that '{letter}' stands in '{word}'"
        return _number(asked, Fraction(word.count(letter)))
    words = _QUOTED.findall(question)
    if "letters" not in lower or len(words) != 1:
        return None
    count = sum(map(str.isalpha, words[0]))
    return _number(f"the number of letters in '{words[0]}'", Fraction(count))


def _word(question: str) -> Puzzle | None:
    words, lower = _QUOTED.findall(question), question.lower()
    if len(words) != 1:
        return None
    if re.search(r"\brevers|\bbackward", lower):
        asked, value = f"'{words[0]}' backwards", words[0][::-1]
    elif re.search(r"\bupper[- ]?case|\bcapital", lower):
        asked, value = f"'{words[0]}' in capitals", words[0].upper()
    else:
        return None
    slips = [value[:-2] + value[:-3:-1], value[:-1], value[1:], value + value[-1]]
    return Puzzle(asked, value, [slip for slip in slips if slip not in ("", value)], _QUOTED)


def _comparison(question: str) -> Puzzle | None:
    text = _THOUSANDS.sub("", question.lower())
    more = bool(_MORE.search(text))
    found = _THAN.search(text) or _EITHER.search(text)
    if not found or not (more or _LESS.search(text)):
        return None
    one, other = (side.strip(" .") for side in found.groups())
    difference = _calculate(one) - _calculate(other)
    if found.re is _THAN:
        value, wrong = (
            ("yes", "no") if (difference > 0 if more else difference < 0) else ("no", "yes")
        )
        asked = f"the answer on whether {one} is {'more' if more else 'less'} than {other}"
        return Puzzle(asked, value, [wrong], _VERDICT)
    value = "neither" if not difference else one if (difference > 0) == more else other
    sides = sorted([one, other, "neither"], key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w./])(?:{'|'.join(map(re.escape, sides))})(?![\w/]|\.\d)")
    wrong = [side for side in (one, other) if side != value]
    asked = f"the {'larger' if more else 'smaller'} of {one} and {other}"
    return Puzzle(asked, value, wrong, pattern)


def _arithmetic(question: str) -> Puzzle | None:
    text = _DATE.sub(" ", _THOUSANDS.sub("", question.lower()))
    if found := _LIST.search(text):
        expression = _LISTED[found[1]].join(_NUMBER.findall(found[2]))
        return _number(expression, _calculate(expression))
    for words, sign in _SIGNS.items():
        text = re.sub(words, sign, text)
    expression = max(re.findall(_TERM, text), key=len, default="").strip(" .+*/")
    if not re.search(r"[\d)] *[-+*/]", expression):
        return None
    return _number(expression, _calculate(expression))


def _number(asked: str, value: Fraction) -> Puzzle:
    """A puzzle whose wrong values are near the right one, and have its sign."""
    wrong = [value + off for off in (1, -1, 2, -2) if (value + off < 0) == (value < 0)]
    return Puzzle(asked, _told(value), list(map(_told, wrong)), _NUMBER)


def _told(value: Fraction) -> str:
    """A number as people write it, to four decimals."""
    if value.denominator == 1:
        return str(value.numerator)
    return f"{float(value):.4f}".rstrip("0").rstrip(".")


def _calculate(expression: str) -> Fraction:
    """What it comes to, exactly. Raises one of ``_UNREADABLE``."""
    return _evaluate(ast.parse(expression.strip(), mode="eval").body)


def _evaluate(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number):
            return Fraction(str(number))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _evaluate(left) + _evaluate(right)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _evaluate(left) - _evaluate(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _evaluate(left) * _evaluate(right)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _evaluate(left) / _evaluate(right)
        case _:
            raise ValueError("not arithmetic")
