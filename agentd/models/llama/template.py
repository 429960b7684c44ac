"""Messages become tokens: template text may hold control tokens, untrusted text never does.

The model's own chat template (Jinja, as in `tokenizer.chat_template`) is rendered with a placeholder in the place of
each untrusted piece, so that no template can look into what a stranger wrote; its blanks at both ends stay visible,
because templates trim. Where a model has no usable template, `ChatML` is written if its vocabulary has the
tokens for it, else a plain transcript ("User: ...", "Assistant:"); `Template.notes` says so.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from random import SystemRandom
from typing import Any, Protocol

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from agentd.errors import ModelError
from agentd.models.llama.text import THINK
from agentd.models.llama.wire import Line, Piece

log = logging.getLogger(__name__)

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
)
PLAIN = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}\n\n"
    "{% elif m.role == 'assistant' %}Assistant: {{ m.content }}\n\n"
    "{% else %}User: {{ m.content }}\n\n{% endif %}{% endfor %}Assistant:"
)
PLAIN_STOP = ("\nUser:",)
"""Else a model that was never told where to end plays both parts."""

SLICE = 4096
"""Characters."""
SEAM = 8
"""Tokens that a cut through a text can make at most."""


class Tokenizer(Protocol):
    """What a template needs of a vocabulary."""

    bos: int | None
    """The token that must begin every prompt, None for a model that wants none."""

    def text(self, token: int) -> str: ...

    def tokenize(self, text: str, *, special: bool, after: int | None) -> list[int]:
        """Tokens of a text that follows the token `after`; None at the beginning."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """A rendered conversation; `reasoning` says that its end opens the model's reasoning."""

    pieces: tuple[Piece, ...]
    reasoning: bool


_TRIAL = (
    Line(role="system", pieces=(Piece(text="system", trusted=False),)),
    Line(role="user", pieces=(Piece(text="question", trusted=False),)),
)


class Template:
    """A chat template that is known to work for a conversation of a system message and a question."""

    def __init__(self, source: str | None, *, bos: str = "", eos: str = "", chatml: bool = False) -> None:
        self._names = {"bos_token": bos, "eos_token": eos}
        self._folds = False
        self.stop: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        if source is not None and (problem := self._adopt(source)) is None:
            return
        reason = "The model has no chat template" if source is None else f"The model's chat template fails ({problem})"
        form = "the ChatML form" if chatml else "a plain transcript"
        self.notes = (f"{reason}; agentd writes the conversation in {form}, which the model may not know well.",)
        self.stop = () if chatml else PLAIN_STOP
        self._template = _environment().from_string(CHATML if chatml else PLAIN)

    def render(self, lines: Sequence[Line]) -> Prompt:
        """The prompt up to where the answer begins; `ModelError` where the template refuses the conversation."""
        try:
            return self._render(fold(lines) if self._folds else lines)
        except _Refused as refusal:
            try:
                return self._render(fold(lines))
            except _Refused:
                raise ModelError(f"The model's chat template refuses this conversation: {refusal}.") from None

    def _adopt(self, source: str) -> str | None:
        """Why the template cannot be used, None if it can."""
        try:
            self._template = _environment().from_string(source)
        except TemplateError as error:
            return str(error)
        problem = self._problem(_TRIAL)
        if problem is not None:
            problem = self._problem(fold(_TRIAL))
            self._folds = problem is None
        return problem

    def _problem(self, lines: Sequence[Line]) -> str | None:
        try:
            texts = {piece.text for piece in self._render(lines).pieces}
        except _Refused as refusal:
            return str(refusal)
        return None if {"system", "question"} <= texts else "it leaves messages out"

    def _render(self, lines: Sequence[Line]) -> Prompt:
        shelf = _Shelf()
        messages = [{"role": line.role, "content": shelf.content(line)} for line in lines]
        try:
            text = self._template.render(
                messages=messages, tools=None, documents=None, add_generation_prompt=True, **self._names
            )
        except Exception as error:  # a template is a program of a stranger and may fail in any way
            log.warning("chat template: %s: %s", type(error).__name__, error)
            raise _Refused(str(error)) from error
        pieces = shelf.pieces(text)
        newest = shelf.of_newest
        if not newest <= shelf.seen:
            raise _Refused("it leaves the newest message out")
        return Prompt(pieces=pieces, reasoning=text.rstrip().endswith(THINK))


def tokens(prompt: Prompt, tokenizer: Tokenizer) -> list[int]:
    """Control tokens come from trusted pieces alone."""
    found: list[int] = []
    for piece in prompt.pieces:
        found += tokenizer.tokenize(piece.text, special=piece.trusted, after=found[-1] if found else tokenizer.bos)
    if tokenizer.bos is not None and found[:1] != [tokenizer.bos]:
        found.insert(0, tokenizer.bos)
    return found


def at_least(prompt: Prompt, tokenizer: Tokenizer, enough: int) -> int:
    """A lower bound of the number of tokens, counted in slices until it is more than `enough`.

    The time that `tokens` takes grows without bound with the prompt, and everybody waits for it.
    """
    found = 0
    for piece in prompt.pieces:
        for start in range(0, len(piece.text), SLICE):
            part = piece.text[start : start + SLICE]
            found += max(0, len(tokenizer.tokenize(part, special=piece.trusted, after=None)) - SEAM)
            if found > enough:
                return found
    return found


def fold(lines: Sequence[Line]) -> list[Line]:
    """The same conversation for a template that knows no system message and wants user and assistant to alternate."""
    folded: list[Line] = []
    for line in lines:
        role = "assistant" if line.role == "assistant" else "user"
        if folded and folded[-1].role == role:
            apart = Piece(text="\n\n", trusted=True)
            folded[-1] = Line(role=folded[-1].role, pieces=(*folded[-1].pieces, apart, *line.pieces))
        else:
            folded.append(Line(role="assistant" if role == "assistant" else "user", pieces=line.pieces))
    return folded


class _Refused(Exception):
    """The template could not render this conversation."""


class _Shelf:
    """Keeps untrusted text out of the template: a placeholder goes in, the text comes back."""

    def __init__(self) -> None:
        self._nonce = f"{SystemRandom().getrandbits(64):020}"
        self._texts: list[str] = []
        self.of_newest: set[int] = set()
        self.seen: set[int] = set()

    def content(self, line: Line) -> str:
        start = len(self._texts)
        content = "".join(piece.text if piece.trusted else self._put(piece.text) for piece in line.pieces)
        self.of_newest = set(range(start, len(self._texts)))
        return content

    def _put(self, text: str) -> str:
        inner = text.strip()
        if not inner:
            return text
        before = text[: len(text) - len(text.lstrip())]
        self._texts.append(inner)
        return f"{before}\ue000{self._nonce}{len(self._texts) - 1}\ue001{text[len(before) + len(inner) :]}"

    def pieces(self, rendered: str) -> tuple[Piece, ...]:
        pieces: list[Piece] = []
        for i, part in enumerate(re.split(f"\ue000{self._nonce}([0-9]+)\ue001", rendered)):
            if i % 2:
                self.seen.add(int(part))
                pieces.append(Piece(text=self._texts[int(part)], trusted=False))
            elif part:
                pieces.append(Piece(text=part, trusted=True))
        return tuple(pieces)


class _Generation(Extension):
    """`{% generation %}` marks the assistant's words for training; here it is only a block."""

    tags = {"generation"}  # noqa: RUF012 - the declaration of the class above

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> ImmutableSandboxedEnvironment:
    """Jinja as Hugging Face's transformers set it up for chat templates."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
    )
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
    environment.filters["tojson"] = _tojson
    return environment


def _raise(message: str) -> None:
    raise TemplateError(message)


def _tojson(value: Any, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
