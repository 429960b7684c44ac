"""A sum as people write it, in figures or in English or German words, becomes an expression for `arithmetic`."""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_TOKENS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Sum:
    """The `expression` to work out, and the sum as it was written, without the words around it."""

    expression: str
    shown: str
    german: bool


_ENGLISH = re.compile(
    r"(?:please |hey,? |hi,? |(?:can|could) you (?:please )?(?:tell me )?)?"
    r"(?:what(?:'s| is| are| does| do)|whats|how (?:much|many) (?:is|are|does|do)|calculate|compute|work out"
    r"|evaluate|solve|give me|tell me(?: what)?)\b[: ]*(?:the (?:result|value) of )?(?:the )?",
    re.IGNORECASE,
)
_GERMAN = re.compile(
    r"(?:bitte )?(?:wie ?viel (?:ist|sind|ergibt|ergeben|macht|gibt)|was (?:ist|sind|ergibt|macht|gibt)|berechne|rechne"
    r"|wie hoch ist)\b[: ]*(?:die |der |das )?",
    re.IGNORECASE,
)
_TAIL = re.compile(r"(?:,? (?:please|bitte|is|equals?|equal to|make|aus))?[ ?.!:]*(=?)[ ?]*$", re.IGNORECASE)

_UNITS = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        " seventeen eighteen nineteen".split()
    )
}
_TENS = dict(zip("twenty thirty forty fifty sixty seventy eighty ninety".split(), range(20, 100, 10), strict=True))
_HUNDREDS = {"hundred": 100, "a hundred": 100, "one hundred": 100, "a thousand": 1000, "one thousand": 1000}
_NUMBER_WORDS = {
    **_UNITS,
    **_TENS,
    **_HUNDREDS,
    **{f"{ten}-{unit}": tens + n for ten, tens in _TENS.items() for unit, n in _UNITS.items() if 0 < n < 10},
}
_WRITTEN = {
    "+": ("plus",),
    "-": ("minus", "less", "take away"),
    "*": ("times", "multiplied by", "mal"),
    "/": ("divided by", "geteilt durch", "durch"),
    "%": ("modulo", "mod"),
    "^": ("to the power of", "raised to the power of", "hoch"),
    "^ 2": ("squared", "zum quadrat"),
    "^ 3": ("cubed",),
    "sqrt": (
        "the square root of", "square root of", "die quadratwurzel aus", "quadratwurzel aus", "quadratwurzel von",
        "die wurzel aus", "wurzel aus", "wurzel von",
    ),
    "percent": ("percent of", "per cent of", "prozent von"),
    "0.5 *": ("half of", "die hälfte von"),
    "0.25 *": ("a quarter of",),
    "2 *": ("twice",),
    "sum": ("the sum of", "sum of"),
    "product": ("the product of", "product of"),
    "and": ("and",),
}  # fmt: skip
_OPERATORS = {word: operator for operator, words in _WRITTEN.items() for word in words}
_FUNCTIONS = ("sqrt", "abs", "round", "floor", "ceil", "ln", "log10", "log2", "exp", "sin", "cos", "tan", "min", "max")
_WORDS = "|".join(re.escape(word) for word in sorted((*_OPERATORS, *_NUMBER_WORDS), key=len, reverse=True))
_TOKEN = re.compile(
    r"\s*(?:"
    r"(?P<number>\d+(?:[.,]\d+)*)"
    r"|(?P<percent>% ?(?:of|von)\b)"
    r"|(?P<sign>\*\*|[-+*/%^()\u00d7\u00f7\u00b7\u2212²³√])"
    r"|(?P<by>x(?=\s*[\d(.]))"
    rf"|(?P<word>(?:{_WORDS})\b)"
    rf"|(?P<function>(?:{'|'.join(_FUNCTIONS)})(?=\()|pi\b)"
    r")",
    re.IGNORECASE,
)
_APART = re.compile(r" (?!(?<=[\w.] )[\w.]|(?<=[*/] )[*/])")
"""A blank that can go: what stands beside it does not grow together."""
_LIKE_DATE = re.compile(r"\d+(?:([-/.:])\d+)(?:\1\d+)+")
"""A date, a version, a telephone number: the same sign again and again, without blanks."""
_RANGE = re.compile(r"(\d+)([-\u2013\u2212/])(\d+)")
_LAST_DAY = 31
_YEARS = re.compile(r"[12]\d{3}\s*[-\u2013\u2212/]\s*[12]\d{3}")
_BY = re.compile(r"\dx|x\d|\d x \d", re.IGNORECASE)
_SAYINGS = ("24/7", "9/11", "50/50", "80/20", "20/20")
_LEADING_ZERO = re.compile(r"(?<![\d.,])0\d")


def sum_of(message: str) -> Sum | None:
    """The sum that the whole message asks for, None if it asks for something else."""
    german = _GERMAN.match(message)
    lead = german or _ENGLISH.match(message)
    tail = _TAIL.search(message)
    assert tail is not None
    core = message[lead.end() if lead else 0 : tail.start()].strip()
    asked = lead is not None or bool(tail[1])
    if not core or _is_no_sum(core, asked=asked):
        return None
    tokens = _tokens(core, german=german is not None)
    if tokens is None or not _reckons(tokens):
        return None
    return Sum(expression=_APART.sub("", " ".join(tokens)), shown=core, german=german is not None)


def _is_no_sum(core: str, *, asked: bool) -> bool:
    if core in _SAYINGS or _LIKE_DATE.fullmatch(core) or _LEADING_ZERO.search(core):
        return True
    apart = " " in core
    if asked:
        return not apart and _YEARS.fullmatch(core) is not None
    # "10-12" and "3/4" may be pages, a date or a ratio, "1989 - 1990" years and "4x4" a car; "10 - 4" is a sum.
    return _YEARS.fullmatch(core) is not None or _BY.search(core) is not None or (not apart and _is_range(core))


def _is_range(core: str) -> bool:
    """Also a date or a ratio, unless one of its numbers is too great for a day, or is zero."""
    found = _RANGE.fullmatch(core)
    return found is not None and (found[2] != "/" or all(0 < int(n) <= _LAST_DAY for n in (found[1], found[3])))


def _tokens(core: str, *, german: bool) -> list[str] | None:
    """The expression piece by piece; None if anything in the text is no part of a sum."""
    found: list[str] = []
    joins = ""
    """The sign that "and" stands for, if any."""
    at = 0
    while at < len(core):
        token = _TOKEN.match(core, at)
        if token is None or len(found) > MOST_TOKENS:
            return None
        at = token.end()
        kind, text = token.lastgroup, token[token.lastgroup or 0].lower()
        match kind:
            case "number" if (number := _number(text, german=german)) is not None:
                found.append(number)
            case "by":
                found.append("*")
            case "sign":
                found.append({"²": "^ 2", "³": "^ 3", "√": "sqrt"}.get(text, text))
            case "function":
                found.append(text)
            case "word" if text in _NUMBER_WORDS:
                found.append(str(_NUMBER_WORDS[text]))
            case "word" if (operator := _OPERATORS[text]) in ("sum", "product"):
                joins = "+" if operator == "sum" else "*"
            case "word" if text == "and" and joins:
                found.append(joins)
            case "percent" | "word" if _OPERATORS.get(text, "percent") == "percent" and _of_hundred(found):
                pass
            case "word" if _OPERATORS[text] not in ("percent", "and"):
                found.append(_OPERATORS[text])
            case _:
                return None
    return _with_brackets(found)


def _of_hundred(found: list[str]) -> bool:
    """The number that came last is percent of what follows; False if none did, or if that could be misunderstood."""
    if not found or not found[-1][0].isdigit() or (len(found) > 1 and found[-2] in ("/", "÷", "^", "**", "%")):
        return False
    found[-1] = f"( {found[-1]} / 100 ) *"
    return True


def _with_brackets(tokens: list[str]) -> list[str] | None:
    """A root without brackets is of the number that follows."""
    found: list[str] = []
    rest = iter(tokens)
    for token in rest:
        found.append(token)
        if token == "sqrt":
            inner = next(rest, "")
            if inner != "(" and not inner[:1].isdigit():
                return None
            found += ["("] if inner == "(" else ["(", inner, ")"]
    return found


def _number(text: str, *, german: bool) -> str | None:
    """In figures with a decimal point; None for what is no number: a version, a list."""
    thousands, point = (".", ",") if german else (",", ".")
    if re.fullmatch(rf"\d{{1,3}}(?:\{thousands}\d{{3}})+(?:\{point}\d+)?", text):
        return text.replace(thousands, "").replace(point, ".")
    return text.replace(",", ".") if re.fullmatch(r"\d+(?:[.,]\d+)?", text) else None


def _reckons(tokens: list[str]) -> bool:
    """A number alone, or a sign before it, is no sum."""
    numbers = sum(token.lstrip("( ")[:1].isdigit() or token == "pi" for token in tokens)
    return numbers > 1 or any(token in ("sqrt", "^ 2", "^ 3") for token in tokens)
