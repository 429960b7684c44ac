from __future__ import annotations

from dataclasses import dataclass

import pytest

from agentd.errors import ModelError
from agentd.models.llama.prompts import Prompts
from agentd.models.llama.template import CHATML, Template
from agentd.models.llama.wire import ChatMessage, Piece, Tool
from agentd.ports.generation import Role
from tests.families import HERMES

ADD = Tool(name="add", description="Adds.", parameters={"type": "object"})


class Letters:
    """One token per character."""

    bos: int | None = None

    def text(self, token: int) -> str:
        return chr(token)

    def tokenize(self, text: str, *, special: bool, after: int | None) -> list[int]:
        return [ord(c) for c in text]


@dataclass
class Model:
    context: int = 200
    trained_context: int = 400
    whole_only: bool = False


def line(role: Role, text: str) -> ChatMessage:
    return ChatMessage(role=role, pieces=(Piece(text=text, trusted=False),))


def text(tokens: list[int]) -> str:
    return "".join(map(chr, tokens))


def test_a_prompt_is_counted_as_it_is_read() -> None:
    prompts = Prompts(Template(HERMES), Letters(), Model(context=1000))
    lines = [line("system", "Be nice."), line("user", "Why?")]
    assert prompts.count(lines, []) == len(prompts.read(lines, []).tokens)
    assert prompts.count(lines, [ADD]) == len(prompts.read(lines, [ADD]).tokens) > prompts.count(lines, [])


@pytest.mark.parametrize(("length", "said"), [(300, "35[0-9]"), (5000, "more than [0-9]+")])
def test_what_does_not_fit_is_refused_with_the_numbers(length: int, said: str) -> None:
    prompts = Prompts(Template(CHATML), Letters(), Model())
    with pytest.raises(ModelError, match=rf" {said} tokens.* 200 .* 400 "):
        prompts.read([line("user", "x" * length)], [])


def test_an_empty_prompt_is_refused() -> None:
    prompts = Prompts(Template("{{ messages[-1].content }}"), Letters(), Model())
    with pytest.raises(ModelError, match="empty prompt"):
        prompts.read([line("user", "")], [])


def test_checkpoints_are_where_later_prompts_may_differ() -> None:
    prompts = Prompts(Template(CHATML), Letters(), Model(whole_only=True))
    read = prompts.read([line("system", "Be nice."), line("user", "Why?")], [])
    assert [text(read.tokens[:checkpoint]) for checkpoint in read.checkpoints] == [
        "<|im_start|>system\nBe nice.<|im_end|>\n<|im_start|>user\n",
        "<|im_start|>system\nBe nice.<|im_end|>\n<|im_start|>user\nWhy?",
    ]
    assert not Prompts(Template(CHATML), Letters(), Model()).read([line("user", "Why?")], []).checkpoints


def test_a_prompt_that_opens_a_thought_says_so() -> None:
    prompts = Prompts(Template(CHATML + "<think>"), Letters(), Model())
    assert prompts.read([line("user", "Why?")], []).reasoning


@pytest.mark.parametrize("tools", [(), (ADD,)])
def test_the_beginning_of_all_prompts_is_read_without_what_the_user_says(tools: tuple[Tool, ...]) -> None:
    prompts = Prompts(Template(HERMES), Letters(), Model(context=1000))
    system = line("system", "Be nice.")
    beginning = prompts.beginning([system], tools)
    for question in ("Why?", "?", "And how?"):
        assert prompts.read([system, line("user", question)], tools).tokens[: len(beginning)] == beginning
    assert "Be nice." in text(beginning) and ("Adds." in text(beginning)) == bool(tools)


def test_a_beginning_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match=" 200 "):
        Prompts(Template(CHATML), Letters(), Model()).beginning([line("system", "x" * 300)], [])
