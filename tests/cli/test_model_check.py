"""`agentd model check`: every way is tried with the model itself, and what is found is used from then on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentd.cli import main
from agentd.cli.model_check import Row, judge, lines
from agentd.models.library.shelf import Shelf
from agentd.models.llama import checks, files, probe, standing, verdict
from agentd.models.llama.checks import Checks
from agentd.models.llama.standing import Standing
from agentd.models.llama.ways import allowed
from agentd.testing.gguf import write_random_model
from tests import native_faults

NAMES = [way.name for way in allowed(gpu=False)]


def check(state: Path, *arguments: str) -> int:
    common = ("--state-dir", str(state), "--config", "/dev/null")
    return main(["model", "check", *arguments, *common, "--set", "model.gpu_layers=0", "--set", "model.threads=1"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "random.gguf"
    write_random_model(path)
    Shelf(tmp_path / "s").choose(path)
    return path


def test_the_chosen_model_is_tried_in_every_way_and_measured(
    tmp_path: Path, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path / "s", "--json") == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert err.splitlines() == [f"way {n} of 4: {name} ..." for n, name in enumerate(NAMES, start=1)] + [
        "tools and citations ..."
    ]
    assert not told["tools"] and not told["cites"]
    assert probe.known(Checks(Shelf(tmp_path / "s").directory / checks.NAME), path) is not None
    assert (told["model"], told["types"]) == ("random", list(files.inspect(path).types))
    assert [row["way"] for row in told["ways"]] == NAMES
    assert all(row["why"] == "" and row["read"] > 0 and row["write"] > 0 for row in told["ways"])
    kept = verdict.kept(Checks(Shelf(tmp_path / "s").directory / checks.NAME), told["types"], allowed(gpu=False))
    assert kept is not None and kept.way is not None and kept.way.name == told["used"]


def test_a_way_that_crashes_with_the_model_is_not_used_and_what_was_known_is_forgotten(
    tmp_path: Path, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Checks(Shelf(tmp_path / "s").directory / checks.NAME)
    standing.write(kept, path, Standing(aside="It crashed."))
    for name, value in native_faults.broken(tmp_path / "faults", "repack", "SIGSEGV", where="model").items():
        monkeypatch.setenv(name, value)
    assert check(tmp_path / "s") == 0
    out = capsys.readouterr().out
    for name in ("flash+repack", "repack"):
        (row,) = (line for line in out.splitlines() if line.startswith(f"{name} "))
        assert row.endswith(" SIGSEGV")
    assert "random runs with flash" in out or "random runs with plain" in out
    assert " repacked weights " in out
    assert standing.read(kept, path).aside == ""


def test_that_nothing_works_is_exit_code_5(
    tmp_path: Path, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in native_faults.broken(tmp_path / "faults", "all", "SIGABRT").items():
        monkeypatch.setenv(name, value)
    assert check(tmp_path / "s") == 5
    assert "random does not run" in capsys.readouterr().err


def test_the_first_way_that_works_is_used_unless_a_later_one_is_clearly_quicker() -> None:
    fast, slow = Row(way="flash+repack", read=100.0, write=10.0), Row(way="flash", read=103.0, write=10.2)
    assert judge([fast, slow]).way == allowed(gpu=False)[0]
    quick = Row(way="flash", read=200.0, write=10.0)
    judged = judge([fast, quick])
    assert judged.way == allowed(gpu=False)[1]
    assert "11.0 s instead of 8.5 s" in judged.switched_off(allowed(gpu=False))
    unknown = Row(way="flash")
    assert judge([fast, unknown]).way == allowed(gpu=False)[0]
    broken = Row(way="flash+repack", why="SIGSEGV")
    assert judge([broken, slow]).problems == {"flash+repack": "SIGSEGV"}
    assert judge([broken]).way is None


def test_the_table_says_what_cannot_be_measured_with_a_dash() -> None:
    rows = [Row(way="flash", why="it hangs"), Row(way="plain", read=1234.5, write=0.0)]
    *table, used, why = lines("m", rows, "Because.", "plain")
    assert table == [
        "way       reads    writes  tokens/s",
        "flash         -         -  does not work: it hangs",
        "plain   1,234.5         -",
    ]
    assert used.startswith("m runs with plain ") and why == "Because."
