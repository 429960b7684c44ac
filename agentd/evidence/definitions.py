"""Whether a sentence is about exactly what was asked for: "A turn is ..." where the question is "What is a turn?"."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

from agentd.text.language import stems, words

_SUBJECT = re.compile(
    r"(?P<subject>[^.!?:;,\n]{1,80}?)(?:\s+(?:is|are|means|ist|sind|bedeutet|est|sont|es|son|è|sono|é|são|это)\s|\s+—\s)"
)
_ARTICLES = frozenset(
    "a an the my our your der die das ein eine mein meine unser unsere le la les un une mon ma notre el los las una mi "
    "il lo gli i uno o os as um uma de het een".split()
)


def defines(text: str, kind: Literal["prose", "item", "row", "code"], terms: Collection[str], language: str) -> bool:
    """Whether the subject of a sentence, or the first cell of a row, consists of these stems alone."""
    if kind == "row":
        name = text.partition(": ")[0]
        # A command or a file that is called like a thing does not say what that is: `/sessions`.
        if name.startswith("`") and len(terms) == 1:
            return False
    elif found := _SUBJECT.match(text):
        said = words(found["subject"])
        name = " ".join(said[1:] if said and said[0] in _ARTICLES else said)
    else:
        return False
    return bool(terms) and set(stems(name, language)) == set(terms)
