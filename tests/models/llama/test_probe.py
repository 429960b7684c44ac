"""A model is tried once with tools and passages, while nobody asks it anything; the result is kept for its file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from agentd.errors import ModelError
from agentd.models.llama import probe as probe_module
from agentd.models.llama.checks import Checks
from agentd.models.llama.probe import GREETING, SUM, TIME, Probed, Trial, known, probe
from agentd.ports.generation import Delta, ModelRequest, Restarted, TextDelta
from agentd.testing.model import Script, ScriptedModel, calls, failing, question_of, says
from tests.pending_files import until

CITED = "A ticket costs 12 euros [2]."
ABLE = Probed(knows=True, called=2, left_alone=True, cites=True)
GOOD: dict[str, Callable[[], Iterable[Delta | Exception]]] = {
    SUM: lambda: calls(("calculate", '{"expression": "48.5*37-12"}'), piece=5),
    TIME: lambda: calls(("current_time", "{}")),
    GREETING: lambda: says("Hello!"),
}


class Model(ScriptedModel):
    """Answers the questions of the trial with `answers`, and the one about the passages with `cited`."""

    def __init__(
        self,
        answers: Mapping[str, Iterable[Delta | Exception]] | None = None,
        *,
        knows_tools: bool = True,
        cited: str = CITED,
    ) -> None:
        told = {SUM: "sum", TIME: "time", GREETING: "greeting"}

        def script(request: ModelRequest) -> Iterable[Delta | Exception]:
            question = question_of(request)
            if question not in told:
                return says(cited)
            return (answers or {}).get(told[question]) or GOOD[question]()

        super().__init__(script)
        self.knows_tools = knows_tools


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def checks(tmp_path: Path) -> Checks:
    return Checks(tmp_path / "checks.json")


async def test_a_model_that_calls_cites_and_can_leave_it_alone_is_able(file: Path, checks: Checks) -> None:
    found = await probe(Model(), checks, file)
    assert found == ABLE and found.tools
    assert "2 of 2" in found.calling and "none" in found.calling
    assert known(checks, file) == ABLE


@pytest.mark.parametrize(
    "answers",
    [
        {"sum": says("1782.5")},
        {"sum": calls(("calculate", '{"expression": "48.5 * 37"}'))},
        {"sum": calls(("calculate", '{"expression": "forty"}'))},
        {"sum": calls(("calculate", '{"sum": "48.5 * 37 - 12"}'))},
        {"sum": calls(("calculate", "48.5 * 37 - 12"))},
        {"sum": calls(("search_documents", '{"query": "48.5 * 37 - 12"}'))},
        {"sum": [*calls(("calculate", '{"expression": "48.5*37-12"}'), ("current_time", "{}"))]},
        {"time": says("It is noon.")},
        {"time": calls(("current_time", '{"time_zone": "America/New_York"}'))},
        {"greeting": calls(("calculate", '{"expression": "Hello, world!"}'))},
        {"greeting": says('{"name": "hello", "arguments": {}}')},
        {"greeting": says("...")},
    ],
)
async def test_one_mistake_is_enough(
    answers: dict[str, Iterable[Delta | Exception]], file: Path, checks: Checks
) -> None:
    found = await probe(Model(answers), checks, file)
    assert not found.tools and found.cites
    assert " of 2" in found.calling and found != ABLE


@pytest.mark.parametrize("cited", ["[1].", "[2]", "12 [2]", "A ticket costs 12 euros.", "It is 12 euros [1] [2]."])
async def test_numbers_that_cite_nothing_do_not_count(cited: str, file: Path, checks: Checks) -> None:
    found = await probe(Model(cited=cited), checks, file)
    assert found.tools and not found.cites


async def test_what_was_said_before_a_restart_does_not_count(file: Path, checks: Checks) -> None:
    again = [TextDelta(text='{"name": "x", "arguments": {}}'), Restarted(reason="crash"), *says("Hello!")]
    assert (await probe(Model({"greeting": again}), checks, file)).tools


async def test_a_model_whose_template_knows_no_tools_is_asked_for_none(file: Path, checks: Checks) -> None:
    model = Model(knows_tools=False)
    found = await probe(model, checks, file)
    assert not found.tools and found.cites and "chat template" in found.calling
    assert [request.tools for request in model.requests] == [()]


async def test_the_requests_are_small_and_stand_back_behind_all_others(file: Path, checks: Checks) -> None:
    model = Model()
    await probe(model, checks, file)
    assert len(model.requests) == 4
    for request in model.requests:
        assert (request.priority, request.sampling.temperature) == ("background", 0)
        assert request.sampling.max_tokens <= 64


async def test_another_file_or_another_question_is_tried_anew(
    file: Path, checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    await probe(Model(), checks, file)
    other = file.with_name("other.gguf")
    await asyncio.to_thread(other.write_bytes, b"other weights")
    with monkeypatch.context() as changed:
        changed.setattr(probe_module, "GREETING", "Good morning.")
        assert known(checks, file) is None
    assert known(checks, file) == ABLE and known(checks, other) is None


def test_a_finding_of_another_form_is_none(file: Path, checks: Checks) -> None:
    checks.put(probe_module.KIND, probe_module._about(file), {"tools": True})
    assert known(checks, file) is None
    file.unlink()
    assert known(checks, file) is None


# --- When ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "QUIET", 0.05)


@pytest.mark.usefixtures("soon")
async def test_a_model_is_tried_once_nobody_asks_and_never_again(file: Path, checks: Checks) -> None:
    busy, model = True, Model()
    trial = Trial(model, file, checks, busy=lambda: busy)
    await trial.begin()
    await asyncio.sleep(0.2)
    assert model.requests == [] and trial.found is None
    busy = False
    await until(lambda: trial.found is not None)
    assert trial.found == ABLE
    again = Trial(unwanted := Model(), file, checks, busy=lambda: False)
    await again.begin()
    assert again.found == ABLE, "as soon as the model is loaded"
    await trial.close()
    await again.close()
    assert unwanted.requests == []


@pytest.mark.usefixtures("soon")
async def test_a_trial_gives_way_and_begins_anew(file: Path, checks: Checks) -> None:
    model = Model()
    model.gate.clear()
    trial = Trial(model, file, checks, busy=lambda: False)
    await trial.begin()
    await until(lambda: model.running == 1)
    trial.give_way()
    await until(lambda: model.cancelled == 1)
    model.gate.set()
    await until(lambda: trial.found == ABLE)
    trial.give_way()
    await trial.close()


@pytest.mark.usefixtures("soon")
async def test_a_trial_ends_with_its_model(file: Path, checks: Checks) -> None:
    model = Model()
    model.gate.clear()
    trial = Trial(model, file, checks, busy=lambda: False)
    await trial.begin()
    await until(lambda: model.running == 1)
    await trial.close()
    assert model.running == 0 and trial.found is None


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("script", [failing("It crashed.")])
async def test_a_model_that_fails_at_its_trial_is_left_alone(
    script: Script, file: Path, checks: Checks, caplog: pytest.LogCaptureFixture
) -> None:
    model = Model()
    model._script = script
    trial = Trial(model, file, checks, busy=lambda: False)
    await trial.begin()
    await until(lambda: "could not be tried out: It crashed." in caplog.text)
    await trial.close()
    assert trial.found is None and known(checks, file) is None
    with pytest.raises(ModelError):
        await probe(model, checks, file)


async def test_without_a_place_to_keep_it_nothing_is_tried(file: Path) -> None:
    model = Model()
    trial = Trial(model, file, None, busy=lambda: False)
    await trial.begin()
    await trial.close()
    assert model.requests == [] and trial.found is None


async def test_a_trial_can_be_asked_for_whatever_is_known(file: Path, checks: Checks) -> None:
    await probe(Model(), checks, file)
    trial = Trial(Model(cited="[1]"), file, checks, busy=lambda: True)
    await trial.begin()
    assert trial.found == ABLE
    found = await trial.now()
    assert not found.cites and trial.found == found == known(checks, file)
    await trial.close()
