"""stub"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentd.events import Passage
from agentd.evidence.sentences import best


@dataclass(frozen=True)
class Support:
    text: str
    passage: int


def rests_on(sentence: str, passages: Sequence[Passage], question: str) -> tuple[int, ...]:
    g = best(sentence + " " + question, passages, answers=0.4)
    return (g[0][0].passage,) if g else ()


def support(reply: str, passages: Sequence[Passage], question: str) -> Support | None:
    g = best(reply + " " + question, passages, answers=0.3)
    return Support(text=g[0][0].text, passage=g[0][0].passage) if g else None
