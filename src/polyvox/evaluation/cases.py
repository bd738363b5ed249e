"""Cases: what is asked, and what the answers are held against; one line of JSON each.

    {"prompt": "What is 17 + 25?", "expected": "42", "scorer": {"type": "contains", "words": true}}

The form of the lines is that of "JSON Lines" (jsonlines, "Documentation for the JSON Lines text file
format"); blank lines are left out.
"""

import math
import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias, cast

import msgspec

from polyvox import jsontext
from polyvox.client import make_request
from polyvox.client.settings import ModelSettings, Settings
from polyvox.errors import BadRequestError, ConfigurationError
from polyvox.evaluation.scorers import SCORERS, Exact, Graded, Schema, Scorer
from polyvox.model import Call
from polyvox.request import Request, ResponseFormat
from polyvox.suggestions import did_you_mean

__all__ = ["Case", "check_cases", "grader_of", "load_cases"]

Complaint: TypeAlias = tuple[str, str]
"""A field, and what is wrong with it."""

_SETTINGS = {*ModelSettings.__annotations__, "response_format", "timeout"} - {"tool_choice"}
_EXPECTED = re.compile(r"^(?P<text>.*?)(?: - at `\$\.?(?P<place>.*)`)?$", re.DOTALL)


class Case(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One question. Its id is made of its content unless it is given.

    ``prompt`` is a text, or messages in the form they have in JSON. ``expected`` is what ``scorer``
    wants: a text or several, or a value. ``weight`` is how much it counts; ``settings`` are those of
    any call (``max_tokens``, ``temperature``, ...), and ``timeout`` in seconds.

    >>> Case(prompt="What is 17 + 25?", expected="42").scorer
    Exact(ignore_case=False, strip=True)
    """

    prompt: str | list[Any]
    id: str = ""
    expected: Any = None
    scorer: Scorer = Exact()
    system: str = ""
    weight: float = 1.0
    tags: list[str] = []
    settings: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if not self.id:
            msgspec.structs.force_setattr(self, "id", self.digest()[:8])

    def digest(self, grader: str = "") -> str:
        """What stands for all that an answer and its score depend on, besides who answers."""
        about = (self.prompt, self.system, self.expected, self.scorer, self.settings, grader)
        return sha256(msgspec.json.encode(about, order="deterministic")).hexdigest()[:16]

    def request(self) -> Request:
        """What is asked. Raises ``BadRequestError``."""
        settings: Any = {name: each for name, each in self.settings.items() if name != "timeout"}
        if self.system:
            settings["system"] = self.system
        request = make_request(self.prompt, settings)
        if isinstance(self.scorer, Schema) and self.scorer.ask and not request.response_format:
            request.response_format = ResponseFormat(self.scorer.schema)
        return request

    def complaints(self) -> Iterator[Complaint]:
        """Everything that is wrong with it."""
        if not 0 < self.weight < math.inf:
            yield "weight", f"it is {self.weight:g}; give more than 0, or leave the case out"
        for name in self.settings:
            if name not in _SETTINGS:
                yield f"settings.{name}", f"there is no such setting{did_you_mean(name, _SETTINGS)}"
                return
        timeout = self.settings.get("timeout")
        if isinstance(timeout, (int, float)) and not timeout > 0:
            yield "settings.timeout", f"it is {timeout:g}; give more than 0, in seconds"
        for field, settings in (("prompt", {}), ("settings", self.settings)):
            try:
                Call.timeout(settings.get("timeout"))
                make_request(self.prompt, cast("Settings", settings))
            except BadRequestError as error:
                yield field, " ".join(filter(None, (error.text, error.hint)))
                break
        yield from self.scorer.complaints(self.expected)


def load_cases(path: str | PathLike[str]) -> list[Case]:
    """The cases of a file.

    Raises ``ConfigurationError``, which names the line, the field, and what to do.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigurationError(f"can't read the cases of {path}: {error.strerror}") from None
    cases: dict[int, Case] = {}
    complaints: list[tuple[int, Complaint]] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            case, found = _read(line.removeprefix(b"\xef\xbb\xbf"))
            complaints += [(number, each) for each in found]
            if case is not None:
                cases[number] = case
    complaints += list(_doubles(cases.items(), "line"))
    if complaints:
        raise _error(str(path), "line", complaints)
    if not cases:
        raise ConfigurationError(f"there are no cases in {path}", hint="Write one on each line.")
    return list(cases.values())


def check_cases(cases: Iterable[Case]) -> list[Case]:
    """The cases, however they were made. Raises ``ConfigurationError``."""
    numbered = list(enumerate(cases))
    found = [(place, each) for place, case in numbered for each in case.complaints()]
    if complaints := found + list(_doubles(numbered, "case")):
        raise _error("cases", "case", complaints)
    if not numbered:
        raise ConfigurationError("there are no cases to evaluate")
    return [case for _, case in numbered]


def _read(line: bytes) -> tuple[Case | None, list[Complaint]]:
    """The case of a line, or what is wrong with it."""
    try:
        fields = jsontext.decode(line, dict[str, Any])
    except msgspec.ValidationError:
        return None, [("", 'a case is an object, such as {"prompt": "...", "expected": "..."}')]
    except msgspec.DecodeError as error:
        return None, [("", f"this is no JSON: {error}")]
    if unknown := list(_unknown(fields, Case, "")):
        return None, unknown
    if "prompt" not in fields:
        return None, [("prompt", "say what is asked")]
    scorer, complaints = _scorer(fields.get("scorer", "exact"))
    if scorer is None:
        return None, complaints
    try:
        case = msgspec.convert({**fields, "scorer": msgspec.to_builtins(scorer)}, Case)
    except msgspec.ValidationError as error:
        return None, [_in_words(error, "")]
    return case, list(case.complaints())


def _scorer(value: Any) -> tuple[Scorer | None, list[Complaint]]:
    """What a case says of its scorer: its name, or an object with its options."""
    fields: dict[str, Any] = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    name = str(fields.get("type", "") if isinstance(value, dict) else value)
    if name not in SCORERS:
        where = "scorer.type" if isinstance(value, dict) else "scorer"
        return None, [(where, f"there is no scorer {name!r}{did_you_mean(name, SCORERS)}")]
    kind = SCORERS[name]
    if unknown := list(_unknown(fields, kind, "scorer.", "type")):
        return None, unknown
    try:
        return msgspec.convert({"type": name, **fields}, kind), []
    except msgspec.ValidationError as error:
        return None, [_in_words(error, "scorer")]


def _unknown(fields: Iterable[str], kind: type[Any], path: str, *also: str) -> Iterator[Complaint]:
    known = (*kind.__struct_fields__, *also)
    for name in fields:
        if name not in known:
            yield f"{path}{name}", f"there is no such field{did_you_mean(name, known)}"


def _in_words(error: msgspec.ValidationError, path: str) -> Complaint:
    found = _EXPECTED.match(str(error))
    assert found is not None
    place = ".".join(part for part in (path, found["place"]) if part)
    text = found["text"].replace("Object missing", "missing").replace("`", "'")
    return place, text[:1].lower() + text[1:]


def _doubles(cases: Iterable[tuple[int, Case]], unit: str) -> Iterator[tuple[int, Complaint]]:
    """Two of one id: their results could not be told apart."""
    seen: dict[str, int] = {}
    for place, case in cases:
        if case.id in seen:
            first = f"{unit} {seen[case.id]}"
            text = (
                f"{case.id!r} is the id of {first} already; to ask the same again, repeat the run"
            )
            yield place, ("id", text)
        seen.setdefault(case.id, place)


def _error(where: str, unit: str, complaints: list[tuple[int, Complaint]]) -> ConfigurationError:
    place, (field, text) = complaints[0]
    about = f"{where}, {unit} {place}: " + (f"{field}: {text}" if field else text)
    more = len(complaints) - 1
    hint = f"There {'is one more problem' if more == 1 else f'are {more} more problems'}."
    return ConfigurationError(about, hint=hint if more else None)


def grader_of(case: Case, default: str) -> str:
    """The name of the model that grades a case; "" for one that needs none."""
    return (case.scorer.model or default) if isinstance(case.scorer, Graded) else ""
