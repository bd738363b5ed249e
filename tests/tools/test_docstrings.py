"""Docstrings taken apart, in each of the three usual forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.tools.docstrings import Docstring, parse_docstring

GOOGLE = """Tell the weather in a city.

The forecast is that of the last hour.

Args:
    city: The city's name,
        in English.
    unit (str, optional): In which unit.
    *days (tuple(int, int)): Which days:
        from, to.

Returns:
    What the weather is.

Raises:
    ValueError: for no city.
"""

NUMPY = """Tell the weather in a city.

The forecast is that of the last hour.

Parameters
----------
city : str
    The city's name,
    in English.
unit : {"c", "f"}, optional
    In which unit.
days
    Which days: from, to.

Returns
-------
str
    What the weather is.
"""

SPHINX = """Tell the weather in a city.

The forecast is that of the last hour.

:param city: The city's name,
    in English.
:param str unit: In which unit.
:type unit: str
:keyword days: Which days: from, to.
:returns: What the weather is.
:raises ValueError: for no city.
"""


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
@pytest.mark.parametrize("margin", ["", "        "])
def test_every_form_says_the_same(text: str, margin: str):
    first, _, rest = text.partition("\n")
    indented = "\n".join([first, *(margin + line for line in rest.splitlines())])
    assert parse_docstring(indented) == Docstring(
        "Tell the weather in a city.\n\nThe forecast is that of the last hour.",
        {
            "city": "The city's name, in English.",
            "unit": "In which unit.",
            "days": "Which days: from, to.",
        },
    )


@pytest.mark.parametrize(
    ("text", "description", "parameters"),
    [
        ("", "", {}),
        ("One line.", "One line.", {}),
        ("\nArgs:\n  a: x", "", {"a": "x"}),
        ("Do.\n\nARGS:\n  a: x\n\nAnd it ends.", "Do.\n\nAnd it ends.", {"a": "x"}),
        ("Do.\n\nArguments:\n  a: x\n  b: y\n", "Do.", {"a": "x", "b": "y"}),
        ("Do.\n\nKeyword Args:\n  a: x", "Do.", {"a": "x"}),
        ("\nArgs:\n  a:\n    on its own line", "", {"a": "on its own line"}),
        ("\nArgs:\n  a (Callable[[int], str]): x", "", {"a": "x"}),
        (
            "\nArgs:\n  a: see http://example.com: it is there",
            "",
            {"a": "see http://example.com: it is there"},
        ),
        ("\nArgs:\n  a: one\n  two\n  b: three", "", {"a": "one two", "b": "three"}),
        ("\nArgs:\n  a: x\n\n  b: y", "", {"a": "x", "b": "y"}),
        ("Parameters\n----------\na, b : int\n    Both.", "", {"a": "Both.", "b": "Both."}),
        ("Other Parameters\n----------------\n**kw\n    More.", "", {"kw": "More."}),
        ("Parameters\n==========\na\n    x", "", {"a": "x"}),
        ("Do.\n\n:param a: x\n\nMore.", "Do.\n\nMore.", {"a": "x"}),
        (":param list[int] a: x", "", {"a": "x"}),
        (":arg a: x\n:argument b: y\n:key c: z", "", {"a": "x", "b": "y", "c": "z"}),
        ("Examples:\n  >>> f()\n\nDone.", "Done.", {}),
        ("\nDo this:\n  a: x", "Do this:\n  a: x", {}),
        ("Note:\nit is text.", "Note:\nit is text.", {}),
        ("Notes\n-----\nhidden", "", {}),
        ("Title\n-----\ntext", "Title\n-----\ntext", {}),
        (":class:`Tool` is a class.", ":class:`Tool` is a class.", {}),
        ("\nArgs:\n  a: x\n\nParameters\n----------\nb\n    y", "", {"a": "x", "b": "y"}),
    ],
)
def test_a_form(text: str, description: str, parameters: dict[str, str]):
    assert parse_docstring(text) == Docstring(description, parameters)


names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "end_")
texts = st.from_regex(r"[A-Z][a-z]{0,8}( [a-z]{1,8}){0,5}", fullmatch=True)


@given(texts, st.dictionaries(names, texts, min_size=1))
def test_what_is_written_in_a_form_is_read_from_it(summary: str, told: dict[str, str]):
    google = "".join(f"    {name} (int): {text}\n" for name, text in told.items())
    numpy = "".join(f"{name} : int\n    {text}\n" for name, text in told.items())
    sphinx = "".join(f":param {name}: {text}\n" for name, text in told.items())
    wanted = Docstring(summary, told)
    assert parse_docstring(f"{summary}\n\nArgs:\n{google}") == wanted
    assert parse_docstring(f"{summary}\n\nParameters\n----------\n{numpy}") == wanted
    assert parse_docstring(f"{summary}\n\n{sphinx}") == wanted


@given(st.text(alphabet="Args:\n -p()x=*", max_size=80))
def test_no_text_breaks_it(text: str):
    parse_docstring(text)
