"""The few everyday words that people ask with and documents say otherwise; a longer table finds more that is wrong."""

from __future__ import annotations

from agentd.language import stem

_GROUPS = (
    "phone telephone tel mobile cellphone telefon telefonnummer handy",
    "mail email mails emails",
    "birthday born geburtstag geboren",
)


def alternatives(term: str, language: str) -> frozenset[str]:
    """The stems that say the same as this one, itself among them."""
    for group in _GROUPS:
        same = frozenset(stem(word, language) for word in group.split())
        if term in same:
            return same
    return frozenset({term})
