"""A statement is matched to the passage that says it, and an answer to the sentence that supports it."""

# ruff: noqa: RUF001 - characters of other scripts are meant
from __future__ import annotations

import pytest

from agentd.evidence.attribution import likely, rests_on, support
from tests.builders import passage

QUESTION = "When did Tesla die?"
LIFE = passage(
    1,
    "Tesla was born in 1856 in Smiljan. He moved to *New York* in 1884 and worked for Edison for a year.",
    title="life",
    heading="",
)
DEATH = passage(
    2,
    "The hotel was large. On 7 January 1943 Tesla died alone in his room. A maid found his body later.",
    title="death",
    heading="",
)
PLACES = [LIFE, DEATH]


@pytest.mark.parametrize(
    ("sentence", "passages"),
    [
        ("1943.", (2,)),
        ("Tesla died on 7 January 1943.", (2,)),
        ("He passed away in January 1943, in a hotel.", (2,)),
        ("Smiljan", (1,)),
        ("As far as the passages say, he came to New York in 1884.", (1,)),
        ("Bananas grow well in warm countries.", ()),
        ("The treaty of Westphalia was signed in 1648 by Sweden.", ()),
        ("I think so.", ()),
        ("The documents do not say when Tesla died.", ()),
        ("", ()),
        ("[1]", ()),
    ],
)
def test_a_sentence_rests_on_the_passage_that_says_it(sentence: str, passages: tuple[int, ...]) -> None:
    assert rests_on(sentence, PLACES, QUESTION) == passages


def test_a_short_answer_is_matched_with_the_help_of_the_question() -> None:
    one = passage(1, "The bridge was opened in 1966 by the mayor.", heading="")
    two = passage(2, "The Forbes list was first made in 1966.", heading="")
    assert rests_on("1966.", [one, two], "When was the bridge opened?") == (1,)
    assert rests_on("1966.", [one, two], "When was the Forbes list first made?") == (2,)


def test_the_sentence_that_supports_an_answer_is_quoted_with_its_place() -> None:
    found = support("1943.", PLACES, QUESTION)
    assert found is not None
    assert found.passage == 2
    assert found.text == "On 7 January 1943 Tesla died alone in his room."
    assert DEATH.text[found.start : found.end] == found.text


def test_markup_is_left_out_of_a_quote_and_its_place_is_that_of_the_text() -> None:
    found = support("In 1884 he came to New York.", PLACES, "When did Tesla come to New York?")
    assert found is not None
    assert found.text == "He moved to New York in 1884 and worked for Edison for a year."
    assert LIFE.text[found.start : found.end] == "He moved to *New York* in 1884 and worked for Edison for a year."


def test_of_a_long_answer_what_answers_is_supported() -> None:
    reply = "Tesla was a well-known inventor. He died in January 1943 [2].\n\n```\nprint(1856)\n```"
    found = support(reply, PLACES, QUESTION)
    assert found is not None and "7 January 1943" in found.text


def test_two_neighbours_are_quoted_where_the_answer_is_in_both() -> None:
    place = passage(1, "The committee met in Vienna. Ludwig Boltzmann was its chairman. It rained.", heading="")
    found = support("Ludwig Boltzmann, at the meeting in Vienna.", [place], "Who was chairman of the committee?")
    assert found is not None
    assert found.text == "The committee met in Vienna. Ludwig Boltzmann was its chairman."
    assert place.text[found.start : found.end] == found.text


def test_a_reply_that_says_nothing_gets_what_answers_the_question() -> None:
    found = support("I think so.", PLACES, QUESTION)
    assert found is not None and "7 January 1943" in found.text


@pytest.mark.parametrize("reply", ["The passages do not say.", "Bananas.", ""])
def test_nothing_supports_what_the_passages_do_not_say(reply: str) -> None:
    assert support(reply, [passage(1, "Seals eat fish.")], "Where do bananas grow?") is None
    assert support(reply, [], "Where do bananas grow?") is None


def test_statements_of_other_languages_are_matched() -> None:
    place = passage(1, "Das Haus hat einen Garten. Der Schlüssel liegt unter der Treppe.", heading="")
    assert rests_on("Unter der Treppe.", [place], "Wo liegt der Schlüssel?") == (1,)
    chinese = passage(1, "服务启动很快。已接受的消息不会丢失。", heading="")
    assert rests_on("消息不会丢失。", [chinese], "消息会丢失吗？") == (1,)


PANTHERS = passage(
    1,
    "The Panthers defense led the league in interceptions. Kawann Short led the team in sacks with 11. "
    "Bananas grow well in warm countries.",
    heading="",
)


def test_what_is_likely_is_the_best_sentence_and_those_beside_it_that_are_nearly_as_good() -> None:
    number, sentences = likely([PANTHERS], "Who led the Panthers in sacks?")
    assert number == 1
    assert "Kawann Short led the team in sacks with 11." in sentences
    assert "Bananas grow well in warm countries." not in sentences


def test_nothing_is_likely_if_nothing_answers() -> None:
    assert likely([PANTHERS], "Where do penguins sleep?") == (0, [])
