"""What a prompt gets of the documents: what fits the question, and as much as is read in time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agentd.ports.models import Pace
from agentd.records import Passage, Principal
from agentd.testing.model import ScriptedModel
from agentd.turns.preparation import FLOOR, Prepared, fused, room_for
from tests.builders import inbound, outbound, passage
from tests.fakes import ListedDocuments, MemoryTurns, prepared_from

RENT = passage(1, "The rent of the flat is due on the third of each month.", chunk_id=1, document_id=1)
OTTER = passage(2, "Otters sleep in the water and hold each other's paws.", chunk_id=2, document_id=2)
WRITER = ScriptedModel(writes=True)


async def prepared(
    question: str,
    *passages: Passage,
    model: ScriptedModel = WRITER,
    turns: MemoryTurns | None = None,
    documents: int | None = None,
) -> Prepared:
    preparation = prepared_from(ListedDocuments(*passages), turns or MemoryTurns())
    return await preparation.prepare(inbound(question, documents=documents), model)


async def test_a_question_that_the_documents_answer_gets_its_passages() -> None:
    assert (await prepared("When is the rent of the flat due?", RENT, OTTER)).passages == (RENT, OTTER)


@pytest.mark.parametrize("message", ["hello", "Thanks!", "What is 17.5 * 23 - 4?", "Rent: 500\n\nWhat is the rent?"])
async def test_small_talk_sums_and_pasted_texts_get_none(message: str) -> None:
    assert await prepared(message, RENT) == Prepared(question=message.split("\n\n")[-1], searched=False)


async def test_a_question_that_the_documents_do_not_answer_is_refused_without_asking_the_model() -> None:
    found = await prepared("Which king founded the university of Heidelberg?", RENT, OTTER)
    assert found.refused and found.passages == ()


async def test_work_is_never_refused() -> None:
    assert not (await prepared("Write a poem about the sea.", RENT)).refused


async def test_without_documents_the_model_answers_from_what_it_knows() -> None:
    assert not (await prepared("Which king founded the university of Heidelberg?")).refused


async def test_what_was_told_in_the_conversation_is_not_refused() -> None:
    turns = MemoryTurns()
    event = inbound("My neighbour Anna founded the university of Heidelberg.")
    await turns.finish([event], outbound(event, "How nice."))
    assert not (await prepared("Who founded the university of Heidelberg?", OTTER, turns=turns)).refused


async def test_a_model_that_was_seen_to_cite_decides_for_itself() -> None:
    model = ScriptedModel(writes=True, cites=True)
    found = await prepared("Which king founded the university of Heidelberg?", RENT, model=model)
    assert found.passages == (RENT,) and not found.refused


async def test_a_model_that_only_quotes_gets_everything_that_was_found() -> None:
    found = await prepared("Which king founded the university?", RENT, OTTER, model=ScriptedModel())
    assert found.passages == (RENT, OTTER) and not found.refused


@pytest.mark.parametrize(("documents", "count"), [(0, 0), (1, 1), (9, 2), (None, 2)])
async def test_who_asks_says_how_many_passages_there_may_be(documents: int | None, count: int) -> None:
    found = await prepared("When is the rent of the flat due?", RENT, OTTER, documents=documents)
    assert len(found.passages) == count and not found.refused
    for model in (WRITER, ScriptedModel()):
        assert (await prepared("Which king?", model=model, documents=documents)).searched is bool(count)


async def test_a_follow_up_is_searched_with_what_it_refers_to() -> None:
    turns = MemoryTurns()
    event = inbound("How do otters sleep?")
    await turns.finish([event], outbound(event, "In the water."))
    asked: list[str] = []

    class Documents(ListedDocuments):
        async def search(self, question: str, principal: Principal, *, limit: int = 8) -> Sequence[Passage]:
            asked.append(question)
            return [OTTER] if "otters" in question else [RENT]

    preparation = prepared_from(Documents(RENT, OTTER), turns)
    found = await preparation.prepare(inbound("and why?"), WRITER)
    assert [one.chunk_id for one in found.passages] == [2, 1]
    assert asked == ["and why?", "How do otters sleep?\nand why?", "How do otters sleep?\nand why?\nIn the water."]
    assert found.question == "How do otters sleep?\nand why?"


async def test_a_follow_up_refers_to_the_last_question_that_has_a_topic() -> None:
    turns, documents = MemoryTurns(), ListedDocuments(OTTER)
    for said in ("When is the rent due?", "How do otters sleep?", "Why?", "thanks"):
        event = inbound(said)
        await turns.finish([event], outbound(event, "So."))
    preparation = prepared_from(documents, turns)
    for model in (WRITER, ScriptedModel()):
        found = await preparation.prepare(inbound("and how long?"), model)
        assert found.question == "How do otters sleep?\nand how long?"
    assert (await preparation.prepare(inbound("hello"), ScriptedModel())).question == "hello"


async def test_on_a_slow_machine_only_the_best_sentences_go_in() -> None:
    long = passage(1, "It rained all day long in the village. " * 60 + RENT.text, chunk_id=1)
    slow, fast = (ScriptedModel(writes=True, pace=Pace(read=read, write=5)) for read in (10, 5000))
    found = await prepared("When is the rent of the flat due?", long, model=slow)
    assert sum(len(one.text) for one in found.passages) <= FLOOR * 4
    assert any(RENT.text in one.text for one in found.passages)
    found = await prepared("When is the rent of the flat due?", long, model=fast)
    assert found.passages == (long,)


def test_the_room_follows_from_the_pace_and_the_first_text() -> None:
    assert room_for([RENT], "When?", None, 8) is None
    assert room_for([RENT], "When?", Pace(read=0, write=0), 8) is None
    rooms = [room_for([RENT], "When?", Pace(read=read, write=1), 8) or 0 for read in (1, 50, 100, 1000)]
    assert rooms[0] == FLOOR * 4 and rooms == sorted(rooms)
    other = passage(1, "租金" * 100)
    assert (room_for([other], "When?", Pace(read=100, write=1), 8) or 0) < rooms[2] / 2


def test_rankings_are_fused_by_rank_and_weight() -> None:
    found = fused([[RENT, OTTER], [OTTER], [OTTER, RENT]], (0.5, 1.0, 0.7))
    assert [(one.n, one.chunk_id) for one in found] == [(1, 2), (2, 1)]
