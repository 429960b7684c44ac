"""The signs of a sentence say what it has to do with a question."""

from __future__ import annotations

from agentd.evidence.asked import asked
from agentd.evidence.candidates import candidates
from agentd.evidence.signs import FIT, Signs
from agentd.records import Passage
from tests.builders import passage


def signs(question: str, *passages: Passage) -> Signs:
    wanted = asked(question)
    return Signs(wanted, passages, list(candidates(passages, wanted.language)))


SEALS = passage(1, "Seals sleep on the ice in winter. They eat fish.", title="Animals", heading="")
OWLS = passage(2, "Owls hunt by night in winter.", title="Birds", heading="")


def test_each_sentence_has_every_sign() -> None:
    found = signs("Where do seals sleep in winter?", SEALS, OWLS)
    for n in range(3):
        assert tuple(found.of(n)) == Signs.NAMES
    same = [{name: found.of(n)[name] for name in Signs.OF_QUESTION} for n in range(3)]
    assert same[0] == same[1] == same[2]


def test_a_sentence_that_holds_the_whole_question_covers_it() -> None:
    found = signs("Where do seals sleep in winter?", SEALS, OWLS)
    best, beside, other = (found.of(n) for n in range(3))
    assert best["own"] == best["order"] == 1.0 and best["pairs"] == 0.5
    assert beside["own"] == 0.0 < beside["near"] < 1.0 and beside["passage"] == 1.0
    assert 0.0 < other["own"] < other["anywhere"] == 1.0
    assert best["ahead"] > 0 > other["ahead"]
    assert not found.is_silent(1)


def test_missing_names_and_numbers_are_counted() -> None:
    here = signs("Did Caesar see 12 seals?", SEALS).of(0)
    assert here["names_here"] == here["names_passage"] == here["names_anywhere"] == 1.0
    assert here["numbers_here"] == 1.0 and here["others_here"] < 2.0


def test_a_sentence_without_the_kind_that_is_wanted_is_unfit() -> None:
    place = passage(1, "The tower was built in 1905. The tower was built slowly.")
    found = signs("When was the tower built?", place)
    assert (found.of(0)["fits"], found.of(0)["unfit"]) == (1.0, 0.0)
    assert (found.of(1)["fits"], found.of(1)["unfit"]) == (0.0, 1.0)


def test_the_score_of_the_search_counts_in_parts_of_what_is_possible() -> None:
    place = passage(1, "Seals sleep.", score=1.0, possible=4.0)
    assert signs("Where do seals sleep?", place).of(0)["fit"] == 0.25
    assert signs("Where do seals sleep?", passage(1, "Seals sleep.")).of(0)["fit"] == FIT


def test_what_says_nothing_of_the_question_is_silent() -> None:
    found = signs("Where do whales sing?", OWLS)
    assert found.is_silent(0)
