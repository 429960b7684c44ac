"""Finds what the signs of evidence are worth from questions with known answers, and how well that carries over.

`python -m bench.evidence_fit --data DIR` reads the files of DIR in SQuAD form, each paragraph a document of its own.
Every question is asked where all paragraphs were read (it can be answered), where only the other half of the articles
was read ("far"), where only every other paragraph was read ("near"), and with the passages of its own paragraph taken
away ("without"). Two logistic regressions are fitted: which sentence answers, on the first situation, and whether any
does, on all. What is printed was found on the one half of the articles and tried on the other, both ways; `--write`
puts the weights found on all of them into the module that uses them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import string
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentd.clock import SystemClock
from agentd.events import OWNER, Passage
from agentd.evidence import weights
from agentd.evidence.asked import asked
from agentd.evidence.candidates import candidates
from agentd.evidence.signs import Signs
from agentd.evidence.weights import Weights
from agentd.retrieval.ingest import DocumentIngest
from agentd.retrieval.search import KeywordSearch
from agentd.store import Store, load_migrations

Floats = NDArray[np.float64]

REFUSED = 0.953
"""The part of the questions without an answer that are to be refused; where the odds are even follows from it."""
RIDGE_ANSWERS, RIDGE_ANSWERABLE = 10.0, 50.0
"""Penalties of the two regressions on squared weights, in units of the signs' standard deviations."""
ROUNDS = 15
NAMES = Signs.NAMES
OF_SENTENCE = [n for n, name in enumerate(NAMES) if name not in Signs.OF_QUESTION]
"""The signs in which the sentences of a question differ."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question of paragraph `document`, counted over all articles, with its gold answers."""

    article: int
    document: int
    text: str
    gold: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A question in a situation: a row of signs for each sentence, and which of them hold the answer."""

    question: Question
    situation: str
    rows: Floats
    right: NDArray[np.bool_]


# --- Data ------------------------------------------------------------------------------------------------------------


def read(directory: Path) -> tuple[list[str], list[Question]]:
    """The paragraphs of all files in SQuAD form, and the questions that they answer."""
    paragraphs: list[str] = []
    questions: list[Question] = []
    articles = [
        article
        for path in sorted(directory.glob("*.json"))
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]
    ]
    for number, article in enumerate(articles):
        for paragraph in article["paragraphs"]:
            for asked_for in paragraph["qas"]:
                gold = [answer["text"] for answer in asked_for["answers"]]
                if gold:
                    place = len(paragraphs)
                    questions.append(
                        Question(article=number, document=place, text=asked_for["question"], gold=tuple(gold))
                    )
            paragraphs.append(paragraph["context"])
    return paragraphs, questions


def plain(text: str) -> str:
    """In lower case, without punctuation and articles: what answers are compared by."""
    kept = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(?:a|an|the)\b", " ", kept).split())


def document_of(passage: Passage) -> int:
    return int(Path(passage.source).stem)


async def found(
    paragraphs: Mapping[int, str], questions: Iterable[Question]
) -> list[tuple[Question, Sequence[Passage]]]:
    """The passages that the search finds for each question where these paragraphs were read."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "documents"
        folder.mkdir()
        for number, text in paragraphs.items():
            (folder / f"{number}.txt").write_text(text, encoding="utf-8")
        async with Store(Path(place) / "documents.db", load_migrations("agentd.retrieval")) as store:
            async for _ in DocumentIngest(store, SystemClock()).ingest([folder], OWNER):
                pass
            search = KeywordSearch(store)
            return [(question, await search.search(question.text, OWNER)) for question in questions]


async def cases(paragraphs: Sequence[str], questions: Sequence[Question]) -> list[Case]:
    """Every question in every situation."""
    article_of = {question.document: question.article for question in questions}
    everything = dict(enumerate(paragraphs))
    made: list[Case] = []
    for question, passages in await found(everything, questions):
        made.append(case(question, "all", passages))
        others = [passage for passage in passages if document_of(passage) != question.document]
        made.append(case(question, "without", others))
    for odd in (0, 1):
        far = {n: text for n, text in everything.items() if article_of.get(n, 0) % 2 != odd}
        near = {n: text for n, text in everything.items() if n % 2 != odd}
        made += [case(q, "far", ps) for q, ps in await found(far, [q for q in questions if q.article % 2 == odd])]
        made += [case(q, "near", ps) for q, ps in await found(near, [q for q in questions if q.document % 2 == odd])]
    return made


def case(question: Question, situation: str, passages: Sequence[Passage]) -> Case:
    wanted = asked(question.text)
    sentences = [s for s in candidates(passages, wanted.language) if s.kind != "code"]
    gold = [plain(answer) for answer in question.gold]
    own = {passage.n for passage in passages if document_of(passage) == question.document}
    right = [s.passage in own and any(answer in plain(s.text) for answer in gold) for s in sentences]
    rows = np.zeros((0, len(NAMES)))
    if sentences and wanted.terms:
        signs = Signs(wanted, passages, sentences)
        rows = np.array([list(signs.of(n).values()) for n in range(len(sentences))])
    return Case(question=question, situation=situation, rows=rows, right=np.array(right, dtype=bool))


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
        """The sentences, the best first, and the odds that any answers, 0 where they are even."""
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
    # A question for which nothing is found is refused without being weighed.
    refused += [-30.0] * sum(one.situation in ("far", "near") and not len(one.rows) for one in training)
    return Fit(answers=answers, answerable=answerable, even=float(np.quantile(refused, REFUSED)))


def tried(fitted: Fit, cases: Sequence[Case]) -> dict[str, list[float]]:
    """Odds of each question by situation; under "1", "2" and "3" whether so many sentences hold the answer."""
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
    """The source of the module of weights with these in place of its own."""
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
        source = re.sub(rf"^{constant} = Weights\(.*?^\)\n", lambda _, new=text: new, source, flags=re.S | re.M)
    return source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of files in SQuAD form")
    parser.add_argument("--write", action="store_true", help="put the weights into the module that uses them")
    options = parser.parse_args()
    everything = asyncio.run(cases(*read(options.data)))
    together: dict[str, list[float]] = {}
    for odd in (0, 1):
        half = [one for one in everything if one.question.article % 2 != odd]
        other = [one for one in everything if one.question.article % 2 == odd]
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
