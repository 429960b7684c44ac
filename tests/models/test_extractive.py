"""The model without weights answers from the documents, cites them, and says so if they do not answer."""

# ruff: noqa: RUF001 - characters of other scripts are meant
from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from agentd.clock import SystemClock
from agentd.errors import ModelError
from agentd.models.extractive import (
    ABOUT,
    MOST_PIECES,
    NO_ANSWER,
    NO_DOCUMENTS,
    NOT_GIVEN,
    NOT_GIVEN_ALONE,
    NOT_SEARCHED,
    NOT_YOURS,
    TAKES_A_MODEL,
    ExtractiveModel,
    answer,
    question_of,
)
from agentd.ports.generation import Delta, Finish, ModelRequest, Notice, Renumbered, TextDelta, Usage
from agentd.ports.sessions import StoredMessage
from agentd.records import OWNER, Passage, Principal
from agentd.retrieval.ingest import DocumentIngest
from agentd.retrieval.search import KeywordSearch
from agentd.storage.store import Store, load_migrations
from agentd.turns import prompt
from tests.builders import TIME, passage

DURABILITY = """# What survives a crash

agentd keeps every piece of unfinished work in one directory. Each file in it is one turn.

## A message

A message that was accepted survives `kill -9`: it is on disk before its sender is told. If the daemon is killed while
the answer is being made, the turn runs again after the next start, and the sender gets exactly one answer.

A message that was not accepted was never promised; the client sends it again with the same id.

## An answer

An answer is written in full before the first part of it is sent. When the power fails between sending and confirming,
the answer is sent once more and marked as a possible repeat.

## Damaged files

A file that cannot be read is moved to `var/corrupt/` and never stops the daemon. Nothing is deleted.
"""
DELIVERY = """# Delivery

## Giving up

A message is given up on after seven days, or when the platform says that it will never take it. It then lies in the
dead letters with its reason until a person decides.

- `agentd dead list` shows the dead letters.
- `agentd dead retry ID` hands one back to delivery.

## Waiting

Between attempts the wait doubles, from one second up to five minutes. A platform that asks for a pause gets exactly
the pause that it asked for, and it costs no attempt.

| setting | default | meaning |
|---|---|---|
| `delivery.max_age` | 7 days | when a message is given up on |
| `delivery.attempts` | 10 | attempts before age counts |
"""
SETTINGS = """---
title: Settings
---

## Where they come from

The command line wins over the environment, the environment wins over the file. An unknown key is an error that names
the nearest right key.

## The state directory

Everything that agentd writes lies in the state directory. Choose it with `--state-dir` or `AGENTD_STATE_DIR`.

To see all settings with their origin, run:

```sh
agentd config show --origin
```

## Models

Without a language model agentd answers with sentences from your documents. Set `model.path` to a GGUF file to change
that. Loading a large model takes up to a minute.
"""
GARDEN = """# The garden

Tomatoes want a warm place and a lot of water. Plant them outside in the middle of May, when the nights stay free of
frost. Basil grows well beside tomatoes.

The compost heap behind the shed must be turned every spring. Hedgehogs sleep in it during the winter, so leave it alone
from November to March [3].

The key to the shed hangs behind the kitchen door.
"""
PAGES = {"durability": DURABILITY, "delivery": DELIVERY, "settings": SETTINGS, "garden": GARDEN}

ANSWERED = {
    "What happens to a message when the daemon is killed?": "the turn runs again after the next start",
    "Does a message survive kill -9?": "survives `kill -9`",
    "What is done with a damaged file?": "moved to `var/corrupt/`",
    "What happens if the power fails?": "sent once more and marked as a possible repeat",
    "When is a message given up on?": "after seven days",
    "How do I list the dead letters?": "`agentd dead list`",
    "How long is the wait between attempts?": "from one second up to five minutes",
    "What is the default of delivery.max_age?": "7 days",
    "Which wins, the environment or the file?": "the environment wins over the file",
    "What happens with an unknown key?": "names the nearest right key",
    "How can I choose the state directory?": "`--state-dir`",
    "How do I see all settings and their origin?": "agentd config show --origin",
    "How do I use a GGUF file?": "Set `model.path`",
    "When should tomatoes be planted?": "in the middle of May",
    "Where is the key of the shed?": "behind the kitchen door",
    "Why should the compost be left alone in winter?": "Hedgehogs sleep in it",
}
UNANSWERED = [
    "What is the capital of France?",
    "Who wrote agentd?",
    "How much does a licence cost?",
    "Does agentd run on Windows?",
    "How do I grow potatoes in Scotland?",
    "What colour is the kitchen?",
    "How do I change the voice of the assistant?",
    "What's up?",
]
LANGUAGES = {
    "Was passiert mit einer Nachricht, wenn der Dienst abstürzt?": (
        "# Ausfälle\n\nDer Dienst startet schnell. Stürzt der Dienst ab, geht keine angenommene Nachricht verloren. "
        "Protokolle werden wöchentlich gewechselt.",
        "keine angenommene Nachricht verloren",
    ),
    "Wo liegt der Schlüssel für den Keller?": (
        "# Haus\n\nDas Haus hat einen Garten. Der Kellerschlüssel liegt unter der Treppe. Die Heizung ist im Keller.",
        "unter der Treppe",
    ),
    "Что происходит с сообщением после сбоя?": (
        "# Надёжность\n\nСлужба запускается быстро. После сбоя принятые сообщения не теряются. Журнал хранится неделю.",
        "принятые сообщения не теряются",
    ),
    "守护进程被杀死时消息会怎么样？": (
        "# 可靠性\n\n服务启动很快。守护进程被杀死后，已接受的消息不会丢失。日志每周轮换。",
        "已接受的消息不会丢失",
    ),
    "Où est la clé de la cave ?": (
        "# Maison\n\nLa maison a un jardin. La clé de la cave est sous l'escalier. Le chauffage est neuf.",
        "sous l'escalier",
    ),
}

OWN_PAGES = Path(__file__).parents[2] / "docs"
ABOUT_AGENTD = {
    "What is a turn?": "one message and all that it causes, up to its final answer. [1]",
    "What is a session?": "one conversation of one principal",
    "What does agentd do?": "answers your questions from your own documents",
    "What is agentd?": "agentd is a daemon that lets you talk to a local AI agent",
    "How do I install agentd?": "`make chat`",
    "Where are the conversations stored?": "stored in the file `agentd.db`",
    "Can I lose a message?": "You cannot lose a message that agentd has accepted",
    "How do I add my own documents?": "`agentd ingest PATH`",
    "Does agentd need the internet?": "needs no network",
    "What happens to a message when the daemon is killed?": "a message that it has accepted is not lost",
}
UNRELATED = ["2+2?", "What is 17 * 23?", "What is the capital of France?", "Sum this up", "TL;DR"]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store(tmp_path / "documents.db", load_migrations("agentd.retrieval")) as opened:
        yield opened


def write(folder: Path, pages: dict[str, str]) -> None:
    folder.mkdir()
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text)


async def ingest(store: Store, folder: Path, pages: dict[str, str]) -> DocumentIngest:
    write(folder, pages)
    documents = DocumentIngest(store, SystemClock())
    async for progress in documents.ingest([folder], OWNER):
        assert not progress.skipped
    return documents


def request(question: str, passages: Sequence[Passage], history: Sequence[StoredMessage] = ()) -> ModelRequest:
    messages = prompt.Draft(question=question, passages=passages, history=history).messages()
    return ModelRequest(messages=messages, session_id="s", turn_id="t")


class Count:
    def __init__(self, documents: int) -> None:
        self._documents = documents

    async def counts(self, principal: Principal) -> tuple[int, int]:
        return self._documents, self._documents


async def deltas(
    question: str, passages: Sequence[Passage] = (), documents: int = 1, stands_in: bool = False
) -> list[Delta]:
    model = ExtractiveModel(Count(documents), stands_in=stands_in)
    return [delta async for delta in model.stream(request(question, passages))]


async def said(question: str, passages: Sequence[Passage] = (), documents: int = 1, stands_in: bool = False) -> str:
    found = await deltas(question, passages, documents, stands_in)
    return "".join(delta.text for delta in found if isinstance(delta, TextDelta | Notice))


async def ask(store: Store, question: str) -> str:
    return await said(question, await KeywordSearch(store).search(question, OWNER))


async def test_others_than_the_owner_are_told_that_no_documents_are_read_for_them() -> None:
    ann = Principal(kind="user", id="1001")
    asked = replace(request("What is the password?", []), principal=ann)
    texts = [delta.text async for delta in ExtractiveModel(Count(0)).stream(asked) if isinstance(delta, Notice)]
    assert "--upload" in "".join(texts)


@pytest.mark.parametrize("asked", [{"plain": True}, {"handed_back": True}, {"schema": {"type": "object"}}])
async def test_what_takes_a_language_model_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="agentd model list"):
        async for _ in ExtractiveModel(Count(1)).stream(replace(request("Owls?", []), **asked)):
            pass


async def test_questions_are_answered_with_the_right_sentence(store: Store, tmp_path: Path) -> None:
    await ingest(store, tmp_path / "docs", PAGES)
    answers = {question: await ask(store, question) for question in ANSWERED}
    wrong = {question: text for question, text in answers.items() if ANSWERED[question] not in text}
    assert wrong == {}
    assert all("[1]" in text for text in answers.values())


async def test_what_the_documents_do_not_hold_is_not_answered(store: Store, tmp_path: Path) -> None:
    await ingest(store, tmp_path / "docs", PAGES)
    answers = {question: await ask(store, question) for question in UNANSWERED}
    assert {question: text for question, text in answers.items() if "do not say" not in text} == {}


async def test_agentds_own_pages_answer_what_a_new_user_asks(store: Store) -> None:
    documents = DocumentIngest(store, SystemClock())
    async for _ in documents.ingest(sorted(OWN_PAGES.glob("*.md")), OWNER):
        pass
    answers = {question: await ask(store, question) for question in ABOUT_AGENTD}
    wrong = {question: text for question, text in answers.items() if ABOUT_AGENTD[question] not in text.split("\n")[0]}
    assert wrong == {}
    assert not any(set("│─┌└▲◄") & set(text) for text in answers.values())
    told = [await ask(store, question) for question in UNRELATED]
    assert told == [TAKES_A_MODEL, TAKES_A_MODEL, NO_ANSWER, TAKES_A_MODEL, TAKES_A_MODEL]


@pytest.mark.parametrize("question", LANGUAGES)
async def test_questions_are_answered_in_many_languages(store: Store, tmp_path: Path, question: str) -> None:
    others = {f"other{n}": page for n, (page, _) in enumerate(LANGUAGES.values())}
    await ingest(store, tmp_path / "docs", {**PAGES, **others})
    text = await ask(store, question)
    assert LANGUAGES[question][1] in text
    assert "[1]" in text


async def test_without_documents_it_says_how_to_add_some(store: Store) -> None:
    model = ExtractiveModel(DocumentIngest(store, SystemClock()))
    found = [delta async for delta in model.stream(request("Why?", []))]
    text = "".join(delta.text for delta in found if isinstance(delta, Notice))
    assert text == NO_DOCUMENTS
    assert "do not say" in text and "`agentd ingest PATH`" in text


async def test_with_documents_that_do_not_fit_it_says_what_to_do() -> None:
    assert await said("Why?") == NO_ANSWER
    assert await said("Why is the moon red?", [passage(1, "Seals sleep.")], documents=0) == NO_ANSWER


@pytest.mark.parametrize("message", ["hello", "Thank you!", "who are you?"])
async def test_small_talk_is_answered_with_what_it_is_and_how_to_get_more(message: str) -> None:
    place = passage(1, "Hello is a word. You are here, thank you.")
    assert await said(message, [place]) == ABOUT
    assert "without a language model" in ABOUT and "`agentd model list`" in ABOUT and "`agentd ingest PATH`" in ABOUT


async def test_it_says_that_the_documents_hold_nothing_only_if_they_were_searched() -> None:
    for question, told in (
        ("Why is the moon red?", NOT_SEARCHED),
        (f"{GIVEN}\n\nWhy is the moon red?", NOT_GIVEN_ALONE),
        ("Summarize this.", TAKES_A_MODEL),
    ):
        asked = replace(request(question, []), searched=False)
        found = [delta async for delta in ExtractiveModel(Count(1)).stream(asked)]
        assert Notice(text=told) in found
        assert "documents do not say" not in told and "nor the documents" not in told
    assert "/docs all" in NOT_SEARCHED and "`--no-documents`" in NOT_SEARCHED and "`agentd model list`" in NOT_SEARCHED


def test_what_it_says_in_place_of_an_answer_has_no_brackets() -> None:
    told = (ABOUT, NO_ANSWER, NO_DOCUMENTS, NOT_GIVEN, NOT_GIVEN_ALONE, NOT_SEARCHED, NOT_YOURS, TAKES_A_MODEL)
    assert [text for text in told if "(" in text] == []


@pytest.mark.parametrize("question", ["hello", "Why is the moon red?"])
async def test_what_is_said_in_place_of_an_answer_is_marked_as_agentds_own(question: str) -> None:
    kinds = {type(delta) for delta in await deltas(question, [passage(1, "Seals sleep.")])}
    assert kinds == {Notice, Usage, Finish}
    assert Notice not in {type(delta) for delta in await deltas("What do seals do?", [passage(1, "Seals sleep.")])}


GIVEN = "Minutes of 3 May.\n\nThe budget is 4,000 euros. The deadline is 14 June [3] at noon."


async def test_a_text_that_comes_with_the_question_is_a_source_of_its_own() -> None:
    wanted = "The deadline is 14 June at noon. (the text given)"
    assert await said(f"{GIVEN}\n\nWhat is the deadline?", documents=0) == wanted
    assert await said(f"What is the deadline?\n\n{GIVEN}", documents=0) == wanted
    assert await said("The rent is 400.\n\nHow high is the rent?") == "The rent is 400. (the text given)"


async def test_documents_are_not_asked_where_the_text_given_answers() -> None:
    place = passage(1, "Stopping has two deadlines. The deadline is the last day of July.")
    wanted = "The deadline is 14 June at noon. (the text given)", ()
    assert answer(f"{GIVEN}\n\nWhat is the deadline?", [place]) == wanted


async def test_documents_answer_what_the_text_given_does_not() -> None:
    text, cited = answer(f"{GIVEN}\n\nWhere do seals sleep?", [passage(2, "Seals sleep on the ice.")])
    assert (text, cited) == ("Seals sleep on the ice. [1]", (2,))


@pytest.mark.parametrize("wish", ["Summarise this", "Sum this up", "sum it up for me", "TL;DR", "give me the gist"])
async def test_only_a_language_model_can_sum_a_text_up(wish: str) -> None:
    place = passage(1, "The sums of a batch are rounded up. In summary, give it what it needs.")
    assert await said(f"{GIVEN}\n\n{wish}", [place]) == NOT_GIVEN
    assert await said(wish, [place]) == TAKES_A_MODEL


async def test_sums_are_not_looked_for_in_documents() -> None:
    place = passage(1, "An action prints its help where none is given (exit code 2). A 2 is a number.")
    assert await said("2+2?", [place]) == TAKES_A_MODEL


async def test_the_answer_comes_word_by_word_and_ends_properly() -> None:
    found = await deltas("Where do seals sleep?", [passage(1, "Seals sleep on the ice.")])
    pieces = [delta.text for delta in found if isinstance(delta, TextDelta)]
    assert pieces == ["Seals", " sleep", " on", " the", " ice.", " [1]"]
    usage, finish = found[-2:]
    assert isinstance(usage, Usage) and usage.prompt_tokens > usage.completion_tokens > 0
    assert finish == Finish(reason="stop")


async def test_only_the_newest_question_is_answered() -> None:
    history = [StoredMessage(turn_id="0", role="user", text="Where do owls sleep?", time=TIME)]
    places = [passage(1, "Owls sleep in trees."), passage(2, "Seals sleep on the ice.")]
    model = ExtractiveModel(Count(1))
    found = [delta async for delta in model.stream(request("What do seals sleep on?", places, history))]
    text = "".join(delta.text for delta in found if isinstance(delta, TextDelta))
    assert text.startswith("Seals sleep on the ice. [1]")
    assert found[0] == Renumbered(passages=(2,))


def test_what_agentd_wrote_around_the_question_is_no_part_of_it() -> None:
    assert question_of(request("Why?", [passage()])) == "Why?"


def test_each_group_is_cited_once() -> None:
    one = passage(1, "Seals sleep on the ice in winter. Seals sleep in the sea in summer.")
    two = passage(2, "Seals sleep on the rocks in spring.")
    assert answer("Where do seals sleep?", [one, two]) == (
        "Seals sleep on the ice in winter. Seals sleep in the sea in summer. [1]\n\n"
        "Seals sleep on the rocks in spring. [2]",
        (1, 2),
    )


def test_citations_are_numbered_in_the_order_of_their_use() -> None:
    vague = passage(1, "Seals sleep on the rocks in spring.")
    better = passage(3, "Seals sleep on the ice in winter.")
    text, cited = answer("Where do seals sleep in winter?", [vague, passage(2, "Owls hunt."), better])
    assert text.startswith("Seals sleep on the ice in winter. [1]")
    assert cited[0] == 3 and "[3]" not in text


def test_markup_is_cleaned_and_a_list_item_becomes_a_sentence() -> None:
    text = "Intro.\n\n- The [grace](x.md) **period** of a stop lasts 10 s\n- Other items"
    told, _ = answer("How long is the grace period?", [passage(1, text)])
    assert told == "The grace period of a stop lasts 10 s. [1]"


def test_code_stays_whole_behind_its_citation() -> None:
    text = "To add documents, run this command:\n\n```sh\nagentd ingest PATH\nagentd status\n```"
    assert answer("Which command adds documents?", [passage(1, text)])[0] == (
        "To add documents, run this command: [1]\n\n```sh\nagentd ingest PATH\nagentd status\n```"
    )


def test_a_number_in_brackets_of_the_document_is_not_taken_for_a_citation() -> None:
    text = "Seals sleep on ice [7], as `a[7]` says."
    assert answer("Where do seals sleep?", [passage(1, text)])[0] == "Seals sleep on ice, as `a[7]` says. [1]"


async def test_tokens_are_counted_over_the_whole_request() -> None:
    model = ExtractiveModel(Count(1))
    short = await model.count_tokens(request("Why?", []))
    assert await model.count_tokens(request("Why?", [passage(1, "word " * 300)])) > short + 300


async def test_a_huge_question_is_answered() -> None:
    question = "lorem ipsum " * 90_000 + "\0\ud800"
    assert await said(question, [passage(1, "Seals sleep.")]) == NO_ANSWER


async def test_where_it_stands_in_for_a_chosen_model_it_does_not_say_that_there_is_none() -> None:
    for question, documents, beginning in (
        ("Why?", 1, "The documents do not say. Ask in other words"),
        ("Why?", 0, "The documents do not say: there are none yet."),
        (f"{GIVEN}\n\nWhy is the moon red?", 1, "Neither the text given nor the documents say."),
        ("Hello!", 1, "The language model cannot answer now"),
        ("Summarize this.", 1, "The language model cannot answer now"),
    ):
        told = await said(question, documents=documents, stands_in=True)
        assert told.startswith(beginning)
        assert "ithout a language model" not in told and "agentd model list" not in told
        assert "ithout a language model" in await said(question, documents=documents)


async def test_a_text_that_was_pasted_is_answered_from() -> None:
    pasted = "Nothing of this is asked for. " * 50 + "The zebra is called Otto."
    assert "Otto" in await said(f"{pasted}\n\nWhat is the zebra called?")
    assert "Otto" in await said(f"What is the zebra called?\n\n{pasted}")


async def test_a_very_long_answer_comes_in_a_bounded_number_of_pieces() -> None:
    long = "a b " * 1_200
    pieces = [
        delta.text
        for delta in await deltas(f"{long}zebra is here.\n\nWhat is a zebra?")
        if isinstance(delta, TextDelta)
    ]
    assert len(pieces) <= MOST_PIECES + 1
    assert "".join(pieces).startswith("a b ") and len("".join(pieces)) > len(long) // 2


async def test_a_follow_up_is_answered_with_what_it_goes_back_to() -> None:
    place = passage(1, "The ferry to Oland leaves at noon. It costs 12 crowns.")
    history = [line("user", "When does the ferry to Oland leave?"), line("assistant", "At noon.")]
    model = ExtractiveModel(Count(1))
    asked = request("And how much is it?", [place], history)
    told = [delta.text async for delta in model.stream(asked) if isinstance(delta, TextDelta)]
    assert "It costs 12 crowns. [1]" in "".join(told)


async def test_small_talk_repeats_no_answer_and_is_passed_over_by_a_follow_up() -> None:
    place = passage(1, "The ferry to Oland leaves at noon. It costs 12 crowns.")
    history = [line("user", "When does the ferry to Oland leave?"), line("assistant", "At noon.")]
    model = ExtractiveModel(Count(1))
    for talk in ("Thanks!", "ok", "hello"):
        found = [delta async for delta in model.stream(request(talk, [place], history))]
        assert Notice(text=ABOUT) in found
    history += [line("user", "Thanks!"), line("user", "ok")]
    found = [delta async for delta in model.stream(request("And how much is it?", [place], history))]
    assert "12 crowns" in "".join(delta.text for delta in found if isinstance(delta, TextDelta))


def line(role: Literal["user", "assistant"], text: str) -> StoredMessage:
    return StoredMessage(role=role, text=text, turn_id="t0", time=TIME)


def test_code_without_a_sentence_stands_in_the_line_of_its_citation() -> None:
    text = "```sh\nmake polish   # polishes the lamps of the harbour\n```"
    assert answer("Which command polishes the lamps of the harbour?", [passage(1, text)])[0] == (
        "`make polish # polishes the lamps of the harbour` [1]"
    )
