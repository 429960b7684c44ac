"""Pages: a finished block is printed once, the open one is live, a changed answer is printed from where it changed."""

from __future__ import annotations

import re

from agentd.cli.repl.pages import CORRECTED, INTERRUPTED, Pages
from agentd.records import Citation
from agentd.serving import protocol

CITATION = Citation(n=1, title="T", source="/a.md", start=0, end=1)


class Paper:
    """Pages and what they printed, without colours."""

    def __init__(self) -> None:
        self._text = ""
        self.pages = Pages(self._put, lambda: 80)

    async def _put(self, text: str) -> None:
        self._text += re.sub(r"\x1b\[[0-9;]*m", "", text)

    async def text(self) -> str:
        await self.pages.flush()
        return self._text

    def live(self) -> str:
        return re.sub(r"\x1b\[[0-9;]*m", "", self.pages.live(80, 10))


def answer(text: str, **fields: object) -> protocol.Answer:
    values = {"id": "o", "session": "s", "turn": "t", "answers": ("t",), "outcome": "answer", "text": text, **fields}
    return protocol.Answer.model_validate(values)


async def test_only_the_open_block_is_live_and_each_block_is_printed_once() -> None:
    paper = Paper()
    paper.pages.draft("On")
    assert paper.live() == "On"
    assert await paper.text() == ""
    paper.pages.draft("One.\n\nTwo.\n\nThr")
    paper.pages.draft("One.\n\nTwo.\n\nThree\n")
    assert await paper.text() == "One.\n\nTwo.\n\n"
    assert paper.live() == "Three"
    paper.pages.answered(answer("One.\n\nTwo.\n\nThree.", citations=(CITATION,)))
    assert await paper.text() == "One.\n\nTwo.\n\nThree.\n\n[1] /a.md\n\n"
    assert paper.live() == ""


async def test_an_answer_does_not_begin_right_below_what_a_command_said_meanwhile() -> None:
    paper = Paper()
    paper.pages.asked("Why?")
    paper.pages.note("one\ntwo")
    paper.pages.answered(answer("Because."))
    assert await paper.text() == "> Why?\n\none\ntwo\n\nBecause.\n\n"


async def test_a_second_attempt_that_says_the_same_prints_nothing_twice() -> None:
    paper = Paper()
    paper.pages.draft("One.\n\nTwo.\n\nThree\n")
    paper.pages.restarted()
    paper.pages.draft("One.\n\nTwo.\n\nThree and four.\n")
    paper.pages.answered(answer("One.\n\nTwo.\n\nThree and four."))
    assert await paper.text() == "One.\n\nTwo.\n\nThree and four.\n\n"


async def test_an_answer_that_differs_is_printed_from_there_and_says_so() -> None:
    paper = Paper()
    paper.pages.draft("One.\n\nTwo.\n\nThree\n")
    paper.pages.restarted()
    paper.pages.draft("One.\n\nSecond.\n\nThird")
    paper.pages.answered(answer("One.\n\nSecond.\n\nThird."))
    assert await paper.text() == f"One.\n\nTwo.\n\n{CORRECTED}\nSecond.\n\nThird.\n\n"


async def test_what_was_said_before_a_stop_is_kept_and_marked() -> None:
    paper = Paper()
    paper.pages.draft("One.\n\nTw")
    paper.pages.answered(answer("One.\n\nTw", outcome="interrupted"))
    assert await paper.text() == f"One.\n\nTw\n{INTERRUPTED}\n\n"


async def test_a_conversation_is_remembered_as_it_was() -> None:
    paper = Paper()
    lines = [
        {"turn": "t", "role": "user", "text": "Why?", "time": "2026-01-01T00:00:00Z"},
        {"turn": "t", "role": "assistant", "text": "**So**", "time": "2026-01-01T00:00:00Z", "interrupted": True},
    ]
    paper.pages.remembered(tuple(protocol.HistoryMessage.model_validate(line) for line in lines))
    paper.pages.note("word")
    paper.pages.commanded("/status")
    assert await paper.text() == f"> Why?\n\nSo\n{INTERRUPTED}\n\nword\n\n> /status\n"
