"""How families of models write tool calls and reasoning: a table, and parsers for the forms that are not JSON.

The chat template of a model shows its family, because it contains the family's marks. The forms are those of the model
cards: Hermes and Qwen https://huggingface.co/NousResearch/Hermes-3-Llama-3.1-8B, Qwen3.5's tags
https://huggingface.co/Qwen, Llama https://www.llama.com/docs/model-cards-and-prompt-formats/llama3_1, Gemma
https://ai.google.dev/gemma/docs/capabilities/function-calling, Granite https://www.ibm.com/granite/docs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agentd.evidence.call_forms import Call
from agentd.models.llama.text import END_THINK, THINK
from agentd.models.llama.wire import Piece


class Unfinished(Exception):
    """The text ends within a string, so the mark that was found there belongs to the string."""


Parse = Callable[[str], Call | None]
"""Reads a call in a family's own form from the text between the marks; None if it is something else; `Unfinished`."""


def _never(text: str) -> None:
    """For families that write JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """A family is known by its `sign`, a regular expression that is found in its chat templates.

    A call stands after `opens`, and before `closes` if the family has that mark. If it begins with `own`, it is in the
    family's own form, which `parse` reads; otherwise it is JSON.
    """

    name: str
    sign: str
    opens: str
    closes: str
    write: Callable[[Sequence[Call]], tuple[Piece, ...]]
    """Writes the calls of earlier answers as the model would have written them; only the marks are trusted."""
    own: str = ""
    parse: Parse = _never
    think: tuple[str, str] = (THINK, END_THINK)
    marks: tuple[str, ...] = ()
    """Further tokens that have a meaning within a call."""

    @property
    def shown(self) -> frozenset[str]:
        """Marks that an answer must show although they may be control tokens of the vocabulary."""
        tags = [re.match(r"<[^>]*>|", mark)[0] for mark in self.think]  # type: ignore[index]  # it matches nothing too
        return frozenset({self.opens, self.closes, *tags, *self.marks, THINK, END_THINK} - {""})


def family_of(template: str) -> Family | None:
    """The first family in the table whose sign the chat template has."""
    return next((family for family in FAMILIES if re.search(family.sign, template)), None)


# --- JSON ------------------------------------------------------------------------------------------------------------


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

_FUNCTION = re.compile(r"<function=([^>\n]+)>")
_END_FUNCTION = "</function>"
_PARAMETER = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>\s*", re.DOTALL)


def parse_tagged(text: str) -> Call | None:
    """Reads `<function=NAME><parameter=KEY>VALUE</parameter></function>`; the values are JSON or plain text."""
    text = text.strip()
    function = _FUNCTION.match(text)
    if function is None or not text.endswith(_END_FUNCTION, function.end()):
        return None
    arguments: dict[str, Any] = {}
    inner, at = text[function.end() : -len(_END_FUNCTION)].strip(), 0
    while at < len(inner):
        parameter = _PARAMETER.match(inner, at)
        if parameter is None:
            return None
        arguments[parameter[1].strip()] = _value(parameter[2])
        at = parameter.end()
    return Call(name=function[1].strip(), arguments=json.dumps(arguments, ensure_ascii=False))


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# --- Gemma -----------------------------------------------------------------------------------------------------------

QUOTE = '<|"|>'
_NAME = re.compile(r"\s*call:([^{\s]+)\s*")
_SCALAR = re.compile(r"[^,{}\[\]]+")
_KEY = re.compile(r"([^:,{}\[\]]++):\s*+")
_DEEPEST = 64


def parse_gemma(text: str) -> Call | None:
    """Reads `call:NAME{KEY:VALUE,...}`; strings stand between `<|"|>` marks."""
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
    return Call(name=name[1], arguments=json.dumps(arguments, ensure_ascii=False))


class _Gemma:
    """Reads one value; `ValueError` if there is none."""

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
        if match is None or not (key := match[1].strip()):
            raise ValueError("no key")
        self.at = match.end()
        return key

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
        own="call:",
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
        write=_write_granite,
    ),
    Family(
        name="hermes",
        sign=r"""<tool_call>[^<>]{0,24}?(\{\\?["']name|<function=)""",
        opens="<tool_call>",
        closes="</tool_call>",
        own="<function=",
        parse=parse_tagged,
        write=_write_hermes,
    ),
    Family(
        name="llama",
        sign=r'\{"name": function name',
        opens="<|python_tag|>",
        closes="",
        write=_write_llama,
    ),
)
"""Searched in this order, because a family may also have the signs of those below it."""
COMMON = next(family for family in FAMILIES if family.name == "hermes")
"""Its marks are those that models write most often if their own are not known."""
