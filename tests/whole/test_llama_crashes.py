"""Everything that is known to end or to break a process with llama.cpp, done on purpose under a running daemon.

Each time the daemon lives, the turn is answered at the second attempt or ends in words, and the next one is answered.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from agentd.config import Settings
from agentd.delivery.backoff import Backoff
from agentd.errors import ModelError
from agentd.models.llama.batch import Batch
from agentd.models.llama.driver import Driver
from agentd.models.llama.job import Span
from agentd.models.llama.model import LlamaModel
from agentd.models.llama.sampler import Grammar, Sampler
from agentd.models.llama.scheduler import BATCH
from agentd.models.llama.settings import EngineSettings, ModelFile
from agentd.models.llama.supervisor import Patience
from agentd.models.llama.wire import Choice
from agentd.serving import protocol
from agentd.serving.client import Client
from agentd.testing.gguf import chain, write_table_model
from tests import native_faults
from tests.daemons import DaemonProcess
from tests.house import next_answer, next_of, running
from tests.model_house import tried, write_song_model

pytestmark = pytest.mark.native

WORDS = (" The", " answer", " is", " known", ".")
ANSWER = "The answer is known."
HASTY = Patience(restart=Backoff(first=0.001, longest=1.0), beat=0.2, beats=15)

DEATHS = {
    "several threads on one context": "killed by SIG",  # ABRT or SEGV, whichever thread is first
    "a grammar that is none": "killed by SIGSEGV",
    "a token that the grammar forbids": "killed by SIGABRT",
    "a batch larger than n_batch": "killed by SIGABRT",
    "an output that was not wanted": "killed by SIGABRT",
    "a copy of a part in a split cache": "killed by SIGABRT",
    "a context that was freed": "killed by SIGSEGV",
    "a null pointer": "killed by SIGSEGV",
    "kill -9": "killed by SIGKILL",
    "a hang": "did not answer for 3 s and was killed",
    "an exception": "needed more memory than it may have",
    "nonsense on the socket": "not a message",
}
REFUSALS = ("a token out of range", "a gap in the positions", "a sequence out of range")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "known.gguf"
    write_table_model(path, chain("\n", *WORDS, "</s>"), context=16384)
    return path


@pytest.fixture
def file(tmp_path: Path, model: Path) -> Iterator[ModelFile]:
    """Each start of the process would otherwise begin with a trial of llama.cpp."""
    with tried(tmp_path) as checks:
        yield ModelFile(path=model, checks=checks)


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Provokes one in the process that holds the model."""
    for name, value in native_faults.environment(tmp_path / "faults").items():
        monkeypatch.setenv(name, value)
    return lambda fault: native_faults.provoke(tmp_path / "faults", fault)


@asynccontextmanager
async def talk(state: Path, model: LlamaModel) -> AsyncIterator[Client]:
    """A client of a daemon that answers with this model."""
    async with model, running(state, model, Settings()) as house, house.client() as client:
        yield client


async def ask(client: Client, session: str, text: str) -> protocol.Answer:
    await client.post(session, text)
    return await next_answer(client)


def test_every_fault_has_a_row_here() -> None:
    assert {*DEATHS, *REFUSALS} == set(native_faults.FAULTS)


@pytest.mark.parametrize(("fault", "how"), DEATHS.items(), ids=DEATHS)
async def test_what_ends_the_process_of_the_model_costs_a_second_attempt(
    tmp_path: Path,
    file: ModelFile,
    faults: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
    fault: str,
    how: str,
) -> None:
    async with talk(tmp_path / "s", LlamaModel(file, EngineSettings(threads=1), patience=HASTY)) as client:
        session = (await client.open()).session
        assert (await ask(client, session, "Well?")).text.strip() == ANSWER
        faults(fault)
        await client.post(session, f"And what of {fault}?")
        await next_of(client, protocol.State, state="running", attempt=2)
        answer = await next_answer(client)
        assert (answer.outcome, answer.text.strip()) == ("answer", ANSWER)
        assert (await ask(client, session, "And now?")).text.strip() == ANSWER
    assert how in caplog.text


@pytest.mark.parametrize("fault", REFUSALS)
async def test_what_llama_cpp_itself_refuses_ends_one_turn_in_words_and_no_process(
    tmp_path: Path, file: ModelFile, faults: Callable[[str], None], fault: str
) -> None:
    local = LlamaModel(file, EngineSettings(threads=1), patience=HASTY)
    async with talk(tmp_path / "s", local) as client:
        session = (await client.open()).session
        assert (await ask(client, session, "Well?")).text.strip() == ANSWER
        child = (await local.child()).pid
        faults(fault)
        answer = await ask(client, session, f"And what of {fault}?")
        assert (answer.outcome, answer.error_code) == ("error", "model")
        assert "llama.cpp refused to" in answer.text
        assert (await ask(client, session, "And now?")).text.strip() == ANSWER
        assert (await local.child()).pid == child


async def test_a_cache_that_is_full_makes_answers_wait_and_ends_none(tmp_path: Path) -> None:
    write_song_model(tmp_path / "endless.gguf")
    local = LlamaModel(
        ModelFile(path=tmp_path / "endless.gguf"), EngineSettings(threads=1, context=4096), patience=HASTY
    )
    settings = Settings.model_validate({"model": {"sampling": {"temperature": 1, "max_tokens": 1500}}})
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(local)
        house = await stack.enter_async_context(running(tmp_path / "s", local, settings))
        clients = [await stack.enter_async_context(house.client()) for _ in range(3)]
        sessions = [(await client.open()).session for client in clients]
        child = await local.start()
        answers = await asyncio.gather(
            *(ask(client, session, "Sing.") for client, session in zip(clients, sessions, strict=True))
        )
        assert [answer.outcome for answer in answers] == ["answer"] * 3
        assert [len(answer.text.split("(")[0].split()) for answer in answers] == [1500] * 3
        assert (await local.child()).pid == child


async def test_an_abort_under_a_daemon_of_its_own_is_told_in_the_log_and_the_daemon_goes_on(
    tmp_path: Path, model: Path
) -> None:
    place = tmp_path / "faults"
    armed = native_faults.environment(place)
    async with (
        DaemonProcess(tmp_path / "s", "--model", str(model), environment=armed) as daemon,
        daemon.client() as client,
    ):
        session = (await client.open()).session
        assert (await ask(client, session, "Well?")).text.strip() == ANSWER
        native_faults.provoke(place, "a batch larger than n_batch")
        await client.post(session, "And what of an abort?")
        await next_of(client, protocol.State, state="running", attempt=2)
        assert (await next_answer(client)).text.strip() == ANSWER
        assert daemon.process.returncode is None
        assert "killed by SIGABRT" in daemon.log.read_text()


async def test_a_crash_loop_refuses_the_model_with_its_reason_and_the_documents_still_answer(
    tmp_path: Path, model: Path
) -> None:
    place, folder = tmp_path / "faults", tmp_path / "docs"
    armed = native_faults.environment(place)
    folder.mkdir()
    (folder / "boats.md").write_text("# Boats\n\nThe blue boat leaves the harbour at noon.\n")
    async with (
        DaemonProcess(tmp_path / "s", "--model", str(model), environment=armed) as daemon,
        daemon.client() as client,
    ):
        async for _ in client.ingest([folder]):
            pass
        session = (await client.open()).session
        assert (await ask(client, session, "Hello.")).text.strip() == ANSWER
        native_faults.provoke(place, native_faults.ALWAYS + "a null pointer")
        answers = [await ask(client, session, "When does the blue boat leave the harbour?") for _ in range(3)]
        assert [(answer.outcome, answer.model) for answer in answers] == [("answer", "extractive")] * 3
        assert all("noon" in answer.text for answer in answers)
        problems = " ".join((await client.status()).as_json()["problems"])
        assert re.search(r" 3 times .* 60 s .* 300 s", problems)
        assert "SIGSEGV" in problems and daemon.process.returncode is None


def _cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4096)


def _damage(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(24)
        file.write(b"\xff" * 64)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_cut, _damage, _empty])
async def test_a_corrupt_model_file_is_named_and_the_documents_answer(
    tmp_path: Path, model: Path, damage: Callable[[Path], None]
) -> None:
    async with DaemonProcess(tmp_path / "s", "--model", str(model)) as daemon, daemon.client() as client:
        damage(model)
        answer = await ask(client, (await client.open()).session, "Well?")
        assert (answer.outcome, answer.model) == ("answer", "extractive")
        problems = " ".join((await client.status()).as_json()["problems"])
        assert str(model) in problems and "download the model" in problems


async def test_a_model_that_needs_more_memory_than_there_is_is_refused_with_the_numbers(tmp_path: Path) -> None:
    path = tmp_path / "wide.gguf"
    write_table_model(path, chain("\n", *WORDS, "</s>"), context=2**31 - 1)
    settings = ("--set", "model.context=2000000000", "--set", 'model.order=["local"]')
    async with DaemonProcess(tmp_path / "s", "--model", str(path), *settings) as daemon, daemon.client() as client:
        answer = await ask(client, (await client.open()).session, "Well?")
        assert answer.outcome == "error"
        assert "of memory" in answer.text and "are available" in answer.text


# --- What our own checks never let happen ----------------------------------------------------------------------------


@pytest.fixture
def driver(model: Path) -> Driver:
    return Driver(model, context=512, threads=1, gpu_layers=0, sequences=2)


def test_a_grammar_that_is_none_never_becomes_a_sampler(driver: Driver) -> None:
    with pytest.raises(ModelError, match=r"llama\.cpp does not"):
        Grammar(b"root ::= (", driver.vocabulary)


def test_a_batch_that_is_too_large_never_reaches_llama_cpp(driver: Driver) -> None:
    with pytest.raises(ValueError, match="same size"):
        driver.decode([Span(slot=0, start=0, tokens=[1] * (BATCH + 1), last=True)])
    with pytest.raises(ValueError, match="same size"):
        Batch(8).fill([Span(slot=0, start=0, tokens=[1] * 9, last=False)])


def test_a_token_that_the_grammar_forbids_is_never_accepted(driver: Driver) -> None:
    choice = Choice(temperature=0, top_k=0, top_p=1, min_p=0, repeat_penalty=1, seed=0)
    sampler = Sampler(choice, vocabulary=driver.vocabulary, before=(), grammar=b'root ::= "yes"')
    sampler.constrain()
    said, at, token = b"", 0, driver.vocabulary.tokenize("\n", special=False, after=1)[0]
    while not driver.vocabulary.is_end(token):
        driver.decode([Span(slot=0, start=at, tokens=[token], last=True)])
        found = driver.sample(sampler, 0)
        assert found is not None
        at, token = at + 1, found
        said += driver.vocabulary.piece(token)
    sampler.free()
    assert said == b"yes", "the model alone wants to say something else"


def test_the_cache_is_one_for_all_so_that_a_part_of_it_can_be_copied(driver: Driver) -> None:
    assert driver._settings(1, 2).kv_unified
    driver.decode([Span(slot=0, start=0, tokens=[1, 2, 3, 4], last=True)])
    driver.copy(0, 1, 2)
    assert driver.decode([Span(slot=1, start=2, tokens=[5], last=True)]) == "done"


async def test_a_child_that_is_killed_while_it_loads_is_started_again(tmp_path: Path, model: Path) -> None:
    local = LlamaModel(ModelFile(path=model), EngineSettings(threads=1), patience=HASTY)
    async with talk(tmp_path / "s", local) as client:
        session = (await client.open()).session
        await ask(client, session, "Well?")
        first = await local.child()
        os.kill(first.pid, signal.SIGKILL)
        assert "SIGKILL" in await first.ended()
        assert (await ask(client, session, "And now?")).text.strip() == ANSWER
