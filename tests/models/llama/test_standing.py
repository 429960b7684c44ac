from __future__ import annotations

from pathlib import Path

from agentd.models.llama import standing
from agentd.models.llama.checks import Checks
from agentd.models.llama.standing import Standing


def test_what_a_file_has_shown_is_known_to_the_next_process(tmp_path: Path) -> None:
    checks, path = tmp_path / "checks.json", tmp_path / "model.gguf"
    path.write_bytes(b"weights")
    assert standing.read(Checks(checks), path) == Standing()
    for shown in (Standing(proved=True, way="plain", why="it was killed"), Standing(aside="It crashes.")):
        standing.write(Checks(checks), path, shown)
        assert standing.read(Checks(checks), path) == shown
    standing.forget(Checks(checks), path)
    assert standing.read(Checks(checks), path) == Standing()


def test_another_file_in_its_place_begins_anew(tmp_path: Path) -> None:
    checks, path = Checks(tmp_path / "checks.json"), tmp_path / "model.gguf"
    path.write_bytes(b"weights")
    standing.write(checks, path, Standing(aside="It crashes."))
    path.write_bytes(b"other weights")
    assert standing.read(checks, path) == Standing()


def test_nothing_is_known_or_kept_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    checks = Checks(tmp_path / "checks.json")
    standing.write(checks, tmp_path / "none.gguf", Standing(proved=True))
    assert standing.read(checks, tmp_path / "none.gguf") == Standing()
    assert not (tmp_path / "checks.json").exists()
