"""What a question's answer looks like on standard output, and what stands on standard error meanwhile."""

from __future__ import annotations

import io
import json

import pytest

from agentd.cli.output import Output, WaitingLine, source_lines
from agentd.records import Citation, TurnUsage
from agentd.serving import protocol

ANSWER = protocol.Answer(id="o", session="s", turn="t", answers=("t",), outcome="answer", text="Because [1].")
READING = protocol.Reading(session="s", turn="t", attempt=1, done=0, total=2100, seconds=42.0)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen(written: str) -> str:
    """What is to be seen of text without line feeds: what follows a carriage return overwrites."""
    shown = ""
    for part in written.split("\r"):
        shown = part + shown[len(part) :]
    return shown.rstrip()


def chunk(n: int, text: str, attempt: int = 1, *, reasoning: bool = False) -> protocol.Chunk:
    return protocol.Chunk(session="s", turn="t", attempt=attempt, n=n, text=text, reasoning=reasoning)


def state(state: str, **fields: object) -> protocol.State:
    return protocol.State.model_validate({"session": "s", "turn": "t", "state": state, **fields})


def test_a_shorter_word_overwrites_a_longer_one_and_nothing_stays() -> None:
    stream = _Terminal()
    line = WaitingLine(stream)
    for text in ("reading 2,100 tokens", "thinking…"):
        line.show(text)
        line.show(text)
        assert screen(stream.getvalue()) == text
    assert stream.getvalue().count("thinking…") == 1
    line.clear()
    assert screen(stream.getvalue()) == ""


def test_a_stream_that_is_no_terminal_gets_no_word_on_why_somebody_waits() -> None:
    answers, words = io.StringIO(), io.StringIO()
    output = Output("text", answers, words)
    for message in (READING, state("tool", detail="calculate"), chunk(0, "hm", reasoning=True), chunk(0, "Because")):
        output.live(message)
    output.answer(ANSWER)
    assert answers.getvalue() == "Because [1].\n" and words.getvalue() == ""


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (state("running", attempt=1), "working…"),
        (READING, "reading 2,100 tokens, about 42 s"),
        (state("tool", detail="calc\x1b[31mulate"), "using calculate…"),
        (chunk(0, "hm", reasoning=True), "thinking…"),
        (chunk(0, "Because"), "answering…"),
    ],
)
def test_where_the_answer_goes_elsewhere_the_terminal_says_what_goes_on(
    message: protocol.ServerMessage, shown: str
) -> None:
    answers, words = io.StringIO(), _Terminal()
    output = Output("text", answers, words)
    output.live(message)
    assert screen(words.getvalue()) == shown
    output.answer(ANSWER)
    assert screen(words.getvalue()) == "" and answers.getvalue() == "Because [1].\n"


def test_what_the_answer_took_is_told_if_that_is_wanted() -> None:
    words = io.StringIO()
    output = Output("json", io.StringIO(), words, usage=True)
    output.answer(ANSWER.model_copy(update={"usage": TurnUsage(prompt_tokens=90, completion_tokens=4)}))
    output.answer(ANSWER)
    assert words.getvalue() == "90 tokens read, 4 written\n"


def test_a_higher_attempt_voids_what_was_shown() -> None:
    answers, words = _Terminal(), io.StringIO()
    output = Output("text", answers, words)
    output.live(state("running", attempt=1))
    output.live(chunk(0, "Of cou"))
    output.live(state("running", attempt=2, detail="again: small crashed"))
    output.live(chunk(0, "Beca", attempt=2))
    output.answer(ANSWER)
    assert answers.getvalue() == "Of cou\n\nBecause [1].\n"
    assert words.getvalue() == "agentd: again: small crashed\n"


def test_text_that_was_shown_is_never_void_without_a_word() -> None:
    answers, words = _Terminal(), io.StringIO()
    output = Output("text", answers, words)
    output.live(state("running", attempt=1))
    output.restart("nothing was shown yet")
    output.live(chunk(0, "Of cou"))
    output.live(state("running", attempt=2))
    output.live(chunk(0, "Bec", attempt=2))
    output.restart("it was lost")
    output.answer(ANSWER)
    assert answers.getvalue() == "Of cou\n\nBec\n\nBecause [1].\n"
    assert words.getvalue() == f"agentd: {protocol.BEGINS_AGAIN}\nagentd: it was lost\n"


def test_an_error_is_a_line_for_the_person_in_every_form() -> None:
    for form in ("text", "json"):
        answers, words = io.StringIO(), io.StringIO()
        failed = ANSWER.model_copy(update={"outcome": "error", "text": "No\x1b[31m."})
        Output(form, answers, words).answer(failed)
        assert words.getvalue() == "agentd: No.\n"
        assert (json.loads(answers.getvalue())["outcome"] == "error") if form == "json" else not answers.getvalue()


def test_sources_are_shown_without_anything_that_controls_a_terminal() -> None:
    citation = Citation(n=2, title="t", source="/a\x1b[31m.md", heading="H\x07", start=0, end=1)
    assert source_lines([citation]) == ["[2] /a.md, H"]
