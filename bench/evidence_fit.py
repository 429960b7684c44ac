"""Fits the weights of the signs of evidence to questions with known answers, and measures how well they carry over.

`python -m bench.evidence_fit --data DIR` reads the files of DIR in SQuAD form, each paragraph a document of its own.
Every question is asked in four situations: all paragraphs were read (it can be answered); only the other half of the
articles was read ("far"); only every other paragraph was read ("near"); and the passages of its own paragraph are
removed ("without"). Two logistic regressions are fitted: which sentence answers, on the first situation, and whether
any does, on all. The printed figures come from weights that were fitted to one half of the articles and tried on the
other, both ways; `--write` puts the weights that were fitted to all of them into the module that uses them.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agentd.clock import SystemClock
from agentd.evidence import weights
from agentd.evidence.asked import asked
from agentd.evidence.candidates import candidates
from agentd.evidence.signs import Signs
from agentd.evidence.weights import Weights
from agentd.records import OWNER, Passage
from agentd.retrieval.ingest import DocumentIngest
from agentd.retrieval.search import KeywordSearch
from agentd.storage.store import Store, load_migrations
from bench.answers_data import Collection, Document, Question, read
from bench.answers_judge import normal

Floats = NDArray[np.float64]
Situation = Literal["all", "without", "far", "near"]

REFUSED = 0.955
"""The share of the questions without an answer that must be refused; it decides at which odds a question is."""
RIDGE_ANSWERS, RIDGE_ANSWERABLE = 10.0, 50.0
"""The penalties on squared weights of the two regressions, in units of the signs' standard deviations."""
ROUNDS = 15
NAMES = Signs.NAMES
OF_SENTENCE = [n for n, name in enumerate(NAMES) if name not in Signs.OF_QUESTION]
"""The signs in which the sentences of a question differ."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A question in a situation: a row of signs for each sentence, and which sentences contain the answer."""

    article: int
    situation: Situation
    rows: Floats
    right: NDArray[np.bool_]


# --- Data ------------------------------------------------------------------------------------------------------------


async def found(
    documents: Iterable[Document], questions: Iterable[Question]
) -> list[tuple[Question, Sequence[Passage]]]:
    """The passages that the search finds for each question if these documents were read."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "documents"
        folder.mkdir()
        for document in documents:
            (folder / document.name).write_text(document.text, encoding="utf-8")
        async with Store(Path(place) / "documents.db", load_migrations("agentd.retrieval")) as store:
            async for _ in DocumentIngest(store, SystemClock()).ingest([folder], OWNER):
                pass
            search = KeywordSearch(store)
            return [(question, await search.search(question.text, OWNER)) for question in questions]


async def cases(collection: Collection) -> list[Case]:
    """Every question in every situation."""
    documents = collection.documents
    place = {document.name: n for n, document in enumerate(documents)}
    article = {document.name: document.article for document in documents}
    questions = [question for question in collection.questions if question.gold]

    def of(situation: Situation, answers: Iterable[tuple[Question, Sequence[Passage]]]) -> list[Case]:
        return [case(question, article[question.document], situation, passages) for question, passages in answers]

    every = await found(documents, questions)
    without = [(question, [p for p in passages if not _holds(p, question)]) for question, passages in every]
    made = [*of("all", every), *of("without", without)]
    for odd in (0, 1):
        far = [document for document in documents if document.article % 2 != odd]
        near = [document for document in documents if place[document.name] % 2 != odd]
        made += of("far", await found(far, [q for q in questions if article[q.document] % 2 == odd]))
        made += of("near", await found(near, [q for q in questions if place[q.document] % 2 == odd]))
    return made


def case(question: Question, article: int, situation: Situation, passages: Sequence[Passage]) -> Case:
    wanted = asked(question.text)
    sentences = [s for s in candidates(passages, wanted.language) if s.is_told]
    own = {passage.n for passage in passages if _holds(passage, question)}
    gold = [normal(answer) for answer in question.gold]
    # Inside words, too: "5-time champion" contains "5".
    right = [s.passage in own and any(answer in normal(s.text) for answer in gold) for s in sentences]
    rows = np.zeros((0, len(NAMES)))
    if sentences and wanted.terms:
        signs = Signs(wanted, passages, sentences)
        rows = np.array([list(signs.of(n).values()) for n in range(len(sentences))])
    return Case(article=article, situation=situation, rows=rows, right=np.array(right, dtype=bool))


def _holds(passage: Passage, question: Question) -> bool:
    return Path(passage.source).name == question.document


# --- Fit -------------------------------------------------------------------------------------------------------------


def regress(rows: Floats, right: Floats, ridge: float) -> tuple[Floats, float]:
    """Weights and bias of a logistic regression with a ridge, by Newton's method."""
    middle, spread = rows.mean(0), rows.std(0) + 1e-9
    design = np.c_[(rows - middle) / spread, np.ones(len(rows))]
    penalty = np.eye(design.shape[1]) * ridge
    penalty[-1, -1] = 1e-6
    solution = np.zeros(design.shape[1])
    for _ in range(ROUNDS):
        expected = 1 / (1 + np.exp(-np.clip(design @ solution, -30, 30)))
        slope = design.T @ (right - expected) - penalty @ solution
        curvature = (design * (expected * (1 - expected))[:, None]).T @ design + penalty
        solution = solution + np.linalg.solve(curvature, slope)
    weight = solution[:-1] / spread
    return weight, float(solution[-1] - weight @ middle)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """The two regressions; `even` is the value of the second at which a question counts as answerable."""

    answers: tuple[Floats, float]
    answerable: tuple[Floats, float]
    even: float

    def ranked(self, rows: Floats) -> tuple[NDArray[np.int64], float]:
        """The sentences, the best first, and the logarithm of the odds that any answers (0 if they are even)."""
        odds = rows[:, OF_SENTENCE] @ self.answers[0] + self.answers[1]
        order = np.argsort(-odds, kind="stable")
        best = np.r_[odds[order[0]], rows[order[0]]]
        return order, float(best @ self.answerable[0] + self.answerable[1] - self.even)


def fit(training: Sequence[Case]) -> Fit:
    answered = [one for one in training if one.situation == "all" and len(one.rows)]
    answers = regress(
        np.vstack([one.rows[:, OF_SENTENCE] for one in answered]),
        np.concatenate([one.right for one in answered]).astype(float),
        RIDGE_ANSWERS,
    )
    given = [one for one in training if len(one.rows)]
    best = []
    for one in given:
        odds = one.rows[:, OF_SENTENCE] @ answers[0] + answers[1]
        best.append(np.r_[odds.max(), one.rows[int(np.argmax(odds))]])
    rows = np.array(best)
    answerable = regress(rows, np.array([float(one.situation == "all") for one in given]), RIDGE_ANSWERABLE)
    odds = rows @ answerable[0] + answerable[1]
    refused = [value for value, one in zip(odds, given, strict=True) if one.situation in ("far", "near")]
    # If nothing is found for a question, it is refused without any weights.
    refused += [-30.0] * sum(one.situation in ("far", "near") and not len(one.rows) for one in training)
    return Fit(answers=answers, answerable=answerable, even=float(np.quantile(refused, REFUSED)))


def tried(fitted: Fit, cases: Sequence[Case]) -> dict[str, list[float]]:
    """Odds of each question by situation; under "1", "2" and "3", whether that many sentences contain the answer."""
    odds: dict[str, list[float]] = {}
    for one in cases:
        order, value = fitted.ranked(one.rows) if len(one.rows) else (np.zeros(0, dtype=int), -30.0)
        odds.setdefault(one.situation, []).append(value)
        if one.situation == "all":
            for count in (1, 2, 3):
                odds.setdefault(str(count), []).append(float(one.right[order[:count]].any()))
    return odds


def summary(odds: Mapping[str, Sequence[float]]) -> str:
    refused = {name: float(np.mean([value < 0 for value in odds[name]])) for name in ("all", "far", "near", "without")}
    both = [*odds["far"], *odds["near"]]
    return (
        f"false refusals {refused['all']:.3f} of {len(odds['all'])}; right refusals"
        f" {np.mean([value < 0 for value in both]):.3f} of {len(both)} (far {refused['far']:.3f}, near"
        f" {refused['near']:.3f}, without {refused['without']:.3f}); the answer is in the best sentence"
        f" {np.mean(odds['1']):.3f}, two {np.mean(odds['2']):.3f}, three {np.mean(odds['3']):.3f}"
    )


# --- The module that uses them ---------------------------------------------------------------------------------------


def written(fitted: Fit) -> str:
    """The source of the module of weights with these weights instead of its own."""
    source = Path(weights.__file__).read_text(encoding="utf-8")
    (answers, answers_bias), (answerable, bias) = fitted.answers, fitted.answerable
    of_sentence = [NAMES[n] for n in OF_SENTENCE]
    for constant, found in (
        ("ANSWERS", Weights(bias=answers_bias, of=dict(zip(of_sentence, answers.tolist(), strict=True)))),
        (
            "ANSWERABLE",
            Weights(bias=bias - fitted.even, of=dict(zip(("answers", *NAMES), answerable.tolist(), strict=True))),
        ),
    ):
        body = "".join(f'        "{name}": {value:.3f},\n' for name, value in found.of.items())
        text = f"{constant} = Weights(\n    bias={found.bias:.3f},\n    of={{\n{body}    }},\n)\n"
        before, _, rest = source.partition(f"{constant} = Weights(\n")
        source = before + text + rest.partition("\n)\n")[2]
    return source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of files in SQuAD form")
    parser.add_argument("--write", action="store_true", help="put the weights into the module that uses them")
    options = parser.parse_args()
    everything = asyncio.run(cases(read(options.data)))
    together: dict[str, list[float]] = {}
    for odd in (0, 1):
        half = [one for one in everything if one.article % 2 != odd]
        other = [one for one in everything if one.article % 2 == odd]
        odds = tried(fit(half), other)
        print(f"half {odd}: {summary(odds)}")
        for name, values in odds.items():
            together.setdefault(name, []).extend(values)
    print(f"both halves: {summary(together)}")
    fitted = fit(everything)
    print(f"fitted to all: {summary(tried(fitted, everything))}")
    if options.write:
        Path(weights.__file__).write_text(written(fitted), encoding="utf-8")


if __name__ == "__main__":
    main()
