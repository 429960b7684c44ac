"""Sums as people write them."""

from __future__ import annotations

import pytest

from agentd.errors import ToolError
from agentd.tools.arithmetic import evaluate, written
from agentd.tools.sums import sum_of

SUMS = {
    "What is 17.5 * 23 - 4?": "398.5",
    "17.5*23-4": "398.5",
    "17.5 * 23 - 4 =": "398.5",
    "What is 15% of 80?": "12",
    "what's 20 percent of 50": "10",
    "What is (3 + 4) * 5 / 7?": "5",
    "How much is 1,234 + 4,321?": "5555",
    "What is 2 to the power of 10?": "1024",
    "3^4 ": "81",
    "What is the square root of 144?": "12",
    "square root of (9 + 16)": "5",
    "sqrt(16) + 1": "5",
    "12 squared": "144",
    "3 cubed": "27",
    "What is 100 divided by 8?": "12.5",
    "what is twelve times eleven": "132",
    "What's twenty-five times four, please": "100",
    "Calculate 5 minus 7 times 2": "-9",
    "What is the sum of 2 and 3?": "5",
    "What is the product of 6 and 7?": "42",
    "How much is half of 90?": "45",
    "What is 9 x 8?": "72",
    "What is 17 % 5?": "2",
    "What is -5 + 3?": "-2",
    "What does 3 * 4 equal?": "12",
    "What is 1989 - 1990?": "-1",
    "What is 3/4?": "0.75",
    "144/12": "12",
    "5² + 1": "26",
    "6 ÷ 4": "1.5",
    "Wieviel ist 3,5 mal 12?": "42",
    "Was ist 7 hoch 2?": "49",
    "wie viel ist 15 Prozent von 80": "12",
    "Berechne 1.000,5 + 2": "1002.5",
    "Quadratwurzel aus 81": "9",
}
NO_SUMS = """
What happened in 1989 - 1990?
1989-1990
1989 - 1990
What is 2023-2024?
555-1234
+49 30 1234567
(555) 123-4567
2024-01-15
What is 2024-01-15?
12/05/2024
1.2.3
What is 192.168.0.1?
What is 24/7?
pages 10-12
10-12
3/4
4x4
1920 x 1080
What is 42?
-5
5
What is C++?
What is in section 3.2?
Who won 3 - 2?
What is the difference between 3 and 4?
What is 4 and 5?
What is 5 kg + 3 kg?
7 +
3 + x
what is
How much is the rent?
COVID-19
What is HTTP/2?
What are 3, 4 and 5?
What is Python 3.11 - 3.12?
a hundred
What is one?
square root of
percent of 5
100 / 10% of 50
""".strip().splitlines()


@pytest.mark.parametrize(("message", "value"), SUMS.items())
def test_a_sum_in_figures_or_words_is_understood(message: str, value: str) -> None:
    found = sum_of(message)
    assert found is not None
    assert written(evaluate(found.expression)) == value


@pytest.mark.parametrize("message", NO_SUMS)
def test_what_merely_has_numbers_in_it_is_no_sum(message: str) -> None:
    found = sum_of(message)
    if found is not None:  # then it is one that cannot be worked out
        with pytest.raises(Exception, match=r"too early|does not belong"):
            evaluate(found.expression)


def test_a_sum_is_shown_without_the_words_around_it() -> None:
    found = sum_of("Please tell me what 15% of 80 is?")
    assert found is not None and found.shown == "15% of 80" and not found.german
    found = sum_of("Wieviel ist 3,5 mal 12?")
    assert found is not None and found.shown == "3,5 mal 12" and found.german


def test_a_sum_as_long_as_a_plain_question_is_worked_out() -> None:
    found = sum_of("+".join(["12.50"] * 30) + "=")
    assert found is not None
    assert written(evaluate(found.expression)) == "375"


@pytest.mark.parametrize("message", ["2 * * 3 =", "2 5 + 1 =", "2 / / 3 ="])
def test_what_stands_apart_stays_apart(message: str) -> None:
    found = sum_of(message)
    assert found is not None
    with pytest.raises(ToolError, match="does not belong"):
        evaluate(found.expression)


def test_what_is_long_is_given_up_in_time() -> None:
    assert sum_of("1 + " * 100 + "1") is None
    assert sum_of("(" * 10_000) is None
