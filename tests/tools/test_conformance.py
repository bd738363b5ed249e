"""JSON values checked against JSON schemas."""

from typing import Any

import msgspec
import pytest
from hypothesis import given

from polyvox.providers.simulated.arguments import make_value
from polyvox.tools.conformance import problems
from strategies import strict_schemas

CITY = {"$ref": "#/$defs/City"}
DEFS = {"$defs": {"City": {"type": "string", "minLength": 2}}}


@pytest.mark.parametrize(
    ("schema", "good", "bad", "place"),
    [
        ({"type": "integer"}, 1, 1.5, "$"),
        ({"type": "integer"}, 2.0, True, "$"),
        ({"type": ["string", "null"]}, None, 1, "$"),
        ({"enum": ["a", 1]}, 1, True, "$"),
        ({"const": 1}, 1.0, 2, "$"),
        ({"properties": {"a": {"type": "string"}}}, {"a": "x"}, {"a": 1}, "$.a"),
        ({"required": ["a"]}, {"a": 1}, {}, "$"),
        ({"properties": {"a": {}}, "additionalProperties": False}, {"a": 1}, {"b": 1}, "$"),
        ({"additionalProperties": {"type": "integer"}}, {"b": 1}, {"b": "x"}, "$.b"),
        ({"patternProperties": {"^n_": {"type": "integer"}}}, {"n_a": 1}, {"n_a": ""}, "$.n_a"),
        ({"minProperties": 1}, {"a": 1}, {}, "$"),
        ({"items": {"type": "string"}}, ["a"], ["a", 1], "$[1]"),
        ({"prefixItems": [{"type": "string"}], "items": False}, ["a"], ["a", 1], "$[1]"),
        ({"minItems": 1, "maxItems": 2}, [1], [1, 2, 3], "$"),
        ({"uniqueItems": True}, [1, True], [1, 1.0], "$"),
        ({"uniqueItems": True}, [[1], [True], {"a": 1}], [{"a": [1]}, {"a": [1.0]}], "$"),
        ({"const": [1]}, [1.0], [True], "$"),
        ({"type": ["any", "string"]}, 5, None, None),
        ({"minLength": 2, "maxLength": 3}, "ab", "a", "$"),
        ({"pattern": "^a"}, "ab", "b", "$"),
        ({"minimum": 1, "maximum": 3}, 3, 0, "$"),
        ({"exclusiveMinimum": 1, "exclusiveMaximum": 3}, 2, 3, "$"),
        ({"multipleOf": 0.1}, 0.3, 0.35, "$"),
        ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, 1, 3, "$"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, 1, None, "$"),
        ({"oneOf": [{"type": "integer"}, {"minimum": 5}]}, 1, 6, "$"),
        ({"oneOf": [{"type": "string"}]}, "a", 6, "$"),
        ({"not": {"type": "string"}}, 1, "a", "$"),
        ({"properties": {"a": CITY}, **DEFS}, {"a": "Oslo"}, {"a": "O"}, "$.a"),
        (True, 1, None, None),
        ({"pattern": r"\p{L}"}, "any", None, None),
    ],
)
def test_a_keyword(schema: Any, good: Any, bad: Any, place: str | None):
    assert list(problems(good, schema)) == []
    if place is not None:
        assert [path for path, _ in problems(bad, schema)] == [place]


def test_of_several_branches_the_one_that_fits_best_tells():
    pet = {"properties": {"kind": {"const": "cat"}, "age": {"type": "integer"}}}
    schema = {"anyOf": [{"type": "string"}, pet]}
    assert [path for path, _ in problems({"kind": "cat", "age": "x"}, schema)] == ["$.age"]


@given(strict_schemas)
def test_values_made_for_a_schema_conform_to_it(schema: dict[str, Any]):
    value = msgspec.json.decode(msgspec.json.encode(make_value(schema, "3 tickets to Oslo")))
    assert list(problems(value, schema)) == []
