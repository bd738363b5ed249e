"""Schemas cut to what a provider takes, and values read back."""

import copy
from typing import Any

import pytest
from hypothesis import given

from polyvox.dialects.schema import ANTHROPIC, OPENAI_STRICT, Adapted, SchemaLimits, adapt
from polyvox.dialects.schema_nulls import without_nulls
from strategies import schemas, strict_schemas

BOTH = pytest.mark.parametrize("limits", [OPENAI_STRICT, ANTHROPIC], ids=["openai", "anthropic"])
WRITTEN_OUT = SchemaLimits(keywords=frozenset(), formats=frozenset(), refs=False)
NODE = {
    "type": "object",
    "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
    "required": ["next"],
}


def obj(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names}


@BOTH
@given(strict_schemas)
def test_what_fits_is_left_as_it_is(limits: SchemaLimits, schema: dict[str, Any]):
    assert adapt(schema, limits) == Adapted(schema)


@BOTH
@given(schemas)
def test_no_schema_is_changed_in_place_or_raises(limits: SchemaLimits, schema: dict[str, Any]):
    before = copy.deepcopy(schema)
    assert adapt(schema, limits) == adapt(schema, limits)
    assert schema == before


def test_an_optional_property_is_asked_for_or_null():
    adapted = adapt(obj(["a"], a={"type": "string"}, b={"type": "integer"}), OPENAI_STRICT)
    assert adapted.schema["required"] == ["a", "b"]
    assert adapted.schema["additionalProperties"] is False
    assert adapted.schema["properties"]["b"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert adapted.notes == (("properties.b", "optional: asked for, or null"),)


def test_a_constraint_that_is_not_taken_becomes_words():
    wanted = obj(n={"type": "integer", "minimum": 1, "description": "How many."})
    adapted = adapt(wanted, ANTHROPIC)
    assert adapted.schema["properties"]["n"] == {
        "type": "integer",
        "description": "How many. (minimum: 1)",
    }
    assert [place for place, _ in adapted.notes] == ["properties.n.minimum"]
    assert adapt(wanted, OPENAI_STRICT).schema["properties"] == wanted["properties"]


@BOTH
@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "properties.x"),
        ({"type": "object"}, "properties.x"),
        ({}, "properties.x"),
        ({"type": "array", "items": {}}, "properties.x.items"),
        ({"type": "array", "prefixItems": [{"type": "string"}]}, "properties.x.prefixItems"),
        ({"$ref": "https://example.com/schema"}, "properties.x"),
    ],
)
def test_what_can_not_be_told_is_named(limits: SchemaLimits, part: dict[str, Any], place: str):
    obstacle = adapt(obj(x=part), limits).obstacle
    assert obstacle is not None
    assert obstacle[0] == place


@BOTH
@pytest.mark.parametrize("schema", [{"type": "object", "properties": 3}, {"anyOf": 1}, {"$ref": 1}])
def test_what_is_no_schema_is_an_obstacle(limits: SchemaLimits, schema: dict[str, Any]):
    assert adapt(schema, limits).obstacle is not None


def test_recursion_is_kept_where_it_is_taken():
    schema = {"$ref": "#/$defs/Node", "$defs": {"Node": NODE}}
    adapted = adapt(schema, OPENAI_STRICT)
    assert adapted.obstacle is None
    assert adapted.schema["type"] == "object"
    assert adapted.schema["$defs"].keys() == {"Node"}
    assert adapt(schema, ANTHROPIC).obstacle == ("properties.next.anyOf[0]", "contains itself")


def test_a_definition_is_written_out_where_references_are_not_taken():
    schema = {**obj(a={"$ref": "#/$defs/City"}), "$defs": {"City": {"type": "string"}}}
    adapted = adapt(schema, WRITTEN_OUT)
    assert adapted.schema["properties"] == {"a": {"type": "string"}}
    assert "$defs" not in adapted.schema
    assert adapt(schema, ANTHROPIC).schema["$defs"] == schema["$defs"]


def test_what_stands_beside_a_reference_is_kept():
    city = {"type": "string"}
    schema = {
        **obj(a={"$ref": "#/$defs/City", "description": "Where to."}),
        "$defs": {"City": city},
    }
    sent = adapt(schema, OPENAI_STRICT).schema
    assert sent["properties"]["a"] == {"type": "string", "description": "Where to."}


def test_an_enum_gets_its_type_and_a_union_its_word():
    adapted = adapt(obj(a={"enum": ["x", 1]}, b={"oneOf": [{"type": "string"}]}), OPENAI_STRICT)
    assert adapted.schema["properties"] == {
        "a": {"type": ["string", "integer"], "enum": ["x", 1]},
        "b": {"anyOf": [{"type": "string"}]},
    }


def test_nulls_that_stand_for_nothing_are_taken_out():
    inner = obj([], c={"type": "string"}, d={"type": ["string", "null"]})
    schema = {
        **obj(["r"], r={"type": "string"}, a=inner, many={"type": "array", "items": inner}),
        "$defs": {},
    }
    value = {"r": None, "a": {"c": None, "d": None}, "many": [{"c": None}, {"c": "x"}]}
    assert without_nulls(value, schema) == {
        "r": None,
        "a": {"d": None},
        "many": [{}, {"c": "x"}],
    }


def test_nulls_are_taken_out_of_the_branch_that_is_meant():
    cat = obj(["kind"], kind={"const": "cat"}, lives={"type": "integer"})
    dog = obj(["kind"], kind={"const": "dog"}, lives={"type": ["integer", "null"]})
    pet = {"anyOf": [cat, dog]}
    assert without_nulls({"kind": "cat", "lives": None}, pet) == {"kind": "cat"}
    assert without_nulls({"kind": "dog", "lives": None}, pet) == {"kind": "dog", "lives": None}
