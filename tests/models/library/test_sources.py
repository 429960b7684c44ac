"""What a user can type for a model, and the error for anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.errors import UsageError
from agentd.models.library.catalogue import catalogue
from agentd.models.library.sources import HubFile, LocalFile, Source, WebFile, check_name, read_source


def read(text: str) -> Source:
    return read_source(text, catalogue())


def test_a_name_of_the_catalogue_is_its_file_with_its_licence() -> None:
    listed = catalogue()[0]
    source = read(listed.name)
    assert source == HubFile(name=listed.name, repo=listed.repo, file=listed.file, licence=listed.licence)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("o/r/m.gguf", HubFile(name="m", repo="o/r", file="m.gguf")),
        ("o/r/q4/My_M-Q4.gguf@abc", HubFile(name="My_M-Q4", repo="o/r", file="q4/My_M-Q4.gguf", revision="abc")),
        ("https://huggingface.co/o/r/resolve/main/m.gguf?download=true", HubFile(name="m", repo="o/r", file="m.gguf")),
        ("https://hf.co/o/r/blob/v1/a/m.gguf", HubFile(name="m", repo="o/r", file="a/m.gguf", revision="v1")),
        ("http://host/dir/m%20x.gguf", WebFile(name="m-x", url="http://host/dir/m%20x.gguf")),
        ("/a/b/m.gguf", LocalFile(name="m", path=Path("/a/b/m.gguf"))),
        ("~/m.gguf", LocalFile(name="m", path=Path.home() / "m.gguf")),
        ("./o/r/m.gguf", LocalFile(name="m", path=Path.cwd() / "o/r/m.gguf")),
        ("m.gguf", LocalFile(name="m", path=Path.cwd() / "m.gguf")),
    ],
)
def test_every_form_is_read(text: str, source: Source) -> None:
    assert read(text) == source


@pytest.mark.parametrize("text", ["", "qwen", "o/r", "o/r/m.bin", "https://host/", "https://host/m.bin", "o/r/m.gguf@"])
def test_anything_else_is_told_what_it_may_be(text: str) -> None:
    with pytest.raises(UsageError, match=r" OWNER/REPOSITORY/FILE\.gguf .*@REVISION.* URL .* path"):
        read(text)


def test_the_nearest_name_is_suggested() -> None:
    with pytest.raises(UsageError, match=r"did you mean granite-4\.1-3b"):
        read("granite4.1-3b")


def test_a_part_of_a_model_is_refused() -> None:
    with pytest.raises(UsageError, match="several parts"):
        read("o/r/big-00001-of-00003.gguf")


@pytest.mark.parametrize("name", ["", ".x", "a/b", "../x", "a b", "x.gguf", "a" * 151, "-x", "a\n"])
def test_a_name_that_could_leave_the_directory_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


def test_the_query_of_a_url_is_asked_with_and_not_shown() -> None:
    source = read_source("https://host/m.gguf?X-Signature=SECRET#x", [])
    assert isinstance(source, WebFile) and source.url == "https://host/m.gguf?X-Signature=SECRET#x"
    assert source.text == "https://host/m.gguf"


def test_a_url_with_a_password_is_refused_without_being_told() -> None:
    with pytest.raises(UsageError, match="process list") as told:
        read_source("https://bob:PASSW0RD@host/m.gguf", [])
    assert "PASSW0RD" not in str(told.value)
    with pytest.raises(UsageError, match="not a model") as told:
        read_source("https://bob:PASSW0RD@[::1/m.gguf", [])
    assert "PASSW0RD" not in str(told.value)
