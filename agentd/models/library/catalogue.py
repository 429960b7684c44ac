"""Language models that are known to run well, with what each needs, and the one that fits a machine best."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agentd.models.llama.files import WORKING_BYTES

FILE = Path(__file__).with_suffix(".toml")
SPARE = 0.8
"""Of the memory that is available, a model may take so much."""


class Listed(BaseModel):
    """One model. `size` and `cache` (for each token of context) are bytes, `threads` the free cores that suit it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    repo: str
    file: str
    licence: str
    size: int
    cache: int
    context: int
    threads: int
    why: str
    sources: tuple[str, ...]

    def memory(self, context: int) -> int:
        """Bytes that it takes where a context of so many tokens is set: weights, cache and working memory."""
        return self.size + self.cache * min(context, self.context) + WORKING_BYTES


@cache
def entries() -> tuple[Listed, ...]:
    """All of them, in the order of recommendation."""
    with FILE.open("rb") as file:
        return tuple(Listed(name=name, **fields) for name, fields in tomllib.load(file).items())


def recommended(
    *, available: int | None, threads: int, context: int, quick: Callable[[Listed], bool | None] = lambda entry: None
) -> Listed:
    """The best that fits so many bytes of free memory and is quick enough; the smallest where none is.

    `quick` says that by what was measured; where it does not know (None), the free cores decide.
    """
    known = entries()
    fitting = [
        entry
        for entry in known
        if (entry.threads <= threads if (known_quick := quick(entry)) is None else known_quick)
        and (available is None or entry.memory(context) <= available * SPARE)
    ]
    return fitting[-1] if fitting else min(known, key=lambda entry: entry.memory(context))
