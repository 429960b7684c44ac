"""What each place gives is found with its origin, and what is wrong is told with its place."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from agentd.config import layers
from agentd.config.layers import (
    MAX_FILE_BYTES,
    Keys,
    Layer,
    key_lines,
    merged,
    read_environment,
    read_file,
    read_overrides,
)
from tests.problems import check_problems

KEYS = Keys([("daemon", "grace"), ("model", "path"), ("model", "sampling", "top_k"), ("pending", "threads")])


def read(path: Path, text: str | bytes) -> Layer:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_file(path, KEYS)


def values(layer: Layer) -> dict[str, object]:
    return {".".join(given.key): given.value for given in layer.given}


def test_a_value_in_a_file_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    text = '# comment\n[daemon]\n\ngrace = 3\n[model.sampling]\r\n"top_k"=5\n[channels.x]\ny = { z = 1 }\n'
    layer = read(path, text)
    assert layer.problems == []
    assert [(given.key, given.value, given.origin) for given in layer.given] == [
        (("daemon", "grace"), 3, f"{path}:4"),
        (("model", "sampling", "top_k"), 5, f"{path}:6"),
        (("channels", "x", "y", "z"), 1, f"{path}:8"),
    ]


def test_lines_are_found_by_every_way_to_write_a_key() -> None:
    text = 'model.path = "x"\n[ a . "b.c" ]\n\'d e\' . f = """\ng = 1\n"""\nh = [\n "i = 1",\n]\n[[j]]\nk = 1\n'
    assert key_lines(text) == {
        ("model", "path"): 1,
        ("a", "b.c"): 2,
        ("a", "b.c", "d e", "f"): 3,
        ("a", "b.c", "h"): 6,
        ("j",): 9,
        ("j", "k"): 10,
    }


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        ("[daemon]\ngrace = \n", ":2:9", "Invalid"),
        ("a = [1,\n", ":1:8", "end of the"),
        ("[daemon]\ngrace = 1\ngrace = 2\n", ":3:10", "overwrite"),
        (b"a = 1\n# \xff", ":2", "0xff"),
        (b"#" * (MAX_FILE_BYTES + 1), "", "1 MiB"),
        ("a = " + "[" * 100_000, "", "nested"),
        ("a = " + "9" * 5000, "", "digits"),
    ],
)
def test_a_file_that_cannot_be_read_as_toml_is_told_with_its_place(
    tmp_path: Path, text: str | bytes, place: str, word: str
) -> None:
    path = tmp_path / "c.toml"
    check_problems(read(path, text).problems, (f"{path}{place}", word))


def test_a_file_that_cannot_be_opened_is_told_with_the_reason(tmp_path: Path) -> None:
    check_problems(read_file(tmp_path, KEYS).problems, (str(tmp_path), f"{os.strerror(errno.EISDIR)}."))


def test_a_pipe_is_read_and_one_to_which_nobody_writes_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"[daemon]\ngrace = 3\n")
    os.close(writing)
    assert values(read_file(Path(f"/dev/fd/{reading}"), KEYS)) == {"daemon.grace": 3}
    os.close(reading)
    monkeypatch.setattr(layers, "PIPE_SECONDS", 0.01)
    os.mkfifo(tmp_path / "pipe")
    (problem,) = read_file(tmp_path / "pipe", KEYS).problems
    assert "pipe" in problem


def test_an_empty_file_and_a_byte_order_mark_are_no_problem(tmp_path: Path) -> None:
    assert read(tmp_path / "c.toml", "") == Layer()
    assert values(read(tmp_path / "c.toml", b"\xef\xbb\xbfdaemon.grace = 1")) == {"daemon.grace": 1}


def test_unknown_names_in_a_file_are_told_with_the_nearest_right_one(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    text = "grace = 1\n[deamon]\ngrace = 1\n[model]\npth = 1\nsampling = 2\n[model.zzz]\nx = 1\n[channels]\ny = 1\n"
    check_problems(
        read(path, text).problems,
        (f"{path}:1", " key grace;", " daemon.grace?"),
        (f"{path}:2", " section deamon;", " daemon?"),
        (f"{path}:5", " key model.pth;", " model.path?"),
        (f"{path}:6", " model.sampling is a section,"),
        (f"{path}:7", " section model.zzz;", "`agentd config show`"),
        (f"{path}:10", " channels.y is a section,"),
    )


def test_empty_sections_are_no_problem_and_an_empty_channel_is_known_of(tmp_path: Path) -> None:
    layer = read(tmp_path / "c.toml", "[daemon]\n[model.sampling]\n[channels.x]\n")
    assert layer.problems == []
    assert values(layer) == {"channels.x": {}}


def test_variables_name_keys_with_two_underscores() -> None:
    environ = {"AGENTD_MODEL__SAMPLING__TOP_K": "7", "AGENTD_CHANNELS__X__TOKEN": "123", "HOME": "/", "MODEL": "no"}
    layer = read_environment(environ, KEYS)
    assert layer.problems == []
    assert values(layer) == {"channels.x.token": "123", "model.sampling.top_k": "7"}
    assert [given.origin for given in layer.given] == ["AGENTD_CHANNELS__X__TOKEN", "AGENTD_MODEL__SAMPLING__TOP_K"]


def test_an_unknown_variable_is_told_by_its_name_alone() -> None:
    names = ["AGENTD_DAEMON_GRACE", "AGENTD_STATEDIR", "AGENTD_daemon__grace", "AGENTD_", "AGENTD_CHANNELS__X"]
    problems = read_environment(dict.fromkeys(names, "secret"), KEYS).problems
    check_problems(
        problems,
        ("AGENTD_", "`agentd config show`"),
        ("AGENTD_CHANNELS__X", "`agentd config show`"),
        ("AGENTD_DAEMON_GRACE", " AGENTD_DAEMON__GRACE?"),
        ("AGENTD_STATEDIR", " AGENTD_STATE_DIR?"),
        ("AGENTD_daemon__grace", "`agentd config show`"),
    )
    assert "secret" not in "".join(problems)
    assert read_environment(dict.fromkeys(["AGENTD_STATE_DIR", "AGENTD_SOCKET", "AGENTD_CONFIG"], "x"), KEYS) == Layer()


def test_options_name_keys_with_dots() -> None:
    layer = read_overrides({"daemon.grace": "1", "daemon.grce": "1", "daemon": "1", "daemon.": "1", "": "1"}, KEYS)
    assert values(layer) == {"daemon.grace": "1"}
    check_problems(
        layer.problems,
        ("--set daemon.grce", " key daemon.grce;", " daemon.grace?"),
        ("--set daemon", " daemon is a section,"),
        ("--set daemon.", " key daemon.;", " daemon?"),
        ("--set ", "`agentd config show`"),
    )


def test_lists_in_texts_are_json_and_everything_else_stays_text() -> None:
    texts = {"channels.x.a": '["b", 1]', "channels.x.b": '{"c": 2}', "channels.x.c": "[not json", "channels.x.d": "7"}
    assert list(values(read_overrides(texts, KEYS)).values()) == [["b", 1], {"c": 2}, "[not json", "7"]


def test_the_first_layer_that_gives_a_key_wins() -> None:
    first = read_overrides({"daemon.grace": "1"}, KEYS)
    second = read_environment({"AGENTD_DAEMON__GRACE": "2", "AGENTD_MODEL__PATH": "m"}, KEYS)
    assert {key: given.value for key, given in merged([first, second]).items()} == {
        ("daemon", "grace"): "1",
        ("model", "path"): "m",
    }
