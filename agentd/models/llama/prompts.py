"""Turns conversations into prompts of tokens, and refuses those that do not fit into the context, with the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agentd.errors import ModelError
from agentd.models.llama.pool import common
from agentd.models.llama.template import Prompt, Template, Tokenizer, at_least, tokens
from agentd.models.llama.wire import ChatMessage, Piece, Tool

CERTAIN = 4
"""A prompt with more characters for each token of the context is measured before it is tokenised completely."""
_PROBE, _OTHER = (ChatMessage(role="user", pieces=(Piece(text=text, trusted=False),)) for text in ("?", "Why"))


class Model(Protocol):
    """What prompts need to know about a model."""

    context: int
    trained_context: int
    whole_only: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """A prompt. The cache is worth storing at `checkpoints`; `reasoning` says that its end opens the reasoning."""

    tokens: list[int]
    reasoning: bool
    checkpoints: tuple[int, ...]


class Prompts:
    def __init__(self, template: Template, tokenizer: Tokenizer, model: Model) -> None:
        self._template = template
        self._tokenizer = tokenizer
        self._model = model

    def count(self, messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> int:
        """Tokens of the prompt; `ModelError` if the template refuses it."""
        return len(tokens(self._template.render(messages, tools), self._tokenizer))

    def read(self, messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> Read:
        """A prompt of at least one token and fewer than the context; `ModelError` otherwise."""
        prompt = self._template.render(messages, tools)
        found = self._tokens(prompt)
        checkpoints = self._checkpoints(messages, tools, prompt, found) if self._model.whole_only else ()
        return Read(tokens=found, reasoning=prompt.reasoning, checkpoints=checkpoints)

    def beginning(self, messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> list[int]:
        """The tokens that every prompt with these messages begins with, whatever the user asks; `ModelError`."""
        one, other = (self._tokens(self._template.render((*messages, probe), tools)) for probe in (_PROBE, _OTHER))
        return one[: common(one, other)]

    def _tokens(self, prompt: Prompt) -> list[int]:
        context = self._model.context
        if sum(len(piece.text) for piece in prompt.pieces) > CERTAIN * context:
            least = at_least(prompt, self._tokenizer, context)
            if least >= context:
                raise ModelError(self._too_long(f"more than {least}"))
        found = tokens(prompt, self._tokenizer)
        if len(found) >= context:
            raise ModelError(self._too_long(str(len(found))))
        if not found:
            raise ModelError("The model's chat template made an empty prompt; choose another model.")
        return found

    def _checkpoints(
        self, messages: Sequence[ChatMessage], tools: Sequence[Tool], prompt: Prompt, found: Sequence[int]
    ) -> tuple[int, ...]:
        """The positions at which later prompts may differ: after the system message, and before the answer."""
        try:
            probe = self._template.render((*messages[:1], _PROBE), tools)
            first = common(found, tokens(probe, self._tokenizer))
        except ModelError:
            first = 0
        before = Prompt(pieces=prompt.pieces[:-1], reasoning=False)
        positions = (first, common(found, tokens(before, self._tokenizer)))
        return tuple(sorted({position for position in positions if 0 < position < len(found)}))

    def _too_long(self, length: str) -> str:
        context, trained = self._model.context, self._model.trained_context
        larger = f" or set a larger context (up to {trained} for this model)" if trained > context else ""
        return (
            f"The prompt has {length} tokens, but the model has a context of {context} for it and the answer; shorten"
            f" the question, start a new session{larger}."
        )
