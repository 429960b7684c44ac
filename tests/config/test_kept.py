"""A secret is read from the place that its setting names; whatever is wrong there is told without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from agentd.config.kept import MOST_BYTES, Kept, kept, read, secret
from agentd.host.secrets import MASK, masked


def test_a_place_is_a_file_or_a_credential() -> None:
    assert kept({"file": "/etc/key"}) == Kept(file=Path("/etc/key"))
    assert kept({"file": "~/key"}) == Kept(file=Path.home() / "key")
    assert kept({"credential": "key"}) == Kept(credential="key")
    for other in (None, "text", 3, {}, {"file": "/a", "path": "/b"}, {"path": "/a"}):
        assert kept(other) is None


@pytest.mark.parametrize(
    "place",
    [
        {"file": "key"},
        {"file": ""},
        {"file": 3},
        {"file": "/a", "credential": "b"},
        {"credential": ""},
        {"credential": "../x"},
        {"credential": ".."},
    ],
)
def test_a_place_that_cannot_be_is_told(place: object) -> None:
    with pytest.raises(ValueError, match=r"must (be|name)"):
        kept(place)


def test_a_secret_is_cleaned_and_masked_from_then_on() -> None:
    given = secret("  a-very-own-key\r\n")
    assert isinstance(given, SecretStr) and given.get_secret_value() == "a-very-own-key"
    assert masked("it is a-very-own-key") == f"it is {MASK}"
    assert secret(None) is None and secret(" \n") is None
    assert secret({"credential": "x"}) == secret(Kept(credential="x")) == Kept(credential="x")
    for wrong in (3, ["a"], {"a": "b"}):
        with pytest.raises(ValueError, match="text in quotes"):
            secret(wrong)


def test_what_is_kept_is_read_without_blanks_and_line_ends(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbf kept-key\r\n\n")
    assert read(Kept(file=tmp_path / "key"), None).get_secret_value() == "kept-key"
    assert read(Kept(credential="key"), str(tmp_path)).get_secret_value() == "kept-key"


def test_what_cannot_be_read_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "lines").write_text("one-KEY\ntwo-KEY\n")
    (tmp_path / "bytes").write_bytes(b"KEY\xff")
    (tmp_path / "large").write_text("KEY" * MOST_BYTES)
    os.mkfifo(tmp_path / "pipe")
    for name, what in {
        "none": "cannot be read: No such file",
        ".": "cannot be read: Is a directory",
        "pipe": "is not a file",
        "empty": "is empty",
        "lines": "has more than one line",
        "bytes": "is not UTF-8 text",
        "large": "is too large for a key",
    }.items():
        with pytest.raises(ValueError, match=what) as told:
            read(Kept(file=tmp_path / name), None)
        assert str(told.value).startswith(f"its file {tmp_path / name} ") and "KEY" not in str(told.value)


def test_a_credential_is_there_in_the_service_alone() -> None:
    with pytest.raises(ValueError, match=r"LoadCredential=key:/a/path"):
        read(Kept(credential="key"), None)
