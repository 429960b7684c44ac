"""How often the most likely token in a wide batch differs from the one alone.

llama.cpp uses other kernels for a wide batch, so the last bits of its sums differ. If two tokens are almost equally
likely, an answer with guesses may therefore differ from one without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from agentd.models.llama.draft import MOST
from agentd.models.llama.driver import Driver
from agentd.models.llama.job import Span
from agentd.models.llama.sampler import Sampler
from agentd.models.llama.wire import Choice
from bench.apart import Apart
from bench.engine_driver import open_driver

GREEDY = Choice(temperature=0, top_k=0, top_p=1, min_p=0, repeat_penalty=1, seed=0)


def divergence(path: Path, text: str, *, threads: int) -> float:
    """The share of the tokens of `text`, which the model does not know, at which they differ."""
    with Apart(_compared, path, threads) as child:
        return child.ask(text)


def _compared(path: Path, threads: int) -> Callable[[str], float]:
    driver = open_driver(path, context=8192, threads=threads, sequences=2)
    sampler = Sampler(GREEDY, vocabulary=driver.vocabulary, before=())

    def compare(text: str) -> float:
        tokens = driver.vocabulary.tokenize(text, special=False, after=1)
        alone = _likeliest(driver, sampler, tokens, sequence=0, width=1)
        together = _likeliest(driver, sampler, tokens, sequence=1, width=MOST)
        return sum(one != other for one, other in zip(alone, together, strict=True)) / len(tokens)

    return compare


def _likeliest(
    driver: Driver, sampler: Sampler, tokens: Sequence[int], *, sequence: int, width: int
) -> list[int | None]:
    """The most likely next token after each token, if this many are read at a time."""
    found: list[int | None] = []
    for start in range(0, len(tokens), width):
        some = tokens[start : start + width]
        span = Span(slot=sequence, start=start, tokens=some, last=True, guessed=len(some) - 1)
        if driver.decode([span]) != "done":
            raise RuntimeError("llama.cpp did not read the text")
        found += (driver.sample(sampler, 0, ahead) for ahead in range(len(some)))
    return found
