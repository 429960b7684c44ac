"""`agentd model list`: what is here, what can be had, what fits, and which one is used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentd.models.library.shelf import Shelf
from agentd.models.llama.checks import Checks, of_file
from tests.model_house import GIB, agentd_model, shelved, small_machine

__all__ = ["small_machine"]
pytestmark = pytest.mark.usefixtures("small_machine")


def test_the_list_shows_what_is_here_what_can_be_had_and_what_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelved(tmp_path)
    (Shelf(tmp_path).directory / "broken.gguf").write_text("x")
    assert agentd_model(tmp_path, "list") == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.split()}
    assert lines["small"].endswith("here") and "MB" in lines["small"]
    assert "cannot be used" in lines["broken"]
    assert lines["granite-4.1-3b"].endswith("recommended here") and "Apache-2.0" in lines["granite-4.1-3b"]
    assert not lines["qwen3-8b"].endswith("recommended here")
    assert "agentd model pull granite-4.1-3b --use" in lines["No"]


def test_the_list_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shelved(tmp_path)
    Shelf(tmp_path).choose(path)
    assert agentd_model(tmp_path, "list", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["machine"] == {"available_memory": 4 * GIB, "free_threads": 3, "context": 8192}
    assert told["recommended"] == "granite-4.1-3b" and told["chosen"] == str(path)
    (small,) = [model for model in told["models"] if model["here"]]
    assert small["chosen"] and small["size"] == path.stat().st_size < small["memory"]


def test_a_chosen_model_that_lies_elsewhere_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = shelved(tmp_path / "elsewhere").rename(tmp_path / "mine.gguf")
    Shelf(tmp_path).choose(mine)
    agentd_model(tmp_path, "list")
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if line.startswith("*")]
    assert row.split()[1] == "mine" and row.endswith("chosen") and "MB" in row
    assert lines[-1].endswith(f" {mine}.")


def test_a_chosen_model_that_is_gone_says_so_in_its_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Shelf(tmp_path).choose(Path("/elsewhere/m.gguf"))
    agentd_model(tmp_path, "list")
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if line.startswith("*")]
    assert row.split()[1:4] == ["m", "?", "?"]
    assert row.endswith(" gone (/elsewhere/m.gguf)")


def test_the_speed_to_expect_is_told_and_decides_what_is_recommended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agentd_model(tmp_path, "list")
    told = capsys.readouterr().out
    assert "READS" not in told
    path = shelved(tmp_path)
    kept = Checks(tmp_path / "models" / "checks.json")
    kept.put("pace", "coder.gguf 1000000000 7 2 threads", {"read": 97.4, "write": 11.2})
    kept.put("pace", f"{of_file(path)} 2 threads", {"read": 5000, "write": 700})
    agentd_model(tmp_path, "list")
    told = capsys.readouterr().out
    lines = {line.split()[0]: line.split() for line in told.splitlines() if line.split()}
    assert {"5,000/s", "700/s"} <= set(lines["small"])
    assert {"~152/s", "~18/s"} <= set(lines["qwen3-0.6b"]) and {"~39/s", "~4.5/s"} <= set(lines["qwen3-4b"])
    assert lines["qwen3-4b"][-2:] == ["recommended", "here"] or lines["granite-4.1-3b"][-2:] == ["recommended", "here"]
    assert any("~ is estimated" in line and " coder," in line for line in told.splitlines())
    kept.put("pace", "coder.gguf 1000000000 7 2 threads", {"read": 30, "write": 3})
    agentd_model(tmp_path, "list", "--json")
    rows = json.loads(capsys.readouterr().out)
    assert rows["recommended"] == "qwen3-0.6b"
    pace = {row["name"]: row["pace"] for row in rows["models"]}
    assert pace["qwen3-0.6b"] == {"read": 46.9, "write": 4.7, "by": "coder.gguf"}
    assert pace["small"] == {"read": 5000.0, "write": 700.0, "by": ""}


def test_one_free_core_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    agentd_model(tmp_path, "list")
    assert " of memory and 3 cores are free.\n" in capsys.readouterr().out
    monkeypatch.setattr("agentd.models.llama.machine.free_threads", lambda: 1)
    agentd_model(tmp_path, "list")
    assert " of memory and 1 core are free.\n" in capsys.readouterr().out
