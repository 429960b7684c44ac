"""What is fed: texts, JSON and bytes that are nearly right, because what is wrong throughout is refused at once.

A strategy is made once for the same arguments: making one takes far longer than drawing from it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

ODD = (
    *"\x00\x07\x1b\x7f\x85\x9b\u00ad\u200b\u2028\u202e\u2066\ufeff\ufffd\ud83d\ude00\U0001f600\u0301é\t\r\n",
    "\x1b[31m",
    "\x1b]0;title",
    "\x1b_",
)
"""Characters that were the end of some program: controls, escapes, halves of characters, marks that join."""
_REPEATED = st.tuples(
    st.sampled_from(("#", "`", "[", "(", "{", '"', ".", " ", "*", "-", "a", "\n", "\u0301", "1", "|")),
    st.integers(2, 400),
)


@cache
def odd_text(words: tuple[str, ...] = (), longest: int = 40) -> SearchStrategy[str]:
    """Some of these `words` between letters, odd characters and runs of one character."""
    piece = st.one_of(
        st.sampled_from((*words, *ODD)) if words else st.sampled_from(ODD),
        st.text(st.characters(codec=None), max_size=12),
        _REPEATED.map(lambda drawn: drawn[0] * drawn[1]),
    )
    return st.lists(piece, max_size=longest).map("".join)


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=True),
    odd_text(longest=4),
    st.sampled_from(("", "0", "stop", "assistant", "function", "2026-01-01T00:00:00Z")),
)


@cache
def odd_json(names: tuple[str, ...] = ("id", "text", "type")) -> SearchStrategy[Any]:
    """A value of JSON whose objects have some of these members."""
    member = st.one_of(st.sampled_from(names), odd_text(longest=2))
    return st.recursive(
        _SCALARS,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(member, inner, max_size=5)),
        max_leaves=12,
    )


@cache
def _added(names: tuple[str, ...]) -> SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), odd_json(names), max_size=1)


@cache
def _appended(names: tuple[str, ...]) -> SearchStrategy[list[Any]]:
    return st.lists(odd_json(names), max_size=1)


@st.composite
def changed(draw: DrawFn, value: Any, names: tuple[str, ...] = ("id", "text", "type")) -> Any:
    """A right value of JSON with some members replaced, left out or added."""
    if isinstance(value, dict) and draw(st.integers(0, 9)) > 1:
        kept = {name: draw(changed(inner, names)) for name, inner in value.items() if draw(st.integers(0, 19))}
        return kept | draw(_added(names))
    if isinstance(value, list) and draw(st.integers(0, 9)) > 1:
        return [draw(changed(inner, names)) for inner in value] + draw(_appended(names))
    return value if draw(st.integers(0, 5)) else draw(odd_json(names))


@st.composite
def mutated(draw: DrawFn, right: bytes) -> bytes:
    """These bytes with some of them changed, cut out or doubled."""
    data = bytearray(right)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 40)))
        match draw(st.integers(0, 3)):
            case 0:
                data[at:end] = draw(st.binary(max_size=20))
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = data[at:end]
            case _:
                del data[at:]
    return bytes(data)


def as_json(value: Any) -> bytes:
    """As a careless program writes it: NaN and halves of characters stay."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def cut(text: str, places: Sequence[int]) -> list[str]:
    """A text in pieces, as it may come over a network."""
    ends = sorted({place % (len(text) + 1) for place in places})
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


def pieces(text: SearchStrategy[str]) -> SearchStrategy[list[str]]:
    return st.tuples(text, st.lists(st.integers(0, 10_000), max_size=6)).map(lambda drawn: cut(*drawn))
