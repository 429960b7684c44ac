"""Chat templates that take too much time or memory are refused with the reason, and stay within their limits."""

from __future__ import annotations

import re
import resource

import pytest

from agentd.host.limits import Crashed
from agentd.models.llama import rendering
from agentd.models.llama.rendering import UntrustedTemplate
from agentd.models.llama.template import CHATML, Template
from agentd.models.llama.wire import ChatMessage, Piece

ENDLESS = "".join(f"{{% for {name} in range(99999) %}}" for name in "ijk") + "{% endfor %}" * 3
NAMES = {"bos_token": "", "eos_token": ""}
MESSAGES = [{"role": "user", "content": "question"}]
QUESTION = ChatMessage(role="user", pieces=(Piece(text="question", trusted=False),))
ANSWER = ChatMessage(role="assistant", pieces=(Piece(text="answer", trusted=False),))


def later(what: str) -> str:
    """A template that does this in a longer conversation only."""
    return "{% if messages | length > 2 %}" + what + "{% endif %}" + CHATML


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "SECONDS", 0.5)
    monkeypatch.setattr(rendering, "MEMORY", 64 << 20)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (ENDLESS, "0.5 s of processor"),
        ("{{ 2 ** (2 ** 31) }}", "0.5 s of processor"),
        ("{{ 'a' * 4_000_000_000 }}", "needs more than 64 MiB of memory"),
        ("{{ messages[0].role | center(4_000_000_000) }}", "needs more than 64 MiB of memory"),
        ("{{ messages[0].role | center(5_000_000) }}", "prompt of 50"),
        ("{# " + "x" * 300_000 + " #}", "more than 262144"),
        ("{% if 1 %}" * 3000, "recursion|nest|killed|processor|Unexpected"),
        ("{{ raise_exception('no \x1b]0;PWNED\x07\x1b[2J\x1b[31m') }}", r"fails \(no \)"),
        ("{{ raise_exception('\\ud83d half') }}", "half"),
        ("{{ raise_exception('x' * 1000000) }}", "x{200}"),
    ],
)
def test_a_template_that_goes_too_far_is_replaced_and_that_is_said(source: str, reason: str) -> None:
    template = Template(source + CHATML)
    (note,) = template.notes
    assert re.search(reason, note), note
    assert "plain transcript" in note and len(note) < 500
    assert "User: " in template.render([QUESTION]).pieces[0].text


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (ENDLESS, "0.5 s of processor"),
        # Which of its two limits it meets first depends on the machine.
        ("{{ 2 ** (messages | length * 1000000000) }}", "0.5 s of processor|64 MiB of memory"),
        ("{{ messages[0].role * 1_000_000_000 }}", "64 MiB of memory"),
        ("{{ messages[0].role * 1_100_000 }}", "prompt of 44"),
    ],
)
def test_a_template_that_goes_too_far_later_is_given_up_for_good(what: str, reason: str) -> None:
    template = Template(later(what), chatml=True)
    assert not list(template.notes)
    prompt = template.render([QUESTION, ANSWER, QUESTION])
    assert "answer" in [piece.text for piece in prompt.pieces]
    assert re.search(reason, template.notes[0]) and "ChatML" in template.notes[0]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    template.render([QUESTION, ANSWER, QUESTION])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 0.4


def test_half_a_character_that_a_template_makes_does_not_reach_the_prompt() -> None:
    template = UntrustedTemplate()
    template.adopt("{{ '\\ud83d' }}", NAMES)
    assert template.render(MESSAGES, None) == "?"


def test_a_template_that_was_ended_says_so() -> None:
    template = UntrustedTemplate()
    template.close()
    with pytest.raises(Crashed, match="gone"):
        template.render(MESSAGES, None)
