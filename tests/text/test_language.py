"""Words, stems and sentences come out as a reader of the language expects, whatever the input."""

# ruff: noqa: RUF001 - characters of other scripts are meant
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.text import language
from agentd.text.language import content_words, language_of, sentences, spelled, stem, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What happens to a message when the daemon is killed?", "english"),
        ("Was passiert mit einer Nachricht, wenn der Dienst abstürzt?", "german"),
        ("Que se passe-t-il quand le service est arrêté ?", "french"),
        ("¿Dónde están los mensajes que no se han entregado?", "spanish"),
        ("Что происходит с сообщением после сбоя?", "russian"),
        ("守护进程被杀死时消息会怎么样？", "cjk"),
        ("デーモンが停止するとメッセージはどうなりますか", "cjk"),
        ("데몬이 종료되면 메시지는 어떻게 되나요?", "cjk"),
        ("FTS5", "english"),
        ("", "english"),
    ],
)
def test_the_language_is_told_by_script_and_stop_words(text: str, expected: str) -> None:
    assert language_of(text) == expected


def test_the_words_of_a_question_that_carry_no_topic_are_dropped() -> None:
    assert content_words("What happens to the message when a daemon is killed?") == [
        "happens",
        "message",
        "daemon",
        "killed",
    ]


def test_a_question_of_stop_words_alone_keeps_them() -> None:
    assert content_words("who is it?") == ["who", "is", "it"]


def test_a_stop_word_of_one_language_is_a_word_of_another() -> None:
    assert "die" in content_words("Why do stars die?")
    assert "die" not in content_words("Warum ist die Sonne so heiß?")


def test_chinese_words_are_pairs_of_characters_without_what_asks() -> None:
    assert content_words("消息在哪里保存？") == ["消息", "保存"]


def test_text_with_blanks_is_indexed_as_it_is() -> None:
    assert language.searchable("plain ascii") == "plain ascii"
    assert language.searchable("Überblick") == "Überblick"


def test_compatibility_forms_are_one_word() -> None:
    assert words("ＡＢＣ") == words("abc")
    assert words("e\u0301t\u00e9") == ["été"]


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("english", "delivered", "delivers"),
        ("german", "nachrichten", "nachricht"),
        ("russian", "сообщения", "сообщением"),
        ("french", "continuation", "continuer"),
    ],
)
def test_forms_of_a_word_share_a_stem(name: str, one: str, other: str) -> None:
    assert stem(one, name) == stem(other, name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Use a tool, e.g. grep. agentd then starts.", ["Use a tool, e.g. grep.", "agentd then starts."]),
        ("Das gilt z. B. für Dr. Weber. Ende.", ["Das gilt z. B. für Dr. Weber.", "Ende."]),
        ("Version 3.5 is out. It is fast.", ["Version 3.5 is out.", "It is fast."]),
        ("1. First do this. 2. Then that.", ["1. First do this.", "2. Then that."]),
        ("一句话。第二句！没有", ["一句话。", "第二句！", "没有"]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("A paragraph\n\nAnother", ["A paragraph", "Another"]),
        ("no end", ["no end"]),
        (" \n ", []),
    ],
)
def test_sentences_end_where_a_reader_would_stop(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text)] == expected


def test_words_are_given_as_they_are_spelled() -> None:
    assert list(spelled("Where did McCoy's NFL_team play?")) == ["Where", "did", "McCoy", "s", "NFL", "team", "play"]


def test_initials_do_not_end_a_sentence() -> None:
    text = "He sued the U.S. government, e.g. over patents of J. Smith. It lost."
    assert [text[start:end] for start, end in sentences(text)] == [text[:-9], text[-8:]]


@given(st.text())
def test_any_text_has_its_words_and_sentences(text: str) -> None:
    spans = sentences(text)
    assert all(text[start:end].strip() == text[start:end] != "" for start, end in spans)
    assert "".join("".join(text[a:b] for a, b in spans).split()) == "".join(text.split())
    assert all(word == word.lower() for word in content_words(text))
    assert all(isinstance(one, str) for one in language.stems(text, language_of(text)))


def test_a_long_question_is_looked_at_from_both_ends() -> None:
    long = "start " + "x " * 100_000 + "end"
    assert language.focus(long).startswith("start")
    assert language.focus(long).endswith("end")
    assert len(language.focus(long)) <= 2 * language.FOCUS_CHARACTERS + 1
    assert language.focus("short") == "short"


def test_sentences_are_joined_as_their_script_joins_them() -> None:
    assert language.joined(["One.", "Two."]) == "One. Two."
    assert language.joined(["一。", "二。"]) == "一。二。"


def test_the_final_mark_of_a_sentence_is_seen_behind_quotes() -> None:
    assert language.is_ended("It is “done.”")
    assert language.is_ended("好。")
    assert not language.is_ended("a list item")
    assert language.introduces("Run this:")
    assert language.is_question("Why?")


@pytest.mark.parametrize(
    "hidden", ["\u00ad", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\ufe0f", "\u034f", "\u180e"]
)
def test_what_cannot_be_seen_parts_no_word(hidden: str) -> None:
    assert words(f"the tur{hidden}bine") == ["the", "turbine"]


def test_a_russian_letter_with_two_dots_is_the_one_without() -> None:
    assert words("\u0401\u043b\u043a\u0430, \u0435\u0308\u043b\u043a\u0430") == words(
        "\u0435\u043b\u043a\u0430 \u0435\u043b\u043a\u0430"
    )
    assert words("\u0439\u043e\u0434") == ["\u0439\u043e\u0434"]


def test_a_letter_keeps_its_marks_and_a_heap_of_them_costs_little() -> None:
    assert words("e\u0301te\u0301") == ["\u00e9t\u00e9"]
    assert words("a" + "\u0301\u0323" * 100_000 + " b")[-1] == "b"


def test_what_is_too_long_for_a_word_has_no_stem() -> None:
    assert stem("running" * 100, "english") == "running" * 100


def test_no_sentence_ends_within_code() -> None:
    text = "Run `agentd retry ID... now` again. `a.` is one. It costs `5. It` ends."
    assert [text[start:end] for start, end in sentences(text)] == [
        "Run `agentd retry ID... now` again.",
        "`a.` is one.",
        "It costs `5. It` ends.",
    ]
    lonely = "A ` is a mark. So is this."
    assert len(sentences(lonely)) == 2
