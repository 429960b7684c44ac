"""The transcript: questions above their answers, everything once, whatever comes twice, late or out of order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentd.cli.repl.transcript import EMPTY, HERE, REPLACED, Transcript
from agentd.records import Citation, TurnUsage
from agentd.serving import protocol
from tests.builders import TIME
from tests.recording import RecordingDisplay

S = "session"


def begun() -> tuple[Transcript, list[str]]:
    display = RecordingDisplay()
    return Transcript(display), display.shown


def state(turn: str, state: str, **fields: Any) -> protocol.State:
    return protocol.State.model_validate({"session": S, "turn": turn, "state": state, **fields})


def chunk(turn: str, n: int, text: str, *, attempt: int = 1, reasoning: bool = False) -> protocol.Chunk:
    return protocol.Chunk(session=S, turn=turn, attempt=attempt, n=n, text=text, reasoning=reasoning)


def answer(turn: str, text: str, **fields: Any) -> protocol.Answer:
    values = {"id": f"o-{turn}", "session": S, "turn": turn, "answers": (turn,), "outcome": "answer", "text": text}
    return protocol.Answer.model_validate({**values, **fields})


def told(turn: str, role: str, text: str) -> protocol.HistoryMessage:
    return protocol.HistoryMessage.model_validate({"turn": turn, "role": role, "text": text, "time": TIME})


def opened(*history: protocol.HistoryMessage, waiting: Sequence[str] = ()) -> protocol.SessionOpened:
    return protocol.SessionOpened(re="r", session=S, history=history, waiting=tuple(waiting))


def ask(transcript: Transcript, turn: str, text: str) -> None:
    transcript.typed(f"m-{turn}", text)
    transcript.accepted(protocol.Accepted(re=f"m-{turn}", session=S, turn=turn))


def test_a_question_its_draft_and_its_answer() -> None:
    transcript, shown = begun()
    ask(transcript, "t1", "Why?")
    assert not transcript.idle and shown == ["asked: Why?"]
    transcript.happened(state("t1", "running", attempt=1))
    assert transcript.running and transcript.status == "working…"
    transcript.happened(chunk("t1", 0, "hm", reasoning=True))
    assert transcript.status == "thinking…"
    transcript.happened(chunk("t1", 0, "Because"))
    assert shown == ["asked: Why?", "draft: Because"] and transcript.status == "answering…"
    transcript.happened(answer("t1", "Because."))
    assert shown == ["asked: Why?", "answer: Because."]
    assert transcript.idle and transcript.status == ""


def test_a_message_that_waits_is_counted_and_shown_when_its_turn_begins() -> None:
    transcript, shown = begun()
    ask(transcript, "t1", "First?")
    transcript.happened(state("t1", "running", attempt=1))
    transcript.typed("m-t2", "Second?")
    assert transcript.status == "working… · queued, 1 waiting"
    transcript.accepted(protocol.Accepted(re="m-t2", session=S, turn="t2"))
    transcript.happened(state("t2", "queued", position=1))
    assert transcript.status == "working… · queued, 1 waiting" and "asked: Second?" not in shown
    transcript.happened(answer("t1", "One."))
    transcript.happened(state("t2", "running", attempt=1))
    assert shown == ["asked: First?", "answer: One.", "asked: Second?"]
    assert transcript.status == "working…"


def test_what_comes_early_of_the_next_turn_waits_for_the_late_answer_of_the_one_before() -> None:
    transcript, shown = begun()
    ask(transcript, "t1", "First?")
    transcript.happened(state("t1", "running", attempt=1))
    ask(transcript, "t2", "Second?")
    transcript.happened(state("t1", "done"))
    transcript.happened(state("t2", "running", attempt=1))
    transcript.happened(chunk("t2", 0, "Two"))
    assert shown == ["asked: First?"]
    transcript.happened(answer("t1", "One."))
    assert shown == ["asked: First?", "answer: One.", "asked: Second?", "draft: Two"]


def test_an_answer_out_of_turn_is_held_until_the_one_before_it_is_shown() -> None:
    transcript, shown = begun()
    for turn in ("t1", "t2"):
        transcript.happened(state(turn, "running", attempt=1))
    transcript.happened(answer("t2", "Two."))
    assert shown == []
    transcript.happened(answer("t1", "One."))
    assert shown == ["answer: One.", "answer: Two."]


def test_the_events_of_a_turn_may_come_before_the_word_that_it_is_ours() -> None:
    transcript, shown = begun()
    ask(transcript, "t1", "First?")
    transcript.happened(answer("t1", "One."))
    transcript.happened(state("t0", "running", attempt=1))
    transcript.typed("m-t2", "Second?")
    transcript.happened(answer("t0", "Of somebody else."))
    transcript.happened(chunk("t2", 0, "Two"))
    assert shown[-1] == "answer: One."
    transcript.accepted(protocol.Accepted(re="m-t2", session=S, turn="t2"))
    assert shown[2:] == ["answer: Of somebody else.", "asked: Second?", "draft: Two"]
    transcript.happened(answer("t2", "Two."))
    assert shown[2:] == ["answer: Of somebody else.", "asked: Second?", "answer: Two."]


def test_an_answer_is_shown_once_however_often_it_comes() -> None:
    transcript, shown = begun()
    ask(transcript, "t1", "Why?")
    for _ in range(3):
        transcript.happened(answer("t1", "Because."))
    transcript.happened(chunk("t1", 0, "Because."))
    assert shown == ["asked: Why?", "answer: Because."] and transcript.idle


def test_a_new_attempt_voids_the_draft_and_pieces_of_the_old_one_are_dropped() -> None:
    transcript, shown = begun()
    transcript.happened(chunk("t1", 0, "One w"))
    transcript.happened(state("t1", "running", attempt=2))
    transcript.happened(chunk("t1", 5, "ay"))
    transcript.happened(chunk("t1", 0, "Another", attempt=2))
    assert shown == ["draft: One w", "restarted", f"note: {protocol.BEGINS_AGAIN}", "draft: Another"]


def test_a_daemon_that_restarted_makes_the_answer_again_whatever_it_calls_the_attempt() -> None:
    for again in (state("t1", "running", attempt=2), chunk("t1", 0, "Another", attempt=2), answer("t1", "Another.")):
        transcript, shown = begun()
        transcript.happened(chunk("t1", 0, "One w", attempt=2))
        transcript.reopened(opened(), restarted=True)
        transcript.happened(again)
        assert shown[:3] == ["draft: One w", "restarted", f"note: {protocol.BEGINS_AGAIN}"]


def test_what_was_shown_stays_if_the_answer_goes_on_with_it() -> None:
    transcript, shown = begun()
    transcript.happened(chunk("t1", 0, "One w"))
    transcript.reopened(opened())
    transcript.happened(state("t1", "running", attempt=1))
    transcript.reopened(opened(), restarted=True)
    transcript.happened(answer("t1", "One way."))
    assert "restarted" not in shown and f"note: {protocol.BEGINS_AGAIN}" not in shown


def test_stopping_is_said_until_the_answer_is_there() -> None:
    transcript, shown = begun()
    transcript.happened(chunk("t1", 0, "One,"))
    transcript.happened(state("t1", "stopping"))
    transcript.happened(chunk("t1", 4, " two"))
    assert transcript.stopping and transcript.status == "stopping…"
    transcript.happened(answer("t1", "One, two", outcome="interrupted"))
    assert shown == ["interrupted: One, two"] and not transcript.stopping


def test_a_refused_message_is_shown_with_the_reason() -> None:
    transcript, shown = begun()
    transcript.happened(state("t1", "running", attempt=1))
    transcript.typed("m", "Me too")
    transcript.refused("m", "full")
    assert shown == ["asked: Me too", "error: full"]
    assert transcript.status == "working…"


def test_a_notice_is_no_answer() -> None:
    transcript, shown = begun()
    transcript.happened(chunk("t1", 0, "half"))
    transcript.happened(answer("t1", "It was put aside.", answers=(), outcome="error"))
    assert shown == ["draft: half", "restarted", "error: It was put aside."] and transcript.idle
    for _ in range(2):
        transcript.happened(answer("t9", "Time for tea.", answers=(), outcome="notice"))
    assert shown[3:] == ["note: Time for tea."]


def test_after_a_reconnect_only_what_was_missed_is_shown() -> None:
    transcript, shown = begun()
    transcript.opened(opened(told("t0", "user", "Old?"), told("t0", "assistant", "Old.")))
    ask(transcript, "t1", "Mine?")
    transcript.happened(chunk("t1", 0, "Mi"))
    transcript.typed("m-t2", "Accepted, but who knows?")
    before = len(shown)
    transcript.reopened(
        opened(
            told("t0", "user", "Old?"),
            told("t0", "assistant", "Old."),
            told("t1", "user", "Mine?"),
            told("t1", "assistant", "Mine."),
            told("t2", "user", "Accepted, but who knows?"),
            told("t2", "assistant", "Now you do."),
            told("t3", "user", "Theirs?"),
            told("t3", "assistant", "Theirs."),
        )
    )
    assert shown[before - 1 :] == [
        "answer: Mine.",
        "remembered user: Accepted, but who knows?",
        "remembered assistant: Now you do.",
        "remembered user: Theirs?",
        "remembered assistant: Theirs.",
    ]
    seen = len(shown)
    transcript.accepted(protocol.Accepted(re="m-t2", session=S, turn="t2", duplicate=True))
    for turn, text in (("t1", "Mine."), ("t2", "Now you do."), ("t3", "Theirs.")):
        transcript.happened(answer(turn, text))
    assert len(shown) == seen and transcript.idle


ASIDE = "This message was put aside: `agentd delivery show t1` shows it."


def put_aside() -> protocol.Answer:
    return answer("t1", ASIDE, id="n-t1", answers=(), outcome="error")


def test_a_notice_is_shown_once_around_a_reconnect_whichever_way_it_comes_first() -> None:
    buried = opened(told("t1", "user", "Why?"), told("t1", "assistant", ASIDE))
    transcript, shown = begun()
    ask(transcript, "t1", "Why?")
    transcript.reopened(buried)
    transcript.happened(put_aside())
    assert shown == ["asked: Why?", f"remembered assistant: {ASIDE}"] and transcript.idle
    transcript, shown = begun()
    ask(transcript, "t1", "Why?")
    transcript.happened(put_aside())
    transcript.reopened(buried)
    assert shown == ["asked: Why?", f"error: {ASIDE}"] and transcript.idle
    transcript, shown = begun()
    transcript.happened(put_aside())
    transcript.reopened(buried)
    assert shown == [f"error: {ASIDE}"]


def test_what_was_put_aside_is_answered_after_all_wherever_its_notice_is_shown() -> None:
    buried = (told("t1", "user", "Why?"), told("t1", "assistant", ASIDE))
    for opens in (True, False):
        transcript, shown = begun()
        if opens:
            transcript.opened(opened(*buried))
        else:
            ask(transcript, "t1", "Why?")
            transcript.reopened(opened(*buried))
        transcript.happened(state("t1", "running", attempt=1))
        transcript.happened(chunk("t1", 0, "Beca"))
        transcript.happened(answer("t1", "Because."))
        transcript.happened(answer("t1", "Because."))
        assert shown[-1] == "answer: Because." and shown.count("answer: Because.") == 1
        assert transcript.idle and not transcript.running
        transcript.reopened(opened(*buried, told("t1", "user", "Why?"), told("t1", "assistant", "Because.")))
        assert shown[-1] == "answer: Because."


def test_an_answer_after_all_that_came_meanwhile_is_shown_from_the_history() -> None:
    buried = (told("t1", "user", "Why?"), told("t1", "assistant", ASIDE))
    transcript, shown = begun()
    transcript.opened(opened(*buried))
    transcript.reopened(opened(*buried, told("t1", "user", "Why?"), told("t1", "assistant", "Because.")))
    transcript.happened(answer("t1", "Because."))
    assert shown[-1] == "remembered assistant: Because." and len(shown) == 3


def test_a_model_that_takes_over_is_named_for_good() -> None:
    transcript, shown = begun()
    ask(transcript, "t1", "Why?")
    transcript.happened(state("t1", "running", attempt=1))
    transcript.happened(state("t1", "running", attempt=1, detail="small answers instead: \x1b[31mthe server is down"))
    assert shown == ["asked: Why?", "note: small answers instead: the server is down"]
    assert transcript.status == "working…"


def question(turn: str, text: str, message: str = "theirs") -> protocol.Question:
    return protocol.Question(session=S, turn=turn, id=message, text=text)


def test_what_is_asked_elsewhere_stands_above_its_answer_once() -> None:
    transcript, shown = begun()
    ask(transcript, "t1", "Mine?")
    transcript.happened(state("t1", "running", attempt=1))
    for _ in range(2):
        transcript.happened(question("t2", "Theirs?\x1b[31m"))
    transcript.happened(state("t2", "queued", position=1))
    assert shown == ["asked: Mine?"] and transcript.status == "working… · queued, 1 waiting"
    transcript.happened(answer("t1", "Yours."))
    transcript.happened(state("t2", "running", attempt=1))
    transcript.happened(chunk("t2", 0, "The"))
    transcript.happened(answer("t2", "Theirs."))
    assert shown == ["asked: Mine?", "answer: Yours.", "asked elsewhere: Theirs?", "answer: Theirs."]
    transcript.happened(question("t2", "Theirs?"))
    assert len(shown) == 4


def test_a_question_of_ours_that_comes_back_is_not_shown_again_whenever_it_comes() -> None:
    transcript, shown = begun()
    transcript.typed("m-t1", "Mine?")
    transcript.happened(question("t1", "Mine?", "m-t1"))
    transcript.accepted(protocol.Accepted(re="m-t1", session=S, turn="t1"))
    transcript.happened(question("t1", "Mine?", "m-t1"))
    transcript.happened(answer("t1", "Yours."))
    assert shown == ["asked: Mine?", "answer: Yours."]


def test_who_comes_in_the_middle_of_an_answer_sees_its_question_and_after_a_reconnect_only_once() -> None:
    transcript, shown = begun()
    transcript.opened(opened())
    transcript.happened(question("t1", "Theirs?"))
    transcript.happened(state("t1", "running", attempt=1))
    transcript.happened(question("t2", "More?"))
    transcript.reopened(
        opened(
            told("t1", "user", "Theirs?"),
            told("t1", "assistant", "One."),
            told("t2", "user", "More?"),
            told("t2", "assistant", "Two."),
        )
    )
    assert shown == ["asked elsewhere: Theirs?", "answer: One.", "asked elsewhere: More?", "answer: Two."]


def test_a_question_that_is_put_aside_is_shown_above_the_notice() -> None:
    transcript, shown = begun()
    transcript.happened(question("t1", "Theirs?"))
    transcript.happened(answer("t1", "It was put aside.", answers=(), outcome="error"))
    assert shown == ["asked elsewhere: Theirs?", "error: It was put aside."]


def reading(done: int, *, attempt: int = 1) -> protocol.Reading:
    seconds = (2100 - done) / 50
    return protocol.Reading(session=S, turn="t1", attempt=attempt, done=done, total=2100, seconds=seconds)


def test_the_status_says_how_far_the_prompt_is_read_and_its_beginning_is_shown_once() -> None:
    transcript, shown = begun()
    for done, status in ((0, "reading 2,100 tokens, about 42 s"), (800, "reading 800 of 2,100 tokens, about 26 s")):
        transcript.happened(reading(done))
        assert transcript.status == status
    transcript.happened(reading(2100))
    assert transcript.status == "working…"
    transcript.happened(reading(0, attempt=2))
    transcript.happened(reading(800, attempt=1))
    assert transcript.status == "reading 2,100 tokens, about 42 s"
    assert shown == ["reading: reading 2,100 tokens, about 42 s"] * 2


def test_an_answer_that_begins_again_says_why_at_once() -> None:
    transcript, shown = begun()
    transcript.happened(chunk("t1", 0, "One w"))
    transcript.happened(state("t1", "running", attempt=2, detail="again: small crashed"))
    assert shown == ["draft: One w", "restarted", "note: again: small crashed"]


def test_what_an_answer_took_is_shown_where_that_is_wanted() -> None:
    transcript, shown = begun()
    took = TurnUsage(prompt_tokens=90, completion_tokens=4)
    transcript.happened(answer("t1", "One.", usage=took))
    transcript.shows_usage = True
    transcript.happened(answer("t2", "Two.", usage=took))
    transcript.happened(answer("t3", "Three."))
    assert shown == ["answer: One.", "answer: Two.", "note: 90 tokens read, 4 written", "answer: Three."]


def test_everything_from_others_is_stripped_of_escape_sequences() -> None:
    transcript, shown = begun()
    evil = "\x1b[31mred\x07"
    transcript.opened(opened(told("t0", "user", evil), told("t0", "assistant", evil)))
    transcript.happened(chunk("t1", 0, evil + "\n"))
    citation = Citation(n=1, title=evil, source=evil, heading=evil, start=0, end=1)
    transcript.happened(state("t1", "tool", detail=evil))
    assert transcript.status == "using red…"
    transcript.happened(answer("t1", evil, citations=(citation,)))
    assert shown == ["remembered user: red", "remembered assistant: red", "answer: red"]


def test_a_question_that_takes_the_place_of_another_is_shown_as_such() -> None:
    transcript, shown = begun()
    transcript.happened(protocol.Question(session=S, turn="t2", id="x", text="How?", replaces="t1"))
    transcript.happened(state("t2", "running", attempt=1))
    transcript.happened(answer("t2", "So."))
    assert shown == [f"note: {REPLACED}", "asked elsewhere: How?", "answer: So."]


def test_another_branch_is_shown_with_its_last_messages_and_none_of_them_comes_again() -> None:
    transcript, shown = begun()
    lines = (told("t1", "user", "Why?"), told("t1", "assistant", "Because."))
    transcript.branched(lines)
    remembered = ["remembered user: Why?", "remembered assistant: Because."]
    assert shown == [f"note: {HERE}", *remembered]
    transcript.reopened(opened(*lines))
    transcript.branched(())
    assert shown == [f"note: {HERE}", *remembered, f"note: {EMPTY}"]


def test_a_branch_that_was_selected_while_the_daemon_was_away_is_shown_when_it_is_back() -> None:
    transcript, shown = begun()
    lines = [told(turn, role, f"{role} {turn}") for turn in ("t1", "t2") for role in ("user", "assistant")]
    transcript.opened(opened(*lines))
    shown.clear()
    transcript.reopened(opened(*lines), restarted=True)
    assert shown == []
    transcript.reopened(opened(*lines[:2]), restarted=True)
    assert shown == [f"note: {HERE}", "remembered user: user t1", "remembered assistant: assistant t1"]
    ask(transcript, "t3", "Why?")
    transcript.happened(answer("t3", "Because."))
    shown.clear()
    transcript.reopened(opened(*lines[:2], told("t3", "user", "Why?"), told("t3", "assistant", "Because.")))
    assert shown == []
