from __future__ import annotations

import random
import time

import pytest

from agentd.evidence.call_forms import Call
from agentd.models.llama import calls as calls_module
from agentd.models.llama.calls import CallFinder
from agentd.models.llama.family import FAMILIES
from tests.families import OFFERED, SAMPLES, Sample
from tests.raw_calls import OFFERED as TOOLS
from tests.raw_calls import RAW, Raw

NAMED = {family.name: family for family in FAMILIES}


def read(sample: Sample, pieces: list[str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    finder = CallFinder(NAMED[sample.family], OFFERED)
    found = [part for piece in pieces for part in finder.feed(piece)] + finder.finish()
    text = "".join(part for part in found if isinstance(part, str))
    return text, tuple((part.name, part.arguments) for part in found if isinstance(part, Call))


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES.keys())
def test_calls_are_found_and_the_rest_is_text_wherever_the_answer_is_cut(sample: Sample) -> None:
    expected = sample.text, sample.calls
    assert read(sample, [sample.says]) == expected
    assert read(sample, list(sample.says)) == expected
    for cut in range(len(sample.says)):
        assert read(sample, [sample.says[:cut], sample.says[cut:]]) == expected


def test_text_is_not_held_back_longer_than_it_may_be_a_mark() -> None:
    finder = CallFinder(NAMED["hermes"], OFFERED)
    assert finder.feed("Hello <tool") == ["Hello "]
    assert finder.feed("s are nice") == ["<tools are nice"]
    bare = CallFinder(NAMED["llama"], OFFERED)
    assert bare.feed('{"na') == []
    assert bare.feed('val": 3') == ['{"naval": 3']


def test_a_call_is_told_as_soon_as_it_is_closed() -> None:
    finder = CallFinder(NAMED["hermes"], OFFERED)
    assert finder.feed('<tool_call>{"name": "time"') == []
    assert finder.feed("}</tool_call>") == [Call(name="time", arguments="{}")]


def test_a_call_without_end_becomes_text_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "LONGEST", 100)
    finder = CallFinder(NAMED["hermes"], OFFERED)
    begun = '<tool_call>{"name": "' + "x" * 101
    assert finder.feed(begun) == [begun]
    assert finder.feed('<tool_call>{"name": "time"}</tool_call>') == [Call(name="time", arguments="{}")]


@pytest.mark.parametrize("family", NAMED)
def test_no_text_is_ever_lost(family: str) -> None:
    chance = random.Random(0)
    marks = [
        "<tool_call>",
        "</tool_call>",
        "<|tool_call>",
        "<tool_call|>",
        "<|tool_call|>",
        "<|python_tag|>",
        '{"name":',
    ]
    for _ in range(300):
        text = "".join(chance.choice([*marks, "x", '"', "{", "[", "call:a{"]) for _ in range(12))
        sample = Sample(family=family, says=text)
        whole = read(sample, [text])
        assert whole == read(sample, list(text))
        assert whole[0] == text or whole[1]


@pytest.mark.parametrize("family", NAMED)
@pytest.mark.parametrize("raw", RAW.values(), ids=RAW.keys())
def test_every_family_reads_what_small_models_write_wherever_it_is_cut(raw: Raw, family: str) -> None:
    def said(pieces: list[str]) -> tuple[str, tuple[tuple[str, str], ...]]:
        finder = CallFinder(NAMED[family], TOOLS)
        found = [part for piece in pieces for part in finder.feed(piece)] + finder.finish()
        text = "".join(part for part in found if isinstance(part, str))
        return text, tuple((part.name, part.arguments) for part in found if isinstance(part, Call))

    expected = raw.text, raw.calls
    assert said([raw.says]) == expected
    assert said(list(raw.says)) == expected
    for cut in range(len(raw.says)):
        assert said([raw.says[:cut], raw.says[cut:]]) == expected


@pytest.mark.parametrize(
    "begun",
    ['{"name": "Ada", "age', '{"id', "```js\n", "calculates", "[1]", '{"name": "Ada Love', '{"type": "object'],
)
def test_other_text_at_the_beginning_of_a_line_is_soon_shown(begun: str) -> None:
    finder = CallFinder(NAMED["hermes"], TOOLS)
    assert "".join(str(part) for part in finder.feed(begun + ' "x')) == begun + ' "x'


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "calculate", "arguments": {' * 2000,
        '{"name": "calculate", "arguments": ["' * 2000,
        "[\n" * 20_000,
        "\n" * 100_000,
        "calculate(" * 5000,
        "```json\n" * 5000,
        '<tool_call>{"name": a ' * 4000,
        "<tool_call>" * 5000,
        '<tool_call>{"name": "' + "</tool_call>" * 5000,
    ],
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    finder = CallFinder(NAMED["hermes"], TOOLS)
    begun = time.process_time()
    found = finder.feed(text) + finder.finish()
    assert "".join(map(str, found)).replace("\n", "") == text.replace("\n", "")
    assert time.process_time() - begun < 3
