"""How families of models write tool calls and reasoning: one table, and the parsers of what stands between the marks.

Which family a model belongs to is read from its chat template, which shows it its own marks. The forms are those of
the models' cards: Hermes and Qwen https://huggingface.co/NousResearch/Hermes-3-Llama-3.1-8B, Qwen3.5's tags
https://huggingface.co/Qwen, Llama https://www.llama.com/docs/model-cards-and-prompt-formats/llama3_1, Gemma
https://ai.google.dev/gemma/docs/capabilities/function-calling, Granite https://www.ibm.com/granite/docs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agentd.models.llama.text import END_THINK, THINK
from agentd.models.llama.wire import Piece


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A tool by name and its arguments, a JSON object as text."""

    name: str
    arguments: str


class Unfinished(Exception):
    """The end of the text lies within a string, so that the mark that was found there is part of it."""


Parse = Callable[[str], "list[Call] | None"]
"""The calls in what stands between the marks; None where it is something else; `Unfinished`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """`sign`, a regular expression found in a chat template, is how the family is known.

    A call stands between `opens` and `closes`; without `closes` it goes on to the end of the answer. `bare` families
    may leave `opens` out where the answer is nothing but calls; then only tools that were offered count.
    """

    name: str
    sign: str
    opens: str
    closes: str
    parse: Parse
    write: Callable[[Sequence[Call]], tuple[Piece, ...]]
    """Calls of earlier answers as the model itself would have written them; only the marks are trusted."""
    bare: bool = False
    think: tuple[str, str] = (THINK, END_THINK)
    marks: tuple[str, ...] = ()
    """Further tokens that mean something within a call."""

    @property
    def shown(self) -> frozenset[str]:
        """What must stay visible in an answer although the vocabulary may call it a control token."""
        tags = [re.match(r"<[^>]*>|", mark)[0] for mark in self.think]  # type: ignore[index]  # it matches nothing too
        return frozenset({self.opens, self.closes, *tags, *self.marks, THINK, END_THINK} - {""})


def family_of(template: str) -> Family | None:
    """The first of the table whose sign the chat template has."""
    return next((family for family in FAMILIES if re.search(family.sign, template)), None)


# --- JSON ------------------------------------------------------------------------------------------------------------


def parse_json(text: str) -> list[Call] | None:
    """An object, a list of them, or several one after the other, with or without semicolons."""
    found: list[Call] = []
    decoder = json.JSONDecoder(strict=False, parse_constant=_no_constant)
    at = _skip(text, 0)
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            if str(error).startswith("Unterminated string"):
                raise Unfinished from None
            return None
        calls = [_call(item) for item in (value if isinstance(value, list) else [value])]
        if None in calls:
            return None
        found += [call for call in calls if call is not None]
        at = _skip(text, at)
    return found or None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n;":
        at += 1
    return at


def _call(value: Any) -> Call | None:
    """`{"name": ..., "arguments" or "parameters": {...}}`, also within `{"function": ...}`."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("function"), dict):
        value = value["function"]
    name, arguments = value.get("name"), value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return None
    if not (isinstance(name, str) and name and isinstance(arguments, dict)):
        return None
    return Call(name=name, arguments=json.dumps(arguments, ensure_ascii=False))


def _object(call: Call, key: str = "arguments") -> str:
    return f'{{"name": {json.dumps(call.name, ensure_ascii=False)}, "{key}": {call.arguments}}}'


def _mark(text: str) -> Piece:
    return Piece(text=text, trusted=True)


def _write_granite(calls: Sequence[Call]) -> tuple[Piece, ...]:
    return _mark("<|tool_call|>"), Piece(text="[" + ", ".join(map(_object, calls)) + "]", trusted=False)


def _write_llama(calls: Sequence[Call]) -> tuple[Piece, ...]:
    return (Piece(text="; ".join(_object(call, "parameters") for call in calls), trusted=False),)


def _write_hermes(calls: Sequence[Call]) -> tuple[Piece, ...]:
    return tuple(
        piece
        for call in calls
        for piece in (
            _mark("<tool_call>\n"),
            Piece(text=_object(call), trusted=False),
            _mark("\n</tool_call>\n"),
        )
    )


# --- Tags ------------------------------------------------------------------------------------------------------------

_FUNCTION = re.compile(r"\s*<function=([^>\n]+)>\s*(.*?)\s*</function>\s*", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>\s*", re.DOTALL)


def parse_tagged(text: str) -> list[Call] | None:
    """JSON, or `<function=NAME><parameter=KEY>VALUE</parameter></function>` with values that are JSON or plain text."""
    if not text.lstrip().startswith("<function"):
        return parse_json(text)
    function = _FUNCTION.fullmatch(text)
    if function is None:
        return None
    arguments: dict[str, Any] = {}
    at = 0
    while at < len(function[2]):
        parameter = _PARAMETER.match(function[2], at)
        if parameter is None:
            return None
        arguments[parameter[1].strip()] = _value(parameter[2])
        at = parameter.end()
    return [Call(name=function[1].strip(), arguments=json.dumps(arguments, ensure_ascii=False))]


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


# --- Gemma -----------------------------------------------------------------------------------------------------------

QUOTE = '<|"|>'
_NAME = re.compile(r"\s*call:([^{\s]+)\s*")
_SCALAR = re.compile(r"[^,{}\[\]]+")
_KEY = re.compile(r"\s*([^:,{}\[\]]+?)\s*:\s*")
_DEEPEST = 64


def parse_gemma(text: str) -> list[Call] | None:
    """`call:NAME{KEY:VALUE,...}`, strings between `<|"|>` marks."""
    name = _NAME.match(text)
    if name is None:
        return None
    reader = _Gemma(text, name.end())
    try:
        arguments = reader.value(0)
    except ValueError:
        return None
    if not isinstance(arguments, dict) or text[reader.at :].strip():
        return None
    return [Call(name=name[1], arguments=json.dumps(arguments, ensure_ascii=False))]


class _Gemma:
    """Reads one value; `ValueError` where there is none."""

    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self.at = at

    def value(self, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("nested too deep")
        if self._take(QUOTE):
            return self._string()
        if self._take("{"):
            return self._members(depth)
        if self._take("["):
            return self._items(depth)
        scalar = _SCALAR.match(self._text, self.at)
        if scalar is None:
            raise ValueError("no value")
        self.at = scalar.end()
        return _value(scalar[0].strip())

    def _take(self, mark: str) -> bool:
        found = self._text.startswith(mark, self.at)
        self.at += len(mark) * found
        return found

    def _string(self) -> str:
        end = self._text.find(QUOTE, self.at)
        if end < 0:
            raise Unfinished
        found = self._text[self.at : end]
        self.at = end + len(QUOTE)
        return found

    def _members(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self._take("}"):
            if found and not self._take(","):
                raise ValueError("no comma")
            key = self._key()
            found[key] = self.value(depth + 1)
        return found

    def _key(self) -> str:
        if self._take(QUOTE):
            key = self._string()
            if not self._take(":"):
                raise ValueError("no colon")
            return key
        match = _KEY.match(self._text, self.at)
        if match is None:
            raise ValueError("no key")
        self.at = match.end()
        return match[1]

    def _items(self, depth: int) -> list[Any]:
        found: list[Any] = []
        while not self._take("]"):
            if found and not self._take(","):
                raise ValueError("no comma")
            found.append(self.value(depth + 1))
        return found


def _write_gemma(calls: Sequence[Call]) -> tuple[Piece, ...]:
    return tuple(
        piece
        for call in calls
        for piece in (
            _mark("<|tool_call>"),
            Piece(text=f"call:{call.name}{_gemma(json.loads(call.arguments))}", trusted=False),
            _mark("<tool_call|>"),
        )
    )


def _gemma(value: Any) -> str:
    match value:
        case str():
            return f"{QUOTE}{value}{QUOTE}"
        case dict():
            return "{" + ",".join(f"{key}:{_gemma(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_gemma, value)) + "]"
        case _:
            return json.dumps(value)


# --- The table -------------------------------------------------------------------------------------------------------

FAMILIES = (
    Family(
        name="gemma",
        sign=r"<\|tool_call>call:",
        opens="<|tool_call>",
        closes="<tool_call|>",
        parse=parse_gemma,
        write=_write_gemma,
        think=("<|channel>thought\n", "<channel|>"),
        marks=(QUOTE,),
    ),
    Family(
        name="granite",
        sign=r"<\|tool_call\|>",
        opens="<|tool_call|>",
        closes="",
        parse=parse_json,
        write=_write_granite,
    ),
    Family(
        name="hermes",
        sign=r"""<tool_call>[^<>]{0,24}?(\{\\?["']name|<function=)""",
        opens="<tool_call>",
        closes="</tool_call>",
        parse=parse_tagged,
        write=_write_hermes,
    ),
    Family(
        name="llama",
        sign=r'\{"name": function name',
        opens="<|python_tag|>",
        closes="",
        parse=parse_json,
        write=_write_llama,
        bare=True,
    ),
)
"""Looked through in this order: what stands further up may have the signs of what stands below it."""
