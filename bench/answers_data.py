"""Questions with known answers, and which of them are asked when what was read; pure, except for reading the files.

The form is SQuAD's: articles of paragraphs, each with questions and gold answers. Each paragraph becomes a document of
its own. A paragraph of our own set names a file of the repository in place of its text: what is read is the
documentation as it is, as whole pages, as a new user has it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

REPOSITORY = Path(__file__).resolve().parent.parent
OWN = REPOSITORY / "bench" / "data" / "questions.json"
FOLLOW_UPS = REPOSITORY / "bench" / "data" / "follow_ups.json"
UNANSWERABLE = 1 / 6
"""The share of a language model's questions that cannot be answered from what was read."""

Kind = Literal["known", "near", "far"]
"""What was read: the answer; only the rest of its article; nothing of its article."""
Library = Literal["all", "half", "articles"]
"""The paragraphs that are read: all, every second one, those of every second article."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question; `document` is the name of the file with the answer, "" if there is no answer."""

    id: str
    text: str
    gold: tuple[str, ...]
    document: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A paragraph as a file; `article` counts the articles."""

    name: str
    article: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    documents: tuple[Document, ...]
    questions: tuple[Question, ...]

    def library(self, name: Library) -> list[Document]:
        """The documents that are read."""
        match name:
            case "all":
                return list(self.documents)
            case "half":
                return list(self.documents[::2])
            case "articles":
                return [document for document in self.documents if document.article % 2 == 0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A question and its situation."""

    question: Question
    kind: Kind
    library: Library


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowUp:
    """Two questions of one conversation; the answer to the second one is in `document`, a path in the repository."""

    id: str
    first: str
    second: str
    gold: tuple[str, ...]
    document: str


class DataError(Exception):
    """A file has a wrong form; the message names it."""


def read(path: Path = OWN) -> Collection:
    """The collection in a file, or in all JSON files of a folder. Raises `DataError`."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    documents: list[Document] = []
    questions: list[Question] = []
    try:
        for file in files:
            for article in json.loads(file.read_text("utf-8"))["data"]:
                _add(article, documents, questions)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} does not hold questions in SQuAD form: {error!r}.") from error
    if not questions:
        raise DataError(f"{path} holds no questions.")
    return Collection(documents=tuple(documents), questions=tuple(questions))


def _add(article: dict[str, Any], documents: list[Document], questions: list[Question]) -> None:
    number = documents[-1].article + 1 if documents else 0
    for n, paragraph in enumerate(article["paragraphs"]):
        name = ""
        if "file" in paragraph or "context" in paragraph:
            if "file" in paragraph:
                name, text = page(paragraph["file"]), (REPOSITORY / paragraph["file"]).read_text("utf-8")
            else:
                # A name without meaning, because titles count in a search.
                name, text = f"{number:03}-{n:02}.txt", paragraph["context"]
            documents.append(Document(name=name, article=number, text=text))
        for asked in paragraph["qas"]:
            gold = tuple(dict.fromkeys(answer["text"] for answer in asked.get("answers", ())))
            questions.append(
                Question(id=asked["id"], text=asked["question"].strip(), gold=gold, document=name if gold else "")
            )


def page(file: str) -> str:
    """What a page of the repository is called where all lie in one folder."""
    return file.replace("/", "-")


def follow_ups(path: Path = FOLLOW_UPS) -> list[FollowUp]:
    """The conversations of two questions about agentd's documentation."""
    return [FollowUp(**{**each, "gold": tuple(each["gold"])}) for each in json.loads(path.read_text("utf-8"))]


def choose(collection: Collection, count: int | None) -> list[Asked]:
    """`count` questions by a fixed rule (None: all); a sixth cannot be answered, half of those near, half far.

    The rule is the order of the SHA-256 of their ids. If a collection has questions without an answer, these are asked
    as near ones when everything was read; otherwise such questions are made by reading only a part.
    """
    known, near, far = _pool(collection)
    if count is not None:
        without = round(count * UNANSWERABLE)
        few = far[: without // 2]
        near, far = near[: without - len(few)], few
        known = known[: count - len(near) - len(far)]
    return [*known, *near, *far]


def _pool(collection: Collection) -> tuple[list[Asked], list[Asked], list[Asked]]:
    answerable = _ranked(question for question in collection.questions if question.gold)
    own = _ranked(question for question in collection.questions if not question.gold)
    known = [Asked(question=question, kind="known", library="all") for question in answerable]
    if own:
        return known, [Asked(question=question, kind="near", library="all") for question in own], []
    half = {document.name for document in collection.library("half")}
    articles = {document.name for document in collection.library("articles")}
    near = [Asked(question=q, kind="near", library="half") for q in answerable if q.document not in half]
    far = [Asked(question=q, kind="far", library="articles") for q in answerable if q.document not in articles]
    return known, near, far


def _ranked(questions: Iterator[Question]) -> list[Question]:
    return sorted(questions, key=lambda question: hashlib.sha256(question.id.encode()).digest())


SUMS: Sequence[tuple[str, str]] = (
    ("What is 17.5 * 23 - 4?", "398.5"),
    ("What is 12 * 12?", "144"),
    ("How much is 1000 / 8?", "125"),
    ("Calculate (3 + 4) * 15.", "105"),
    ("what is 99 - 123", "-24"),
    ("What is 2.5 + 0.75?", "3.25"),
    ("How much is 15 % of 240?", "36"),
    ("What is 7 * 8 + 6 / 3?", "58"),
    ("What's 1024 * 1024?", "1048576"),
    ("Please compute 86400 / 60 / 60.", "24"),
)
"""Sums as people ask them, and their results."""
