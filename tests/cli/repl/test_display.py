"""Every display shows a whole conversation: the question's place, each answer once, its sources, words and errors."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest

from agentd.cli.lines import PlainDisplay
from agentd.cli.repl.display import Display
from agentd.cli.repl.pages import Pages
from agentd.records import Citation
from agentd.serving import protocol
from tests.builders import TIME

Made = tuple[Display, Callable[[], str]]


def plain_display() -> Made:
    stream = io.StringIO()
    return PlainDisplay(stream, stream), stream.getvalue


def pages() -> Made:
    printed: list[str] = []

    async def put(text: str) -> None:
        printed.append(re.sub(r"\x1b\[[0-9;]*m", "", text))

    return Pages(put, lambda: 80), lambda: "".join(printed)


@pytest.mark.parametrize("make", [plain_display, pages])
async def test_a_conversation_is_shown_whole_and_in_order(make: Callable[[], Made]) -> None:
    display, printed = make()
    citation = Citation(n=1, title="T", source="/a.md", heading="H", start=0, end=1)
    said = {"id": "o", "session": "s", "turn": "t", "answers": ("t",)}
    display.note("hello")
    display.remembered((protocol.HistoryMessage(turn="t0", role="assistant", text="From before.", time=TIME),))
    display.asked("Why?")
    display.draft("Because")
    display.draft("Because of this.\n\nAnd th")
    display.answered(
        protocol.Answer(**said, outcome="answer", text="Because of this.\n\nAnd that [1].", citations=(citation,))
    )
    display.draft("half")
    display.answered(protocol.Answer(**said, outcome="interrupted", text="half an"))
    display.answered(protocol.Answer(**said, outcome="error", text="It broke."))
    display.error("wrong")
    await display.flush()
    text = printed()
    parts = ["hello", "From before.", "Because of this.", "And that [1].", "[1] /a.md, H", "half an", "(stopped)"]
    places = [text.index(part) for part in [*parts, "It broke.", "wrong"]]
    assert places == sorted(places)
    assert all(text.count(part) == 1 for part in parts)


@pytest.mark.parametrize("make", [plain_display, pages])
async def test_what_was_asked_elsewhere_is_shown_above_its_answer(make: Callable[[], Made]) -> None:
    display, printed = make()
    display.asked("Theirs?", here=False)
    await display.flush()
    assert printed().startswith("> Theirs?\n")


@pytest.mark.parametrize("make", [plain_display, pages])
async def test_how_long_reading_takes_is_no_part_of_the_conversation(make: Callable[[], Made]) -> None:
    display, printed = make()
    display.reading("reading 2,100 tokens, about 42 s")
    await display.flush()
    assert printed() == ""


@pytest.mark.parametrize("make", [plain_display, pages])
async def test_a_draft_that_begins_anew_does_not_garble_the_answer(make: Callable[[], Made]) -> None:
    display, printed = make()
    display.draft("Something else entirely")
    display.restarted()
    display.answered(
        protocol.Answer(id="o", session="s", turn="t", answers=("t",), outcome="answer", text="The answer.")
    )
    await display.flush()
    assert printed().endswith("The answer.\n\n") or printed().endswith("The answer.\n")
