"""Whether a sentence is about exactly what was asked for: "A turn is ..." for "What is a turn?"."""

from __future__ import annotations

import re
from collections.abc import Collection

from agentd.evidence.candidates import Sentence
from agentd.text.language import stems, words

_SUBJECT = re.compile(
    r"(?P<subject>[^.!?:;,\n]{1,80}?)(?:\s+(?:is|are|means|ist|sind|bedeutet|est|sont|es|son|è|sono|é|são|это)\s|\s+—\s)"
)
_ARTICLES = frozenset(
    "a an the my our your der die das ein eine mein meine unser unsere le la les un une mon ma notre el los las una mi "
    "il lo gli i uno o os as um uma de het een".split()
)


def defines(sentence: Sentence, terms: Collection[str], language: str) -> bool:
    """Whether the subject of a sentence consists of these stems alone; or the first cell of a row, and all others are
    in the head of its table: "What is the default of `size`?".
    """
    if sentence.kind == "row":
        name, head = sentence.held.partition(": ")[0], sentence.head
        # A command or a file with the name of a thing does not say what the thing is: `/sessions`.
        if name.startswith("`") and len(terms) == 1:
            return False
    elif found := _SUBJECT.match(sentence.held):
        said = words(found["subject"])
        name, head = " ".join(said[1:] if said and said[0] in _ARTICLES else said), frozenset()
    else:
        return False
    named = set(stems(name, language))
    return bool(named) and named <= set(terms) <= named | head
