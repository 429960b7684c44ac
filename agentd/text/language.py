"""Sentences, words, stems and stop words of a text; pure, and harmless for any input.

Chinese, Japanese and Korean are written without the blanks that a full-text index needs. So a run of their characters
counts as its overlapping pairs, which is the usual way to index them (Nie and Ren, "Chinese information retrieval:
using characters or words?", 1999).
"""

# ruff: noqa: RUF001 - characters of other scripts are meant
from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

import snowballstemmer  # type: ignore[import-untyped] # it has no type hints

from agentd.text.stopwords import CJK_FUNCTION, STOP_WORDS

FALLBACK = "english"
CJK = "cjk"
"""The name of `language_of` for Chinese, Japanese and Korean, which have no stems."""
FOCUS_CHARACTERS = 4000
"""A longer question is reduced to its beginning and its end, each of this length."""
LONGEST_STEMMED = 64
"""A run of more characters than this is not a word; stemmers would take time that grows with its square."""

_CJK_CLASS = (
    "\u1100-\u11ff\u3005-\u3007\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_CJK_RUN = re.compile(f"[{_CJK_CLASS}]+")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
"""Soft hyphens, zero-width blanks, joiners, byte order marks and the like (Unicode's Default_Ignorable_Code_Point)."""
_MARKS = re.compile(r"((?:(?![\s\x00-\x7f])[\W\uff9e\uff9f]){32})(?:(?![\s\x00-\x7f])[\W\uff9e\uff9f])++")
"""More accents in a row than a letter can have; every combining character is among these. Normalising sorts them, in
time that grows with the square of their number.
"""
_YO = str.maketrans("ёЁ", "еЕ")
_HIRAGANA = re.compile("[\u3040-\u309f]")
_WORD = re.compile(r"[^\W_]+")
_FUNCTION = re.compile("|".join(sorted(CJK_FUNCTION, key=len, reverse=True)))
_SCRIPTS = (
    (re.compile("[\u0400-\u04ff]"), "russian"),
    (re.compile("[\u0370-\u03ff]"), "greek"),
    (re.compile("[\u0600-\u06ff]"), "arabic"),
    (re.compile("[\u0900-\u097f]"), "hindi"),
)


def focus(question: str) -> str:
    """The part of a question that counts: all of it, or its two ends if a long text was pasted into it."""
    if len(question) <= 2 * FOCUS_CHARACTERS:
        return question
    return f"{question[:FOCUS_CHARACTERS]}\n{question[-FOCUS_CHARACTERS:]}"


def searchable(text: str) -> str:
    """The text in the form in which it is indexed: one spelling for several, each CJK run as its overlapping pairs.

    Compatibility forms are unified (NFKC), invisible characters do not split a word, and the Russian letter yo becomes
    ye, as most people type it.
    """
    if text.isascii():
        return text
    seen = unicodedata.normalize("NFKC", _MARKS.sub(r"\1", _INVISIBLE.sub("", text)))
    return _CJK_RUN.sub(lambda run: f" {' '.join(_pairs(run[0]))} ", seen.translate(_YO))


def _pairs(run: str) -> Iterator[str]:
    if len(run) == 1:
        yield run
    for n in range(len(run) - 1):
        yield run[n : n + 2]


def is_cjk(word: str) -> bool:
    return _CJK_RUN.fullmatch(word) is not None


def cjk_share(text: str) -> float:
    """The share of Chinese, Japanese and Korean characters, 0 to 1."""
    if text.isascii():
        return 0.0
    return sum(run.end() - run.start() for run in _CJK_RUN.finditer(text)) / len(text)


def words(text: str) -> list[str]:
    """The words in order, in lower case; pairs of characters if the script is CJK."""
    return _WORD.findall(searchable(text).lower())


def spelled(text: str) -> Iterator[str]:
    """The words in order as they are written, with capitals."""
    return (word[0] for word in _WORD.finditer(searchable(text)))


def language_of(text: str) -> str:
    """The language of a question, by script and stop words: a key of `STOP_WORDS`, a stemmer's name, or `CJK`."""
    letters = sum(map(str.isalpha, text)) or 1
    if cjk_share(text) * len(text) > 0.3 * letters:
        return CJK
    for script, language in _SCRIPTS:
        if len(script.findall(text)) > 0.5 * letters:
            return language
    found = words(text)
    hits = {language: sum(word in stop for word in found) for language, stop in STOP_WORDS.items()}
    best = max(hits, key=lambda language: hits[language])
    return best if hits[best] > hits[FALLBACK] else FALLBACK


def content_words(text: str, language: str | None = None) -> list[str]:
    """The words of a question that carry its topic, each once, in order; all words if none does."""
    language = language or language_of(text)
    found = list(dict.fromkeys(words(_FUNCTION.sub(" ", text)) if language == CJK else words(text)))
    if language == CJK:
        kept = [word for word in found if not _HIRAGANA.search(word)]
    else:
        stop = STOP_WORDS.get(language, STOP_WORDS[FALLBACK])
        kept = [word for word in found if word not in stop]
    return kept or found or list(dict.fromkeys(words(text)))


_stemmers = threading.local()


def stem(word: str, language: str) -> str:
    """The word's Snowball stem without accents (https://snowballstem.org); the word itself if there is none."""
    if language == CJK or len(word) > LONGEST_STEMMED or not word.isalpha():
        return word
    return _stem(word, language)


@lru_cache(maxsize=65536)
def _stem(word: str, language: str) -> str:
    try:
        stemmer = vars(_stemmers)[language]
    except KeyError:
        # A stemmer keeps the word that it works on: each thread has its own.
        stemmer = vars(_stemmers)[language] = snowballstemmer.stemmer(language)
    return without_accents(str(stemmer.stemWord(word)))


def without_accents(word: str) -> str:
    if word.isascii():
        return word
    parts = unicodedata.normalize("NFD", word)
    return unicodedata.normalize("NFC", "".join(part for part in parts if not unicodedata.combining(part)))


def stems(text: str, language: str) -> list[str]:
    """The stems of all words of a text, in order."""
    return [stem(word, language) for word in words(text)]


# --- Sentences -------------------------------------------------------------------------------------------------------

_ENDS = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’»)\]*_`]*+(?=\s)|[。！？]++[”’」』）]*+|\n[ \t]*+\n")
"""The pattern of a sentence; no part backtracks, so the time grows only with the length of the text."""
_CODE = re.compile(r"(?<!`)`(?!`)[^`\n]{1,200}(?:\n[^`\n]{1,200})?`(?!`)")
_ABBREVIATIONS = frozenset(
    "approx art bzw ca cf co dr e.g eg etc evtl fig ggf i.e ie inc jr max min mr mrs ms nr no p pp prof sec sog st u.a "
    "usw vgl vol vs z.b zb d.h тд тп см стр рис др им г гг напр".split()
)
_UNSPACED_ENDS = ("。", "！", "？")
_LAST_WORD = re.compile(r"[\w.]*\w(?=[.]$)")


def sentences(text: str) -> list[tuple[int, int]]:
    """Character spans of the sentences, without the white space around them."""
    spans = []
    start = 0
    code = _Code(text)
    for end in _ENDS.finditer(text):
        if code.holds(end.start()) or (end[0].strip() == "." and _abbreviates(text, start, end.end())):
            continue
        spans.append((start, end.end()))
        start = end.end()
    spans.append((start, len(text)))
    return [span for span in (_stripped(text, *span) for span in spans) if span[0] < span[1]]


class _Code:
    """Tells, from left to right, which places of a text stand in code between backticks on one line or two."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._spans = _CODE.finditer(text)
        self._start, self._end = -1, -1

    def holds(self, position: int) -> bool:
        while self._end <= position:
            span = next(self._spans, None)
            if span is None:
                self._start = self._end = len(self._text) + 1
                break
            self._start, self._end = span.span()
        return self._start <= position < self._end


def is_question(sentence: str) -> bool:
    return sentence.rstrip().endswith(("?", "？"))


def introduces(sentence: str) -> bool:
    """Whether a sentence ends in a colon, so that what it announces comes after it."""
    return sentence.rstrip().endswith((":", "："))


def is_ended(sentence: str) -> bool:
    """Whether a sentence has its final mark."""
    return sentence.rstrip("\"'”’»)]`」』） ").endswith((*_UNSPACED_ENDS, ".", "!", "?", "…", ":", "：", ";"))


def joined(texts: Iterable[str]) -> str:
    """The sentences joined, with blanks between them if their script has blanks."""
    line = ""
    for text in texts:
        line += text if not line or line.endswith(_UNSPACED_ENDS) else f" {text}"
    return line


def _abbreviates(text: str, start: int, end: int) -> bool:
    word = _LAST_WORD.search(text, max(start, end - 40), end)
    if word is None:
        return False
    last = word[0].lower()
    # Single letters are initials (J. or U.S.); a number at the very beginning belongs to a list.
    dotted = all(len(part) == 1 and part.isalpha() for part in last.split("."))
    # The text before a word comes last: it may be long, and the next word needs it again.
    return last in _ABBREVIATIONS or dotted or (last.isdigit() and not text[start : word.start()].strip())


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
