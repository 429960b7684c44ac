"""Reads calls of tools in all the forms in which models write them, and decides whether they count.

A call counts if it names an offered tool, or if it can be nothing else: a name with arguments and nothing beside them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agentd.evidence.call_openings import (
    ARGUMENTS,
    BESIDE,
    DOTTED,
    NAME,
    NAMES,
    WITHIN,
    Offered,
    Opening,
    bare_name,
    opening,
)
from agentd.evidence.loose_json import Extent, Reader, Unreadable

BEHIND = " \t\r\n;,}]"
"""Closing characters that may follow a call, needed or not, and are not text."""
_TAGS = ("<tool_call", "<tools>", "<function", "<|tool_call", "<|python_tag|>")
"""An answer that begins like this is a call, however damaged."""
_OF_SCHEMAS = frozenset({"type", "required", "description"})
_KEYWORD = re.compile(r"\s*(\w+)\s*=(?!=)\s*")
_SAYS_ARGUMENTS = re.compile(r"""["']?(?:arguments|parameters)["']?\s*:""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """The name of a tool, and its arguments as the text of a JSON object."""

    name: str
    arguments: str


def read_calls(text: str, offered: Offered, *, marked: bool = False) -> list[Call] | None:
    """The calls in this text, one after the other or in a list; None if it contains anything else.

    After a family's own tag (`marked`), every name counts, and no arguments are needed.
    """
    try:
        forms = list(_forms(Reader(text), offered))
    except (Unreadable, RecursionError):
        return None
    if not forms or not all(form.counts(offered, marked=marked) for form in forms):
        return None
    return [form.call for form in forms]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """`sure`: it has a name and arguments, and nothing that does not belong to a call."""

    name: str
    arguments: dict[str, Any]
    sure: bool

    @property
    def call(self) -> Call:
        return Call(name=self.name, arguments=json.dumps(self.arguments, ensure_ascii=False))

    def counts(self, offered: Offered, *, marked: bool) -> bool:
        return marked or self.sure or self.name in offered


def _forms(reader: Reader, offered: Offered) -> Iterator[_Form]:
    while reader.peek():
        if reader.take(";") or reader.take(","):
            continue
        if reader.peek() in ("{", "["):
            yield from _of_value(reader.value(), offered, 0)
        else:
            yield _python(reader, offered)


def _of_value(value: Any, offered: Offered, depth: int) -> Iterator[_Form]:
    if depth > 4:
        raise Unreadable("calls within calls")
    if isinstance(value, list):
        for item in value:
            yield from _of_value(item, offered, depth + 1)
        return
    if not isinstance(value, dict):
        raise Unreadable("not an object")
    for key in WITHIN:
        if isinstance(value.get(key), dict | list) and not isinstance(value.get("name"), str):
            yield from _of_value(value[key], offered, depth + 1)
            return
    yield _of_object(value, offered)


def _of_object(value: dict[str, Any], offered: Offered) -> _Form:
    key = next((key for key in NAMES if isinstance(value.get(key), str)), None)
    if key is None:
        return _of_one_key(value, offered)
    name = bare_name(value[key].strip())
    if NAME.fullmatch(name) is None:
        raise Unreadable("not a name")
    rest = {other: inner for other, inner in value.items() if other != key}
    given = next((other for other in ARGUMENTS if other in rest), None)
    if given is None:
        rest = {other: inner for other, inner in rest.items() if other not in BESIDE}
        if rest and not set(rest) <= set(offered.get(name, ())):
            raise Unreadable("something that is not an argument")
        return _Form(name=name, arguments=rest, sure=False)
    arguments = _arguments(rest.pop(given), offered.get(name, ()))
    sure = isinstance(value[given], dict) and given in ("arguments", "parameters") and set(rest) <= BESIDE
    return _Form(name=name, arguments=arguments, sure=sure)


def _of_one_key(value: dict[str, Any], offered: Offered) -> _Form:
    """`{"calculate": {"expression": "1 + 1"}}`."""
    [(name, arguments), *more] = value.items() or [("", None)]
    if more or name not in offered:
        raise Unreadable("not a name")
    return _Form(name=name, arguments=_arguments(arguments, offered[name]), sure=False)


def _arguments(given: Any, names: Sequence[str]) -> dict[str, Any]:
    """Arguments as an object, even if they are in a string or a list in the order of the tool.

    Words of the schema that a model copies with the arguments are left out.
    """
    if isinstance(given, dict):
        copied = bool(names) and "properties" not in given and any(name in given for name in names)
        return {key: inner for key, inner in given.items() if not copied or key in names or key not in _OF_SCHEMAS}
    if given is None or (isinstance(given, str) and not given.strip()):
        return {}
    if isinstance(given, str):
        return _in_string(given, names)
    return _in_order(given if isinstance(given, list) else [given], names)


def _in_string(text: str, names: Sequence[str]) -> dict[str, Any]:
    try:
        reader = Reader(text)
        value = reader.value()
        if isinstance(value, dict) and not reader.peek():
            return value
    except Unreadable:
        pass
    return _in_order([text], names)


def _in_order(values: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    if len(values) > len(names):
        raise Unreadable("not arguments")
    return dict(zip(names, values, strict=False))


def _python(reader: Reader, offered: Offered) -> _Form:
    """`calculate(expression="1 + 1")`, `calculate("1 + 1")`, and `calculate(1 + 1)` for a tool that takes one text."""
    reader.peek()
    match = DOTTED.match(reader.text, reader.at)
    name = bare_name(match[0]) if match else ""
    if match is None or name not in offered or reader.text[match.end() : match.end() + 1] != "(":
        raise Unreadable("not a call of a tool")
    start = match.end()
    end = Extent(start).look(reader.text)
    inner = reader.text[start + 1 : len(reader.text) if end is None else end - 1]
    reader.at = len(reader.text) if end is None else end
    try:
        arguments = _keywords(inner, offered[name])
    except Unreadable:
        keyword = _KEYWORD.match(inner)
        known = keyword is not None and keyword[1] in offered[name]
        bare = inner[keyword.end() :] if keyword is not None and known else inner
        arguments = _in_order([bare.strip()], offered[name][:1])
    return _Form(name=name, arguments=arguments, sure=False)


def _keywords(inner: str, names: Sequence[str]) -> dict[str, Any]:
    reader = Reader(inner)
    found: dict[str, Any] = {}
    in_order: list[Any] = []
    while reader.peek():
        if (keyword := _KEYWORD.match(inner, reader.at)) is not None:
            reader.at = keyword.end()
            found[keyword[1]] = reader.value()
        else:
            in_order.append(reader.value())
        if reader.peek() and not reader.take(","):
            raise Unreadable("not a comma")
    return {**_in_order(in_order, names), **found}


# --- Whether an answer is one ----------------------------------------------------------------------------------------


def looks_like_call(text: str, offered: Offered | None = None) -> bool:
    """Whether a whole answer consists of calls or definitions of tools, however damaged, although none was wanted.

    Calls of tools in `offered` are recognised in all forms, including Python functions.
    """
    said = text.strip()
    if said.startswith(_TAGS):
        return True
    offered, closes, at = offered or {}, "", 0
    while isinstance(begun := opening(said, at, offered), Opening):
        closes = begun.closes or closes
        end = Extent(begun.start).look(said)
        if end is None:
            return said[begun.start] not in "[{" or _SAYS_ARGUMENTS.search(said, begun.start) is not None
        value = said[begun.start : end]
        if read_calls(value, offered) is None and not _is_definition(value) and not _torn(value):
            return False
        said = said.rstrip(BEHIND)
        at = _first_beyond(said, end)
        if at >= len(said) or (len(said) - at == len(closes) and said.endswith(closes)):
            return True
    return False


def whole_calls(text: str, offered: Offered) -> list[Call] | None:
    """The calls that a whole answer consists of, all of `offered` tools; None if it is anything else."""
    said = text.strip()
    found: list[Call] = []
    closes, at = "", 0
    while isinstance(begun := opening(said, at, offered), Opening):
        closes = begun.closes or closes
        end = Extent(begun.start).look(said)
        calls = read_calls(said[begun.start : end], offered)
        if not calls or any(call.name not in offered for call in calls):
            return None
        found += calls
        at = len(said) if end is None else _first_beyond(said, end)
        if closes and said.startswith(closes, at):
            at = _first_beyond(said, at + len(closes))
        if at >= len(said):
            return found
    return None


def _first_beyond(text: str, at: int) -> int:
    """The position of the next call, or of the first character that is something else."""
    while at < len(text) and text[at] in BEHIND:
        at += 1
    return at


def defines_tool(arguments: str) -> bool:
    """Whether the arguments are the schema of a tool, which the model repeats from its prompt."""
    return _is_schema(_read(arguments))


def _is_definition(value: str) -> bool:
    found = _read(value)
    for one in found if isinstance(found, list) else [found]:
        inner = one.get("function", one) if isinstance(one, dict) else None
        if not (isinstance(inner, dict) and "name" in inner and _is_schema(inner.get("parameters"))):
            return False
    return bool(found)


def _is_schema(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("properties"), dict)


def _torn(value: str) -> bool:
    return _read(value) is None and _SAYS_ARGUMENTS.search(value) is not None


def _read(text: str) -> Any:
    try:
        return Reader(text).value()
    except (Unreadable, RecursionError):
        return None
