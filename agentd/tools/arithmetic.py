"""Arithmetic on exact fractions from a text, with bounds on its length, its depth and the size of every number."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

from agentd.errors import ToolError

LONGEST = 1000
"""Characters of an expression."""
DEEPEST = 50
"""Brackets, signs and powers inside each other."""
MOST_BITS = 4096
"""Bits of a numerator or denominator: about 1,230 digits."""
MOST_PLACES = 100
DIGITS = 15
"""Significant digits of what cannot be written out exactly."""

_TOKEN = re.compile(
    r"\s*(?:(\d[\d_]*\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|(\*\*|//|[-+*/%^(),])|([^\W\d]\w*)|(\S))",
    re.ASCII,
)
_SAME = str.maketrans(
    {"\u00d7": "*", "\u00b7": "*", "\u00f7": "/", "\u2212": "-", "\u2013": "-", "\u03c0": "pi", "²": "^2", "³": "^3"}
)
"""Other signs for the same: times, dot, division, minus, dash, pi."""

CONSTANTS = {"pi": Fraction(str(math.pi)), "e": Fraction(str(math.e))}


class NoValue(ToolError):
    """It is written as it should be, but has no value."""


def evaluate(expression: str) -> Fraction:
    """The value; exact but for roots, logarithms and the like. `ToolError` says what is wrong and where."""
    if len(expression) > LONGEST:
        raise ToolError(f"The expression is longer than {LONGEST} characters; work it out in steps.")
    return _Parser(expression.translate(_SAME)).value()


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


class _Parser:
    """Precedence climbing; from weak to strong: sums, products, signs, powers."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_TOKEN.finditer(text))
        self._at = 0
        self._depth = 0

    def value(self) -> Fraction:
        if not self._tokens:
            raise ToolError("The expression is empty; give one, such as 3 * (4 + 5).")
        value = self._sum()
        if self._peek():
            raise self._unexpected()
        return value

    def _peek(self) -> str:
        return self._tokens[self._at][0].strip() if self._at < len(self._tokens) else ""

    def _take(self) -> re.Match[str]:
        if self._at == len(self._tokens):
            raise ToolError("The expression ends too early.")
        self._at += 1
        return self._tokens[self._at - 1]

    def _unexpected(self) -> ToolError:
        if self._at == len(self._tokens):
            return ToolError("The expression ends too early.")
        token = self._tokens[self._at]
        place = token.end() - len(token[0].strip()) + 1
        known = ", ".join((*FUNCTIONS, *CONSTANTS))
        return ToolError(
            f"{token[0].strip()!r} at character {place} does not belong there."
            f" Use numbers, + - * / // % ^, brackets and these names: {known}."
        )

    def _sum(self) -> Fraction:
        value = self._product()
        while (operator := self._peek()) in ("+", "-"):
            self._at += 1
            other = self._product()
            value = _bounded(value + other if operator == "+" else value - other)
        return value

    def _product(self) -> Fraction:
        value = self._signed()
        while (operator := self._peek()) in ("*", "/", "//", "%"):
            self._at += 1
            value = _bounded(_PRODUCTS[operator](value, _divisor(operator, self._signed())))
        return value

    def _signed(self) -> Fraction:
        if (sign := self._peek()) not in ("+", "-"):
            return self._power()
        self._at += 1
        value = self._deeper(self._signed)
        return -value if sign == "-" else value

    def _power(self) -> Fraction:
        value = self._atom()
        if self._peek() not in ("^", "**"):
            return value
        self._at += 1
        return _power(value, self._deeper(self._signed))

    def _atom(self) -> Fraction:
        token = self._take()
        number, symbol, name, _ = token.groups()
        if number:
            return _number(number)
        if symbol == "(":
            value = self._deeper(self._sum)
            self._close()
            return value
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in FUNCTIONS and self._peek() == "(":
            self._at += 1
            return self._call(name)
        self._at -= 1
        raise self._unexpected()

    def _call(self, name: str) -> Fraction:
        values = [self._deeper(self._sum)]
        while self._peek() == ",":
            self._at += 1
            values.append(self._deeper(self._sum))
        self._close()
        try:
            return _bounded(FUNCTIONS[name](values))
        except (ValueError, OverflowError, ZeroDivisionError, TypeError):
            given = ", ".join(written(value) for value in values)
            raise ToolError(f"{name}({given}) has no value, or one that is too large to work out.") from None

    def _close(self) -> None:
        if self._peek() != ")":
            raise self._unexpected()
        self._at += 1

    def _deeper(self, part: Callable[[], Fraction]) -> Fraction:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ToolError(f"The expression is nested deeper than {DEEPEST}; work it out in steps.")
        value = part()
        self._depth -= 1
        return value


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


def _divisor(operator: str, value: Fraction) -> Fraction:
    if operator != "*" and not value:
        raise NoValue("This divides by zero, which has no value.")
    return value


_PRODUCTS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: Fraction(a // b),
    "%": lambda a, b: a % b,
}


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
    [places] = rest or [Fraction(0)]
    if places.denominator != 1 or abs(places) > MOST_PLACES:
        raise ValueError("not a number of decimal places")
    shift = Fraction(10) ** places.numerator
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
