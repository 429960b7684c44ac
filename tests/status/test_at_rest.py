"""The status of a state directory that no daemon uses: the daemon's figures, and nothing has moved."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agentd.config import Settings
from agentd.config.sections import ModelSection, RemoteSection
from agentd.errors import StateInUse
from agentd.host.lock import StateLock
from agentd.models.library.shelf import Shelf
from agentd.models.llama import checks, files, standing, verdict
from agentd.models.llama.checks import Checks
from agentd.models.llama.standing import Standing
from agentd.models.llama.verdict import Verdict
from agentd.models.llama.ways import allowed
from agentd.pending import PendingDirectory
from agentd.records import Address
from agentd.status.at_rest import NOT_LOADED, status_at_rest
from agentd.testing.gguf import write_random_model
from tests.builders import inbound, outbound
from tests.house import running

REMOTE = RemoteSection(base_url="http://127.0.0.1:9/v1", name="big")


async def test_it_has_the_figures_of_a_daemon_on_the_same_directory(tmp_path: Path) -> None:
    gone = Address(channel="gone", chat="1")
    async with PendingDirectory(tmp_path / "s") as pending:
        for n in range(3):
            asked = inbound(address=gone)
            await pending.accept(asked)
            if n:
                await pending.answer(outbound(asked))
            if n == 2:
                await pending.bury(asked.id, "Forbidden: blocked")
    rest = (await status_at_rest(Settings(), tmp_path / "s")).as_json()
    async with running(tmp_path / "s") as house, house.client() as client:
        live = (await client.status()).as_json()
    assert rest.keys() == live.keys() and rest["daemon"].keys() == live["daemon"].keys()
    for figures in (rest, live):
        figures["pending"].pop("oldest_age")
    assert rest["pending"] == live["pending"]
    for name in ("documents", "turns", "problems"):
        assert rest[name] == live[name]
    assert (rest["daemon"]["pid"], rest["channels"]) == (None, [])


async def test_an_answer_that_waits_for_its_next_try_is_deferred(tmp_path: Path) -> None:
    async with PendingDirectory(tmp_path / "s") as pending:
        for until in (timedelta(hours=1), timedelta(hours=-1)):
            asked = inbound(address=Address(channel="gone", chat=str(until)))
            await pending.accept(asked)
            await pending.answer(outbound(asked))
            await pending.defer(asked.id, until=datetime.now(UTC) + until, attempt=1, error="no route")
    pending_figures = (await status_at_rest(Settings(), tmp_path / "s")).as_json()["pending"]
    assert (pending_figures["undelivered"], pending_figures["deferred"]) == (2, 1)


async def model_told(state: Path, options: ModelSection) -> tuple[str, str]:
    model = (await status_at_rest(Settings(model=options), state)).as_json()["model"]
    return model["name"], model["note"]


async def test_it_names_the_model_that_would_be_asked_and_what_is_wrong_with_it(tmp_path: Path) -> None:
    state = tmp_path / "s"
    assert (await model_told(state, ModelSection()))[0] == "extractive"
    assert await model_told(state, ModelSection(remote=REMOTE)) == ("big", NOT_LOADED)
    name, note = await model_told(state, ModelSection(order=("local",)))
    assert name == "none" and "agentd model use" in note
    path = tmp_path / "small.gguf"
    write_random_model(path)
    Shelf(state).choose(path)
    assert await model_told(state, ModelSection()) == ("small", NOT_LOADED)
    kept, types = Checks(Shelf(state).directory / checks.NAME), files.inspect(path).types
    slow = Verdict(way=allowed(gpu=False)[1], problems={"flash+repack": "it was killed by SIGSEGV"})
    verdict.keep(kept, types, allowed(gpu=False), slow)
    assert "without repacked weights" in (await model_told(state, ModelSection()))[1]
    standing.write(kept, path, Standing(aside="It crashed."))
    assert await model_told(state, ModelSection()) == ("small", "It crashed.")
    path.write_text("x")
    status = (await status_at_rest(Settings(), state)).as_json()
    assert "not a GGUF" in status["problems"][0]


async def test_a_directory_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    state = tmp_path / "x" / "s"
    status = (await status_at_rest(Settings(), state)).as_json()
    assert (status["daemon"]["state_dir"], status["daemon"]["free_mb"]) == (str(state), None)
    assert status["problems"] == [] and os.listdir(tmp_path) == []


async def test_documents_that_cannot_be_opened_are_told_beside_the_other_figures(tmp_path: Path) -> None:
    async with PendingDirectory(tmp_path / "s") as pending:
        await pending.accept(inbound())
    (tmp_path / "s" / "documents.db").write_text("not a database" * 100)
    figures = await status_at_rest(Settings(), tmp_path / "s")
    assert figures.pending is not None
    assert (figures.pending.unanswered, figures.pending.accepts) == (1, False)
    assert figures.documents is None
    assert "documents.db" in figures.problems[0]


async def test_a_directory_in_use_is_left_to_who_uses_it(tmp_path: Path) -> None:
    with StateLock(tmp_path), pytest.raises(StateInUse):
        await status_at_rest(Settings(), tmp_path)
