"""Findings about models on this machine are kept, and count only on the machine where they were made."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.models.llama import checks
from agentd.models.llama.checks import Checks, of_file


def test_what_was_found_is_there_for_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "models" / "checks.json"
    Checks(path).put("way", "Q4_K", {"way": "fast"})
    assert Checks(path).get("way", "Q4_K") == {"way": "fast"}
    assert Checks(path).get("way", "Q8_0") is None
    assert Checks(path).get("tools", "Q4_K") is None
    Checks(path).put("way", "F16", {"way": "plain"})
    Checks(path).put("way", "Q4_K", {"way": "fast"})
    assert list(Checks(path).all("way").items()) == [("F16", {"way": "plain"}), ("Q4_K", {"way": "fast"})]
    assert Checks(path).all("tools") == {}
    Checks(path).forget("way", "Q4_K")
    assert Checks(path).get("way", "Q4_K") is None


def test_what_was_found_elsewhere_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checks.json"
    Checks(path).put("way", "Q4_K", {"way": "fast"})
    monkeypatch.setattr(checks, "here", lambda: "another machine")
    assert Checks(path).get("way", "Q4_K") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1, "findings": []}', '{"version": 9, "findings": {}}'])
def test_a_file_that_cannot_be_understood_says_nothing_and_is_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "checks.json"
    path.write_text(text)
    assert Checks(path).get("way", "Q4_K") is None
    Checks(path).put("way", "Q4_K", {"way": "fast"})
    assert Checks(path).get("way", "Q4_K") == {"way": "fast"}


def test_a_place_that_cannot_be_written_keeps_nothing_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "models").write_text("a file")
    Checks(tmp_path / "models" / "checks.json").put("way", "Q4_K", {})
    assert "cannot be written" in caplog.text
    Checks(None).put("way", "Q4_K", {})
    assert Checks(None).get("way", "Q4_K") is None


def test_only_so_many_findings_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "MOST", 2)
    found = Checks(tmp_path / "checks.json")
    for n in range(3):
        found.put("way", str(n), {"n": n})
    assert [found.get("way", str(n)) for n in range(3)] == [None, {"n": 1}, {"n": 2}]
    assert len(json.loads((tmp_path / "checks.json").read_text())["findings"]) == 2


def test_everything_about_a_file_is_forgotten_together_and_nothing_else(tmp_path: Path) -> None:
    found = Checks(tmp_path / "checks.json")
    path, other = tmp_path / "m.gguf", tmp_path / "m.gguf2"
    path.write_bytes(b"one")
    other.write_bytes(b"two")
    for kind, about in (
        ("file", of_file(path)),
        ("pace", f"{of_file(path)} 2"),
        ("file", of_file(other)),
        ("way", "F32"),
    ):
        found.put(kind, about, {"n": 1})
    found.forget_file(path)
    assert found.get("file", of_file(path)) is None is found.get("pace", f"{of_file(path)} 2")
    assert found.get("file", of_file(other)) == found.get("way", "F32") == {"n": 1}


def test_what_two_processes_find_at_the_same_time_is_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "checks.json"
    script = (
        "import sys\nfrom pathlib import Path\nfrom agentd.models.llama.checks import Checks\n"
        f"for n in range(50): Checks(Path({str(path)!r})).put('way', sys.argv[1] + str(n), {{}})\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, name]) for name in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert len(Checks(path).all("way")) == 100


def test_another_file_of_the_same_name_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"one")
    one = of_file(path)
    path.write_bytes(b"other")
    assert of_file(path) != one
