"""Recognises messages that are not for the documents: greetings, thanks, "who are you", sums and summaries.

Whatever a search finds for such a message, it finds by chance.
"""

from __future__ import annotations

import re

from agentd.text.language import focus, language_of, words
from agentd.text.stopwords import STOP_WORDS

LONGEST_TALK = 1000
"""A message of more characters has a topic."""
LONGEST = 8
"""A message of more words wants something."""

_TALK = frozenset(
    """
    hello hi hey hiya howdy greetings good morning afternoon evening night thanks thank thx cheers bye goodbye ok okay
    great nice cool fine lot please help sorry welcome yes
    hallo moin servus grüß gruß guten gute tag morgen abend nacht danke dankeschön schön vielen tschüss
    bitte hilfe geht dir
    salut bonjour bonsoir coucou merci beaucoup revoir aide ça va
    hola buenos buenas días dias tardes noches gracias muchas adiós adios ayuda
    ciao salve buongiorno buonasera grazie mille arrivederci aiuto
    olá ola oi bom boa dia tarde noite obrigado obrigada tchau ajuda
    hoi dag goedemorgen goedenavond dank bedankt doei hulp
    привет здравствуй здравствуйте спасибо добрый доброе утро день вечер пока помощь дела
    你好 您好 谢谢 謝謝 早安 再见 再見 こんにちは ありがとう
    """.split()
)
_YOU = frozenset("you du tu vous tú usted você jij je ты вы 你是 是谁".split())

_SUMMARY = frozenset(
    """
    summarize summarise summarized summarised summary sum tl tldr gist recap condense shorten abstract
    zusammenfassen zusammenfassung fasse kurzfassung résume résumer résumé resume resumir resumen resuma riassumi
    riassunto resumo samenvatten samenvatting резюме кратко
    """.split()
)
_SUMMED = frozenset(
    """
    up dr give make write get need want quick quickly short brief briefly key main points bullet line lines one two
    three few sentence sentences word words text document page article notes meeting minutes mail email message letter
    file report log please thanks
    zusammen kurz text dokument seite brief
    """.split()
)
"""Words that may accompany a word for a summary without naming its topic."""
_ARITHMETIC = re.compile(r"\d\s*[+*\u00d7\u00f7^=]\s*\d|\d\s+[-/]\s+\d")


def lacks_topic(message: str) -> bool:
    """Whether every word is a greeting, thanks, or a word of any sentence."""
    if len(message) > LONGEST_TALK:
        return False
    said = words(message)
    stop = STOP_WORDS.get(language_of(message), STOP_WORDS["english"])
    return len(said) <= LONGEST and all(word in _TALK or word in _YOU or word in stop for word in said)


def is_small_talk(message: str) -> bool:
    """Whether a message lacks a topic and is meant for the assistant."""
    return lacks_topic(message) and any(word in _TALK or word in _YOU for word in words(message))


def only_greets(message: str) -> bool:
    """Whether a message is small talk even below an answer: "Thanks!" and "Who are you?", but not "Okay, why?"."""
    return is_small_talk(message) and ("?" not in message or any(word in _YOU for word in words(message)))


def asks_summary(message: str) -> bool:
    """Whether a message wants a summary of any text: "Summarize this", "TL;DR", "give me the gist".

    "Summarize the chapter about owls" is not such a message: it has a topic.
    """
    message = focus(message)
    said = words(message)
    if not any(word in _SUMMARY for word in said) or _is_the_sum(said):
        return False
    stop = STOP_WORDS.get(language_of(message), frozenset()) | STOP_WORDS["english"]
    return len(said) <= 2 * LONGEST and all(word in _SUMMARY or word in _SUMMED or word in stop for word in said)


def _is_the_sum(said: list[str]) -> bool:
    """ "What is the sum?" asks for a number that may stand in the text."""
    return "sum" in said and "up" not in said


def is_arithmetic(message: str) -> bool:
    """Whether a message contains nothing to look for but numbers to compute with, or single digits.

    Years, dates and codes are searched for like words.
    """
    message = focus(message)
    stop = STOP_WORDS.get(language_of(message), STOP_WORDS["english"])
    asked = [word for word in words(message) if word not in stop and word not in _TALK]
    numbers = bool(asked) and all(word.isdigit() for word in asked)
    return numbers and (_ARITHMETIC.search(message) is not None or all(len(word) == 1 for word in asked))
