from __future__ import annotations

from agentd.evidence.call_forms import Call
from agentd.models.llama.calls import CallFinder
from agentd.models.llama.family import FAMILIES
from agentd.models.llama.speech import Outbox, Speech
from agentd.models.llama.text import Assembler, Say
from agentd.models.llama.wire import Called, FromChild, Pong, Said

HERMES = next(family for family in FAMILIES if family.name == "hermes")
TIME = b'<tool_call>{"name": "time"}</tool_call>'


def answer(text: str) -> Say:
    return Say(text=text, reasoning=False)


def test_calls_are_looked_for_in_the_answer_and_not_in_the_reasoning() -> None:
    speech = Speech(Assembler(), CallFinder(HERMES, {"time": ()}))
    said = [*speech.feed(b"<think>" + TIME + b"</think>Well. " + TIME), *speech.finish()]
    assert said == [
        Say(text=TIME.decode(), reasoning=True),
        answer("Well. "),
        Call(name="time", arguments="{}"),
    ]
    assert speech.calls == 1


def test_without_a_finder_a_call_is_text() -> None:
    speech = Speech(Assembler(), None)
    assert [*speech.feed(TIME), *speech.finish()] == [answer(TIME.decode())]
    assert speech.calls == 0


def test_what_was_held_back_comes_at_the_end() -> None:
    speech = Speech(Assembler(stop=("END",)), CallFinder(HERMES, {"time": ()}))
    assert speech.feed(b"x <tool_ca") == [answer("x ")]
    assert speech.finish() == [answer("<tool_ca")]
    assert not speech.stopped


def test_a_step_says_everything_in_one_message_and_calls_in_their_place() -> None:
    sent: list[FromChild] = []
    outbox = Outbox(sent.append)
    outbox.say(1, [answer("a")], calls=0)
    outbox.say(2, [], calls=0)
    outbox.say(1, [answer("b"), Call(name="t", arguments="{}"), answer("c"), Call(name="u", arguments="{}")], calls=3)
    outbox.send(Pong(n=1))
    first, call, second, other, pong = sent
    assert first == Said(items=((1, False, "a"), (2, False, ""), (1, False, "b")))
    assert isinstance(call, Called) and (call.id, call.index, call.tool) == (1, 1, "t")
    assert second == Said(items=((1, False, "c"),))
    assert isinstance(other, Called) and (other.index, other.tool) == (2, "u")
    assert call.call_id != other.call_id and pong == Pong(n=1)
