"""The benchmark of answers: how replies are judged, which questions are asked, going on, and a tiny run of all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agentd.testing.gguf import chain, write_table_model
from bench import answers, answers_data, answers_run
from bench.answers_data import SUMS, Collection, DataError, choose, follow_ups, read
from bench.answers_journal import Journal, OtherRun, Reply
from bench.answers_judge import holds_number, is_right, normal, quantile, refuses, share
from bench.answers_peer import PeerFailed, peer, prompt
from bench.answers_rows import MOST, Known, paired, panels, rows
from bench.answers_run import EXTRACTIVE, FULL

SETTINGS = {"data": "d", "tokens": 96}


# --- Judging ---------------------------------------------------------------------------------------------------------


def test_case_punctuation_articles_and_citation_marks_do_not_count() -> None:
    assert normal("The  308-point  game, [3] in “Zürich”!") == "308point game in zürich"


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("They gave up 308 points [1].", ["308"], True),
        ("Answer: the Denver Broncos.", ["Carolina Panthers", "Denver Broncos"], True),
        ("It was 1308.", ["308"], False),
        ("It is in [3].", ["3"], False),
        ("", ["308"], False),
        ("Nobody knows.", ["..."], False),
    ],
)
def test_a_reply_is_right_if_it_holds_a_gold_answer_as_whole_words(reply: str, gold: list[str], right: bool) -> None:
    assert is_right(reply, gold) is right


@pytest.mark.parametrize(
    ("reply", "value", "held"),
    [
        ("17.5 * 23 - 4 = 398.5", "398.5", True),
        ("That is 1,048,576.", "1048576", True),
        ("It comes to \u221224.0 [1]", "-24", True),
        ("about 398", "398.5", False),
        ("[36]", "36", False),
    ],
)
def test_a_number_is_held_however_it_is_written(reply: str, value: str, held: bool) -> None:
    assert holds_number(reply, value) is held


REFUSALS = (
    "The documents do not say. Ask in other words, or add documents that do.",
    "Neither the text given nor the documents say.",
    "The context provided does not mention who founded the company.",
    "The passages don't contain information about that.",
    "The given text does not explicitly state the year.",
    "I cannot answer this question from the context.",
    "There is no information in the context about this.",
    "The answer is not provided in the given context.",
    "It is not specified.",
    "I don't know.",
    "The context does not hold the answer.",
    "Die Dokumente sagen dazu nichts Genaues und nennen das Jahr nicht.",
)
ANSWERS = (
    "The Panthers defense gave up 308 points [1].",
    "No.",
    "He was not found guilty of treason.",
    "A message that was accepted is not lost.",
    "The treaty did not say that Warsaw had to be rebuilt.",
    "The text was written by Tesla in 1899.",
    "",
)


@pytest.mark.parametrize("reply", REFUSALS)
def test_a_refusal_is_known_by_what_it_says_of_the_documents(reply: str) -> None:
    assert refuses(reply)


@pytest.mark.parametrize("reply", ANSWERS)
def test_an_answer_is_no_refusal_because_it_holds_a_not(reply: str) -> None:
    assert not refuses(reply)


def test_shares_have_the_interval_of_wilson() -> None:
    found = share([True] * 8 + [False] * 2)
    assert (found.value, round(found.low, 3), round(found.high, 3), found.n) == (0.8, 0.49, 0.943, 10)
    assert (share([True] * 5).high, share([False] * 5).low, share([]).n) == (1.0, 0.0, 0)


def test_quantiles_have_the_interval_of_order_statistics() -> None:
    found = quantile([float(n) for n in range(100, 0, -1)], 0.5)
    assert (found.value, found.low, found.high, found.n) == (50.5, 41.0, 61.0, 100)
    assert quantile([3.0], 0.9).value == 3.0 and quantile([], 0.5).n == 0


# --- Questions -------------------------------------------------------------------------------------------------------


def squad(path: Path, articles: int = 6, paragraphs: int = 4) -> Path:
    """Articles whose paragraphs each name a number that nothing else names."""
    data = [
        {
            "title": f"Town {a}",
            "paragraphs": [
                {
                    "context": f"The {_WORDS[a]}{_WORDS[p]} tower was built in {1000 + 10 * a + p}. It stands still.",
                    "qas": [
                        {
                            "id": f"q{a}-{p}",
                            "question": f"When was the {_WORDS[a]}{_WORDS[p]} tower built?",
                            "answers": [{"text": f"{1000 + 10 * a + p}", "answer_start": 0}],
                        }
                    ],
                }
                for p in range(paragraphs)
            ],
        }
        for a in range(articles)
    ]
    path.write_text(json.dumps({"version": "1.1", "data": data}))
    return path


_WORDS = ("crimson", "marble", "wooden", "silver", "hollow", "granite")


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return read(squad(tmp_path / "towers.json"))


def test_a_folder_is_read_as_its_files_are(tmp_path: Path) -> None:
    squad(tmp_path / "a.json", articles=2)
    squad(tmp_path / "b.json", articles=3)
    found = read(tmp_path)
    assert [document.article for document in found.documents[::4]] == [0, 1, 2, 3, 4]
    assert len({document.name for document in found.documents}) == len(found.questions) == 20


@pytest.mark.parametrize("text", ["", "{}", '{"data": []}', '{"data": [{"paragraphs": [{"qas": [{}]}]}]}'])
def test_a_file_of_another_form_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(DataError, match=r"odd\.json"):
        read(tmp_path / "odd.json")


def test_what_is_not_read_decides_which_questions_have_no_answer(collection: Collection) -> None:
    asked = choose(collection, None)
    read_in = {name: {document.name for document in collection.library(name)} for name in ("all", "half", "articles")}
    for each in asked:
        assert (each.question.document in read_in[each.library]) is (each.kind == "known")
    articles = {document.name: document.article for document in collection.documents}
    for each in asked:
        same = articles[each.question.document] in {articles[name] for name in read_in[each.library]}
        assert same is (each.kind != "far"), "of a far question nothing of its article is read"
    assert [sum(each.kind == kind for each in asked) for kind in ("known", "near", "far")] == [24, 12, 12]


def test_a_sixth_of_the_chosen_questions_has_no_answer_and_the_choice_never_changes(collection: Collection) -> None:
    asked = choose(collection, 12)
    assert [each.kind for each in asked] == ["known"] * 10 + ["near", "far"]
    assert asked == choose(collection, 12)
    assert choose(collection, 6)[:5] == asked[:5], "a smaller choice is a part of a larger one"


def test_our_own_questions_have_their_answers_in_the_documentation() -> None:
    own = read()
    texts = {document.name: document.text for document in own.documents}
    known = [question for question in own.questions if question.gold]
    assert len(known) >= 40 and len(own.questions) - len(known) >= 10
    for question in known:
        assert is_right(texts[question.document], question.gold), f"{question.id}: {question.text}"
    kinds = [each.kind for each in choose(own, 12)]
    assert kinds == ["known"] * 10 + ["near"] * 2


def test_the_follow_ups_have_their_answers_in_the_documentation() -> None:
    found = follow_ups()
    assert len(found) >= 20 and len({each.id for each in found}) == len(found)
    for each in found:
        assert is_right((answers_data.REPOSITORY / each.document).read_text(), each.gold), each.id


def test_the_prompt_of_the_peer_is_instruction_context_question() -> None:
    text = prompt("Who?", ["One passage.\n", "Another."])
    assert text.startswith("Answer the question from the context. If the context does not hold the answer, say so.")
    assert text.endswith("Context:\nOne passage.\n\nAnother.\n\nQuestion: Who?")


# --- The journal -----------------------------------------------------------------------------------------------------


def reply(id: str = "q", **fields: object) -> Reply:
    known = {"part": "questions", "model": "m", "who": "agentd", "kind": "known", "question": "?", "text": "308"}
    return Reply(id=id, **{**known, **fields})  # type: ignore[arg-type]


def test_a_run_goes_on_behind_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    with Journal(path, SETTINGS) as journal:
        journal.add(reply("one", cited=("a.txt",), text="“ja”"))
    with path.open("a") as file:
        file.write('{"part": "questions", "mod')
    with Journal(path, SETTINGS) as journal:
        assert journal.get(reply("one").key) and not journal.get(reply("two").key)
        journal.add(reply("two"))
    with Journal(path, SETTINGS) as journal:
        kept = [(each.id, each.text, each.cited) for each in journal]
    assert kept == [("one", "“ja”", ("a.txt",)), ("two", "308", ())]


def test_replies_of_other_questions_or_settings_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    with Journal(path, SETTINGS):
        pass
    with pytest.raises(OtherRun, match=r"\(tokens\);.* --resume"):
        Journal(path, {**SETTINGS, "tokens": 48})


# --- Rows ------------------------------------------------------------------------------------------------------------

KNOWN = Known(gold={"a": ["1"], "b": ["2"], "n": ["3"]}, document={"a": "a.txt", "b": "b.txt", "n": "n.txt"})


def test_ours_and_the_peer_are_compared_on_the_questions_that_both_were_asked() -> None:
    found = [
        reply("a", text="1 [1]", cited=("a.txt",), prompt_tokens=100, first_text=1.0, seconds=2.0),
        reply("b", text="The documents do not say.", prompt_tokens=300, first_text=3.0, seconds=4.0),
        reply("n", kind="near", text="The documents do not say.", prompt_tokens=200, first_text=2.0, seconds=3.0),
        reply("a", who="peer", text="It is 1.", prompt_tokens=400, first_text=4.0, seconds=8.0),
        reply("n", kind="near", who="peer", text="It is 3.", prompt_tokens=400, first_text=4.0, seconds=8.0),
    ]
    by_name = {row.name: row for row in rows(found, KNOWN)}
    right = by_name["m.right"]
    assert (right.n, right.value, right.peer_value, right.ratio) == (1, 1.0, 1.0, 1.0)
    assert (by_name["m.right_passage"].n, by_name["m.right_passage"].value) == (1, 1.0)
    assert by_name["m.false_refusals"].value == 0.0
    assert (by_name["m.right_refusals"].value, by_name["m.right_refusals"].ratio) == (1.0, MOST)
    assert (by_name["m.prompt_tokens"].value, by_name["m.first_text_p50"].ratio) == (150.0, 4.0 / 1.5)
    assert "m.right_refusals_far" not in by_name and "m.sums" not in by_name
    assert paired(found, KNOWN) == ["m: both right 1, agentd alone 0, plain prompt alone 0, neither 0"]
    assert "right answers" in {panel.title for panel in panels(list(by_name.values()))}


def test_the_seconds_are_those_of_pairs_that_were_both_asked_on_a_quiet_machine() -> None:
    found = [
        reply("a", text="1", first_text=1.0, seconds=2.0),
        reply("b", text="2", first_text=9.0, seconds=9.0),
        reply("a", who="peer", text="1", first_text=2.0, seconds=6.0),
        reply("b", who="peer", text="2"),
    ]
    by_name = {row.name: row for row in rows(found, KNOWN)}
    assert (by_name["m.right"].n, by_name["m.answer_p50"].n) == (2, 1)
    assert (by_name["m.first_text_p50"].ratio, by_name["m.answer_p50"].ratio) == (2.0, 3.0)


def test_a_language_model_is_compared_with_the_extractive_one_on_the_same_questions() -> None:
    found = [
        reply("a", text="1"),
        reply("a", model="extractive", text="1", by="extractive"),
        reply("b", model="extractive", text="nothing", by="extractive"),
    ]
    (row,) = [row for row in rows(found, KNOWN) if row.name == "m.right_vs_extractive"]
    assert (row.peer, row.n, row.value, row.peer_value) == ("extractive", 1, 1.0, 1.0)


def test_the_other_parts_have_rows_of_their_own() -> None:
    text, value = SUMS[0]
    found = [
        reply(text, part="sums", kind="sum", text=f"= {value}"),
        reply("hello", part="hello", kind="hello", text="Hi", prompt_tokens=500),
        reply("a", part="follow_ups", kind="second", text="1", found=("a.txt", "x.txt")),
        reply("b", part="follow_ups", kind="second", text="1", found=("x.txt",)),
        reply("a", part="first_text_4", first_text=3.0, seconds=3.1),
        reply("a", part="first_text_4", who="peer", first_text=12.0, seconds=12.0),
    ]
    by_name = {row.name: row for row in rows(found, KNOWN)}
    assert (by_name["m.sums"].value, by_name["m.hello"].value) == (1.0, 500)
    assert (by_name["m.follow_ups"].value, by_name["m.follow_ups_right"].value) == (0.5, 0.5)
    assert (by_name["m.first_text_4"].value, by_name["m.first_text_4"].ratio) == (3.0, 4.0)


# --- The whole -------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
async def test_the_extractive_model_is_asked_through_a_daemon_and_nothing_is_asked_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, kept = squad(tmp_path / "towers.json"), tmp_path / "replies.jsonl"
    collection = read(data)
    plan = replace(answers_run.QUICK, questions={"extractive": 6}, sums=0, follow_ups=1)
    told: list[str] = []

    (tmp_path / "place").mkdir()
    setting = answers_run.Setting(
        collection=collection,
        follow_ups=follow_ups(),
        models={"extractive": None},
        parts=answers.PARTS,
        place=tmp_path / "place",
        threads=1,
    )
    with Journal(kept, answers.settings(plan, collection, 1)) as journal:
        await answers_run.Run(plan, setting, journal, answers_run.Progress(told.append)).everything()
        measured = {row.name: row for row in answers.tell(journal, Known.of(collection, follow_ups()), None)}
    lines = kept.read_text().splitlines()
    assert len(lines) == 1 + 6 + 1
    assert measured["extractive.right"].n == 5 and measured["extractive.right"].value >= 0.8
    assert measured["extractive.right_passage"].value == 1.0
    assert measured["extractive.first_text_p50"].value > 0
    assert "extractive.right" in capsys.readouterr().out
    assert any("extractive, questions: 6 done" in line for line in told)
    for again in (setting, replace(setting, timed=False)):
        with Journal(kept, answers.settings(plan, collection, 1)) as journal:
            await answers_run.Run(plan, again, journal, answers_run.Progress(told.append)).everything()
        assert kept.read_text().splitlines() == lines


@pytest.mark.timeout(300)
async def test_replies_of_a_busy_machine_have_no_seconds_until_a_quiet_one_is_asked(tmp_path: Path) -> None:
    collection = read(squad(tmp_path / "towers.json"))
    plan = replace(answers_run.QUICK, questions={"extractive": 2})
    setting = answers_run.Setting(
        collection=collection,
        follow_ups=(),
        models={"extractive": None},
        parts=("questions",),
        place=tmp_path,
        threads=1,
        timed=False,
    )
    silent = answers_run.Progress(lambda line: None)
    with Journal(None, {}) as journal:
        await answers_run.Run(plan, replace(setting, sides=("peer",)), journal, silent).everything()
        assert not list(journal)
        for timed in (False, True):
            await answers_run.Run(plan, replace(setting, timed=timed), journal, silent).everything()
            assert [reply.timed for reply in journal] == [timed] * 2


@pytest.mark.parametrize("way", ["plain", "flash+repack"])
async def test_the_peer_answers_from_a_process_of_its_own(tmp_path: Path, way: str) -> None:
    write_table_model(tmp_path / "known.gguf", chain("\n", " The", " answer", " is", " known", ".", "</s>"))
    async with peer(tmp_path / "known.gguf", threads=1, way=way) as other:
        whole, short = await other.ask("Well?", tokens=20), await other.ask("Well, well?", tokens=1)
    assert (whole.text.strip(), short.text.strip()) == ("The answer is known.", "The")
    assert short.prompt_tokens > whole.prompt_tokens > len("Well?")
    assert 0 < whole.first_text <= whole.seconds


async def test_a_peer_that_ends_is_told(tmp_path: Path) -> None:
    with pytest.raises(PeerFailed, match="exit code 1"):
        async with peer(tmp_path / "none.gguf", threads=1, way="plain"):
            pass


def test_wrong_options_and_files_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        answers.main(["--model", "gpt"])
    assert " gpt; there are extractive, smollm2-135m" in capsys.readouterr().err
    assert answers.main(["--data", str(tmp_path / "none.json"), "--model", "extractive"]) == 1
    assert "SQuAD form" in capsys.readouterr().err


def test_fewer_questions_are_among_those_of_the_full_form() -> None:
    few = FULL.with_questions(12)
    assert few.questions[EXTRACTIVE] is None and few.questions["qwen-coder-1.5b"] == 12 and few.first_texts == 12
    assert FULL.with_questions(None) == FULL and FULL.with_questions(1000) == FULL
