"""What is longer than a client reads is split or cut."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from agentd.serving import frames, protocol
from tests.builders import SESSION, TIME
from tests.processor import least_seconds

LONG = 20_000_000


def _line(n: int, text: str) -> protocol.HistoryMessage:
    return protocol.HistoryMessage(turn=str(n), role="assistant", text=text, time=TIME)


def _told(data: dict[str, Any]) -> protocol.Told:
    return protocol.Told(re="r", data=data)


def _answer(text: str) -> protocol.Answer:
    return protocol.Answer(id="a", session=SESSION, turn="t", answers=("t",), outcome="answer", text=text)


def test_what_fits_stays_as_it_is() -> None:
    answer = _answer("x" * 1_000_000)
    assert frames.fitting(answer) == protocol.encode(answer)


@pytest.mark.parametrize("character", ["x", "🙂", "\\", '"'])
def test_a_text_that_is_too_long_is_cut_and_says_so(character: str) -> None:
    text = character * (LONG // len(character.encode()))
    frame = frames.fitting(_answer(text))
    assert len(frame) <= protocol.MAX_FRAME_BYTES
    answer = protocol.decode_server(frame)
    assert isinstance(answer, protocol.Answer)
    assert answer.text.endswith(f"… (cut here: it has {len(text):,} characters, more than fits into one message)")
    assert answer.text.startswith(text[: 512 * 1024])


# Made only when a test begins: making them takes seconds, and every process of a run collects them.
TOO_LONG: dict[str, Callable[[], protocol.ServerMessage]] = {
    "history": lambda: protocol.SessionOpened(
        re="r", session=SESSION, history=tuple(_line(n, "x" * 100_000) for n in range(200))
    ),
    "session": lambda: protocol.SessionOpened(re="r", session=SESSION, title="x" * LONG, waiting=("t" * 26,) * 500_000),
    "ingest": lambda: protocol.IngestState(
        re="r",
        found=0,
        done=0,
        added=0,
        changed=0,
        unchanged=0,
        removed=0,
        chunks=0,
        skipped=(("x", "y"),) * 700_000,
    ),
    "failure": lambda: protocol.Failure(code="usage", message="x" * LONG),
    "many keys": lambda: _told({"failed": {f"{n:0100}": "why" for n in range(200_000)}}),
    "a long key": lambda: _told({"k" * LONG: [[["x" * LONG] * 2] * 2]}),
}


@pytest.mark.parametrize("kind", TOO_LONG)
def test_every_message_fits_whatever_is_in_it(kind: str) -> None:
    message = TOO_LONG[kind]()
    frame = frames.fitting(message)
    assert len(frame) <= protocol.MAX_FRAME_BYTES
    assert frame.endswith(b"\n") and frame.count(b"\n") == 1
    assert type(protocol.decode_server(frame)) is type(message)


def test_of_a_history_the_newest_lines_stay() -> None:
    lines = tuple(_line(n, "x" * 1000) for n in range(12_000))
    opened = protocol.decode_server(frames.fitting(protocol.SessionOpened(re="r", session=SESSION, history=lines)))
    assert isinstance(opened, protocol.SessionOpened)
    assert opened.history[-1].turn == lines[-1].turn


@pytest.mark.parametrize("text", ["x\n", "\x00", '"', "ж"])
def test_the_whole_of_a_cut_costs_little_time(text: str) -> None:
    lines = tuple(_line(n, text * (4096 // len(text))) for n in range(512))
    for message in (_answer(text * 4_000_000), protocol.SessionOpened(re="r", session=SESSION, history=lines)):
        assert least_seconds(partial(frames.fitting, message), 0.25) < 0.25


def test_the_longest_texts_are_cut_first() -> None:
    lines = (_line(0, "x" * 100_000), _line(1, "y" * LONG), _line(2, "z" * 100_000))
    opened = protocol.decode_server(frames.fitting(protocol.SessionOpened(re="r", session=SESSION, history=lines)))
    assert isinstance(opened, protocol.SessionOpened)
    assert (opened.history[0], opened.history[2]) == (lines[0], lines[2])
    assert 1_000_000 < len(opened.history[1].text) < LONG


def test_a_long_piece_of_an_answer_is_split() -> None:
    text = "".join(chr(97 + n % 26) for n in range(200_000))
    chunk = protocol.Chunk(session=SESSION, turn="t", attempt=1, n=5, text=text)
    split = list(frames.pieces(chunk))
    assert [piece.n for piece in split] == [5 + start for start in range(0, len(text), frames.PIECE)]
    assert "".join(piece.text for piece in split) == text
    empty = chunk.model_copy(update={"text": ""})
    assert list(frames.pieces(empty)) == [empty]
