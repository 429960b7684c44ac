"""Settings come from options, environment, file and defaults; every problem names key, place and fix."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from agentd.config.kept import Kept
from agentd.config.layers import dotted
from agentd.config.settings import DEFAULT, KnownKey, Settings, known_keys, load, with_secrets
from agentd.config.shown import origins
from agentd.errors import ConfigError
from tests.problems import check_problems

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def problems(environ: dict[str, str], config: Path | None = None, **overrides: str) -> str:
    with pytest.raises(ConfigError) as raised:
        load(environ, config=config, overrides={key.replace("__", "."): text for key, text in overrides.items()})
    assert raised.value.exit_code == 78
    return str(raised.value)


def test_an_empty_configuration_is_all_defaults() -> None:
    assert load({}) == Settings()
    assert {row.origin for row in origins(load({}))} == {DEFAULT}


def test_options_win_over_environment_over_file_over_defaults(file: Path) -> None:
    file.write_text("[agent]\nconcurrency = 3\nqueue_limit = 3\n[daemon]\ngrace = 3\n")
    environ = {"AGENTD_AGENT__CONCURRENCY": "4", "AGENTD_AGENT__QUEUE_LIMIT": "4"}
    settings = load(environ, config=file, overrides={"agent.concurrency": "5"})
    assert (settings.agent.concurrency, settings.agent.queue_limit, settings.daemon.grace) == (5, 4, 3.0)
    assert settings.daemon.hard_limit == 10.0
    shown = {row.key: row.origin for row in origins(settings)}
    assert shown["agent.concurrency"] == "--set agent.concurrency"
    assert shown["agent.queue_limit"] == "AGENTD_AGENT__QUEUE_LIMIT"
    assert shown["daemon.grace"] == f"{file}:5"
    assert shown["daemon.hard_limit"] == DEFAULT


def test_every_key_can_be_given_as_text() -> None:
    environ = {"AGENTD_MODEL__SAMPLING__SEED": "7", "AGENTD_PENDING__ALLOW_NETWORK_FS": "true"}
    settings = load(environ, overrides={"model.sampling.stop": '["END"]', "model.sampling.temperature": "0.25"})
    assert settings.model.sampling.seed == 7
    assert settings.pending.allow_network_fs is True
    assert settings.model.sampling.stop == ("END",)
    assert settings.model.sampling.temperature == 0.25


def test_the_environment_is_read_by_load_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTD_DAEMON__GRACE", "1")
    monkeypatch.setenv("DAEMON", '{"grace": 1}')
    assert Settings().daemon.grace == load({}).daemon.grace == 20.0


def test_a_relative_path_begins_where_it_was_written(file: Path) -> None:
    file.write_text('model.path = "m.gguf"')
    assert load({}, config=file).model.path == file.parent / "m.gguf"
    assert load({"AGENTD_MODEL__PATH": "m.gguf"}, config=file).model.path == Path.cwd() / "m.gguf"
    assert load({"AGENTD_MODEL__PATH": "~/m.gguf"}).model.path == Path.home() / "m.gguf"
    assert load({"AGENTD_MODEL__PATH": "/m.gguf"}).model.path == Path("/m.gguf")
    assert load({"AGENTD_MODEL__PATH": ""}, config=file).model.path is None


def test_all_problems_of_all_places_are_told_at_once(file: Path) -> None:
    file.write_text('[agent]\nconcurrency = "two"\nmode = "steer"\n[modle]\npath = "x"\n[delivery]\nmin_age = 1e9\n')
    environ = {"AGENTD_DAEMON_GRACE": "3", "AGENTD_DAEMON__GRACE": "-1"}
    head, *told = problems(environ, file, pending__threads="1e3", retrieval__limt="4").splitlines()
    assert head.startswith("8 ")
    check_problems(
        told,
        (f"  {file}:4", " section modle;", " model?"),
        ("  AGENTD_DAEMON_GRACE", " AGENTD_DAEMON__GRACE?"),
        ("  --set retrieval.limt", " key retrieval.limt;", " retrieval.limit?"),
        ("  AGENTD_DAEMON__GRACE", " daemon.grace ", " 0, not '-1'."),
        (f"  {file}:2", " agent.concurrency ", " integer, ", " not 'two'."),
        (f"  {file}:3", " agent.mode ", " 'queue', not 'steer'."),
        (f"  {file}:7", " delivery: min_age (1e+09) ", " max_age (604800)."),
        ("  --set pending.threads", " pending.threads ", " integer, ", " not '1e3'."),
    )


def test_a_single_problem_is_a_single_line(file: Path) -> None:
    file.write_text("[daemon]\ngrace = true\n")
    check_problems([problems({}, file)], (f"{file}:2", " daemon.grace ", " number, not True."))


def test_a_syntax_error_is_told_with_line_and_column_beside_the_other_problems(file: Path) -> None:
    file.write_text("[daemon]\ngrace == 3\n")
    text = problems({"AGENTD_X": ""}, file)
    assert f"{file}:2:8: not TOML: Invalid value." in text and "AGENTD_X" in text


def test_a_value_that_json_does_not_know_is_no_channel_setting(file: Path) -> None:
    file.write_text("[channels.x]\nwhen = 2020-01-01\n")
    check_problems([problems({}, file)], (f"{file}:2", " channels.x.when: ", "JSON"))


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().daemon = Settings().daemon  # type: ignore[misc]


def test_an_option_takes_no_secret_but_may_say_where_it_is() -> None:
    text = problems({}, model__remote__api_key="sk-SECRET")
    assert text.startswith("--set model.remote.api_key: ")
    assert "AGENTD_MODEL__REMOTE__API_KEY" in text and "SECRET" not in text
    for key in ("bot_token", "hook", "x.password"):
        with pytest.raises(ConfigError, match=rf"^--set channels\.x\.{key}: .* secret") as raised:
            load({}, overrides={f"channels.x.{key}": "SECRET"})
        assert "SECRET" not in str(raised.value)
    assert "PASSW0RD" not in problems({}, channels__x__proxy="http://bob:PASSW0RD@h")
    allowed = {"model.remote.api_key": "", "channels.x.host": "h", "channels.x.token": '{"file": "/a"}'}
    assert load({}, overrides=allowed).model.remote.api_key is None
    kept = load({}, overrides={"model.remote.api_key": '{"file": "/a"}'}).model.remote.api_key
    assert kept == Kept(file=Path("/a"))


def test_a_key_that_is_kept_elsewhere_is_read_when_it_is_needed(file: Path, tmp_path: Path) -> None:
    file.write_text(f'[model.remote]\napi_key = {{ file = "{tmp_path}/key" }}\n')
    settings = load({}, config=file)
    with pytest.raises(ConfigError) as raised:
        with_secrets(settings)
    told = f"{file}:2: model.remote.api_key: its file {tmp_path}/key cannot be read: No such file or directory."
    assert str(raised.value) == told
    (tmp_path / "key").write_text("the-key\n")
    service = {"AGENTD_MODEL__REMOTE__API_KEY": '{"credential": "key"}', "CREDENTIALS_DIRECTORY": str(tmp_path)}
    for found in (with_secrets(settings), with_secrets(load(service))):
        assert isinstance(found.model.remote.api_key, SecretStr)
        assert found.model.remote.api_key.get_secret_value() == "the-key"
        assert found.given, "where each key was given is still known"


def _row(known: KnownKey) -> str:
    match known.default:
        case None | ():
            text = "none"
        case tuple():
            text = ", ".join(known.default)
        case bool():
            text = str(known.default).lower()
        case float():
            text = f"{known.default:g} {known.unit}"
        case _:
            text = f"{known.default} {known.unit}"
    return f"| `{dotted(known.key)}` | {text.rstrip()} | {known.meaning} |"


def test_the_documentation_lists_every_key_with_its_default_and_meaning() -> None:
    rows = re.findall(r"^\| `(?!channels\.).*", DOCUMENTATION.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [_row(known) for known in known_keys()]


def test_the_example_in_the_documentation_is_a_configuration(file: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", DOCUMENTATION.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    file.write_text(example[1])
    settings = load({}, config=file)
    assert settings.agent.concurrency == 8
    assert settings.model.path == file.parent / "models" / "small.gguf"
    assert settings.model.sampling.temperature == 0.2
