"""A model's JSON text becomes checked arguments, or an error whose words let the model call again as it should."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError

from agentd.errors import ToolError
from agentd.text.characters import whole

SHOWN = 200
"""Characters of wrong input that an error repeats at most."""
PROBLEMS = 8
"""How many of its faults an error names."""

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_object: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


class Arguments(BaseModel):
    """What a tool takes; a subclass describes each field, which is what the model is told of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Misunderstood(ToolError):
    """The model called a tool that there is not, or with arguments that do not fit it."""

    code = "tool_call"


def parse(text: str) -> dict[str, JsonValue]:
    """The JSON object in `text`; nothing at all is one without members. `Misunderstood` for anything else."""
    try:
        return _object.validate_json(_joined(text).strip() or "{}")
    except ValidationError as error:
        reason = error.errors(include_url=False, include_input=False)[0]["msg"]
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
        raise Misunderstood(f"The arguments must be one JSON object. {reason}: {shown}") from None


def check(model: type[BaseModel], arguments: dict[str, JsonValue]) -> BaseModel:
    """The arguments as the tool takes them; `Misunderstood` names each one that does not fit."""
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        told = "; ".join(f"{_path(problem['loc'])}: {problem['msg'][:SHOWN]}" for problem in problems[:PROBLEMS])
        more = f"; and {len(problems) - PROBLEMS} more" if len(problems) > PROBLEMS else ""
        names = ", ".join(model.model_fields) or "none"
        raise Misunderstood(f"The arguments do not fit: {told}{more}. The tool takes: {names}.") from None


def _path(where: tuple[int | str, ...]) -> str:
    return ".".join(map(str, where))[:SHOWN] or "arguments"


def _joined(text: str) -> str:
    """Halves of characters that JSON escapes are joined, or replaced: no strict reader takes them."""
    if _HALF.search(text) is None:
        return text
    try:
        return whole(json.dumps(json.loads(text), ensure_ascii=False))
    except (ValueError, RecursionError):
        return text


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of the arguments with what a model needs to call: each word of it is read with every prompt.

    Titles, bounds and defaults are left out; `check` tells a model that goes beyond them.
    """
    found = _plain(model.model_json_schema())
    assert isinstance(found, dict)
    found.pop("description", None)  # the docstring of the class is for readers of the code
    return found


_UNTOLD = frozenset(
    "title default additionalProperties minLength maxLength minimum maximum exclusiveMinimum exclusiveMaximum".split()
)


def _plain(node: Any, *, names: bool = False) -> Any:
    """`names` says that the keys of `node` are names of arguments: one of those may be called "title"."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _plain(value, names=key in ("properties", "$defs") and not names)
        for key, value in node.items()
        if names or key not in _UNTOLD
    }
