"""A file becomes text or a reason that a person can act on."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.retrieval import readers
from agentd.retrieval.readers import Unreadable, below, is_readable_name, path_of, read, shown, source_of


def reason(path: Path, limit: int = readers.MAX_BYTES) -> str:
    with pytest.raises(Unreadable) as caught:
        read(str(path), limit)
    return str(caught.value)


def test_text_comes_with_its_name_hash_and_size(tmp_path: Path) -> None:
    path = tmp_path / "Notes on kills.md"
    path.write_bytes("Über\n".encode())
    source = read(str(path))
    assert (source.text, source.name, source.source) == ("Über\n", "Notes on kills", str(path))
    assert source.content_hash == hashlib.sha256("Über\n".encode()).hexdigest()
    assert (source.bytes, source.markdown) == (6, True)
    assert source.modified.timestamp() == pytest.approx(path.stat().st_mtime)


def test_a_byte_order_mark_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfText")
    assert read(str(tmp_path / "a.txt")).text == "Text"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x89PNG\0\0", "binary, not text"),
        ("Text".encode("utf-16"), "^UTF-16 .*: iconv -f UTF-16 -t UTF-8$"),
        (b"Gr\xfc\xdfe", r"\(byte 0xfc at 2\); .*: iconv -f ISO-8859-1 -t UTF-8$"),
    ],
)
def test_what_is_not_utf8_text_is_left_out_with_what_to_do(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    assert re.search(said, reason(path))


def test_a_file_beyond_the_limit_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(2 * 1024**3)
    assert re.findall(r"\d[\d.]* MiB", reason(path)) == ["2048.0 MiB", "32 MiB"]
    (tmp_path / "small.txt").write_bytes(b"12345")
    assert read(str(tmp_path / "small.txt"), limit=5).text == "12345"
    assert "too large" in reason(tmp_path / "small.txt", limit=4)


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    assert reason(tmp_path / "pipe.txt").startswith("not a regular")
    assert reason(Path("/dev/zero")).startswith("not a regular")


def test_a_file_that_is_not_there_or_leads_to_itself_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")
    assert reason(tmp_path / "none.txt").endswith(f": {os.strerror(errno.ENOENT)}")
    assert reason(tmp_path / "loop.txt").endswith(f": {os.strerror(errno.ELOOP)}")


def test_what_the_kernel_makes_while_it_is_read_is_no_document() -> None:
    assert "kernel makes it" in reason(Path("/proc/self/environ"))


def test_a_link_that_was_changed_meanwhile_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "key").write_text("secret")
    (tmp_path / "docs/a.md").symlink_to(tmp_path / "key")
    with pytest.raises(Unreadable, match="out of the"):
        read(str(tmp_path / "docs/a.md"), root=str(tmp_path / "docs"))
    (tmp_path / "docs/a.md").unlink()
    (tmp_path / "docs/a.md").write_text("text")
    assert read(str(tmp_path / "docs/a.md"), root=str(tmp_path / "docs")).text == "text"


@pytest.mark.parametrize(
    "image",
    [
        "![x](data:image/png;base64," + "iVBORw0K+/" * 500 + ")",
        '<img src="data:image/png;base64,' + ("iVBORw0K" * 9 + "\n") * 50 + 'iVBORw==">',
        "[1]: data:image/svg+xml;utf8," + "%3Csvg%20" * 100,
    ],
)
def test_the_data_of_an_image_is_no_text(tmp_path: Path, image: str) -> None:
    (tmp_path / "a.md").write_text(f"# Pic\n\n{image}\n\nThe picture shows a zebra.")
    text = read(str(tmp_path / "a.md")).text
    assert len(text) < 120
    assert text.endswith("\n\nThe picture shows a zebra.")


def test_only_certain_reasons_make_the_earlier_text_go(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\0")
    with pytest.raises(Unreadable) as binary:
        read(str(tmp_path / "a.txt"))
    with pytest.raises(Unreadable) as missing:
        read(str(tmp_path / "b.txt"))
    assert (binary.value.gone, missing.value.gone) == (True, False)


@pytest.mark.parametrize("name", ["a.md", "B.MARKDOWN", "c.txt", "d.rst", "README", "ChangeLog", "e.log"])
def test_text_is_known_by_its_name(name: str) -> None:
    assert is_readable_name(name)


@pytest.mark.parametrize("name", ["a.png", "b.pyc", "Makefile", "md", ".md", "c.md.gz"])
def test_other_names_are_not_read(name: str) -> None:
    assert not is_readable_name(name)


def test_a_path_that_can_be_shown_is_its_own_source() -> None:
    assert source_of("/notes/Über uns.md") == "/notes/Über uns.md"
    assert source_of("/notes/a\nb\udcff.md") == "file:///notes/a%0Ab%FF.md"


@given(st.binary(min_size=1, max_size=30).map(lambda name: os.fsdecode(b"/" + name.replace(b"\0", b""))))
def test_every_path_comes_back_from_its_source_and_can_be_shown(path: str) -> None:
    source = source_of(path)
    source.encode()
    assert path_of(source) == path
    assert shown(path).isprintable()


@given(st.binary(min_size=1, max_size=9).map(lambda name: os.fsdecode(b"/d/" + name.replace(b"\0", b"").strip(b"/"))))
def test_what_lies_below_a_folder_lies_in_its_ranges(path: str) -> None:
    def within(folder: str) -> bool:
        return any(low <= source_of(path) < high for low, high in below(folder))

    assert within("/d")
    assert not within("/dd") and not within("/d/e/f/g/h/i")


def test_names_are_shown_escaped() -> None:
    assert shown("a\nb\udcff\x1b[31mü") == "a\\nb\\xff\\x1b[31mü"
    assert readers.shown("plain") == "plain"
