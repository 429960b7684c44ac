"""Judges whether a reply contains the answer, whether it refuses, and how certain a share or a median is; pure.

The same functions judge our replies and the peer's.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

_MARK = re.compile(r"\[\d{1,3}\]")
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def normal(text: str) -> str:
    """A text in lower case, without citations, punctuation, symbols and articles, with one blank between words.

    These are the rules of SQuAD's evaluation (Rajpurkar et al. 2016), for any script.
    """
    text = _MARK.sub(" ", text).lower().replace("\u2212", "-")
    kept = "".join(c for c in text if unicodedata.category(c)[0] not in "PS")
    return " ".join(_ARTICLE.sub(" ", kept).split())


def is_right(reply: str, gold: Iterable[str]) -> bool:
    """Whether the reply contains one of the gold answers as whole words."""
    said = f" {normal(reply)} "
    return any(f" {answer} " in said for answer in map(normal, gold) if answer)


def holds_number(reply: str, value: str) -> bool:
    """Whether the reply contains this number, however it is written: 1,391.50 is 1391.5."""
    said = re.sub(r"(?<=\d)[,\u202f\u00a0](?=\d{3})", "", _MARK.sub(" ", reply)).replace("\u2212", "-")
    return any(Decimal(number) == Decimal(value) for number in _NUMBER.findall(said))


_PLACE = (
    r"(?:contexts?|passages?|documents?|documentation|texts?|paragraphs?|excerpts?|sources?|articles?|information"
    r"|sentences?|content|history|files?)"
)
_NOT = r"(?:(?:does|do|did|is|are|was|were|has|have|can|could)(?: not|n['\u2019]t)|cannot)"
_SAYS = (
    r"(?:say|state|hold|contain|mention|provide|give|specify|include|answer|indicate|have|tell|explain|address"
    r"|discuss|describe|reveal|list|name|offer|refer|disclose|cover|talk|support|detail|define|identify|make|clear"
    r"|enough|sufficient|relevant|related|specified|mentioned|provided)"
)
_REFUSALS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # "The context provided does not explicitly mention ..."
        rf"\b{_PLACE}\b(?: [\w()'\u2019-]+){{0,6}}? {_NOT}(?: \w+){{0,3}}? {_SAYS}\b",
        rf"\bneither\b[^.\n]{{0,60}}\bnor\b[^.\n]{{0,40}}\b{_PLACE} {_SAYS}\b",
        # "It is not specified in the passages", "isn't mentioned"
        r"\b(?:is|are|was|were)(?: not|n['\u2019]t)(?: \w+)? (?:mentioned|stated|specified|provided|given|included"
        r"|available|indicated|described|disclosed|discussed|listed|answered|addressed|defined|contained|present)\b",
        r"\bnot (?:\w+ )?(?:mentioned|stated|specified|provided|given|found|available|present|included|contained"
        rf"|in) (?:in |by )?(?:the |this |these |any )(?:[\w-]+ )?{_PLACE}\b",
        r"\bno (?:[\w-]+ )?(?:information|mention|answer|indication|details?|evidence|reference)\b",
        r"\b(?:cannot|can['\u2019]t|can not|could not|couldn['\u2019]t|unable to|not able to|impossible to|not possible"
        r" to)(?: be)?(?: \w+)? (?:answer|answered|determine|determined|find|found|tell|say|provide|infer|inferred)\b",
        r"\b(?:not|n['\u2019]t)(?: \w+){0,2} enough (?:information|context|detail)\b",
        r"\binsufficient (?:information|context)\b",
        r"\bI(?: do not|['\u2019]m not| don['\u2019]t| am not) (?:know|have|sure|aware)\b",
        r"\b(?:sagen|enthalten|nennen|erw\u00e4hnen)\b[^.\n]{0,30}\bnicht\b|\bsteht nicht in\b|\bgeht nicht hervor\b",
    )
)


def refuses(reply: str) -> bool:
    """Whether the reply says that the documents do not contain the answer, or that it cannot be given.

    It does if any of these stands in it: that the context, passages, text or documents do not say, hold, mention,
    provide or specify it; that it is not mentioned, stated or given; that there is no information or answer; that it
    cannot be found, determined or answered; that one does not know. What follows such a sentence does not count.
    """
    return any(pattern.search(reply) for pattern in _REFUSALS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A figure found from `n` questions, and its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


_Z = 1.959964


def share(hits: Sequence[bool]) -> Estimate:
    """The share that is true, with Wilson's interval (1927)."""
    n = len(hits)
    if not n:
        return Estimate(value=0.0, low=0.0, high=1.0, n=0)
    p = sum(hits) / n
    middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    low, high = (0.0 if p == 0 else middle - half), (1.0 if p == 1 else middle + half)
    return Estimate(value=p, low=low, high=high, n=n)


def quantile(values: Sequence[float], q: float) -> Estimate:
    """The value below which the share `q` lies, with the interval that order statistics give.

    How many values lie below the true quantile is binomial, so the interval ends at the values of the ranks
    n q -/+ 1.96 sqrt(n q (1 - q)) (Conover 1999, 3.2).
    """
    ranked = sorted(values)
    n = len(ranked)
    if not n:
        return Estimate(value=0.0, low=0.0, high=0.0, n=0)
    spread = _Z * math.sqrt(n * q * (1 - q))
    low = ranked[max(0, math.floor(n * q - spread))]
    high = ranked[min(n - 1, math.ceil(n * q + spread))]
    at = q * (n - 1)
    below = math.floor(at)
    value = ranked[below] + (at - below) * (ranked[min(n - 1, below + 1)] - ranked[below])
    return Estimate(value=value, low=min(low, value), high=max(high, value), n=n)
