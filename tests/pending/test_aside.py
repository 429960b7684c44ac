"""What is set aside keeps its content, and takes no place that is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.events import OutboundEvent
from agentd.host.files import OsFiles
from agentd.ids import following
from agentd.pending.aside import MOST_TOLD, notice, set_aside
from agentd.pending.file import header_of
from tests.builders import TIME, inbound, outbound


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("pending", "corrupt"):
        (tmp_path / name).mkdir()
    return tmp_path / "pending", tmp_path / "corrupt"


def put_aside(places: tuple[Path, Path], *names: str) -> list[str]:
    pending, corrupt = places
    return set_aside(OsFiles(), str(pending), str(corrupt), dict.fromkeys(names, "it is bad"))


def test_a_name_that_is_taken_gets_a_number_and_a_long_one_is_cut(places: tuple[Path, Path]) -> None:
    pending, corrupt = places
    long = "x" * 255
    for content in ("one", "two"):
        for name in ("a", long):
            (pending / name).write_text(content)
        assert put_aside(places, "a", long) == ["a", long]
    assert [(corrupt / name).read_text() for name in ("a", "a.1", "x" * 240, "x" * 240 + ".1")] == ["one", "two"] * 2
    assert not list(pending.iterdir())


def test_a_directory_is_moved_with_what_is_in_it_and_what_is_gone_is_no_error(places: tuple[Path, Path]) -> None:
    pending, corrupt = places
    (pending / "folder").mkdir()
    (pending / "folder" / "inside").write_text("kept")
    assert put_aside(places, "folder", "gone") == ["folder"]
    assert (corrupt / "folder" / "inside").read_text() == "kept"


def test_a_flood_is_counted(places: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    names = [str(n) for n in range(MOST_TOLD + 7)]
    for name in names:
        (places[0] / name).touch()
    assert put_aside(places, *names) == names
    assert len(caplog.records) == MOST_TOLD + 1
    assert "7 more files" in caplog.text


def test_a_notice_goes_where_the_event_came_from_and_never_answers_a_notice() -> None:
    asked = inbound()
    for event, words in ((asked, "Your message"), (outbound(asked), "The answer to your message")):
        told = notice(header_of(event).turn(), TIME)
        assert isinstance(told, OutboundEvent)
        assert (told.id, told.address, told.answers, told.outcome) == (following(asked.id), asked.address, (), "error")
        assert told.text.startswith(f"{words} could not be")
        assert notice(header_of(told).turn(), TIME) is None
