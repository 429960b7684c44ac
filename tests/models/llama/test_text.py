from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.models.llama.text import Assembler


def assemble(pieces: list[bytes], *, stop: tuple[str, ...] = (), reasoning: bool = False) -> tuple[str, str, bool]:
    """The answer, the reasoning, and whether a stop string ended it."""
    assembler = Assembler(stop=stop, reasoning=reasoning)
    said = [say for piece in pieces for say in assembler.feed(piece)] + assembler.finish()
    answer = "".join(say.text for say in said if not say.reasoning)
    return answer, "".join(say.text for say in said if say.reasoning), assembler.stopped


CASES = [
    pytest.param("Hello world", (), False, ("Hello world", "", False), id="plain text"),
    pytest.param("\n\n Hello", (), False, ("Hello", "", False), id="blanks before the answer"),
    pytest.param("one STOP two", ("STOP",), False, ("one ", "", True), id="a stop string"),
    pytest.param("one ST", ("STOP",), False, ("one ST", "", False), id="half a stop string at the end"),
    pytest.param("a EN b END c", ("END", "c"), False, ("a EN b ", "", True), id="the first stop string counts"),
    pytest.param("<think>hm</think>\n\nYes", (), False, ("Yes", "hm", False), id="reasoning"),
    pytest.param("hm</think>Yes", (), True, ("Yes", "hm", False), id="reasoning opened by the prompt"),
    pytest.param("<think>never ends", (), False, ("", "never ends", False), id="reasoning without an end"),
    pytest.param("<think>STOP</think>Yes", ("STOP",), False, ("Yes", "STOP", False), id="stop strings in reasoning"),
    pytest.param("a < b <thin c", (), False, ("a < b <thin c", "", False), id="what only looks like a tag"),
    pytest.param("Grüße 🙂", (), False, ("Grüße 🙂", "", False), id="characters of several bytes"),
]


@pytest.mark.parametrize(("text", "stop", "reasoning", "expected"), CASES)
def test_text_is_taken_apart(
    text: str, stop: tuple[str, ...], reasoning: bool, expected: tuple[str, str, bool]
) -> None:
    assert assemble([text.encode()], stop=stop, reasoning=reasoning) == expected


@pytest.mark.parametrize(("text", "stop", "reasoning", "expected"), CASES)
@given(size=st.integers(1, 7))
def test_it_is_the_same_however_the_bytes_are_cut(
    text: str, stop: tuple[str, ...], reasoning: bool, expected: tuple[str, str, bool], size: int
) -> None:
    data = text.encode()
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    assert assemble(pieces, stop=stop, reasoning=reasoning) == expected


def test_bytes_that_are_no_text_become_replacement_characters() -> None:
    assert assemble([b"a\xff", b"b\xc3"]) == ("a\ufffdb\ufffd", "", False)


def test_nothing_is_held_back_without_need() -> None:
    assembler = Assembler(stop=("STOP",))
    assert [say.text for say in assembler.feed(b"Hello S")] == ["Hello "]
    assert [say.text for say in assembler.feed(b"un")] == ["Sun"]


def test_nothing_comes_after_a_stop_string() -> None:
    assembler = Assembler(stop=("STOP",))
    assembler.feed(b"STOP")
    assert assembler.feed(b"more") == [] == assembler.finish()
