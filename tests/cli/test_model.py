"""`agentd model` as a person meets it: list, info, use, remove, alone and beside a running daemon."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from agentd.errors import ModelError, NotFound, UsageError
from agentd.models.library.shelf import Shelf
from tests.daemons import DaemonProcess
from tests.house import next_answer
from tests.model_house import agentd_model, shelved, small_machine

__all__ = ["small_machine"]
pytestmark = pytest.mark.usefixtures("small_machine")


def test_info_tells_all_of_a_model_here_and_of_one_in_the_catalogue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shelved(tmp_path)
    assert agentd_model(tmp_path, "info", "small", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["path"], told["architecture"], told["context"]) == (str(path), "llama", 8192)
    assert agentd_model(tmp_path, "info", str(path)) == 0
    assert "chat template  yes" in capsys.readouterr().out
    assert agentd_model(tmp_path, "info", "qwen3-4b") == 0
    text = capsys.readouterr().out
    assert "Qwen/Qwen3-4B-GGUF/Qwen3-4B-Q4_K_M.gguf" in text and "https://huggingface.co/Qwen/Qwen3-4B" in text
    path.write_text("x")
    assert agentd_model(tmp_path, "info", "small") == ModelError.exit_code
    out, err = capsys.readouterr()
    assert str(path) in out and "not a GGUF" not in out and "not a GGUF" in err
    assert agentd_model(tmp_path, "info", "small", "--json") == ModelError.exit_code
    assert "not a GGUF" in json.loads(capsys.readouterr().out)["problem"]
    assert agentd_model(tmp_path, "info", str(tmp_path / "none.gguf")) == ModelError.exit_code
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("agentd: ") and "no model file" in err
    assert agentd_model(tmp_path, "info", "smal") == NotFound.exit_code
    assert "did you mean small" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["use"], "required: MODEL"),
        (["list", "x"], "unrecognized arguments: x"),
        (["bench", "x", "--rounds", "0"], "must be from 1 to 100"),
        (["bench", "x", "--rounds", "many"], "must be from 1 to 100"),
        (["bench"], "model is chosen"),
        (["info"], "model is chosen"),
        (["remove", "../x"], "'../x' cannot"),
    ],
)
def test_wrong_usage_is_told(
    tmp_path: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert agentd_model(tmp_path, *arguments) == UsageError.exit_code
    assert words in capsys.readouterr().err


def test_a_choice_is_kept_for_the_next_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shelved(tmp_path)
    assert agentd_model(tmp_path, "use", "small") == 0
    said, warned = capsys.readouterr()
    assert said.startswith("small is chosen") and warned == ""
    assert Shelf(tmp_path).chosen() == path
    assert agentd_model(tmp_path, "remove", "small") == UsageError.exit_code
    assert agentd_model(tmp_path, "use", "none") == 0
    assert Shelf(tmp_path).chosen() is None
    capsys.readouterr()
    assert agentd_model(tmp_path, "remove", "small") == 0
    assert "small is removed" in capsys.readouterr().out and not path.exists()


def test_a_file_anywhere_can_be_chosen_and_a_broken_one_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = shelved(tmp_path / "elsewhere").rename(tmp_path / "mine.gguf")
    assert agentd_model(tmp_path, "use", str(mine)) == 0
    mine.write_text("x")
    other = tmp_path / "other.gguf"
    other.write_text("x")
    assert agentd_model(tmp_path, "use", str(other)) == ModelError.exit_code
    assert Shelf(tmp_path).chosen() == mine
    capsys.readouterr()


def test_a_chosen_file_elsewhere_is_known_by_its_name_and_never_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = shelved(tmp_path / "elsewhere").rename(tmp_path / "mine.gguf")
    assert agentd_model(tmp_path, "use", str(mine)) == 0
    capsys.readouterr()
    for named in ([], ["mine"]):
        assert agentd_model(tmp_path, "info", *named, "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["name"], told["path"], told["architecture"]) == ("mine", str(mine), "llama")
    assert agentd_model(tmp_path, "remove", "mine") == UsageError.exit_code
    assert f"{mine} lies outside of" in capsys.readouterr().err and mine.exists()


def test_a_model_that_was_chosen_once_is_listed_until_it_is_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = shelved(tmp_path / "elsewhere").rename(tmp_path / "mine.gguf")
    gone = shelved(tmp_path / "elsewhere").rename(tmp_path / "gone.gguf")
    for path in (mine, gone):
        assert agentd_model(tmp_path, "use", str(path)) == 0
    assert agentd_model(tmp_path, "use", "none") == 0
    gone.unlink()
    capsys.readouterr()
    assert agentd_model(tmp_path, "list") == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.split()}
    assert rows["mine"].endswith("  here") and rows["gone"].endswith(f" gone ({gone})")
    for name in ("mine", "gone"):
        assert agentd_model(tmp_path, "remove", name) == 0
        said = capsys.readouterr().out
        assert said.count("\n") == 1 and said.startswith(f"{name} ") and f" {tmp_path}/{name}.gguf " in said
    assert mine.exists() and Shelf(tmp_path).earlier() == []


def test_what_keeps_a_choice_from_answering_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelved(tmp_path)
    monkeypatch.setattr("agentd.models.llama.machine.available_memory", lambda: 1000)
    sets = ["--set", "model.path=/m/x.gguf", "--set", 'model.order=["extractive"]']
    assert agentd_model(tmp_path, "use", "small", *sets) == 0
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 3
    assert "needs about" in warnings[0] and "/m/x.gguf" in warnings[1] and "model.order" in warnings[2]


async def test_a_running_daemon_answers_with_the_choice_at_once_and_after_a_restart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "s"
    path = shelved(state)
    async with DaemonProcess(state) as daemon:
        assert await asyncio.to_thread(agentd_model, state, "use", "small") == 0
        assert capsys.readouterr().out.startswith("small answers ")
        for _ in range(2):
            async with daemon.client() as client:
                session = await client.open()
                await client.post(session.session, "Hello?")
                answer = await next_answer(client)
            assert (answer.model, answer.text.strip()) == ("small", "hello there")
            await daemon.end()
            await daemon.start()
        other = path.with_name("other.gguf")
        other.write_bytes(path.read_bytes()[:-1000])
        assert await asyncio.to_thread(agentd_model, state, "use", "other") == ModelError.exit_code
        assert Shelf(state).chosen() == path
        capsys.readouterr()
        async with daemon.client() as client:
            with pytest.raises(ModelError):
                await client.command(f"/model {state}/no-such/small.gguf")
            status = (await client.status()).as_json()
            assert status["model"]["name"] == "small" and status["problems"] == []


async def test_no_model_is_used_by_a_running_daemon_at_once_and_after_a_restart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "s"
    path = shelved(state)
    Shelf(state).choose(path)
    async with DaemonProcess(state) as daemon:
        assert await asyncio.to_thread(agentd_model, state, "use", "none") == 0
        told = capsys.readouterr()
        assert "answer from now" in told.out and told.err == ""
        assert Shelf(state).chosen() is None
        for _ in range(2):
            async with daemon.client() as client:
                assert (await client.status()).as_json()["model"]["name"] == "extractive"
            await daemon.end()
            await daemon.start()


async def test_a_daemon_that_could_not_answer_without_a_model_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "s"
    path = shelved(state)
    Shelf(state).choose(path)
    async with DaemonProcess(state, "--set", 'model.order=["local"]'):
        assert await asyncio.to_thread(agentd_model, state, "use", "none") == UsageError.exit_code
    assert "nothing could answer" in capsys.readouterr().err and Shelf(state).chosen() == path
