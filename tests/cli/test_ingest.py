"""`agentd ingest` as a command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from agentd.cli.ingest import summary
from agentd.serving.protocol import IngestState


def ingest(state: Path, *paths: Path | str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentd", "ingest", *map(str, paths), "--state-dir", str(state)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_second_run_changes_nothing_and_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# A\n\nText of A.\n")
    first = ingest(tmp_path / "state", folder)
    assert (first.returncode, first.stderr) == (0, "") and first.stdout.startswith("1 added")
    second = ingest(tmp_path / "state", folder)
    assert second.returncode == 0 and second.stdout.startswith("nothing changed: 1 ")


def test_files_that_cannot_be_read_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "good.md").write_text("# Good\n\nText.\n")
    (folder / "binary.md").write_bytes(b"\x00\x01\x02")
    (folder / "latin.txt").write_bytes(b"caf\xe9 au lait")
    done = ingest(tmp_path / "state", folder)
    assert done.returncode == 1
    assert "1 added" in done.stdout
    assert "binary.md" in done.stderr and "latin.txt" in done.stderr


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = ingest(tmp_path / "state", tmp_path / "nowhere.md")
    assert done.returncode == 1 and "nowhere.md" in done.stderr
    assert done.stdout == ""


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    done = ingest(tmp_path / "state", tmp_path / "docs")
    assert (done.returncode, done.stderr) == (0, "") and "nothing to read" in done.stdout


def test_the_summary_counts_what_changed() -> None:
    state = IngestState(re="", found=6, done=6, added=1, changed=2, unchanged=3, removed=0, chunks=9)
    assert summary(state) == "1 added, 2 changed, 0 removed, 3 unchanged (9 passages written)"
    assert summary(state.model_copy(update={"chunks": 1})).endswith("(1 passage written)")


def test_files_are_uploaded_each_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A\n\nText of A.\n")
    (tmp_path / "b.bin").write_bytes(b"\x00")
    first = ingest(tmp_path / "state", "--upload", tmp_path / "a.md", tmp_path / "b.bin")
    assert first.returncode == 1 and first.stdout.startswith("1 added") and "b.bin" in first.stderr
    again = ingest(tmp_path / "state", "--upload", tmp_path / "a.md")
    assert again.returncode == 0 and again.stdout.startswith("nothing changed: 1 ")
    (tmp_path / "c.md").write_text("# C\n\nText of C.\n")
    folder = ingest(tmp_path / "state", "--upload", tmp_path, tmp_path / "c.md")
    assert folder.returncode == 1 and f"skipped {tmp_path}:" in folder.stderr and folder.stdout.startswith("1 added")
