"""Finds where a call of a tool may begin in a streaming text, from as few characters as possible.

A model that was trained on tags of its own often writes something else: a fenced block of JSON, an object alone on its
lines, the tags of another family, or the call of a function as in Python.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["yes", "no", "unsure"]
"""Undecided: more text is needed."""
Offered = Mapping[str, Sequence[str]]
"""Name of each tool that a model may call -> the names of its arguments."""

FENCE = "```"
WRAPPERS = {
    FENCE: FENCE,
    "<tool_call>": "</tool_call>",
    "<tool_calls>": "</tool_calls>",
    "<tools>": "</tools>",
    "<function_call>": "</function_call>",
}
"""What models put around calls: its beginning -> its end."""

NAMES = ("name", "tool", "tool_name", "function", "function_name", "action")
ARGUMENTS = ("arguments", "parameters", "args", "params", "input", "tool_input", "action_input")
WITHIN = ("function", "tool_call", "tool_calls", "function_call", "calls")
"""Keys whose value may be a call, or several."""
BESIDE = frozenset({"type", "id", "call_id", "index"})
_KEYS = frozenset({*NAMES, *ARGUMENTS, *WITHIN, *BESIDE})
_BEFORE_NAME = ("functions.", "function.", "tools.", "tool.", "default_api.")
NAME = re.compile(r"[A-Za-z_][\w.-]{0,63}")
"""A possible name of a tool."""
DOTTED = re.compile(r"[A-Za-z_][\w.]{0,100}")
"""A possible name as a Python function."""

MOST_BLANKS = 200
"""Maximum characters between the parts of a beginning."""
_BLANKS = re.compile(rf"\s{{0,{MOST_BLANKS + 1}}}")
_LANGUAGE = re.compile(r"[A-Za-z_]{0,16}(?=\s|\Z)")
_BRACKETS = re.compile(rf"[\[{{\s]{{0,{MOST_BLANKS}}}")
_TOKEN = re.compile(r"""\s{0,50}("[^"\\]{0,64}"|'[^'\\]{0,64}'|\w{1,64}|[^\w\s"'])""")
_PARTIAL = re.compile(r"""\s{0,50}(?:"[^"\\]{0,64}|'[^'\\]{0,64}|\w{1,64})?""")
_QUOTES = "\"'"


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """A possible beginning of a call: its value is at `start`, and `closes` may follow it, "" for nothing."""

    start: int
    closes: str


def opening(text: str, at: int, offered: Offered) -> Opening | Literal["no", "unsure"]:
    """Whether a call in any form begins at `at` (after blanks); "unsure" if that needs more text."""
    start = _skip(text, at)
    if start - at > MOST_BLANKS:
        return "no"
    closes = ""
    for mark, closer in WRAPPERS.items():
        if text.startswith(mark, start):
            start, closes = start + len(mark), closer
            break
        if mark.startswith(text[start:]):
            return "unsure"
    if closes == FENCE and (language := _LANGUAGE.match(text, start)) is not None:
        start = language.end()
    begins = value_begins(text, start, offered)
    return Opening(start=_skip(text, start), closes=closes) if begins == "yes" else begins


def value_begins(text: str, at: int, offered: Offered, *, marked: bool = False) -> Verdict:
    """Whether the object, list or function call at `at` (after blanks) may be a call of a tool.

    After a family's own tag (`marked`) it may name any tool and have no arguments.
    """
    start = _skip(text, at)
    if start - at > MOST_BLANKS:
        return "no"
    if start == len(text):
        return "unsure"
    return _json_begins(text, start, offered, marked) if text[start] in "[{" else _python_begins(text, start, offered)


def _json_begins(text: str, at: int, offered: Offered, marked: bool) -> Verdict:
    """Decided by the first keys, so that other JSON is soon shown."""
    brackets = _BRACKETS.match(text, at)
    assert brackets is not None
    if brackets.end() == len(text) and len(brackets[0]) < MOST_BLANKS:
        return "unsure"
    if "{" not in brackets[0]:
        return "no"
    tokens, more = _tokens(text, brackets.end())
    key, colon, value, comma, second = (*tokens, *[""] * 5)[:5]
    key = key.strip(_QUOTES)
    if not value:
        known = not key or key in _KEYS or key in offered
        return _unless(more and known and colon in (":", ""))
    if colon != ":":
        return "no"
    verdict = _first_key(key, value, offered)
    if verdict is not None or marked:
        return "no" if verdict is False else "yes"
    if second and comma == ",":
        return "yes" if second.strip(_QUOTES) in (*ARGUMENTS, *BESIDE) else "no"
    return _unless(more and comma in (",", ""))


def _first_key(key: str, value: str, offered: Offered) -> bool | None:
    """Whether an object that begins with this key and value is a call; None if the second key decides."""
    if key in WITHIN and value in ("{", "["):
        return True
    if key in ("arguments", "parameters") or key in offered:
        return value == "{"
    name = bare_name(value.strip(_QUOTES))
    if key == "type":
        return name in ("function", "tool", "tool_call", "tool_use", "function_call")
    if key not in NAMES or value[:1] not in _QUOTES:
        return False
    return True if name in offered else None if NAME.fullmatch(name) else False


def _unless(more: bool) -> Literal["no", "unsure"]:
    return "unsure" if more else "no"


def _tokens(text: str, at: int) -> tuple[list[str], bool]:
    """The first whole tokens, at most five, and whether the rest may be the beginning of another one."""
    found: list[str] = []
    while len(found) < 5 and (token := _TOKEN.match(text, at)) is not None:
        if token.end() == len(text) and (token[1][0].isalnum() or token[1][0] == "_"):
            break
        found.append(token[1])
        at = token.end()
    rest = text[at : at + MOST_BLANKS + 1]
    return found, len(rest) <= MOST_BLANKS and _PARTIAL.fullmatch(rest) is not None


def _python_begins(text: str, at: int, offered: Offered) -> Verdict:
    name = DOTTED.match(text, at)
    if name is None:
        return "no"
    if name.end() == len(text):
        begun = name[0]
        written = (before + known for known in offered for before in ("", *_BEFORE_NAME))
        return "unsure" if any(one.startswith(begun) for one in written) else "no"
    return "yes" if text[name.end()] == "(" and bare_name(name[0]) in offered else "no"


def _skip(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    assert blanks is not None
    return blanks.end()


def bare_name(name: str) -> str:
    for before in _BEFORE_NAME:
        name = name.removeprefix(before)
    return name
