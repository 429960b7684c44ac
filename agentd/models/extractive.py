"""A model without weights: it answers with the sentences of the retrieved passages that answer best, and cites them.

What it says stands word for word, apart from markup, in the documents or in a text that came with the question. If they
do not answer the question, it says so. The same request always gets the same answer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from agentd.errors import ModelError
from agentd.evidence.candidates import Sentence, as_code
from agentd.evidence.follow_ups import refers_back
from agentd.evidence.passages import estimate_tokens
from agentd.evidence.pasted import divided, telling
from agentd.evidence.sentences import best
from agentd.evidence.smalltalk import asks_summary, is_arithmetic, is_small_talk, lacks_topic
from agentd.ports.documents import Counted
from agentd.ports.generation import (
    Delta,
    Finish,
    ModelRequest,
    Notice,
    PassagePart,
    Renumbered,
    TextDelta,
    TextPart,
    Usage,
)
from agentd.ports.models import EXTRACTIVE
from agentd.records import Passage
from agentd.rights import may
from agentd.text.language import is_ended, joined
from agentd.turns.citations import GIVEN
from agentd.turns.prompt import texts_of

_WITHOUT = (
    "Without a language model, answers are sentences from your documents; `agentd model list` shows models to choose "
    "from."
)
_ADD = "`agentd ingest PATH` in a shell, or /docs add PATH in a chat"
NO_DOCUMENTS = f"The documents do not say: there are none yet. Add some with {_ADD}, then ask again. {_WITHOUT}"
NO_ANSWER = f"The documents do not say. Ask in other words, or add documents that do with {_ADD}. {_WITHOUT}"
NOT_SEARCHED = (
    "The documents were not searched, because this was asked without them. To have them searched, type /docs all and "
    f"then /retry in a chat, or leave out `--no-documents` in a shell. {_WITHOUT}"
)
_IN_ITS_WORDS = "Ask with words from the text; explaining it or summing it up takes a language model."
NOT_GIVEN = f"Neither the text given nor the documents say. {_IN_ITS_WORDS} {_WITHOUT}"
TAKES_A_MODEL = f"That takes a language model. {_WITHOUT}"
NO_LANGUAGE_MODEL = (
    "This takes a language model, and none can answer now: without one, agentd answers only with sentences from "
    "documents, and calls no tools. `agentd model list` shows models to choose from."
)
NOT_GIVEN_ALONE = f"The text given does not say. {_IN_ITS_WORDS} {_WITHOUT}"
ABOUT = (
    "This is agentd without a language model: it cannot chat, but it answers questions with sentences from your "
    "documents. `agentd ingest PATH`, or /docs add PATH in a chat, adds documents; `agentd model list` shows "
    "language models to choose from."
)
STANDING_IN = "The language model cannot answer now; until it can, answers are sentences from your documents."
NOT_YOURS = (
    "There are no documents of yours yet, and no others are shared with you. In a shell, "
    "`agentd ingest --upload FILE` sends some; what you put into a message is read, too. " + _WITHOUT
)
GIVEN_ANSWERS = 0.3
"""Share of the question that the best sentence of the given text must cover if no document answers better."""
MOST_PIECES = 2000
"""An answer is streamed in no more pieces."""
_PIECES = re.compile(r"\s*\S+|\s+\Z")
_REFERENCES = re.compile(r"(`[^`]*`)|[ \t]?\[\d{1,3}\]")
"""Code, which is kept, or a number in brackets in the document itself, which would look like a citation."""


class ExtractiveModel:
    """Implements `ports.ChatModel` and `ports.StandIn`; `documents` counts the documents that there are.

    If it `stands_in` for a language model, it does not tell the user to choose one.
    """

    name = EXTRACTIVE

    def __init__(self, documents: Counted, *, stands_in: bool = False) -> None:
        self._documents = documents
        self._stands_in = stands_in

    def standing_in(self) -> ExtractiveModel:
        """See `ports.StandIn`."""
        return ExtractiveModel(self._documents, stands_in=True)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """`Renumbered` and the answer word by word (a very long one in larger pieces), or a `Notice`; then `Usage` and
        `Finish`.
        """
        if request.plain or request.handed_back or request.schema is not None:
            raise ModelError(NO_LANGUAGE_MODEL)
        question, passages = question_of(request), passages_of(request)
        # Stemming a few pages takes tens of milliseconds.
        text, cited = await asyncio.to_thread(answer, question, passages, about=about(request))
        if cited:
            yield Renumbered(passages=cited)
        for piece in _pieces(text):
            yield TextDelta(text=piece)
            await asyncio.sleep(0)
        if not text:
            text = await self._no_answer(request, question, passages)
            yield Notice(text=text)
        yield Usage(
            prompt_tokens=await self.count_tokens(request), cached_tokens=0, completion_tokens=estimate_tokens(text)
        )
        yield Finish(reason="stop")

    async def _no_answer(self, request: ModelRequest, question: str, passages: Sequence[Passage]) -> str:
        if is_small_talk(question):
            return STANDING_IN if self._stands_in else ABOUT
        if (await asyncio.to_thread(divided, question))[1]:
            said = NOT_GIVEN if request.searched else NOT_GIVEN_ALONE
        elif asks_summary(question) or is_arithmetic(question):
            return STANDING_IN if self._stands_in else TAKES_A_MODEL
        elif not request.searched:
            said = NOT_SEARCHED
        else:
            principal = request.principal
            documents, _ = (1, 1) if passages else await self._documents.counts(principal)
            none = NO_DOCUMENTS if may(principal, "ingest") else NOT_YOURS
            said = NO_ANSWER if documents else none
        return said.removesuffix(_WITHOUT).rstrip() if self._stands_in else said

    async def count_tokens(self, request: ModelRequest) -> int:
        """An estimate: this model has no tokens."""
        return sum(estimate_tokens(text) for text in texts_of(request))


def _pieces(text: str) -> Iterator[str]:
    words = _PIECES.findall(text)
    at_once = len(words) // MOST_PIECES + 1
    for start in range(0, len(words), at_once):
        yield "".join(words[start : start + at_once])


def question_of(request: ModelRequest) -> str:
    """The text of the newest user message, without what agentd put around it."""
    return next(_asked(request), "")


def about(request: ModelRequest) -> str:
    """The last question with a topic before the newest one if that refers back to it, otherwise ""."""
    asked = _asked(request)
    if not refers_back(next(asked, "")):
        return ""
    return next((divided(earlier)[0] for earlier in asked if not lacks_topic(earlier)), "")


def _asked(request: ModelRequest) -> Iterator[str]:
    """The texts of the user messages, the newest first."""
    for message in reversed(request.messages):
        if message.role == "user":
            # A pasted text is a separate part, so it becomes a separate paragraph.
            said = (part.text for part in message.parts if isinstance(part, TextPart) and part.trust == "untrusted")
            yield "\n\n".join(said)


def passages_of(request: ModelRequest) -> list[Passage]:
    """All passages of a request in the order of their numbers, each number once."""
    found = {
        part.passage.n: part.passage
        for message in request.messages
        for part in message.parts
        if isinstance(part, PassagePart)
    }
    return [found[n] for n in sorted(found)]


def answer(message: str, passages: Sequence[Passage], *, about: str = "") -> tuple[str, tuple[int, ...]]:
    """The best sentences, grouped by passage, and the numbers of the passages that `[1]`, `[2]` ... stand for.

    "" and no passages if no sentence answers. `about` is the question that the message refers back to, if it does.
    """
    question, given = divided(message)
    if (lacks_topic(question) and not about) or asks_summary(question) or is_arithmetic(question):
        return "", ()
    text = _given(telling(given, question))
    # A user who gives a text wants answers from it; documents serve for what the text does not say.
    groups = best(question, text) or best(question, passages, about=about)
    if not groups and text:
        groups = best(question, text, answers=GIVEN_ANSWERS) or best(message, passages)
    cited = tuple(dict.fromkeys(group[0].passage for group in groups if group[0].passage))
    numbers = {passage: f"[{n}]" for n, passage in enumerate(cited, start=1)}
    return "\n\n".join(_cited(group, numbers) for group in groups), cited


def _given(text: str) -> list[Passage]:
    """The given text as a passage with the number 0, which no document has."""
    if not text:
        return []
    fields = {"title": "", "source": "", "document_id": 0, "chunk_id": 0, "score": 0.0}
    return [Passage(n=0, start=0, end=len(text), text=text, **fields)]


def _cited(group: Sequence[Sentence], numbers: Mapping[int, str]) -> str:
    """The sentences in a row, and the code that they introduce below them; code by itself stands in their place."""
    mark = numbers.get(group[0].passage, GIVEN)
    said = joined(_said(sentence.text) for sentence in group if sentence.kind != "code")
    code = [sentence for sentence in group if sentence.kind == "code"]
    if not said:
        return "\n".join(as_code(sentence.text) for sentence in code) + f" {mark}"
    return "\n\n".join((f"{said} {mark}", *(_block(lines) for _, lines in groupby(code, lambda line: line.block))))


def _block(lines: Iterable[Sentence]) -> str:
    first, *others = lines
    return "\n".join((f"```{first.info}", first.text, *(line.text for line in others), "```"))


def _said(text: str) -> str:
    """Without numbers in brackets, and with a full stop if a list item or a table row has none."""
    text = _REFERENCES.sub(lambda match: match[1] or "", text)
    return text if is_ended(text) else f"{text.rstrip(',')}."
