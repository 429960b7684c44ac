"""stub"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentd.events import Passage
from agentd.evidence.sentences import best


@dataclass(frozen=True)
class Judgement:
    answerable: bool


def judge(question: str, passages: Sequence[Passage]) -> Judgement:
    return Judgement(bool(best(question, passages)))
