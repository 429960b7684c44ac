"""Whether a message can be understood only with what was said before; pure."""

# ruff: noqa: RUF001 - characters of other scripts are meant
from __future__ import annotations

from agentd.evidence.asked import informative
from agentd.evidence.smalltalk import only_greets
from agentd.text.language import focus, language_of, words

LONGEST = 16
"""A message of more words explains itself."""

_OPENINGS = frozenset(
    """
    and but so or then also what's und aber oder dann also auch et mais ou alors aussi y pero o entonces e ma allora
    mas então en maar of dan и а но или тогда тоже
    """.split()
)
"""Words with which a message continues what was said."""
_POINTERS = frozenset(
    """
    it its that this those these they them their he him his she her one ones same former latter else other instead
    das dies diese dieser dieses diesen es ihn ihm ihr sie er davon damit dabei dafür dagegen darauf darin daran dort
    cela ça ceci il elle ils elles le la les lui leur celui celle ceux y en
    eso esto ese esa esos esas él ella ellos ellas lo la los las
    questo questa quello quella esso essa lo la li le ne ci
    isso isto esse essa ele ela eles elas
    dat dit deze die het hem haar hun ervan daarmee
    это этот эта эти он она оно они его ее их этого этом там
    它 他 她 这 那 それ これ 그것
    """.split()
)
"""Words for something that was named before."""


def refers_back(message: str) -> bool:
    """Whether a message is short and refers to something that it does not name.

    It begins like a continuation ("and how long?"), has a word that stands for another one ("undo that"), or has at
    most one word that carries a topic ("Why?", "How long?"). A question that explains itself may match as well, so the
    caller should search for both readings.
    """
    message = focus(message)
    said = words(message)
    if not said or len(said) > LONGEST:
        return False
    if said[0] in _OPENINGS or any(word in _POINTERS for word in said[1:]):
        return True
    if only_greets(message):
        return False
    asked = informative(message, language_of(message))
    return len(asked) <= 1 and len(said) <= 4
