"""Language models that are known to run well, what each of them needs, and which one fits a machine best."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agentd.models.llama.files import WORKING_BYTES

FILE = Path(__file__).with_suffix(".toml")
SPARE = 0.8
"""Share of the available memory that a model may take."""


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
        """Bytes that it takes with a context of so many tokens: weights, cache and working memory."""
        return self.size + self.cache * min(context, self.context) + WORKING_BYTES


@cache
def catalogue() -> tuple[Listed, ...]:
    """All of them, in the order of recommendation."""
    with FILE.open("rb") as file:
        return tuple(Listed(name=name, **fields) for name, fields in tomllib.load(file).items())


def recommended(
    *, available: int | None, threads: int, context: int, quick: Callable[[Listed], bool | None] = lambda listed: None
) -> Listed:
    """The best model that fits into so many bytes of free memory and is quick enough; the smallest if there is none.

    `quick` decides by what was measured; if it does not know (None), the free cores decide.
    """
    known = catalogue()
    fitting = [
        listed
        for listed in known
        if (listed.threads <= threads if (known_quick := quick(listed)) is None else known_quick)
        and (available is None or listed.memory(context) <= available * SPARE)
    ]
    return fitting[-1] if fitting else min(known, key=lambda listed: listed.memory(context))
