"""Words that count as the same: irregular forms that no stemmer joins, and everyday words for one thing."""

from __future__ import annotations

import re
from functools import cache

from agentd.text.language import stem

_GROUPS = """
phone telephone tel mobile cellphone telefon telefonnummer handy
mail email mails emails
birthday born birth geburtstag geboren
"""
_ENGLISH = """
write wrote written writer | begin began begun start | lead led | give gave given | take took taken | find found
build built construct | fight fought | win won victory winner | lose lost loss | make made | become became
speak spoke spoken speech | choose chose chosen choice | hold held | keep kept | leave left | meet met | pay paid
rise rose risen | run ran | see saw seen | sell sold | send sent | sing sang sung | teach taught | tell told
think thought | understand understood | wear wore worn | grow grew grown growth | fall fell fallen | draw drew drawn
drive drove driven | eat ate eaten | fly flew flown flight | forbid forbade forbidden | go went gone | hear heard
know knew known | mean meant | buy bought purchase | bring brought | catch caught | come came | deal dealt
seek sought | shoot shot | show shown display | sink sank sunk | sit sat | spend spent | stand stood
steal stole stolen
strike struck | swim swam | throw threw thrown | break broke broken | die died death dead | marry marriage
people person | child children | man men | woman women | live life lives | feed fed | hide hid hidden | lend lent
ride rode ridden | ring rang rung | shake shook shaken | sleep slept | wake woke | wind wound | bind bound | foot feet
tooth teeth | mouse mice | big large | film movie | car automobile | country nation | help aid | job occupation
end finish | defeat beat beaten | kill killer | city town | illness disease | erase delete remove | choose select
folder directory | stop halt | error failure | fast quick | picture image | allow permit | need require | get obtain
"""


def alternatives(term: str, language: str) -> frozenset[str]:
    """The stems that mean the same as this one, including itself."""
    table = _table(language)
    forms = {term, *_compared(term)} if language == "english" else {term}
    return frozenset().union(forms, *(table.get(form, frozenset()) for form in forms))


_COMPARED = re.compile(r"(\w{2,}?)(\w)(\2?)(?:er|est)")


def _compared(term: str) -> set[str]:
    """What "faster", "largest" and "bigger" are forms of; something that is no word for words that are none."""
    found = _COMPARED.fullmatch(term)
    if found is None:
        return set()
    root = found[1] + found[2]
    return {stem(form, "english") for form in (root, root + found[3], root + "e")}


@cache
def _table(language: str) -> dict[str, frozenset[str]]:
    lines = _GROUPS.splitlines()
    if language == "english":
        lines += _ENGLISH.replace("\n", "|").split("|")
    table: dict[str, frozenset[str]] = {}
    for line in lines:
        same = frozenset(stem(word, language) for word in line.split())
        table |= {term: table.get(term, frozenset()) | same for term in same}
    return table
