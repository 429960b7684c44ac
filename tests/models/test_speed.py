"""Reading and writing speeds, measured on a real tiny model and on a scripted one."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.errors import ModelError
from agentd.models.llama.model import LlamaModel
from agentd.models.llama.settings import EngineSettings, ModelFile
from agentd.models.speed import Speed, learned, measure, median
from agentd.ports.generation import Finish, ModelRequest, TextDelta, Usage
from agentd.ports.models import Pace
from agentd.testing.gguf import write_random_model
from agentd.testing.model import ScriptedModel, question_of


async def test_a_real_model_is_measured_on_prompts_of_the_size_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "random.gguf"
    write_random_model(path)
    async with LlamaModel(ModelFile(path=path), EngineSettings(context=2048, threads=1)) as model:
        speeds = [speed async for speed in measure(model, prompt_tokens=400, answer_tokens=16, rounds=2)]
    assert len(speeds) == 2
    for speed in speeds:
        assert 300 < speed.read_tokens < 500 and speed.written_tokens == 16
        assert speed.read > 0 and speed.write > 0 and speed.first_token > 0


async def test_a_prompt_is_shorter_than_asked_for_where_the_model_has_no_room(tmp_path: Path) -> None:
    path = tmp_path / "random.gguf"
    write_random_model(path)
    async with LlamaModel(ModelFile(path=path), EngineSettings(context=1024, threads=1)) as model:
        (speed,) = [speed async for speed in measure(model, prompt_tokens=5000, answer_tokens=16, rounds=1)]
    assert 700 < speed.read_tokens < 1000 and speed.written_tokens == 16


async def test_no_prompt_begins_like_an_earlier_one() -> None:
    model = ScriptedModel(lambda request: [TextDelta(text="a"), usage(1), Finish(reason="stop")])
    speeds = [speed async for speed in measure(model, rounds=5)]
    assert len({question_of(request).split()[0:3].__str__() for request in model.requests}) == 5
    assert all(speed.write == 0 for speed in speeds), "one token says nothing about writing"


async def test_a_model_that_says_nothing_is_no_figure() -> None:
    with pytest.raises(ModelError, match="could be measured"):
        async for _ in measure(ScriptedModel(lambda request: [Finish(reason="stop")])):
            pass


async def test_cached_tokens_do_not_count_as_read() -> None:
    def script(request: ModelRequest) -> list[TextDelta | Usage | Finish]:
        return [TextDelta(text="a"), usage(2, cached=6), Finish(reason="stop")]

    speeds = [speed async for speed in measure(ScriptedModel(script), rounds=1)]
    assert speeds[0].read_tokens == 4


def test_the_median_is_taken_of_each_figure() -> None:
    speeds = [
        Speed(read=r, write=w, first_token=f, read_tokens=10, written_tokens=5)
        for r, w, f in ((1.0, 30.0, 0.2), (2.0, 10.0, 0.3), (9.0, 20.0, 0.1))
    ]
    assert median(speeds) == Speed(read=2.0, write=20.0, first_token=0.2, read_tokens=10, written_tokens=5)


def usage(written: int, *, cached: int = 0) -> Usage:
    return Usage(prompt_tokens=10, cached_tokens=cached, completion_tokens=written)


def test_the_newest_request_moves_what_was_learned_and_a_short_one_does_not() -> None:
    nothing = Pace(read=0.0, write=0.0)
    first = learned(nothing, read=200, read_seconds=2.0, written=30, write_seconds=3.0)
    assert first == Pace(read=100.0, write=10.0)
    second = learned(first, read=200, read_seconds=1.0, written=5, write_seconds=0.1)
    assert second.read == pytest.approx(130.0) and second.write == 10.0
    assert learned(second, read=63, read_seconds=9.0, written=15, write_seconds=9.0) == second
