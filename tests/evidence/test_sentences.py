"""The sentences that are picked answer the question, in reading order, and none are picked where none does."""

# ruff: noqa: RUF001 - characters of other scripts are meant
from __future__ import annotations

from agentd.evidence.candidates import Sentence
from agentd.evidence.sentences import SENTENCES, best
from tests.builders import passage


def texts(groups: list[list[Sentence]]) -> list[list[str]]:
    return [[sentence.text for sentence in group] for group in groups]


def test_the_sentence_that_covers_the_question_is_picked() -> None:
    text = "The daemon starts fast. If the daemon is killed, no accepted message is lost. Logs are rotated weekly."
    assert texts(best("What happens to a message when the daemon is killed?", [passage(1, text)])) == [
        ["If the daemon is killed, no accepted message is lost."]
    ]


def test_a_heading_speaks_for_the_sentences_below_it() -> None:
    place = passage(1, "The default is ten seconds.", heading="Grace period", title="Settings")
    assert texts(best("How long is the grace period?", [place])) == [["The default is ten seconds."]]


def test_sentences_of_one_passage_are_in_reading_order() -> None:
    text = "Seals eat fish in winter. Owls eat mice. Young seals eat squid in winter and many other things."
    assert texts(best("What do seals eat in winter?", [passage(1, text)])) == [
        ["Seals eat fish in winter.", "Young seals eat squid in winter and many other things."]
    ]


def test_the_better_passage_comes_first() -> None:
    one = passage(1, "Seals are animals of the sea that people like to watch.")
    two = passage(2, "Seals sleep on the ice.")
    assert best("Where do seals sleep?", [one, two])[0][0].passage == 2


def test_the_same_is_said_once() -> None:
    one, two = passage(1, "Seals sleep on the ice."), passage(2, "Seals sleep on ice.")
    assert texts(best("Where do seals sleep?", [one, two])) == [["Seals sleep on the ice."]]


def test_a_sentence_that_points_back_brings_the_one_before() -> None:
    text = "The pending directory holds one file per turn. It is synchronised before the sender is told so."
    assert texts(best("When is it synchronised, before or after the sender is told?", [passage(1, text)])) == [
        text.replace(". It", ".|It").split("|")
    ]


def test_what_a_sentence_introduces_comes_with_it() -> None:
    code = "```sh\nagentd ingest ~/notes\n```"
    text = f"To add documents, run this command:\n\n{code}\n\nIt may take a while."
    assert texts(best("Which command adds documents?", [passage(1, text)])) == [
        ["To add documents, run this command:", "agentd ingest ~/notes"]
    ]
    text = "These channels exist:\n\n- terminal\n- telegram\n\nOther text."
    assert texts(best("Which channels exist?", [passage(1, text)])) == [
        ["These channels exist:", "terminal", "telegram"]
    ]


def test_no_more_than_a_few_sentences_are_picked() -> None:
    places = [passage(n, f"Seals sleep at place {n} {'abcdefghij'[n]}x {'klmnopqrst'[n]}y.") for n in range(1, 9)]
    assert sum(map(len, best("Where do seals sleep?", places))) <= SENTENCES


def test_a_question_in_a_document_is_no_answer() -> None:
    text = "Where do seals sleep in winter? Seals sleep on the ice in winter."
    assert texts(best("Where do seals sleep in winter?", [passage(1, text)]))[0][-1].endswith("on the ice in winter.")


def test_nothing_is_picked_where_the_rare_words_are_missing() -> None:
    text = "Seals sleep on the ice. Seals eat fish. Seals swim."
    assert best("What is the scientific classification of seals in Antarctica?", [passage(1, text)]) == []
    assert best("", [passage(1, text)]) == []
    assert best("seals", []) == []


def test_the_same_question_has_the_same_answer() -> None:
    places = [passage(n, f"Seals sleep on the ice number {n}. Seals eat fish at {n}.") for n in range(1, 6)]
    assert best("Where do seals sleep?", places) == best("Where do seals sleep?", places)


def test_a_german_compound_counts_in_part() -> None:
    place = passage(1, "Das Statusverzeichnis liegt unter var. Der Dienst startet schnell.", title="Betrieb")
    assert texts(best("Wo liegt das Verzeichnis?", [place])) == [["Das Statusverzeichnis liegt unter var."]]


def test_chinese_sentences_are_compared_by_pairs_of_characters() -> None:
    place = passage(1, "服务启动很快。守护进程被杀死后，已接受的消息不会丢失。日志每周轮换。", title="可靠性")
    assert texts(best("守护进程被杀死时，消息会丢失吗？", [place])) == [["守护进程被杀死后，已接受的消息不会丢失。"]]


DIAGRAM = """
 ┌────▼─────┐  turn    ┌─────────────┐
 │ channel  ├─────────►│ AgentWorker │
 └──────────┘          └─────────────┘
"""


def test_drawings_are_no_sentences() -> None:
    boxed = "│ A turn is one message and all that it causes │"
    for text in (DIAGRAM, boxed, "+-------+    +-------+\n| turn  | -> | agent |\n+-------+    +-------+"):
        assert best("What is a turn?", [passage(1, text)]) == []


def test_code_is_no_sentence_even_where_its_fence_is_in_another_passage() -> None:
    assert best("What is a turn?", [passage(1, "```\nturn the wheel\n```")]) == []
    assert best("What is a turn?", [passage(1, "turn the wheel\nturn it again\n```")]) == []
    closed = "A turn is a question and its answer.\n\n```\n```"
    assert texts(best("What is a turn?", [passage(1, closed)])) == [["A turn is a question and its answer."]]


WORDS = """
| word | meaning |
|---|---|
| turn | one message and all that it causes |
| dead letter | what was given up |
| `/turns` | lists the turns |
"""


def test_a_row_that_is_called_what_was_asked_for_defines_it() -> None:
    place = passage(2, WORDS, heading="Words")
    other = passage(1, "Each turn runs alone. `agent.concurrency` says how many turns run.", heading="Running turns")
    assert texts(best("What is a turn?", [other, place]))[0] == ["turn: one message and all that it causes"]
    assert texts(best("what's a dead letter", [other, place])) == [["dead letter: what was given up"]]


def test_a_sentence_about_what_was_asked_for_comes_before_one_that_mentions_it() -> None:
    text = "Stopping has two deadlines. A message without a deadline waits. The deadline is the last day of July."
    assert texts(best("What is the deadline?", [passage(1, text)])) == [["The deadline is the last day of July."]]


def test_a_row_is_not_said_beside_a_sentence_that_answers() -> None:
    table = passage(1, "| package | why |\n|---|---|\n| numpy | what is stored of conversations, in batches |")
    sentence = passage(2, "All conversations are stored in one file.")
    question = "Where are the conversations stored?"
    assert texts(best(question, [table, sentence])) == [["All conversations are stored in one file."]]
    assert texts(best(question, [table])) == [["numpy: what is stored of conversations, in batches"]]


def test_everyday_synonyms_answer() -> None:
    place = passage(1, "Our dentist is Dr. Okafor, telephone 210 44 17. The rent is due on the first.")
    said = [["Our dentist is Dr. Okafor, telephone 210 44 17."]]
    assert texts(best("What is the phone number of the dentist?", [place])) == said


def test_what_is_said_elsewhere_must_be_nearly_as_good_as_the_best() -> None:
    one = "Grey seals sleep on the ice in winter. Grey seals sleep on ice for hours."
    other = "Whales sleep in winter, far away from the ice."
    found = texts(best("Where do grey seals sleep in winter?", [passage(1, one), passage(2, other)]))
    assert found[0][0] == "Grey seals sleep on the ice in winter." and [other] not in found


def test_a_line_of_code_comes_with_the_sentence_that_introduces_it() -> None:
    code = "make chat   # opens a talk\nmake polish   # polishes the lamps of the harbour"
    text = f"These commands are for the harbour:\n\n```sh\n{code}\n```"
    (found,) = best("Which command polishes the lamps?", [passage(1, text)])
    said = [sentence.text for sentence in found]
    assert said[0] == "These commands are for the harbour:"
    assert "make polish   # polishes the lamps of the harbour" in said


def test_a_question_that_goes_back_to_another_is_answered_about_its_topic() -> None:
    text = "The ferry to Oland leaves at noon. It costs 12 crowns. The museum costs 40 crowns."
    (found,) = best("And how much is it?", [passage(1, text)], about="When does the ferry to Oland leave?")
    assert "It costs 12 crowns." in [sentence.text for sentence in found]
    assert best("And how much is it?", [passage(1, "Cats purr.")], about="When does the ferry leave?") == []
