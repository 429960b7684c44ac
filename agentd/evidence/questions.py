"""What kind of answer a message wants: one from documents, one from the conversation, or a piece of work; pure."""

# ruff: noqa: RUF001 - characters of other scripts are meant
from __future__ import annotations

import re

from agentd.evidence.smalltalk import asks_summary, is_arithmetic, is_small_talk, lacks_topic
from agentd.text.language import focus, is_question, words

_ASKS = frozenset(
    """
    who whom whose what when where which why how is are was were do does did has have had can could may might must
    should will would define explain
    wer wem wen wessen was wann wo wohin woher welche welcher welches welchem welchen warum wieso weshalb wie wieviel
    wieviele ist sind war waren hat haben hatte kann können darf muss soll wird werden
    qui que quoi quand où quel quelle quels quelles pourquoi comment combien est-ce est
    quién quiénes qué cuándo dónde cuál cuáles cómo cuánto cuántos cuánta cuántas
    chi che cosa quando dove quale quali perché come quanto quanti
    quem quê onde qual quais porquê quanto quantos
    wie wat wanneer waar welk welke waarom hoe hoeveel
    кто что когда где куда откуда какой какая какое какие почему зачем как сколько
    """.split()
)
"""First words of a question that lacks its question mark."""
_ADDRESSED = frozenset("you your yours du dir dich dein deine tu vous te usted tú você je jij u ты вы тебя вас".split())
"""Words that speak to whoever answers: "Could you write a poem?" asks for work, not for a fact."""
_CJK_ASKS = re.compile(r"[？吗嗎]|什么|什麼|谁|誰|哪|几|幾|多少|怎么|怎麼|为什么|為什麼|いつ|どこ|なぜ|ですか|까\?")


def asks_for_facts(message: str) -> bool:
    """Whether a message asks for something that documents can contain: a question, but not one about the assistant.

    "Write a poem" and "Can you translate this?" are work to do; a greeting, thanks and a sum are neither.
    """
    if lacks_topic(message) or asks_summary(message) or is_arithmetic(message):
        return False
    message = focus(message)
    said = words(message)
    if not said or any(word in _ADDRESSED for word in said):
        return False
    return is_question(message) or said[0] in _ASKS or _CJK_ASKS.search(message) is not None


def wants_documents(message: str) -> bool:
    """Whether to search the documents at all: not for small talk, sums and "sum this up"."""
    return not (is_small_talk(message) or asks_summary(message) or is_arithmetic(message))
