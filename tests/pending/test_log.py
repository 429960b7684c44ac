"""What the lines of a log mean together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentd.events import ToolCallStarted
from agentd.pending import log as pending_log
from agentd.pending.file import header_of
from agentd.pending.log import after, encode_line, lines_of
from agentd.ports.work import PendingTurn
from tests.builders import IDS, TIME, inbound, outbound


def turn(*, answered: bool = True) -> PendingTurn:
    event = inbound()
    return header_of(outbound(event) if answered else event).turn()


def replayed(start: PendingTurn, *lines: pending_log.LogLine) -> PendingTurn:
    """The turn that a start builds from these lines."""
    log = b"".join(encode_line(line) for line in lines)
    return after(start, lines_of((log,), pending_log.event_id_of(start)))


def test_starts_alone_are_counted_in_a_row() -> None:
    it = turn(answered=False)
    alone, together = pending_log.started(it, alone=True), pending_log.started(it, alone=False)
    found = replayed(it, together, alone, alone)
    assert (found.starts, found.starts_alone, found.running) == (3, 2, True)
    found = replayed(it, alone, together)
    assert (found.starts, found.starts_alone) == (2, 0)
    found = replayed(it, alone, pending_log.parked(it))
    assert (found.starts, found.starts_alone, found.running) == (1, 0, False)


def test_the_split_is_fixed_once() -> None:
    it = turn()
    found = replayed(it, pending_log.sending(it, ["a", "b"]), pending_log.sending(it, ["a b"]))
    assert found.parts == ("a", "b")
    assert "parts" not in pending_log.sending(found, ["c"])


def test_parts_are_confirmed_in_any_order() -> None:
    it = turn()
    assert replayed(it, pending_log.part(it, 1), pending_log.part(it, 0)).parts_done == 2


def test_a_deferred_send_has_ended() -> None:
    it = turn()
    found = replayed(it, pending_log.sending(it, None), pending_log.deferred(it, TIME, 2, "flood"))
    assert (found.sending, found.attempts, found.not_before, found.last_error) == (False, 2, TIME, "flood")
    assert replayed(found, pending_log.deferred(it, None, 3, "")).not_before is None


def test_a_deferral_that_may_have_arrived_stays_a_possible_repeat() -> None:
    it = turn()
    line = pending_log.deferred(it, TIME, 2, "no reply", uncertain=True)
    found = replayed(it, pending_log.sending(it, None), line)
    assert (found.sending, found.attempts, found.not_before, found.last_error) == (True, 2, TIME, "no reply")
    assert replayed(found, pending_log.deferred(it, TIME, 3, "refused")).sending is False


def test_lines_about_the_question_say_nothing_of_the_answer() -> None:
    event = inbound()
    question, answer = header_of(event).turn(), header_of(outbound(event)).turn()
    assert replayed(answer, pending_log.started(question, alone=True)) == answer


def test_one_line_holds_the_whole_state() -> None:
    it = turn()
    full = replace(
        it,
        starts=1,
        running=True,
        starts_alone=1,
        sending=True,
        parts=("a", "b"),
        parts_done=1,
        attempts=3,
        not_before=TIME,
        last_error="x",
        retried=TIME,
    )
    assert replayed(it, pending_log.state(full)) == full
    assert replayed(it, pending_log.state(it)) == it


@pytest.mark.parametrize("rubbish", [b"", b"\n", b"\0\0\0", b'{"of":"x"', b"[]", b"\xff"])
def test_rubbish_between_lines_is_passed_over(rubbish: bytes) -> None:
    it = turn()
    log = encode_line(pending_log.part(it, 0)) + rubbish + encode_line(pending_log.part(it, 1)) + rubbish
    assert [line["n"] for line in lines_of((log,), it.outbound_id)] == [0, 1]


def test_steps_are_read_once_each_in_their_order_and_unknown_ones_are_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    it = turn(answered=False)
    first, second = begun(it), begun(it)
    unknown = {**pending_log.steps(it, []), "events": [{"type": "tool_call_dreamt", "id": "x"}, 7]}
    answer = {**pending_log.steps(it, []), "events": [outbound().model_dump(mode="json")]}
    noted = [pending_log.steps(it, [first]), unknown, answer, pending_log.steps(it, [first, second])]
    log = b"".join(map(encode_line, noted))
    assert pending_log.steps_of(lines_of((log,), it.id)) == [first, second]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert replayed(it).stepped is False and replayed(it, *noted).stepped is True


def test_what_the_turn_has_done_stays_when_a_log_is_written_anew() -> None:
    it = turn(answered=False)
    noted = [
        pending_log.started(it, alone=False),
        pending_log.steps(it, [begun(it)]),
        pending_log.steps(it, [begun(it)]),
    ]
    log = b"".join(map(encode_line, noted))
    anew = b"".join(map(encode_line, pending_log.kept(lines_of((log,), it.id))))
    assert len(list(lines_of((anew,), it.id))) == 2
    assert pending_log.steps_of(lines_of((anew,), it.id)) == pending_log.steps_of(lines_of((log,), it.id))


def begun(of: PendingTurn) -> ToolCallStarted:
    return ToolCallStarted(id=IDS.next(), time=TIME, turn_id=of.id, session_id=of.session_id, call_id="c")


@pytest.mark.parametrize("size", [1, 7, 100, 4096])
def test_a_log_says_the_same_however_it_is_read(size: int) -> None:
    it = turn()
    log = b"".join(encode_line(pending_log.part(it, n)) for n in range(5)) + b"torn"
    blocks = [log[n : n + size] for n in range(0, len(log), size)]
    assert [line["n"] for line in lines_of(blocks, pending_log.event_id_of(it))] == [0, 1, 2, 3, 4]


def test_a_flood_of_lines_of_another_form_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    odd = encode_line({"of": "x", "line": "part", "n": "1"})
    assert not list(lines_of((odd * 500,), "x"))
    assert len(caplog.records) == 2
    assert "499" in caplog.text
