"""Sentences are ranked by how likely they answer, and the best one tells whether any does."""

from __future__ import annotations

import time

import pytest

from agentd.evidence.ranking import Ranking, rank, weighed
from agentd.evidence.weights import Weights
from agentd.records import Passage
from tests.builders import passage


def texts(ranking: Ranking) -> list[str]:
    return [one.sentence.text for one in ranking.ranked]


def test_the_sentence_that_answers_comes_first() -> None:
    text = "Owls hunt at night. Seals sleep on the ice. Seals eat fish."
    found = rank("Where do seals sleep?", [passage(1, text)])
    assert texts(found)[0] == "Seals sleep on the ice."
    assert [s.text for s in found.sentences] == text.replace(". ", ".|").split("|")
    assert [one.odds for one in found.ranked] == sorted((one.odds for one in found.ranked), reverse=True)
    assert found.answerable > 0.5


def test_of_equals_the_earlier_comes_first() -> None:
    places = [passage(1, "Seals sleep. Seals sleep."), passage(2, "Seals sleep.")]
    assert [one.sentence.n for one in rank("Do seals sleep?", places).ranked] == [0, 1, 2]


def test_a_definition_comes_first_and_answers() -> None:
    text = "Each turn of the wheel takes a turn. A turn is one message and all that it causes."
    found = rank("What is a turn?", [passage(1, text)])
    assert found.ranked[0].defines and texts(found)[0].startswith("A turn is")
    assert found.answerable > 0.5


def test_a_question_and_code_are_no_answers() -> None:
    text = "Where do seals sleep?\n\n```\nseals sleep\n```\n\nSeals sleep on the ice."
    assert texts(rank("Where do seals sleep?", [passage(1, text)]))[0] == "Seals sleep on the ice."
    assert not rank("Where do seals sleep?", [passage(1, "```\nseals sleep\n```")]).ranked


def test_of_a_short_question_everything_must_be_there() -> None:
    assert rank("What colour is the kitchen?", [passage(1, "The key hangs in the kitchen.")]).answerable == 0.0
    assert rank("Who wrote agentd?", [passage(1, "Everything that agentd writes is safe.")]).answerable == 0.0


def test_nothing_is_ranked_where_nothing_fits() -> None:
    for question, places in (
        ("", [passage()]),
        ("Where?", []),
        ("Why do owls sing?", [passage(1, "", title="", heading="")]),
        ("Why do owls sing?", [passage(1, "Seals eat fish.", title="", heading="")]),
    ):
        found = rank(question, places)
        assert (found.ranked, found.answerable) == ((), 0.0)


HARD = {
    "one long word": ("a" * 100_000, "a" * 100_000),
    "one word again and again": ("zebra " * 20_000, "zebra " * 20_000),
    "pairs far apart": ("zebra lion", "zebra " * 20_000 + "lion " * 20_000),
    "stops": (". " * 20_000, ". " * 20_000 + "why?"),
    "many words alike": (" ".join(f"ab{n}" for n in range(9_000)), " ".join(f"ab{n}c" for n in range(9_000))),
    "ticks": ("zebra ` lion", "zebra ` " * 9_000),
    "no text": ("\0\ud800", "\0\x1b[31m"),
}


@pytest.mark.parametrize("case", HARD)
def test_no_text_takes_long(case: str) -> None:
    question, text = HARD[case]
    place: list[Passage] = [passage(1, text)]
    began = time.process_time()
    rank(question, place)
    assert time.process_time() - began < 3.0


def test_odds_are_the_bias_and_each_sign_by_its_weight() -> None:
    assert weighed(Weights(bias=1.0, of={"own": 2.0}), {"own": 0.5, "near": 7.0}) == 2.0


def test_who_asks_how_something_is_done_wants_something_to_type() -> None:
    said = ("The lamp stops for whoever types dusk.", "The lamp stops for whoever types `dusk`.")
    for question, first in (("How do I stop the lamp?", said[1]), ("Who stops the lamp?", said[0])):
        assert rank(question, [passage(1, "\n\n".join(said))]).ranked[0].sentence.text == first
