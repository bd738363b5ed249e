"""Templates as files: read, written, and read again as they were."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.config.schema import Template
from polyvox.errors import BadRequestError
from polyvox.gateway.prompts.files import read_file, write_file
from polyvox.gateway.prompts.shapes import Part, PromptTemplate

FILE = """\
+++
name = "support.reply"
component = "helpdesk"
model = "openai/gpt-5-mini"

[options]
max_tokens = 400
temperature = 0.2

[variables]
type = "object"
required = ["question"]

[variables.properties.question]
type = "string"

[variables.properties.product]
type = "string"
default = "Polyvox"
+++

<!-- system -->

You help with {{ product }}.

# Rules

Be brief.

<!-- user -->

{{ question }}
"""

TEMPLATE = PromptTemplate(
    component="helpdesk",
    model="openai/gpt-5-mini",
    options=Template(max_tokens=400, temperature=0.2),
    variables={
        "type": "object",
        "required": ["question"],
        "properties": {
            "question": {"type": "string"},
            "product": {"type": "string", "default": "Polyvox"},
        },
    },
    messages=[
        Part("system", "You help with {{ product }}.\n\n# Rules\n\nBe brief."),
        Part("user", "{{ question }}"),
    ],
)


def test_a_file_is_what_a_person_would_write():
    assert read_file(FILE) == ("support.reply", TEMPLATE)
    assert write_file("support.reply", TEMPLATE) == FILE
    assert read_file("\ufeff" + FILE.replace("\n", "\r\n")) == ("support.reply", TEMPLATE)


def test_toml_holds_the_same():
    text = write_file("support.reply", TEMPLATE, "toml")
    assert text.startswith('name = "support.reply"\n')
    assert '[[messages]]\nrole = "user"\ntext = """\n{{ question }}"""\n' in text
    assert read_file(text) == ("support.reply", TEMPLATE)


def test_what_markdown_would_not_give_back_is_written_as_toml():
    for text in ("ends with a line\n", "\n begins with one", "a\n<!-- user -->\nb"):
        template = PromptTemplate(messages=[Part("user", text)])
        file = write_file("x", template)
        assert file.startswith('name = "x"')
        assert read_file(file) == ("x", template)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS | st.floats(-9e9, 9e9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.builds(Part, st.sampled_from(["system", "user", "assistant"]), TEXTS), min_size=1),
    st.none() | st.dictionaries(TEXTS, VALUES, max_size=4),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(["markdown", "toml"]),
)
def test_any_template_comes_back_as_it_was(
    messages: list[Part], variables: dict[str, Any] | None, description: str, form: Any
):
    messages = [Part(each.role, each.text.replace("\r\n", "\n")) for each in messages[:100]]
    template = PromptTemplate(messages=messages, variables=variables, description=description)
    assert read_file(write_file("any", template, form)) == ("any", template)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "says no name"),
        ('name = "a b"', "can't be a template's name"),
        ('name = "a"', "messages"),
        ("name = ", "no TOML"),
        ('+++\nname = "a"\n', 'no second line "'),
        ('+++\nname = "a"\n+++\nHello\n', "does not begin with a line that says whose it is"),
        ('+++\nname = "a"\n+++\n\n<!-- king -->\nHello\n', "does not begin"),
        ('+++\nname = "a"\nmodle = "b"\n+++\n<!-- user -->\nHello\n', "modle"),
        ('name = "a"\nvariables = "{"\n', "variables is no JSON"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_place(text: str, says: str):
    with pytest.raises(BadRequestError, match=says):
        read_file(text)


def test_the_nearest_known_key_is_named():
    with pytest.raises(BadRequestError) as caught:
        read_file('name = "a"\nmodle = "b"\nmessages = [{role = "user", text = "x"}]')
    assert caught.value.hint == "Did you mean 'model'?"
