"""The names of models on this machine: every one of them leads to its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.cli.model_names import by_name, chosen_name, path_of
from agentd.config import Settings
from agentd.config.sections import ModelSection
from agentd.errors import NotFound, UsageError
from agentd.models.library.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """With one model, `small`."""
    shelf = Shelf(tmp_path)
    shelf.directory.mkdir()
    (shelf.directory / "small.gguf").touch()
    return shelf


def test_a_chosen_file_elsewhere_has_a_name_of_its_own(shelf: Shelf) -> None:
    shelf.choose(Path("/m/mine.gguf"))
    assert path_of(shelf, Settings(), "mine") == Path("/m/mine.gguf")
    assert chosen_name(shelf, Settings(), action="info") == "mine"


def test_what_was_chosen_before_keeps_its_name_also_when_it_is_gone(shelf: Shelf) -> None:
    pulled = shelf.directory / "qwen3-4b.gguf"
    for path in (Path("/m/mine.gguf"), pulled, Path("/n/mine.gguf"), None):
        shelf.choose(path)
    found = {"small": shelf.directory / "small.gguf", "mine": Path("/n/mine.gguf"), "qwen3-4b": pulled}
    assert by_name(shelf, Settings()) == {**found, "/m/mine.gguf": Path("/m/mine.gguf")}


@pytest.mark.parametrize("name", ["small", "qwen3-4b"])
def test_a_name_that_is_taken_is_not_given_again(shelf: Shelf, name: str) -> None:
    shelf.choose(Path(f"/m/{name}.gguf"))
    assert set(by_name(shelf, Settings())) == {"small", f"/m/{name}.gguf"}
    assert path_of(shelf, Settings(), f"/m/{name}.gguf") == Path(f"/m/{name}.gguf")


def test_the_path_of_the_settings_comes_before_the_choice(shelf: Shelf) -> None:
    shelf.choose(Path("/m/mine.gguf"))
    settings = Settings(model=ModelSection(path=shelf.directory / "small.gguf"))
    assert by_name(shelf, settings) == {"small": shelf.directory / "small.gguf", "mine": Path("/m/mine.gguf")}
    assert chosen_name(shelf, settings, action="info") == "small"


def test_what_is_not_here_is_told(shelf: Shelf) -> None:
    with pytest.raises(UsageError, match="agentd model info NAME"):
        chosen_name(shelf, Settings(), action="info")
    with pytest.raises(NotFound, match="did you mean small"):
        path_of(shelf, Settings(), "smal")


def test_a_pull_is_suggested_only_for_what_can_be_pulled(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").touch()
    for name, hint in {
        "README.md": "did you mean the file ./README.md?",
        "Small": "did you mean small?",
        "granite": "did you mean granite-4.1-3b? `agentd model pull granite-4.1-3b` gets it.",
        "qwen-1.7b": "did you mean qwen3-1.7b? `agentd model pull qwen3-1.7b` gets it.",
        "zebra": "`agentd model list` shows the names.",
        "qwen3-4b": "`agentd model pull qwen3-4b` gets it.",
        "o/r/x.gguf": "`agentd model pull o/r/x.gguf` gets it, if the hub has it.",
    }.items():
        with pytest.raises(NotFound) as told:
            path_of(shelf, Settings(), name)
        assert repr(name) in str(told.value) and str(told.value).endswith(f"; {hint}")


def test_a_path_of_several_folders_is_a_path_where_the_file_is_there(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "o" / "r" / "x.gguf"
    mine.parent.mkdir(parents=True)
    mine.touch()
    assert path_of(shelf, Settings(), "o/r/x.gguf") == mine
    for path in ("./o/r/y.gguf", "r/y.gguf"):
        assert path_of(shelf, Settings(), path) == tmp_path / path
