"""Whether a grammar can enforce a JSON schema. If it cannot, the error names the part before anything is generated."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentd.errors import ModelError
from agentd.ports.generation import ToolSpec

LONGEST, DEEPEST, MOST_REPEATS = 64 * 1024, 32, 500
"""Characters of a schema as JSON, its nesting, and the largest number of items or characters that it may ask for."""
MOST_NESTED = 8
"""How deep the arguments of a call are held to their schema."""

_BEYOND = frozenset(
    """
    $dynamicRef additionalItems contains dependencies dependentRequired dependentSchemas else exclusiveMaximum
    exclusiveMinimum if maxContains maxProperties maximum minContains minProperties minimum multipleOf not
    patternProperties propertyNames then unevaluatedItems unevaluatedProperties uniqueItems
    """.split()
)
"""Keywords of JSON Schema (draft 2020-12 and older) that llama.cpp's converter cannot express in a grammar."""
_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_INSIDE = ("items", "additionalProperties")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED = ("properties", "$defs", "definitions")


def check_schema(schema: Mapping[str, Any]) -> None:
    """`ModelError` says where in the schema something is wrong, and what."""
    try:
        text = json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"The schema is not JSON: {error}.") from None
    if len(text) > LONGEST:
        raise ModelError(f"The schema has {len(text)} characters; at most {LONGEST} are possible. Use a smaller one.")
    for problem in _problems(schema, "", 0):
        raise ModelError(f"The local model cannot follow the schema: {problem}.")


def calls_schema(tools: Sequence[ToolSpec]) -> dict[str, Any]:
    """The schema of a call of one of these tools: of its arguments, what a grammar can enforce."""
    return {"anyOf": [_call_schema(tool) for tool in tools]}


def _call_schema(tool: ToolSpec) -> dict[str, Any]:
    arguments = {"type": "object", **_enforceable(tool.parameters, 0)}
    if arguments["type"] != "object":
        arguments = {"type": "object"}
    return {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _enforceable(schema: object, depth: int) -> dict[str, Any]:
    """The part of a schema that llama.cpp's converter expresses whatever stands in it; {} if that is nothing."""
    if not isinstance(schema, Mapping) or depth > MOST_NESTED or "$ref" in schema:
        return {}
    found: dict[str, Any] = {}
    types = schema.get("type")
    if isinstance(types, str) and types in _TYPES:
        found["type"] = types
    if isinstance(options := schema.get("enum"), list) and options:
        return {"enum": options}
    if isinstance(properties := schema.get("properties"), Mapping) and properties:
        found["properties"] = {name: _enforceable(inner, depth + 1) for name, inner in properties.items()}
        needed = schema.get("required")
        found["required"] = [name for name in (needed if isinstance(needed, list) else []) if name in properties]
    if "items" in schema:
        found["items"] = _enforceable(schema["items"], depth + 1)
    return found


def _problems(schema: object, path: str, depth: int) -> Iterator[str]:
    where = path or "at its top"
    if depth > DEEPEST:
        yield f"{where} it is nested more than {DEEPEST} deep"
        return
    if not isinstance(schema, Mapping):
        yield f"{where} it has {json.dumps(schema)} instead of a schema"
        return
    yield from (f"{where} it uses {keyword!r}, which a grammar cannot enforce" for keyword in sorted(_beyond(schema)))
    yield from (f"{where} {problem}" for problem in _contradictions(schema))
    for keyword, inner in _inner(schema):
        yield from _problems(inner, f"{path}/{keyword}", depth + 1)


def _beyond(schema: Mapping[str, Any]) -> set[str]:
    return {keyword for keyword in _BEYOND & schema.keys() if schema[keyword] is not False}


def _contradictions(schema: Mapping[str, Any]) -> Iterator[str]:
    types = schema.get("type", [])
    named = {types} if isinstance(types, str) else set(types)
    if unknown := sorted(map(str, named - _TYPES)):
        yield f"the type {unknown[0]!r} is unknown"
    for keyword in ("enum", "anyOf", "oneOf"):
        if schema.get(keyword) == []:
            yield f"{keyword!r} leaves no value"
    for least, most in (("minLength", "maxLength"), ("minItems", "maxItems")):
        low, high = schema.get(least, 0), schema.get(most)
        for keyword, count in ((least, low), (most, high)):
            if count is not None and not (isinstance(count, int) and 0 <= count <= MOST_REPEATS):
                yield f"{keyword!r} is {count!r}, not a number from 0 to {MOST_REPEATS}"
        if isinstance(low, int) and isinstance(high, int) and low > high:
            yield f"{least!r} is more than {most!r}"
    properties = schema.get("properties", {})
    if missing := [name for name in schema.get("required", ()) if "properties" in schema and name not in properties]:
        yield f"it requires {missing[0]!r}, which is not among its properties"
    reference = schema.get("$ref")
    if reference is not None and not str(reference).startswith("#/"):
        yield f"it refers to {reference!r}, which is not within the schema"


def _inner(schema: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for keyword in _INSIDE:
        inner = schema.get(keyword, False)
        if isinstance(inner, list):  # an older form of prefixItems
            yield from ((f"{keyword}/{i}", item) for i, item in enumerate(inner))
        elif not isinstance(inner, bool) or (inner and keyword == "items"):
            yield keyword, inner
    for keyword in _LISTED:
        yield from ((f"{keyword}/{i}", inner) for i, inner in enumerate(schema.get(keyword, ())))
    for keyword in _NAMED:
        yield from ((f"{keyword}/{name}", inner) for name, inner in dict(schema.get(keyword, {})).items())
