"""A path of llama.cpp that is broken on a machine, under a whole daemon: it answers all the same, and says why."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.models.library.shelf import Shelf
from agentd.models.llama import checks
from agentd.models.llama.ways import rebuild_hint
from agentd.testing.gguf import chain, write_table_model
from tests import native_faults
from tests.daemons import DaemonProcess
from tests.house import next_answer

ANSWER = "The answer is known."
BROKEN = {
    "repack": "without repacked weights and AMX",
    "flash": "without flash attention",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "known.gguf"
    write_table_model(path, chain("\n", " The", " answer", " is", " known", ".", "</s>"))
    return path


@pytest.mark.parametrize(
    ("part", "how"), [("repack", "SIGSEGV"), ("repack", "SIGILL"), ("repack", "wrong numbers"), ("flash", "SIGABRT")]
)
async def test_a_daemon_answers_although_the_fastest_way_fails_and_says_what_is_switched_off(
    tmp_path: Path, model: Path, part: str, how: str
) -> None:
    armed = native_faults.broken(tmp_path / "faults", part, how)
    for _ in range(2):
        daemon = DaemonProcess(tmp_path / "s", "--model", str(model), environment=armed)
        async with daemon, daemon.client() as client:
            await client.post((await client.open()).session, "Well?")
            answer = await next_answer(client)
            assert (answer.outcome, answer.text.strip(), answer.model) == ("answer", ANSWER, "known")
            status = (await client.status()).as_json()
            assert status["problems"] == []
            assert BROKEN[part] in status["model"]["note"]
            said = "wrong numbers" if how == "wrong numbers" else f"it was killed by {how}"
            assert said in status["model"]["note"]
            log = daemon.log.read_text()
            assert log.count(" work with flash+repack") == 1, "it is tried once for all starts"
            assert BROKEN[part] in log
    assert [key.split()[1] for key in _findings(tmp_path / "s")].count("way") == 1


async def test_a_model_that_cannot_run_is_set_aside_for_all_questions_of_all_daemons(
    tmp_path: Path, model: Path
) -> None:
    armed = native_faults.broken(tmp_path / "faults", "all", "SIGSEGV", where="model")
    for _ in range(2):
        daemon = DaemonProcess(tmp_path / "s", "--model", str(model), environment=armed)
        async with daemon, daemon.client() as client:
            session = (await client.open()).session
            for _ in range(2):
                await client.post(session, "Well?")
                answer = await next_answer(client)
                assert answer.model == "extractive"
            problems = " ".join((await client.status()).as_json()["problems"])
            assert "known crashed " in problems
            assert f"`agentd model check {model}`" in problems
            assert daemon.log.read_text().count("gone before its first") == 2, "of all daemons together"
    refused = _agentd("model", "use", str(model), "--state-dir", str(tmp_path / "s"))
    assert refused.returncode == 5 and "is set aside" in refused.stderr
    checked = _agentd("model", "check", str(model), "--json", "--state-dir", str(tmp_path / "s"))
    assert checked.returncode == 0 and json.loads(checked.stdout)["used"] is not None
    assert _agentd("model", "use", str(model), "--state-dir", str(tmp_path / "s")).returncode == 0


async def test_a_library_for_another_processor_is_told_with_the_command_that_builds_it(
    tmp_path: Path, model: Path
) -> None:
    armed = native_faults.broken(tmp_path / "faults", "all", "SIGILL")
    daemon = DaemonProcess(tmp_path / "s", "--model", str(model), environment=armed)
    async with daemon, daemon.client() as client:
        await client.post((await client.open()).session, "Well?")
        assert (await next_answer(client)).model == "extractive"
        problems = " ".join((await client.status()).as_json()["problems"])
        assert "another processor" in problems
        assert rebuild_hint() in problems


def _agentd(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agentd", *arguments], capture_output=True, text=True, timeout=300, check=False
    )


def _findings(state_dir: Path) -> list[str]:
    return list(json.loads((Shelf(state_dir).directory / checks.NAME).read_text())["findings"])
