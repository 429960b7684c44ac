"""Arithmetic on exact fractions from a text, with bounds on its length, its depth and the size of every number.

Python's own parser reads the text, after a look at its length, its words and its nesting; then the tree is worked out
node by node. Nothing is ever run: a node that is not listed here is refused.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

from agentd.errors import ToolError

LONGEST = 200
"""Characters of an expression."""
DEEPEST = 20
"""Brackets inside each other, and signs in a row."""
MOST_BITS = 4096
"""Bits of a numerator or denominator: about 1,230 digits."""
MOST_DECIMALS = 100
DIGITS = 15
"""Significant digits of what cannot be written out exactly."""

_SAME = {
    **{"^": "**", "²": "**2", "³": "**3", "\u00d7": "*", "\u00b7": "*", "\u00f7": "/"},
    **{"\u2212": "-", "\u2013": "-", "\u03c0": "pi", **dict.fromkeys("\t\n\v\f\r\u00a0\u202f", " ")},
}
"""Other signs for the same: powers, times, dot, division, minus, dash, pi, blanks."""
_NUMBER = r"[\d.][\d._]*(?:[eE][+-]?\d+)?"
_ZEROS = re.compile(r"(?<![\w.])(?<![eE][+-])0+(?=\d)", re.ASCII)
"""Zeros before a number, which Python does not read."""
_SIDE_BY_SIDE = re.compile(r"[\w.] +(?=[\w.])|\) *(?=[\w.])", re.ASCII)
"""The end of one number or name, right before another one."""
_WORD = re.compile(r"\w+|\*\*|//|.", re.DOTALL)

CONSTANTS = {"pi": Fraction(str(math.pi)), "e": Fraction(str(math.e))}


class NoValue(ToolError):
    """It is written as it should be, but has no value."""


def evaluate(expression: str) -> Fraction:
    """The value; exact but for roots, logarithms and the like. `ToolError` says what is wrong and where."""
    if len(expression) > LONGEST:
        raise ToolError(f"The expression is longer than {LONGEST} characters; work it out in steps.")
    if not expression.strip():
        raise ToolError("The expression is empty; give one, such as 3 * (4 + 5).")
    return _Expression(expression).value()


def written(value: Fraction) -> str:
    """The value in digits; what has too many of them is rounded, and says so."""
    if value.denominator == 1:
        return str(value.numerator)
    with localcontext(prec=2 * DIGITS) as context:
        exact = Decimal(value.numerator) / Decimal(value.denominator)
        if Fraction(exact) == value:
            return f"{exact.normalize():f}" if abs(exact.adjusted()) <= DIGITS else str(exact.normalize())
        context.prec = DIGITS
        return f"{(+exact).normalize()} (rounded)"


class _Expression:
    """A text as Python would write it, and each character's position in the text as it was given."""

    def __init__(self, given: str) -> None:
        self._given = given
        pieces = [_SAME.get(character, character) for character in given]
        self._positions = [position for position, piece in enumerate(pieces) for _ in piece]
        self._text = _ZEROS.sub(lambda zeros: " " * len(zeros[0]), "".join(pieces))

    def value(self) -> Fraction:
        self._check_words()
        self._check_nesting()
        return self._worked_out(self._parsed())

    def _check_words(self) -> None:
        known = _KNOWN.match(self._text)
        assert known is not None
        if known.end() < len(self._text):
            raise self._misplaced(known.end())
        if beside := _SIDE_BY_SIDE.search(self._text):
            raise self._misplaced(beside.end())

    def _check_nesting(self) -> None:
        depth = signs = 0
        for position, character in enumerate(self._text):
            depth += {"(": 1, ")": -1}.get(character, 0)
            signs = signs + 1 if character in "+-" else signs if character == " " else 0
            if depth < 0:
                raise self._misplaced(position)
            if max(depth, signs) > DEEPEST:
                raise ToolError(f"The expression is nested deeper than {DEEPEST}; work it out in steps.")
        if depth:
            raise self._misplaced(len(self._text))

    def _parsed(self) -> ast.expr:
        """In brackets, so that blanks at its start count for nothing; the parser counts characters from 1."""
        try:
            return ast.parse(f"({self._text})", mode="eval").body
        except SyntaxError as error:
            raise self._misplaced((error.offset or 1) - 2) from None

    def _worked_out(self, node: ast.expr) -> Fraction:
        match node:
            case ast.Constant(value=int() | float()):
                return _number(self._source(node))
            case ast.Name(id=name) if name in CONSTANTS:
                return CONSTANTS[name]
            case ast.UnaryOp(op=ast.UAdd() | ast.USub() as sign, operand=operand):
                value = self._worked_out(operand)
                return value if isinstance(sign, ast.UAdd) else -value
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
                return _bounded(_OPERATORS[type(operator)](self._worked_out(left), self._worked_out(right)))
            case ast.Call(func=ast.Name(id=name), args=[_, *_] as arguments, keywords=[]) if name in FUNCTIONS:
                return _called(name, [self._worked_out(argument) for argument in arguments])
        raise self._misplaced(self._wrong_in(node))

    def _wrong_in(self, node: ast.expr) -> int:
        """Where what is not arithmetic begins."""
        match node:
            case ast.Tuple(elts=[number, *_]):
                return self._text.index(",", _end(number))
            case ast.Call(keywords=[first, *_]):
                return first.col_offset - 1
            case ast.Tuple() | ast.Call(func=ast.Name(), args=[]):
                return _end(node) - 1
            case ast.Call(func=function):
                return self._text.index("(", _end(function))
        return node.col_offset - 1

    def _source(self, node: ast.expr) -> str:
        return self._text[node.col_offset - 1 : _end(node)]

    def _misplaced(self, position: int) -> ToolError:
        """What is wrong with the text as Python would write it, at this position."""
        if position >= len(self._text):
            return ToolError("The expression ends too early.")
        position = self._positions[max(0, position)]
        word = _WORD.match(self._given, position)
        assert word is not None
        known = ", ".join((*FUNCTIONS, *CONSTANTS))
        return ToolError(
            f"{word[0]!r} at character {position + 1} does not belong there."
            f" Use numbers, + - * / // % ^, brackets and these names: {known}."
        )


def _end(node: ast.expr) -> int:
    """Where a node ends in the text, which has no bracket before it."""
    assert node.end_col_offset is not None
    return node.end_col_offset - 1


def _called(name: str, values: Sequence[Fraction]) -> Fraction:
    try:
        return _bounded(FUNCTIONS[name](values))
    except (ValueError, OverflowError, ZeroDivisionError, TypeError):
        given = ", ".join(written(value) for value in values)
        raise ToolError(f"{name}({given}) has no value, or one that is too large to work out.") from None


def _number(text: str) -> Fraction:
    mantissa, _, exponent = text.lower().replace("_", "").partition("e")
    if exponent and abs(int(exponent)) > MOST_BITS:
        raise _too_large()
    return _bounded(Fraction(f"{mantissa}e{exponent}" if exponent else mantissa))


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
        raise _too_large()
    return value


def _too_large() -> ToolError:
    return ToolError(f"A number in this calculation has more than {MOST_BITS} bits; work with smaller ones.")


def _divided(divide: Callable[[Fraction, Fraction], Fraction]) -> Callable[[Fraction, Fraction], Fraction]:
    def call(value: Fraction, divisor: Fraction) -> Fraction:
        if not divisor:
            raise NoValue("This divides by zero, which has no value.")
        return divide(value, divisor)

    return call


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if not base and exponent < 0:
        raise NoValue("This divides by zero, which has no value.")
    if exponent.denominator == 1:
        return _whole_power(base, exponent.numerator)
    try:
        return _float(math.pow(base, exponent))
    except (ValueError, OverflowError):
        raise ToolError(f"{written(base)} ^ {written(exponent)} has no real value, or one that is too large.") from None


def _whole_power(base: Fraction, exponent: int) -> Fraction:
    if abs(base) in (0, 1):
        return base ** (2 - exponent % 2) if exponent else Fraction(1)
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    # Known before it is worked out: a power can be larger than any memory.
    if (size - 1) * abs(exponent) > MOST_BITS:
        raise _too_large()
    return _bounded(base**exponent)


def _float(value: float) -> Fraction:
    """What a function of floating-point numbers gave, as the shortest decimal that means it; `ValueError` for none."""
    return Fraction(repr(value))


def _root(values: Sequence[Fraction]) -> Fraction:
    [value] = values
    over, under = math.isqrt(value.numerator), math.isqrt(value.denominator)
    exact = over * over == value.numerator and under * under == value.denominator
    return Fraction(over, under) if exact else _float(math.sqrt(value))


def _rounded(values: Sequence[Fraction]) -> Fraction:
    """Halves go away from zero, as people round them."""
    value, *rest = values
    [decimals] = rest or [Fraction(0)]
    if decimals.denominator != 1 or abs(decimals) > MOST_DECIMALS:
        raise ValueError("not a number of decimal places")
    shift = Fraction(10) ** decimals.numerator
    return (1 if value >= 0 else -1) * math.floor(abs(value) * shift + Fraction(1, 2)) / shift


def _of_one(function: Callable[[Fraction], float | int | Fraction]) -> Callable[[Sequence[Fraction]], Fraction]:
    def call(values: Sequence[Fraction]) -> Fraction:
        [value] = values
        result = function(value)
        return _float(result) if isinstance(result, float) else Fraction(result)

    return call


FUNCTIONS: dict[str, Callable[[Sequence[Fraction]], Fraction]] = {
    "abs": _of_one(abs),
    "ceil": _of_one(math.ceil),
    "cos": _of_one(lambda angle: round(math.cos(angle), DIGITS)),
    "exp": _of_one(math.exp),
    "floor": _of_one(math.floor),
    "ln": _of_one(math.log),
    "log10": _of_one(math.log10),
    "log2": _of_one(math.log2),
    "max": max,
    "min": min,
    "round": _rounded,
    "sin": _of_one(lambda angle: round(math.sin(angle), DIGITS)),
    "sqrt": _root,
    "tan": _of_one(lambda angle: round(math.tan(angle), DIGITS)),
}
_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: _divided(lambda a, b: a / b),
    ast.FloorDiv: _divided(lambda a, b: Fraction(a // b)),
    ast.Mod: _divided(lambda a, b: a % b),
    ast.Pow: _power,
}
_KNOWN = re.compile(rf"(?:{_NUMBER}|(?:{'|'.join((*FUNCTIONS, *CONSTANTS))})(?!\w)|[-+*/%(), ])*", re.ASCII)
"""All that an expression is made of."""
