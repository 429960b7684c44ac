"""`agentd config check` tells every problem with exit code 78; `show` tells every key and where it comes from."""

from __future__ import annotations

import asyncio
import json
import tomllib
from pathlib import Path

import pytest

from agentd.cli import main
from agentd.config import known_keys
from agentd.config.layers import dotted
from agentd.testing.gguf import write_random_model
from tests.daemons import WEBSOCKET
from tests.house import running
from tests.problems import check_problems


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests switch the gateway off by it."""
    monkeypatch.delenv(WEBSOCKET, raising=False)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration file in use."""
    path = tmp_path / "config.toml"
    path.touch()
    monkeypatch.setenv("AGENTD_CONFIG", str(path))
    return path


def test_check_says_ok_and_which_file_it_read(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("[agent]\nconcurrency = 3\n")
    assert main(["config", "check"]) == 0
    assert capsys.readouterr() == (f"ok: {file}\n", "")


def test_check_counts_a_warning_that_it_gave(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("[model.remote]\nbase_url = 'http://127.0.0.1:9/v1'\napi_key = 'k'\n")
    file.chmod(0o644)
    assert main(["config", "check"]) == 0
    said, warned = capsys.readouterr()
    assert said == f"ok, with 1 warning: {file}\n" and len(warned.splitlines()) == 1
    file.chmod(0o600)
    assert main(["config", "check"]) == 0
    assert capsys.readouterr() == (f"ok: {file}\n", "")


def test_check_tells_all_problems_and_exits_78(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("[agent]\nconcurency = 3\n[daemon]\ngrace = 'x'\n")
    assert main(["config", "check"]) == 78
    out, err = capsys.readouterr()
    head, *told = err.splitlines()
    assert out == "" and head.startswith("agentd: 2 ")
    check_problems(
        told,
        (f"  {file}:2", " key agent.concurency;", " agent.concurrency?"),
        (f"  {file}:4", " daemon.grace ", " number, ", " not 'x'."),
    )


def test_check_knows_which_channels_there_are(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("[channels.terminl]\n")
    assert main(["config", "check"]) == 78
    assert f"{file}:1: unknown channel terminl; did you mean channels.terminal?" in capsys.readouterr().err


def test_check_tells_the_problems_of_channels_with_the_others(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("[daemon]\ngrace = 'x'\n[channels.terminal]\ncolour = 1\n[channels.terminl]\n")
    assert main(["config", "check"]) == 78
    first, *lines = capsys.readouterr().err.splitlines()
    assert first == "agentd: 3 settings are wrong:"
    assert [line.split(" ")[2] for line in lines] == [f"{file}:{n}:" for n in (2, 5, 4)]


def test_show_is_toml_with_origins_and_without_secrets(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = "tests.built_channels:build"
    channel = f'[channels.x]\nbuild = "{build}"\ntoken = "s3cret"\nhost = "höst"\nlist = [{{ a = true }}]\n'
    file.write_text(f"[agent]\nconcurrency = 3\n{channel}")
    assert main(["config", "show", "--set", 'model.sampling.stop=["a\\"b"]']) == 0
    text = capsys.readouterr().out
    assert "s3cret" not in text
    assert [line.split("# ")[-1] for line in text.splitlines() if line.startswith("agent.")] == [
        f"{file}:2",
        "default",
        "default",
        "default",
    ]
    shown = tomllib.loads(text)
    assert shown["agent"]["concurrency"] == 3
    assert shown["model"]["sampling"]["stop"] == ['a"b']
    assert shown["channels"]["x"] == {"build": build, "token": "********", "host": "höst", "list": [{"a": True}]}
    assert "# model.path is not set" in text


def test_show_says_first_which_model_answers_and_from_how_many_documents(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, notes = tmp_path / "small.gguf", tmp_path / "notes.md"
    write_random_model(model)
    notes.write_text("The ferry leaves at 14:25.\n")
    state = ("--state-dir", str(tmp_path / "s"))
    assert main(["config", "show", *state]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("# no language model") and "`agentd model list`" in first
    assert main(["ingest", str(notes), *state]) == 0
    capsys.readouterr()
    assert main(["config", "show", *state, "--set", f"model.path={model}"]) == 0
    shown = capsys.readouterr().out
    first = shown.splitlines()[0]
    assert first.startswith("# small answers (") and first.endswith(" 1 document")
    assert tomllib.loads(shown)["model"]["path"] == str(model)


async def test_beside_a_daemon_show_asks_that(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(tmp_path / "s"):
        assert await asyncio.to_thread(main, ["config", "show", "--state-dir", str(tmp_path / "s")]) == 0
        assert capsys.readouterr().out.splitlines()[0] == "# scripted answers (ready), no documents"


def test_show_as_json_has_every_key(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("[daemon]\ngrace = 3\n")
    assert main(["config", "show", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert list(shown) == [dotted(known.key) for known in known_keys()]
    assert shown["daemon.grace"] == {"value": 3.0, "origin": f"{file}:2"}
    assert shown["model.path"] == {"value": None, "origin": "default"}


def test_show_of_a_wrong_configuration_is_its_problems(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("[[[")
    assert main(["config", "show"]) == 78
    assert capsys.readouterr().err.startswith(f"agentd: {file}:1:")


def test_check_looks_at_the_file_of_the_model(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "small.gguf"
    file.write_text(f'[model]\npath = "{model}"\n')
    assert main(["config", "check"]) == 78
    told = capsys.readouterr().err
    assert told.startswith(f"agentd: {file}:2: model.path ") and f"no model file {model}; " in told
    model.write_text("Hello")
    assert main(["config", "check"]) == 78
    told = capsys.readouterr().err
    assert str(model) in told and "not a GGUF" in told
    assert main(["config", "check", "--set", f"model.path={file}"]) == 78
    assert capsys.readouterr().err.startswith("agentd: --set model.path: model.path ")
    assert main(["config", "show"]) == 0
    write_random_model(model)
    assert main(["config", "check"]) == 0
    capsys.readouterr()


def test_check_names_what_does_not_come_from_the_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("[daemon]\ngrace = 3\n")
    assert main(["config", "check", "--set", "agent.concurrency=8"]) == 0
    assert capsys.readouterr().out == f"ok: {file} and --set agent.concurrency\n"


def test_check_without_a_file_says_what_is_no_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AGENTD_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("agentd.host.paths.SYSTEM_CONFIG", tmp_path / "none.toml")
    assert main(["config", "check"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("ok: ") and told.endswith(" all defaults\n")
    monkeypatch.setenv("AGENTD_DAEMON__GRACE", "3")
    assert main(["config", "check", "--set", "agent.concurrency=8"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("ok: ") and told.endswith(" AGENTD_DAEMON__GRACE, --set agent.concurrency\n")
