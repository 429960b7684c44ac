"""The kinds of possible answers that a sentence names: a name, a number, a date."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import islice, takewhile

from agentd.evidence.asked import Asked, Wanted
from agentd.text.language import spelled, stem
from agentd.text.stopwords import STOP_WORDS

NAME_WORDS = 3
"""Maximum words of a name at the beginning of a sentence."""
_CODE = re.compile("`[^`]*`")
"""A word at the beginning of a sentence that is not a name."""
_TIMES = frozenset(
    """
    january february march april may june july august september october november december century decade
    monday tuesday wednesday thursday friday saturday sunday today tomorrow yesterday
    januar februar märz mai juni juli oktober dezember jahrhundert montag dienstag mittwoch donnerstag freitag samstag
    janvier février mars avril juin juillet août septembre octobre novembre décembre siècle
    enero febrero marzo mayo junio julio agosto septiembre octubre noviembre diciembre siglo
    января февраля марта апреля мая июня июля августа сентября октября ноября декабря века
    """.split()
)
_NUMBERS = frozenset(
    """
    one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half third quarter
    dozen double twice percent majority
    zwei drei vier fünf sechs sieben acht neun zehn elf zwölf hundert tausend deux trois quatre cinq sept huit neuf dix
    dos tres cuatro cinco seis siete ocho nueve diez два три четыре пять шесть семь восемь девять десять
    """.split()
)


def kinds_of_answer(text: str, known: Collection[str], language: str) -> set[Wanted]:
    """The kinds of answers that a text names; `known` are the stems that the question contains itself."""
    found: set[Wanted] = set()
    for n, word in enumerate(spelled(_CODE.sub(" ", text))):
        lower = word.lower()
        if lower in _TIMES:
            found.add("time")
        elif lower in _NUMBERS:
            found.add("number")
        elif lower in known:
            continue
        elif any(map(str.isdigit, word)):
            found |= {"number", "time"}
        elif n and word[0].isupper() and stem(lower, language) not in known:
            found |= {"name", "place"}
    return found


def opens_with_name(text: str, asked: Asked) -> bool:
    """Whether a sentence begins with a name and then says what is asked: "Anna buys ..." for "Who buys ...?"."""
    said = list(islice(spelled(text), NAME_WORDS + 1))
    named = list(takewhile(lambda word: word[0].isupper(), said))
    stop = STOP_WORDS.get(asked.language, STOP_WORDS["english"])
    if not named or len(named) == len(said) or named[0].lower() in stop:
        return False
    return stem(said[len(named)].lower(), asked.language) == asked.terms[0]
