"""Turns messages into tokens: the text of the template may contain control tokens, untrusted text never does.

The model's own chat template (Jinja, as in `tokenizer.chat_template`) is rendered with a placeholder for each untrusted
piece, so that no template can read what a stranger wrote. If a model has no usable template, the conversation is
written as ChatML if the vocabulary has the tokens for it, or else as a plain transcript ("User: ...", "Assistant:");
`Template.notes` says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agentd.errors import ModelError
from agentd.host.limits import Crashed
from agentd.models.llama.family import Family, family_of
from agentd.models.llama.forms import arguments, fold, one_by_one, plain, with_tools
from agentd.models.llama.placeholders import Placeholders
from agentd.models.llama.rendering import OwnTemplate, UntrustedTemplate
from agentd.models.llama.text import END_THINK, THINK
from agentd.models.llama.wire import ChatMessage, Piece, Tool, ToolCall

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
"""Without that, a model that was never taught where to stop plays both parts."""

SLICE = 4096
"""Characters."""
SEAM = 8
"""A cut through a text adds at most so many tokens."""


class Tokenizer(Protocol):
    """What a template needs from a vocabulary."""

    bos: int | None
    """The token with which every prompt must begin; None if the model wants none."""

    def text(self, token: int) -> str: ...

    def tokenize(self, text: str, *, special: bool, after: int | None) -> list[int]:
        """The tokens of a text after the token `after`, which is None at the beginning."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """A rendered conversation; `reasoning` says that its end opens the model's reasoning."""

    pieces: tuple[Piece, ...]
    reasoning: bool


_SYSTEM = ChatMessage(role="system", pieces=(Piece(text="system", trusted=False),))
_QUESTION = ChatMessage(role="user", pieces=(Piece(text="question", trusted=False),))
_TRIAL = (_SYSTEM, _QUESTION)
_TRIAL_TOOL = Tool(name="trial_tool", description="Tries.", parameters={"type": "object", "properties": {}})
_TRIAL_CALL = ToolCall(call_id="trial0001", tool="trial_tool", arguments='{"key": "argument"}')
_CALL_TRIAL = (
    *_TRIAL,
    ChatMessage(role="assistant", pieces=(), calls=(_TRIAL_CALL,)),
    ChatMessage(role="tool", pieces=(Piece(text="result", trusted=False),), call_id="trial0001", tool="trial_tool"),
)


class Template:
    """A chat template that was tried with a system message and a question.

    `family` says how the model writes calls and reasoning; None if that is unknown. `tools` says that the template
    describes tools to the model, and that its calls can be read. A template that exceeds its limits is given up, also
    later; from then on the prompts have one of our own forms.
    """

    def __init__(
        self,
        source: str | None,
        *,
        bos: str = "",
        eos: str = "",
        chatml: bool = False,
        untrusted: UntrustedTemplate | None = None,
    ) -> None:
        """The template runs in `untrusted`, see there."""
        self._names = {"bos_token": bos, "eos_token": eos}
        self._chatml = chatml
        self._untrusted = untrusted or UntrustedTemplate()
        self._template: OwnTemplate | UntrustedTemplate = self._untrusted
        self._folds = self._knows_calls = False
        self._no_tools: list[dict[str, Any]] | None = None
        """What this template takes if there are no tools."""
        self.family: Family | None = None
        self.tools = False
        self.stop: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        if source is not None and (problem := self._adopt(source)) is None:
            return
        self._use_own(
            "The model has no chat template" if source is None else f"The model's chat template fails ({problem})"
        )

    @property
    def think(self) -> tuple[str, str]:
        """The marks that open and close the model's reasoning."""
        return self.family.think if self.family else (THINK, END_THINK)

    def render(self, messages: Sequence[ChatMessage], tools: Sequence[Tool] = ()) -> Prompt:
        """The prompt up to the beginning of the answer; `ModelError` if the template refuses the conversation.

        If the template knows no tools, the system message tells of them.
        """
        try:
            return self._first(messages, tools)
        except _GivenUp as given_up:
            self._use_own(f"The model's chat template fails ({given_up})")
            log.warning("chat template: %s", self.notes[-1])
            return self._first(messages, tools)

    def _first(self, messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> Prompt:
        """Render the first form that the template accepts."""
        if tools and not self.tools:
            messages, tools = with_tools(messages, tools), ()
        refusal = ""
        for form in self._forms(messages):
            try:
                return self._render(form, tools)
            except _Refused as refused:
                refusal = refusal or str(refused)
        raise ModelError(f"The model's chat template refuses this conversation: {refusal}.")

    def _forms(self, messages: Sequence[ChatMessage]) -> Iterator[Sequence[ChatMessage]]:
        """The conversation in the forms to try, the model's own first."""
        as_text = plain(messages, self.family)
        if self._folds:
            yield fold(as_text)
            return
        if self._knows_calls and any(message.calls for message in messages):
            yield messages
            yield one_by_one(messages)
        yield as_text
        yield fold(as_text)

    def _adopt(self, source: str) -> str | None:
        """Why the template cannot be used, None if it can."""
        try:
            self._untrusted.adopt(source, self._names)
            problem = self._problem(_TRIAL)
            for self._no_tools, self._folds in ((None, False), (None, True), ([], False)):
                if self._problem(fold(_TRIAL) if self._folds else _TRIAL) is None:
                    self._learn_tools(source)
                    return None
        except (ModelError, Crashed, _GivenUp) as error:
            return str(error)
        return problem

    def _use_own(self, reason: str) -> None:
        """Use one of our own forms from now on."""
        self._untrusted.close()
        form = "the ChatML form" if self._chatml else "a plain transcript"
        self.notes = (f"{reason}; so agentd formats the conversation as {form}, which the model may not know well.",)
        self.stop = () if self._chatml else PLAIN_STOP
        self.family, self.tools, self._folds, self._knows_calls, self._no_tools = None, False, False, False, None
        self._template = OwnTemplate(CHATML if self._chatml else PLAIN, self._names)

    def _problem(self, messages: Sequence[ChatMessage]) -> str | None:
        try:
            texts = {piece.text for piece in self._render(messages, ()).pieces}
        except _Refused as refusal:
            return str(refusal)
        return None if {"system", "question"} <= texts else "it leaves messages out"

    def _learn_tools(self, source: str) -> None:
        self.family = family_of(source)
        if self.family is not None:
            trial = fold(_TRIAL) if self._folds else _TRIAL
            self.tools = self._shows(trial, (_TRIAL_TOOL,), "trial_tool")
            self._knows_calls = self._shows(_CALL_TRIAL, (), "trial_tool", "argument", "result")

    def _shows(self, messages: Sequence[ChatMessage], tools: Sequence[Tool], *words: str) -> bool:
        try:
            text = "".join(piece.text for piece in self._render(messages, tools).pieces)
        except _Refused:
            return False
        return all(word in text for word in words)

    def _render(self, messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> Prompt:
        placeholders = Placeholders()
        offered = [_tool(tool, placeholders) for tool in tools] or self._no_tools
        fields = [_fields(message, placeholders) for message in messages]
        try:
            text = self._template.render(fields, offered)
        except Crashed as crash:
            raise _GivenUp(str(crash)) from None
        except ModelError as error:
            log.warning("chat template: %s", error)
            raise _Refused(str(error)) from None
        pieces = placeholders.pieces(text)
        if not placeholders.of_newest <= placeholders.seen:
            raise _Refused("it leaves the newest message out")
        return Prompt(pieces=pieces, reasoning=text.rstrip().endswith(self.think[0].rstrip()))


def _fields(message: ChatMessage, placeholders: Placeholders) -> dict[str, Any]:
    """In the form that templates expect: https://huggingface.co/docs/transformers/chat_extras."""
    fields: dict[str, Any] = {"role": message.role, "content": placeholders.content(message)}
    if message.calls:
        fields["tool_calls"] = [
            {
                "id": placeholders.value(call.call_id),
                "type": "function",
                "function": {"name": placeholders.value(call.tool), "arguments": placeholders.value(arguments(call))},
            }
            for call in message.calls
        ]
    if message.role == "tool":
        fields |= {"name": placeholders.value(message.tool), "tool_call_id": placeholders.value(message.call_id)}
    return fields


def _tool(tool: Tool, placeholders: Placeholders) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": placeholders.value(function)}


def tokens(prompt: Prompt, tokenizer: Tokenizer) -> list[int]:
    """The tokens of a prompt; only trusted pieces can contain control tokens."""
    found: list[int] = []
    for piece in prompt.pieces:
        found += tokenizer.tokenize(piece.text, special=piece.trusted, after=found[-1] if found else tokenizer.bos)
    if tokenizer.bos is not None and found[:1] != [tokenizer.bos]:
        found.insert(0, tokenizer.bos)
    return found


def at_least(prompt: Prompt, tokenizer: Tokenizer, enough: int) -> int:
    """A lower bound of the number of tokens, counted in slices until it exceeds `enough`.

    `tokens` would take more and more time for longer prompts, and everybody would wait for it.
    """
    found = 0
    for piece in prompt.pieces:
        for start in range(0, len(piece.text), SLICE):
            part = piece.text[start : start + SLICE]
            found += max(0, len(tokenizer.tokenize(part, special=piece.trusted, after=None)) - SEAM)
            if found > enough:
                return found
    return found


class _GivenUp(Exception):
    """The template exceeded a limit; the message says which."""


class _Refused(Exception):
    """The template cannot render this conversation."""
