"""``${NAME}`` in a string: what the environment variable holds."""

import pytest

from polyvox.config.references import expand

from .conftest import Examine


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain $5 {x}", "plain $5 {x}"),
        ("${HOST}", "lab"),
        ("https://${HOST}:${PORT:-80}/v1", "https://lab:80/v1"),
        ("${NONE:-}", ""),
        ("${EMPTY:-other}", "other"),
        ("$${HOST}", "${HOST}"),
        ("$${HOST} ${HOST}", "${HOST} lab"),
        ("${NONE:-a b:-c}", "a b:-c"),
        ("${NESTED}", "${HOST}"),
    ],
)
def test_what_a_reference_becomes(text: str, expected: str):
    expanded = expand(text, {"HOST": "lab", "EMPTY": "", "NESTED": "${HOST}"})
    assert (expanded.text, expanded.problem) == (expected, "")


@pytest.mark.parametrize("text", ["${}", "${1X}", "${a b}", "${HOST", "${HOST:+x}"])
def test_what_is_no_reference_is_told(text: str):
    assert "is no reference" in expand(text, {"HOST": "lab"}).problem


def test_an_unset_variable_names_itself_the_file_the_line_and_the_key(look: Examine):
    (problem,) = look("[providers.openai]\n\nkey = '${MY_KEY}'").problems
    assert str(problem) == (
        "polyvox.toml, line 3: providers.openai.key: the environment variable MY_KEY is not set"
    )
    assert problem.hint == "Set it, or say what holds without it: ${MY_KEY:-...}."


def test_an_unset_variable_in_a_list_names_its_item(look: Examine):
    (problem,) = look("[providers.openai]\nkeys = [\n  'a',\n  '${MY_KEY}',\n]").problems
    assert str(problem).startswith("polyvox.toml, line 4: providers.openai.keys[1]: ")


def test_references_stand_in_vendor_fields_too(look: Examine):
    config = look("[templates.t.options.openai]\nuser = '${WHO}'", WHO="ada").config
    assert config is not None
    assert config.templates["t"].options == {"openai": {"user": "ada"}}


def test_what_a_reference_gives_is_of_the_type_that_belongs_there(look: Examine):
    text = "[deployments.a]\nmodel = 'simulated/echo'\nrpm = '${RPM:-60}'\n[log]\nkeep_bytes = '${ALL}'"
    config = look(text, ALL="true").config
    assert config is not None
    assert config.deployments["a"].rpm == 60
    assert config.log is not None
    assert config.log.keep_bytes is True


def test_a_plain_string_is_not_taken_for_a_number(look: Examine):
    assert look("[deployments.a]\nmodel = 'simulated/echo'\nrpm = '60'").errors


def test_a_reference_that_comes_to_nothing_is_as_if_its_key_were_not_there(look: Examine):
    text = "[providers.openai]\nkeys = ['${A:-}', '${B:-}']\nbase_url = '${URL:-}'"
    config = look(text, B="sk-b").config
    assert config is not None
    assert len(config.providers["openai"].keys) == 1
    assert config.providers["openai"].base_url == "https://api.openai.com/v1"
