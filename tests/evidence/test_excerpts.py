"""Passages are cut to what matters, in reading order, and every piece keeps its place in the document."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from agentd.evidence.excerpts import excerpts
from tests.builders import passage

FILLER = "The weather was mild and nothing else happened on that day in the village. "
RENT = "The rent of the flat is due on the third of each month. "


def test_what_fits_is_left_whole() -> None:
    passages = [passage(1, RENT), passage(2, FILLER)]
    assert excerpts("When is the rent due?", passages, characters=500) == passages


def test_the_sentence_that_matters_is_kept_with_its_neighbours() -> None:
    text = FILLER * 10 + "He moved in. " + RENT + "It is paid by transfer. " + FILLER * 10
    (kept,) = excerpts("When is the rent of the flat due?", [passage(1, text, start=1000)], characters=160)
    assert RENT.strip() in kept.text and len(kept.text) <= 170
    assert "He moved in." in kept.text or "It is paid by transfer." in kept.text
    assert text[kept.start - 1000 : kept.end - 1000] == kept.text


def test_two_places_of_a_passage_become_two_with_their_own_spans_in_reading_order() -> None:
    text = RENT + FILLER * 20 + "A deposit for the flat is two months of rent. "
    found = excerpts("rent flat deposit", [passage(1, text)], characters=400)
    assert len(found) == 2 and found[0].start < found[1].start
    assert RENT.strip() in found[0].text and "A deposit for the flat" in found[1].text
    assert all(text[one.start : one.end] == one.text for one in found)


def test_a_better_passage_goes_before_an_equal_sentence_of_a_worse_one() -> None:
    passages = [passage(n, FILLER * 3 + RENT + FILLER * 3, chunk_id=n) for n in (1, 2, 3)]
    found = excerpts("When is the rent due?", passages, characters=60)
    assert {one.chunk_id for one in found} == {1}


def test_the_best_sentence_is_kept_even_if_it_is_too_long() -> None:
    (kept,) = excerpts("rent", [passage(1, FILLER + RENT)], characters=10)
    assert kept.text == RENT.strip()


def test_text_without_sentences_is_cut_at_blanks() -> None:
    text = "word " * 1000 + "rent is due " + "word " * 1000
    kept = excerpts("rent due", [passage(1, text)], characters=900)
    assert any("rent is due" in one.text for one in kept) and sum(len(one.text) for one in kept) <= 900


@given(st.text(max_size=600), st.lists(st.text(max_size=800), max_size=4), st.integers(0, 900))
def test_any_text_is_cut_to_pieces_of_itself(question: str, texts: list[str], characters: int) -> None:
    passages = [passage(n, text, start=7, end=7 + len(text)) for n, text in enumerate(texts, start=1)]
    for kept in excerpts(question, passages, characters=characters):
        whole = passages[kept.n - 1].text
        assert whole[kept.start - 7 : kept.end - 7] == kept.text


def test_long_hostile_text_takes_time_that_grows_with_its_length_only() -> None:
    def seconds(size: int) -> float:
        begun = time.process_time()
        for text in ("." * size, "a." * (size // 2), " " * size, "\n" * size, "a" * size):
            excerpts("a rent?", [passage(1, text)], characters=100)
        return time.process_time() - begun

    seconds(1000)
    assert seconds(64_000) < 40 * max(seconds(8_000), 0.01)


def test_a_row_is_kept_alone_and_with_the_head_of_its_table() -> None:
    rows = "".join(f"| `key{n}` | {n} s | how long the {word} waits for its friends |\n" for n, word in WAITERS)
    table = f"| key | default | meaning |\n|---|---|---|\n{rows}"
    (found,) = excerpts("How long does the walrus wait?", [passage(1, table)], characters=60)
    assert (found.text, found.head) == ("| `key2` | 2 s | how long the walrus waits for its friends |", HEAD)
    (first,) = excerpts("How long does the seal wait?", [passage(1, table)], characters=60)
    assert (first.text.startswith("| `key0`"), first.head) == (True, HEAD)
    (again,) = excerpts("How long does the walrus wait?", [passage(1, rows, head=HEAD)], characters=60)
    assert (again.text, again.head) == (found.text, HEAD)


WAITERS = tuple(enumerate(("seal", "otter", "walrus", "whale", "heron")))
HEAD = "| key | default | meaning |"


def test_what_is_kept_of_code_is_indented_as_before() -> None:
    text = "Seals sleep on ice.\n\n    make seals\n    make walrus  # the walrus sleeps\n\nOthers swim. " * 3
    for found in excerpts("Where does the walrus sleep?", [passage(1, text)], characters=120):
        assert text[found.start : found.end] == found.text
        assert not text[: found.start].endswith("   ")
