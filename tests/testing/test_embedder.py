from __future__ import annotations

import numpy as np

from agentd.testing.embedder import WordEmbedder


async def test_texts_are_near_by_the_words_that_they_share() -> None:
    embedder = WordEmbedder()
    cat, dog, other = await embedder.embed(["a cat sits", "a dog sits", "stocks fall"])
    assert cat @ dog > 0.5 > cat @ other
    assert np.allclose(np.linalg.norm([cat, dog, other], axis=1), 1)


async def test_it_remembers_what_it_was_asked_for() -> None:
    embedder = WordEmbedder(dimension=8)
    assert (await embedder.embed([""], query=True)).shape == (1, 8)
    assert (await embedder.embed([])).shape == (0, 8)
    assert embedder.asked == [(("",), True), ((), False)]
