"""Whether a message only greets, thanks or asks who answers: documents that are found for it are found by chance."""

from __future__ import annotations

from agentd.language import language_of, words
from agentd.stopwords import STOP_WORDS

LONGEST = 8
"""Words; who writes more wants something."""

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


def lacks_topic(message: str) -> bool:
    """True where every word is a greeting, thanks, or one that stands in any sentence."""
    said = words(message)
    stop = STOP_WORDS.get(language_of(message), STOP_WORDS["english"])
    return len(said) <= LONGEST and all(word in _TALK or word in _YOU or word in stop for word in said)


def is_small_talk(message: str) -> bool:
    """True where a message lacks a topic and is meant for whoever answers."""
    return lacks_topic(message) and any(word in _TALK or word in _YOU for word in words(message))
