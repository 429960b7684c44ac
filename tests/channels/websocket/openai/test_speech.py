"""What of a turn is sent on, whatever the turn does: sent text cannot be taken back."""

from __future__ import annotations

import pytest

from agentd.serving import protocol
from channels.websocket.openai.speech import Speech


def chunk(n: int, text: str, attempt: int = 1, *, reasoning: bool = False, turn: str = "t") -> protocol.Chunk:
    return protocol.Chunk(session="s", turn=turn, attempt=attempt, n=n, text=text, reasoning=reasoning)


def answer(text: str) -> protocol.Answer:
    return protocol.Answer(id="a", session="s", turn="t", answers=("t",), outcome="answer", text=text)


@pytest.mark.parametrize(
    ("heard", "sent"),
    [
        ([chunk(0, "one "), chunk(4, "two"), answer("one two")], ["one ", "two", ""]),
        ([chunk(0, "one "), answer("one two\n\nA notice.")], ["one ", "two\n\nA notice."]),
        ([answer("one")], ["one"]),
        ([chunk(0, "one "), chunk(9, "three"), answer("one two three")], ["one ", "", "two three"]),
        ([chunk(0, "one "), chunk(0, "one two"), answer("one two")], ["one ", "two", ""]),
        ([chunk(0, "hm", reasoning=True), chunk(0, "other", turn="u"), chunk(0, "one")], ["", "", "one"]),
        (
            [
                chunk(0, "one tw"),
                chunk(0, "one", 2),
                chunk(3, " two", 2),
                chunk(7, " three", 2),
                answer("one two three"),
            ],
            ["one tw", "", "o", " three", ""],
        ),
        (
            [
                chunk(0, "one two"),
                chunk(0, "one", 2),
                chunk(3, " day", 2),
                chunk(7, " more", 2),
                answer("one day more"),
            ],
            ["one two", "", "\n\none day", " more", ""],
        ),
        ([chunk(0, "old"), chunk(0, "new", 2), chunk(3, "er", 1), answer("new")], ["old", "\n\nnew", "", ""]),
        (
            [chunk(0, "one two two two"), answer("one two\n\nIt went in circles.")],
            ["one two two two", "\n\nIt went in circles."],
        ),
        ([chunk(0, "one two two two"), answer("one two")], ["one two two two", ""]),
    ],
)
def test_what_is_new_is_sent_once(heard: list[protocol.ServerMessage], sent: list[str]) -> None:
    speech = Speech("t")
    told = [speech.finish(each) if isinstance(each, protocol.Answer) else speech.feed(each) for each in heard]
    assert told == sent


def test_it_is_known_whether_the_turn_runs_and_whether_the_model_has_begun() -> None:
    speech = Speech("t")
    speech.feed(protocol.State(session="s", turn="other", state="running"))
    assert (speech.running, speech.began) == (False, False)
    speech.feed(protocol.State(session="s", turn="t", state="running", attempt=1))
    assert (speech.running, speech.began) == (True, False)
    speech.feed(protocol.Reading(session="s", turn="t", attempt=1, done=1, total=2))
    assert (speech.running, speech.began) == (True, True)
    speech.feed(protocol.State(session="s", turn="t", state="stopping"))
    assert not speech.running
