from __future__ import annotations

from agentd.models.llama.batch import Batch
from agentd.models.llama.job import Span


def test_spans_stand_one_after_the_other_with_their_places_and_sequences() -> None:
    batch = Batch(8)
    batch.fill(
        [
            Span(slot=2, start=5, tokens=[7], last=True),
            Span(slot=0, start=0, tokens=[1, 2, 3], last=False),
            Span(slot=1, start=9, tokens=[4, 5, 6], last=True, guessed=2),
        ]
    )
    filled = batch.native
    assert filled.n_tokens == 7
    assert filled.token[:7] == [7, 1, 2, 3, 4, 5, 6]
    assert filled.pos[:7] == [5, 0, 1, 2, 9, 10, 11]
    assert [filled.seq_id[i][0] for i in range(7)] == [2, 0, 0, 0, 1, 1, 1]
    assert filled.n_seq_id[:7] == [1] * 7


def test_what_is_sampled_is_wanted_and_nothing_else() -> None:
    batch = Batch(8)
    batch.fill([Span(slot=0, start=0, tokens=[1, 2, 3, 4], last=True, guessed=2)])
    assert (batch.native.logits[:4], batch.outputs) == ([0, 1, 1, 1], [1])
    batch.fill([Span(slot=0, start=4, tokens=[1, 2], last=False), Span(slot=1, start=0, tokens=[5], last=True)])
    assert batch.native.logits[:3] == [0, 0, 1], "the batch before has left something"
    assert batch.outputs == [1, 2]
