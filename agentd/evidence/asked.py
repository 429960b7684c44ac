"""What a question asks for: its informative words, their kinds, and the kind of answer that is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from agentd.text.language import content_words, focus, language_of, spelled, stem
from agentd.text.stopwords import FRAME_WORDS, STOP_WORDS

Wanted = Literal["name", "place", "time", "number", "thing", ""]
"""Somebody; a place; a date; a count or a measure; something of a kind that the question names; or anything."""

TERMS = 48
"""How many informative words count; in a longer question, those of its beginning and its end."""
KIND_WORDS = 3
"""How many words after "which" or "how" may say what kind of thing is asked for."""

_ASKERS: dict[str, dict[Wanted, str]] = {
    "english": {"name": "who whom whose", "place": "where", "time": "when"},
    "german": {"name": "wer wem wen wessen", "place": "wo wohin woher", "time": "wann", "number": "wieviel wieviele"},
    "french": {"name": "qui", "place": "où", "time": "quand", "number": "combien"},
    "spanish": {"name": "quién quiénes", "place": "dónde", "time": "cuándo", "number": "cuánto cuánta cuántos cuántas"},
    "italian": {"name": "chi", "place": "dove", "time": "quando", "number": "quanto quanta quanti quante"},
    "portuguese": {"name": "quem", "place": "onde", "time": "quando", "number": "quanto quanta quantos quantas"},
    "dutch": {"name": "wie", "place": "waar", "time": "wanneer", "number": "hoeveel"},
    "russian": {"name": "кто кого кому", "place": "где куда", "time": "когда", "number": "сколько"},
}
_KIND_ASKERS = {
    "english": "what which how",
    "german": "welche welcher welches welchen welchem wie",
    "french": "quel quelle quels quelles",
    "spanish": "qué cuál cuáles",
    "italian": "quale quali che",
    "portuguese": "qual quais que",
    "dutch": "welk welke hoe",
    "russian": "какой какая какое какие какую каком",
}
_MEASURES: dict[Wanted, str] = {
    "time": "year date century decade month day jahr datum jahrhundert tag monat année siècle año siglo fecha",
    "number": "percent percentage number amount many much long far old tall high large big fast often length distance "
    "height age prozent anzahl zahl lange hoch alt weit viel viele",
}
"""Kinds whose answers can be recognised without the word: "1066" is a year, and "86" may be an age."""
_HOW = frozenset("how wie comment cómo come como hoe как".split())
_TYPED = frozenset(
    """
    command commands option options flag flags setting settings key keys shortcut switch parameter variable function
    befehl befehle option optionen einstellung taste tasten schalter variable funktion commande réglage touche fonction
    comando opción ajuste tecla función opzione tasto funzione opção função opdracht optie toets instelling
    команда настройка клавиша
    """.split()
)
"""Kinds of which an answer is something to type, which documents write as code."""
_ASKED_BY = {
    language: {word: wanted for wanted, text in askers.items() for word in text.split()}
    for language, askers in _ASKERS.items()
}
_MEASURED_BY = {word: wanted for wanted, text in _MEASURES.items() for word in text.split()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A question, prepared for comparing it with sentences; all words are stems of `language`.

    `terms` are the informative ones, each once, in order; `names`, `numbers`, `kinds` and `context` are among them. A
    kind is the word for the thing that is wanted ("which river"): an answer rarely repeats it. `context` are those that
    only the question before it has, to which it goes back.
    """

    language: str
    terms: tuple[str, ...]
    names: frozenset[str]
    numbers: frozenset[str]
    kinds: frozenset[str]
    wanted: Wanted
    does: bool = False
    """Whether it asks how something is done, or what to type for it."""
    context: frozenset[str] = frozenset()


def asked(question: str, about: str = "") -> Asked:
    """What a question asks for that follows another one, `about`, if there is one; harmless for any text."""
    question, about = focus(question), focus(about)
    language = language_of(question)
    said = list(spelled(question))
    lower = [word.lower() for word in said]
    kinds, measures, wanted = _kinds(lower, language)
    does = _does(lower, wanted)
    if about and not (wanted or does):
        # "And on a full disk?" asks for what was asked for before.
        before = [word.lower() for word in spelled(about)]
        kinds, measures, wanted = _kinds(before, language)
        does = _does(before, wanted)
    own = informative(question, language)
    context = [term for term in informative(about, language) if term not in own] if about else []
    known_by_form = measures | (_stems(_TYPED, language) if does else frozenset())
    terms = [*context, *own]
    terms = [term for term in terms if term not in known_by_form] or terms
    if len(terms) > TERMS:
        terms = terms[: TERMS // 2] + terms[-TERMS // 2 :]
    known = frozenset(terms)
    numbers = frozenset(stem(word.lower(), language) for word in said if any(map(str.isdigit, word)))
    # German writes every noun with a capital.
    names = () if language == "german" else (stem(word.lower(), language) for word in said[1:] if word[0].isupper())
    names_known = known.intersection(names) - numbers
    return Asked(
        language=language,
        terms=tuple(terms),
        names=names_known,
        numbers=known & numbers,
        kinds=known.intersection(kinds) - names_known - numbers,
        wanted=wanted,
        does=does,
        context=known.intersection(context),
    )


def _does(said: Sequence[str], wanted: Wanted) -> bool:
    how = not wanted and bool(said) and (said[0] in _HOW or (len(said) > 1 and said[1] in _HOW))
    return how or not _TYPED.isdisjoint(said[: 2 + KIND_WORDS])


def informative(question: str, language: str) -> list[str]:
    """The stems of a question's content words, each once, without words that only frame the question."""
    words = content_words(question, language)
    frame = FRAME_WORDS.get(language, frozenset())
    return list(dict.fromkeys(stem(word, language) for word in words if word not in frame))


def _kinds(said: Sequence[str], language: str) -> tuple[frozenset[str], frozenset[str], Wanted]:
    """The stems that name the kind of thing, the measures among them, and what the first question word asks for."""
    askers = _ASKED_BY.get(language, {})
    kind_askers = _KIND_ASKERS.get(language, "").split()
    for n, word in enumerate(said):
        if word in askers:
            return frozenset(), frozenset(), askers[word]
        if word in kind_askers:
            kinds = list(_until_stop(said[n + 1 : n + 1 + KIND_WORDS], language))
            measures = [kind for kind in kinds if kind in _MEASURED_BY]
            of_kind: Wanted = "thing" if kinds and word not in _HOW else ""
            wanted = _MEASURED_BY[measures[0]] if measures else of_kind
            return _stems(kinds, language), _stems(measures, language), wanted
    return frozenset(), frozenset(), ""


def _stems(words: Iterable[str], language: str) -> frozenset[str]:
    return frozenset(stem(word, language) for word in words)


def _until_stop(said: Sequence[str], language: str) -> Iterator[str]:
    stop = STOP_WORDS.get(language, STOP_WORDS["english"]) - {"many", "much", "more"}
    for word in said:
        if word in stop:
            return
        yield word
