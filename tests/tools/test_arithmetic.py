"""Arithmetic is exact, bounded, and says what is wrong."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.errors import ToolError
from agentd.tools.arithmetic import evaluate, written


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 4 - 3", "3"),
        ("0.1 + 0.2", "0.3"),
        ("1 / 3", "0.333333333333333 (rounded)"),
        ("2 / 3 + 1 / 3", "1"),
        ("7 // 2", "3"),
        ("-7 // 2", "-4"),
        ("10 % 3", "1"),
        ("2 ^ 10", "1024"),
        ("2 ** -2", "0.25"),
        ("-2 ^ 2", "-4"),
        ("2 ^ 3 ^ 2", "512"),
        ("--3", "3"),
        ("1_000 * 1.5e3", "1500000"),
        (".5 + 5.", "5.5"),
        ("007 + 00.5 - 1e+02", "-92.5"),
        ("\n 1\t+\n1 ", "2"),
        ("(" * 20 + "1" + ")" * 20 + " " + "+" * 20 + "1", "2"),
        ("sqrt(9 / 4)", "1.5"),
        ("sqrt(2)", "1.4142135623730951"),
        ("2 ^ 0.5", "1.4142135623730951"),
        ("round(2.5) + round(-2.345, 2)", "0.65"),
        ("round(1234, -2)", "1200"),
        ("max(1, 2, 3) - min(1, 2, 3)", "2"),
        ("abs(-3) + floor(-1.5) + ceil(1.2)", "3"),
        ("sin(pi) + cos(0) + log2(8) + ln(e)", "5"),
        ("0 ^ 0 + 0 ^ 5 + 0 ^ 4", "1"),
        ("1 ^ 99999999999999999", "1"),
        ("(-1) ^ 99999999999999999", "-1"),
        ("3\u00b2 \u00d7 2 \u2212 8 \u00f7 4", "16"),
        ("1 / 3e20", "3.33333333333333E-21 (rounded)"),
        ("123456789123456789 * 987654321987654321", "121932631356500531347203169112635269"),
    ],
)
def test_expressions_have_their_value(expression: str, value: str) -> None:
    assert written(evaluate(expression)) == value


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("2 3", "'3' at character 3"),
        ("2 +", "ends too early"),
        ("(1", "ends too early"),
        ("1)", r"'\)' at character 2"),
        ("__import__('os').system('true')", "'__import__' at character 1"),
        ("().__class__", "does not belong"),
        ("x + 1", "'x' at character 1.*names: abs"),
        ("sqrt", "does not belong|ends too early"),
        ("sqrt()", "does not belong"),
        ("sqrt(1, 2)", r"sqrt\(1, 2\) has no value"),
        ("sqrt(-1)", "has no value"),
        ("ln(0)", "has no value"),
        ("exp(100000)", "has no value"),
        ("round(1, 0.5)", "has no value"),
        ("round(1, 9999999)", "has no value"),
        ("1 / 0", "divides by zero"),
        ("1 % 0", "divides by zero"),
        ("1 // 0", "divides by zero"),
        ("0 ^ -1", "divides by zero"),
        ("(-8) ^ (1 / 3)", "no real value"),
        ("(10 ^ 400) ^ 0.5", "no real value"),
        ("1" * 201, "longer than 200"),
        ("(" * 21 + "1" + ")" * 21, "nested deeper"),
        ("- " * 21 + "1", "nested deeper"),
        ("1,234 + 1", "',' at character 2"),
        ("2 \u00d7 \u03c0 ^ (3 4)", "'4' at character 12"),
        ("2(3)", r"'\(' at character 2"),
        ("5%", "ends too early"),
        ("lambda: 1", "'lambda' at character 1"),
        ("1 if 2 else 3", "'if' at character 3"),
        ("max(*(1, 2))", r"'\*' at character 5"),
        ("max(1, **2)", r"'\*\*' at character 8"),
        ("pi.e", "does not belong"),
        ("...", "does not belong"),
        ("1j + 0x1F", "'j' at character 2"),
        ("1\x00", "at character 2"),
        ("2 ^ 2 ^ 2 ^ 2 ^ 2 ^ 2", "more than 4096 bits"),
        ("9 ^ 9 ^ 9", "more than 4096 bits"),
        ("0.1 ^ 2000", "more than 4096 bits"),
        ("1e999999999", "more than 4096 bits"),
        ("1e-2000", "more than 4096 bits"),
        ("9 ^ 1000 * 9 ^ 1000", "more than 4096 bits"),
    ],
)
def test_what_has_no_value_is_told(expression: str, reason: str) -> None:
    with pytest.raises(ToolError, match=reason):
        evaluate(expression)


@given(st.text(alphabet="0123456789.+-*/%^(),eE_ pisqrtmaxlnf", max_size=60))
def test_any_text_has_a_value_or_an_error_soon(text: str) -> None:
    begun = time.thread_time()
    try:
        assert written(evaluate(text))
    except ToolError as error:
        assert str(error)
    assert time.thread_time() - begun < 1


@given(st.integers(), st.integers(), st.sampled_from("+-*"))
def test_whole_numbers_are_exact(a: int, b: int, operator: str) -> None:
    expected = {"+": a + b, "-": a - b, "*": a * b}[operator]
    assert written(evaluate(f"({a}) {operator} ({b})")) == str(expected)
