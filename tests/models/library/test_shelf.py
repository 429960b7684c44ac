"""Models on the shelf, their records, and the one that is chosen."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentd.errors import NotFound, StateError, UsageError
from agentd.models.library.shelf import Record, Shelf

RECORD = Record(source="o/r/a.gguf", revision="abc", sha256="0" * 64, size=3, licence="mit", pulled=datetime.now(UTC))


def shelve(shelf: Shelf, name: str, text: str = "abc") -> Path:
    shelf.partial.mkdir(parents=True, exist_ok=True)
    whole = shelf.partial / "x"
    whole.write_text(text)
    return shelf.put(whole, name, RECORD)


def test_a_shelf_that_is_not_there_is_empty(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    assert shelf.models() == [] and shelf.chosen() is None and shelf.get("a") is None
    assert not shelf.directory.exists()


def test_a_model_is_placed_with_its_record_and_found_by_name(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    path = shelve(shelf, "b")
    shelve(shelf, "a", "longer")
    assert [(model.name, model.size, model.record) for model in shelf.models()] == [("a", 6, RECORD), ("b", 3, RECORD)]
    assert shelf.find("b").path == path and path.read_text() == "abc"
    assert not list(shelf.partial.iterdir())


def test_a_file_that_was_put_there_by_hand_has_no_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf(tmp_path)
    path = shelve(shelf, "a")
    path.with_name("a.gguf.json").unlink()
    (shelf.directory / "b.gguf").write_text("x")
    (shelf.directory / "b.gguf.json").write_text("{torn")
    assert [model.record for model in shelf.models()] == [None, None]
    assert "the record of" in caplog.text


def test_an_unknown_name_is_told_with_the_nearest_one(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelve(shelf, "granite-4.1-3b")
    with pytest.raises(NotFound, match=r"did you mean granite-4\.1-3b"):
        shelf.find("granite-4.1-3")
    with pytest.raises(UsageError):
        shelf.find("../../etc/passwd")


def test_a_choice_survives_and_the_shelf_can_be_moved(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "here")
    shelf.choose(shelve(shelf, "a"))
    assert Shelf(tmp_path / "here").chosen() == shelf.directory / "a.gguf"
    os.rename(tmp_path / "here", tmp_path / "there")
    assert Shelf(tmp_path / "there").chosen() == tmp_path / "there" / "models" / "a.gguf"
    shelf = Shelf(tmp_path / "there")
    shelf.choose(Path("/elsewhere/m.gguf"))
    assert shelf.chosen() == Path("/elsewhere/m.gguf")
    shelf.choose(None)
    shelf.choose(None)
    assert shelf.chosen() is None


def test_what_was_chosen_before_is_remembered_until_it_is_forgotten_or_removed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    mine, other = Path("/elsewhere/m.gguf"), Path("/elsewhere/o.gguf")
    shelved = shelve(shelf, "a")
    for path in (mine, shelved, other, mine, mine):
        shelf.choose(path)
    assert (shelf.chosen(), shelf.earlier()) == (mine, [other, shelved])
    shelf.choose(None)
    assert (shelf.chosen(), shelf.earlier()) == (None, [mine, other, shelved])
    shelf.forget(other)
    shelf.remove("a")
    assert shelf.earlier() == [mine]
    shelf.choose(mine)
    with pytest.raises(UsageError, match=r"^m .*chosen model"):
        shelf.forget(mine)


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"version": 1}', '{"path": "a", "earlier": 5}'])
def test_a_choice_that_cannot_be_read_is_none_and_told(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(tmp_path)
    shelf.directory.mkdir()
    (shelf.directory / "chosen.json").write_text(text)
    assert shelf.chosen() is None and "agentd model use" in caplog.text


def test_a_model_is_removed_with_its_record_but_not_while_it_is_chosen(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.choose(shelve(shelf, "a"))
    with pytest.raises(UsageError, match="choose another first"):
        shelf.remove("a")
    shelf.choose(None)
    assert shelf.remove("a").size == 3
    assert list(shelf.directory.iterdir()) == [shelf.partial]


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(StateError, match="models cannot be written"):
        Shelf(tmp_path).choose(Path("/m.gguf"))


def test_a_shelf_that_cannot_be_read_is_told_in_one_sentence(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.directory.write_text("a file in the place of the directory")
    for look in (shelf.models, lambda: shelf.find("a")):
        with pytest.raises(StateError, match=r"models cannot be read: Not a directory"):
            look()
