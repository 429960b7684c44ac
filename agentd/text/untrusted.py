"""Text of others for a prompt: it cannot end its block, contain a model's control tags, or look like a call.

A block ends with a line that nobody can guess and that is new for each turn. Models use control tags to show who
speaks, what is a call and what is thought. The tags of all common families are broken by a blank: a server would obey
them anywhere in a text, and a model that repeats a document must not call a tool by that.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

from agentd.text.plain import plain

LETTERS = "bcdfghjklmnpqrstvwxz"
"""The letters of a line that ends a block: no word has so many of them in a row."""
LENGTH = 6

_NAMED = (
    r"/?(?:s|bos|eos|pad|unk|mask|sep|cls|sop|eop|eod|think|thinking|tools|image|INST|<?/?SYS>|"
    r"(?:start|end)_of_(?:turn|image)|(?:unused|extra_id_|reserved_\w{1,30}?)\d{1,4}|"
    r"tool_\w{1,20}|function_\w{1,20}|arg_\w{1,20})>|/?(?:function|parameter|invoke)\b[= >]"
)
_BRACKETED = (
    r"/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|CALL_ID|ARGS|IMG|THINK|g?MASK|"
    r"PREFIX|MIDDLE|SUFFIX)\]|\|[^\s\[\]]{1,40}\|\]|e~\["
)
_MARK = re.compile(
    rf"<(?=\|[^\s<>]{{0,64}}>|[^\s<>|]{{1,64}}\|>|\uff5c[^\s<>]{{1,64}}>|{_NAMED})|\[(?={_BRACKETED})|\](?=~[bh]\])"
)
_UNSEEN = re.compile("(\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f)|[\U000e0000-\U000e007f]")
"""Tag characters, which models read but people do not see, except in the flags of England, Scotland and Wales."""


def new_end_line() -> str:
    """A line that ends a block."""
    return "".join(secrets.choice(LETTERS) for _ in range(LENGTH))


def neutral(text: str) -> str:
    """The text, cleaned, with every control tag broken by a blank and without characters that only a model sees."""
    return _MARK.sub(r"\g<0> ", _UNSEEN.sub(r"\1", plain(text)))


def neutral_data(value: Any) -> Any:
    """A JSON value with all its texts neutral, keys included."""
    match value:
        case str():
            return neutral(value)
        case dict():
            return {neutral(key): neutral_data(member) for key, member in value.items()}
        case list():
            return [neutral_data(member) for member in value]
    return value


def fitting(end_line: str, text: str) -> str:
    """The end line, made longer if the text contains it."""
    while end_line in text:
        end_line += LETTERS[0]
    return end_line


def fenced(text: str, end_line: str, *, what: str) -> str:
    """The text as a block: the first line says `what` it is, and which line is the last."""
    end_line = fitting(end_line, text)
    return f"{what}, up to the line {end_line}:\n{text}\n{end_line}"


def unfenced(text: str) -> str:
    """The text inside a block that `fenced` made; the text itself if it is not such a block."""
    block = _BLOCK.fullmatch(text)
    return text if block is None else block[2]


_BLOCK = re.compile(r"[^\n]*, up to the line (\w+):\n(.*)\n\1", re.DOTALL)
