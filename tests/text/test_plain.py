"""What is stored and shown cannot control a terminal, and can always be written."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.text.plain import NAME, PlainStream, plain, plain_data, plain_error, plain_line, shortened

ODD = st.text(
    st.sampled_from("\x1b\x1b[]PX^_\\;?3 m(0\x07\x18\n\r\t\x00\x9b\x9d\x90\x9c\x85ab\ud83d\ude00\u202e🙂\u2066é")
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, \ttab\nand line", "plain text, \ttab\nand line"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPdevice\x1b\\x", "x"),
        ("a\x9b31mb", "ab"),
        ("a\x9d0;title\x9cb", "ab"),
        ("over\rwritten\x08\x7f", "overwritten"),
        ("left\u202eto right\u2069\u200f\u061c", "leftto right"),
        ("unfinished \x1b[3", "unfinished "),
        ("Grüße 世界 🙂 \u200d", "Grüße 世界 🙂 \u200d"),
    ],
)
def test_control_and_escape_sequences_are_removed(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    "opening", ["\x1b]0;", "\x1bP", "\x1bX", "\x1b^", "\x1b_G", "\x9d", "\x90", "\x98", "\x1b[", "\x9b1"]
)
def test_a_sequence_without_its_end_hides_at_most_the_rest_of_its_line(opening: str) -> None:
    assert plain(f"before {opening} hidden\nthe next line").endswith("\nthe next line")


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("\ud83d\ude00", "😀"),
        ("a\ud83d", "a\ufffd"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("name-\udcff.md", "name-\ufffd.md"),
        ("\ufeffwhole", "\ufeffwhole"),
    ],
)
def test_halves_of_characters_are_joined_or_replaced(text: str, joined: str) -> None:
    assert plain(text) == joined


@given(ODD)
def test_what_is_plain_has_no_control_can_be_encoded_and_stays_as_it_is(text: str) -> None:
    shown = plain(text)
    assert not any((ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 or c in "\u202e\u2066" for c in shown)
    shown.encode()
    assert plain(shown) == shown
    assert shown.count("\n") == text.count("\n")


@given(st.lists(ODD))
def test_a_text_in_pieces_is_cleaned_as_if_it_came_whole(pieces: list[str]) -> None:
    stream = PlainStream()
    said = "".join(map(stream.feed, pieces)) + stream.finish()
    assert said == plain("".join(pieces))


def test_a_stream_keeps_little_however_long_a_sequence_is() -> None:
    stream = PlainStream()
    assert stream.feed("a\x1b]0;") == "a"
    for _ in range(1000):
        assert stream.feed("x" * 1000) == ""
        assert len(stream._held) <= 4
    assert stream.feed("\x07b") == "b"


@pytest.mark.parametrize("piece", ["\x1b", "\x1b]", "\x1b[", "\x1b[3", "\x9d", "\x9b;", "\x1b(", "\ud83d", "\x1b]x\n"])
def test_cleaning_takes_time_in_proportion_to_the_text(piece: str) -> None:
    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        begun = time.process_time()
        plain(text), PlainStream().feed(text)
        return time.process_time() - begun

    seconds(2_000)
    assert seconds(160_000) < 4 * 10 * max(seconds(16_000), 0.002)


def test_a_name_is_one_line_of_bounded_length() -> None:
    assert plain_line("  a\x1b[2J\nname\u2028here ") == "a name here"
    assert len(plain_line("x" * 10 * NAME)) == NAME
    assert plain_line("x" * 10 * NAME).endswith("…")


def test_an_endless_error_is_cut_and_says_so() -> None:
    assert plain_error("\x1b[31mshort") == "short"
    assert plain_error("x" * 1_000_000).endswith("of 1000000 characters]")
    assert len(plain_error("x" * 1_000_000)) < 11_000


def test_data_is_cleaned_in_every_text() -> None:
    told = plain_data({"a\x1b[m": ["\udcff", 1, None, {"b": "\x9b2J"}]})
    assert told == {"a": ["\ufffd", 1, None, {"b": ""}]}
    assert json.dumps(told, ensure_ascii=False).encode()


def test_what_is_cut_says_so() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "abc\n[cut: the first 3 of 4 characters]"
