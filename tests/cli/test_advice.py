"""Advice can be typed as it is printed, however this program was found."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.cli import main
from agentd.cli.advice import as_typed, program


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a program in it that was called by its path, and a PATH without it."""
    script = tmp_path / "my agentd" / ".venv" / "bin" / "agentd"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path / "my agentd")
    monkeypatch.setattr("sys.argv", [".venv/bin/agentd", "chat"])
    return script


def test_a_program_that_is_not_on_the_path_is_named_as_it_was_called(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program() == ".venv/bin/agentd"
    assert as_typed("`agentd run`, agentd and `agentd-x`") == "`.venv/bin/agentd run`, agentd and `agentd-x`"
    monkeypatch.setattr("sys.argv", [str(checkout)])
    assert program() == f"'{checkout}'"


def test_a_program_that_the_path_leads_to_has_its_own_name(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "bin" / "agentd").symlink_to(checkout)
    assert program() == "agentd"
    assert as_typed("`agentd run`") == "`agentd run`"


def test_another_program_of_that_name_on_the_path_is_not_advised(checkout: Path, tmp_path: Path) -> None:
    other = tmp_path / "bin" / "agentd"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    assert program() == ".venv/bin/agentd"


def test_what_was_run_under_another_name_is_taken_for_installed(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["/x/agentd/__main__.py"])
    assert program() == "agentd"


def test_errors_are_told_with_what_can_be_typed(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", "use", "smal", "--state-dir", str(tmp_path)]) != 0
    assert "`.venv/bin/agentd model list` shows the names" in capsys.readouterr().err
