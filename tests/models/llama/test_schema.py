from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from agentd.errors import ModelError
from agentd.models.llama.schema import DEEPEST, LONGEST, MOST_REPEATS, check_schema


class Leaf(BaseModel):
    name: str
    tags: list[str] = []
    next: Leaf | None = None


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "additionalProperties": False},
        {"type": ["string", "null"], "default": None, "title": "x"},
        {"type": "array", "items": [{"type": "string"}], "uniqueItems": False},
        {"type": "object", "properties": {"not": {"enum": [1, "a", None]}}, "required": ["not"]},
        Leaf.model_json_schema(),
    ],
)
def test_what_a_grammar_can_promise_passes(schema: dict[str, Any]) -> None:
    check_schema(schema)


def nested(depth: int) -> dict[str, Any]:
    return {"type": "array", "items": nested(depth - 1)} if depth else {"type": "null"}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 3}, "its top .* 'minimum', "),
        ({"properties": {"a": {"not": {}}}}, r"/properties/a it uses 'not'"),
        ({"anyOf": [{"type": "string"}, {"uniqueItems": True}]}, r"/anyOf/1 it uses 'uniqueItems'"),
        ({"items": {"type": "float"}}, r"/items the type 'float' is unknown"),
        ({"enum": []}, "'enum' leaves no value"),
        ({"type": "string", "minLength": 4, "maxLength": 3}, "'minLength' is more than 'maxLength'"),
        ({"type": "string", "maxLength": MOST_REPEATS + 1}, f"'maxLength' .* {MOST_REPEATS}"),
        ({"type": "array", "minItems": -1}, "'minItems' is -1"),
        ({"type": "array", "maxItems": "7"}, "'maxItems' is '7'"),
        ({"properties": {"a": {}}, "required": ["b"]}, "requires 'b'"),
        ({"$ref": "https://example.org/x"}, "not within"),
        ({"properties": {"a": True}}, "/properties/a it has true"),
        ({"prefixItems": [3]}, "/prefixItems/0 it has 3"),
        (nested(DEEPEST + 1), f"nested more than {DEEPEST} deep"),
        ({"title": "x" * LONGEST}, f"at most {LONGEST}"),
        ({"default": float("nan")}, "is not JSON"),
        ({"default": object()}, "is not JSON"),
    ],
)
def test_what_it_cannot_is_named_with_its_place(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        check_schema(schema)
