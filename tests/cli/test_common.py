"""Every command reads its settings and its state directory in the same way."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from agentd.cli.common import load_settings, model_option
from agentd.errors import ConfigError
from agentd.testing.gguf import write_random_model


def options(**given: object) -> argparse.Namespace:
    return argparse.Namespace(**{"config": None, "state_dir": None, "set": [], **given})


def test_options_say_which_file_and_directory_and_win_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[agent]\nconcurrency = 3\nqueue_limit = 3\n")
    monkeypatch.setenv("AGENTD_STATE_DIR", "/elsewhere")
    given = options(config=file, state_dir=tmp_path / "state", set=[("agent.concurrency", "4")])
    settings, state_dir = load_settings(given)
    assert (settings.agent.concurrency, settings.agent.queue_limit) == (4, 3)
    assert state_dir == tmp_path / "state"


def test_without_options_the_environment_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "c.toml"
    file.write_text("agent.concurrency = 3\n")
    monkeypatch.setenv("AGENTD_CONFIG", str(file))
    monkeypatch.setenv("AGENTD_STATE_DIR", str(tmp_path))
    settings, state_dir = load_settings(options())
    assert settings.agent.concurrency == 3
    assert state_dir == tmp_path


def test_of_a_key_that_is_set_twice_the_last_one_holds() -> None:
    given = options(config=Path("/dev/null"), set=[("agent.concurrency", "4"), ("agent.concurrency", "5")])
    assert load_settings(given)[0].agent.concurrency == 5


@pytest.mark.parametrize(
    "text",
    [
        '[model.remote]\napi_key = "sk-4711"\n',
        '[channels.x]\ntoken = "12345:abc"\n',
        "[channels.x.login]\npassword = 'abc'\n",
        '[channels.x]\nplace = "https://bob:abc@127.0.0.1/"\n',
    ],
)
def test_a_file_with_a_secret_that_others_can_read_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "my config.toml"
    file.write_text(text)
    file.chmod(0o644)
    given = options(config=file)
    assert load_settings(given) == load_settings(given)
    assert capsys.readouterr().err.count(f"chmod 600 '{file}'") == 1
    file.chmod(0o640)
    load_settings(options(config=file))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "text",
    [
        "[agent]\nconcurrency = 3\n",
        '[model.remote]\napi_key = { file = "/a/key" }\n',
        '[model.remote]\napi_key = ""\n',
        '[channels.x]\ntoken = { credential = "key" }\nname = "owls"\n',
    ],
)
def test_a_file_without_a_secret_may_be_read_by_everybody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    file.chmod(0o644)
    load_settings(options(config=file))
    assert capsys.readouterr().err == ""


def test_a_secret_that_the_environment_gives_instead_is_still_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[model.remote]\napi_key = "sk-4711"\n')
    file.chmod(0o644)
    monkeypatch.setenv("AGENTD_MODEL__REMOTE__API_KEY", '{"file": "/a/key"}')
    load_settings(options(config=file))
    assert f"chmod 600 {file}" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        load_settings(options(config=tmp_path / "nowhere"))


def test_a_model_is_a_setting_that_is_relative_to_where_the_person_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_random_model(tmp_path / "small.gguf")
    parser = argparse.ArgumentParser()
    model_option(parser)
    given = parser.parse_args(["--model", "small.gguf"], options(set=[("model.path", "/other.gguf")]))
    assert load_settings(given)[0].model.path == tmp_path / "small.gguf"


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "--model .*: .*no model file"), (b"x", "--model .*: .*not a GGUF")]
)
def test_a_model_that_cannot_be_one_is_told_at_once(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "small.gguf"
    if content is not None:
        path.write_bytes(content)
    parser = argparse.ArgumentParser()
    model_option(parser)
    with pytest.raises(ConfigError, match=reason):
        load_settings(parser.parse_args(["--model", str(path)], options()))
