"""The fit finds what tells answers from other sentences, and writes it where it is used."""

from __future__ import annotations

import ast

import numpy as np

from agentd.evidence import weights
from bench.answers_data import Collection, Document, Question
from bench.evidence_fit import NAMES, Case, Situation, case, cases, fit, regress, summary, tried, written
from tests.builders import passage


def test_a_regression_finds_the_odds_that_were_put_in() -> None:
    random = np.random.default_rng(1)
    rows = random.normal(size=(4000, 2))
    odds = 2.0 * rows[:, 0] - 1.0 * rows[:, 1] + 0.5
    right = (random.random(4000) < 1 / (1 + np.exp(-odds))).astype(float)
    weight, bias = regress(rows, right, 1.0)
    assert np.allclose(weight, [2.0, -1.0], atol=0.2) and abs(bias - 0.5) < 0.2


SITUATIONS: tuple[Situation, ...] = ("all", "without", "far", "near")


def made() -> list[Case]:
    """Sentences of which the one that holds the question's words answers, and passages that lack them."""
    random = np.random.default_rng(2)
    found: list[Case] = []
    for n in range(200):
        for situation in SITUATIONS:
            rows = random.normal(scale=0.1, size=(5, len(NAMES)))
            right = np.zeros(5, dtype=bool)
            if situation == "all":
                right[n % 5] = True
                rows[n % 5, NAMES.index("own")] += 1.0
                rows[:, NAMES.index("anywhere")] += 1.0
            found.append(Case(article=n, situation=situation, rows=rows, right=right))
    return found


def test_what_tells_answers_is_found_and_carries_over() -> None:
    everything = made()
    odds = tried(fit(everything[:400]), everything[400:])
    assert np.mean(odds["1"]) > 0.9
    assert np.mean([value > 0 for value in odds["all"]]) > 0.95
    assert np.mean([value < 0 for value in odds["near"]]) > 0.9
    assert "right refusals 0.9" in summary(odds) or "right refusals 1.0" in summary(odds)


def test_the_weights_are_written_as_the_module_that_uses_them() -> None:
    source = written(fit(made()))
    space: dict[str, object] = {"__name__": weights.__name__}
    exec(compile(ast.parse(source), "weights.py", "exec"), space)
    found = space["ANSWERS"]
    assert set(found.of) == set(weights.ANSWERS.of)  # type: ignore[attr-defined]
    assert source.startswith(f'"""{(weights.__doc__ or "")[:40]}')
    assert source.count("Weights(") == 2


async def test_each_question_is_asked_where_its_answer_was_read_and_where_not() -> None:
    texts = ["Seals sleep on the ice.", "Owls hunt at night.", "Tesla died in 1943.", "Steam heats a turbine."]
    documents = tuple(Document(name=f"{n}.txt", article=n // 2, text=text) for n, text in enumerate(texts))
    questions = (
        Question(id="a", text="Where do seals sleep?", gold=("the ice",), document="0.txt"),
        Question(id="b", text="When did Tesla die?", gold=("1943",), document="2.txt"),
        Question(id="c", text="Who won?", gold=(), document=""),
    )
    found = await cases(Collection(documents=documents, questions=questions))
    assert sorted((one.article, one.situation) for one in found) == [
        (article, situation) for article in (0, 1) for situation in ("all", "far", "near", "without")
    ]
    assert [one.right.any() for one in found] == [one.situation == "all" for one in found]


def test_only_the_sentences_of_its_own_document_are_right() -> None:
    question = Question(id="a", text="Where do seals sleep?", gold=("ice",), document="0.txt")
    own = passage(1, "Seals sleep on the ice. They eat.", source="/x/0.txt")
    other = passage(2, "Penguins sleep on the ice.", source="/x/1.txt")
    assert case(question, 0, "all", [own, other]).right.tolist() == [True, False, False]
