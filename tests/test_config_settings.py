"""Settings come from options, environment, file and defaults; every problem names key, place and fix."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from agentd.config.layers import dotted
from agentd.config.settings import (
    DEFAULT,
    MASK,
    KnownKey,
    Settings,
    known_keys,
    load,
    origins,
    table_problems,
    unknown_channels,
)
from agentd.errors import ConfigError

DOCUMENTATION = Path(__file__).parent.parent / "docs" / "configuration.md"
TOKEN = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"


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
    assert problems(environ, file, pending__threads="1e3", retrieval__limt="4").splitlines() == [
        "8 settings are wrong:",
        f"  {file}:4: unknown section modle; did you mean model?",
        "  AGENTD_DAEMON_GRACE: unknown variable; did you mean AGENTD_DAEMON__GRACE?",
        "  --set retrieval.limt: unknown key retrieval.limt; did you mean retrieval.limit?",
        "  AGENTD_DAEMON__GRACE: daemon.grace should be greater than or equal to 0, not '-1'.",
        f"  {file}:2: agent.concurrency should be a valid integer, unable to parse string as an integer, not 'two'.",
        f"  {file}:3: agent.mode should be 'queue', not 'steer'.",
        f"  {file}:7: delivery: min_age (1e+09) is more than max_age (604800).",
        "  --set pending.threads: pending.threads should be a valid integer, "
        "unable to parse string as an integer, not '1e3'.",
    ]


def test_a_single_problem_is_a_single_line(file: Path) -> None:
    file.write_text("[daemon]\ngrace = true\n")
    assert problems({}, file) == f"{file}:2: daemon.grace should be a number, not True."


def test_a_syntax_error_is_told_with_line_and_column_beside_the_other_problems(file: Path) -> None:
    file.write_text("[daemon]\ngrace == 3\n")
    text = problems({"AGENTD_X": ""}, file)
    assert f"{file}:2:8: not TOML: Invalid value." in text and "AGENTD_X" in text


def test_a_value_that_json_does_not_know_is_no_channel_setting(file: Path) -> None:
    file.write_text("[channels.x]\nwhen = 2020-01-01\n")
    assert problems({}, file) == f"{file}:2: channels.x.when: input was not a valid JSON value."


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().daemon = Settings().daemon  # type: ignore[misc]


class Telegram(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: SecretStr
    poll_seconds: int = 30
    chats: tuple[int, ...] = ()


def test_a_channels_own_table_is_right_without_what_builds_it(file: Path) -> None:
    file.write_text('[channels.telegram]\nchats = [1, 2]\nbuild = "mine:build"\n')
    environ = {"AGENTD_CHANNELS__TELEGRAM__TOKEN": "12345", "AGENTD_CHANNELS__TELEGRAM__POLL_SECONDS": "5"}
    assert table_problems(load(environ, config=file), "telegram", Telegram) == []


def test_what_is_wrong_in_a_channels_table_is_told_with_its_place_and_without_its_value(file: Path) -> None:
    file.write_text(f'[channels.telegram]\ntokne = "{TOKEN}"\nchats = ["{TOKEN}"]\n')
    settings = load({"AGENTD_CHANNELS__TELEGRAM__POLL_SECONDS": TOKEN}, config=file)
    assert table_problems(settings, "telegram", Telegram) == [
        f"{file}:2: channels.telegram.token is required.",
        "AGENTD_CHANNELS__TELEGRAM__POLL_SECONDS: channels.telegram.poll_seconds should be a valid integer, "
        "unable to parse string as an integer.",
        f"{file}:3: channels.telegram.chats.0 should be a valid integer, unable to parse string as an integer.",
        f"{file}:2: unknown key channels.telegram.tokne; did you mean channels.telegram.token?",
    ]


def test_a_channel_without_a_table_has_its_defaults() -> None:
    class Quiet(BaseModel):
        limit: int = 4

    assert table_problems(load({}), "quiet", Quiet) == []


def test_a_table_for_a_channel_that_does_not_exist_is_an_error(file: Path) -> None:
    file.write_text("[channels.telegrm]\nx = 1\n[channels.terminal]\n")
    settings = load({}, config=file)
    told = f"{file}:2: unknown channel telegrm; did you mean channels.telegram?"
    assert unknown_channels(settings, ("terminal", "telegram")) == [told]
    assert unknown_channels(settings, ("terminal", "telegrm")) == []


def test_problems_of_channels_are_told_with_the_others(file: Path) -> None:
    file.write_text('[daemon]\ngrace = "x"\n[channels.telegrm]\n[channels.telegram]\ntoken = 1\nproxy.host = "h"\n')
    seen: list[object] = []

    def channels(settings: Settings) -> list[str]:
        seen.append(settings.channels)
        return [*unknown_channels(settings, ("telegram",)), *table_problems(settings, "telegram", Telegram)]

    with pytest.raises(ConfigError) as raised:
        load({"AGENTD_X": ""}, config=file, channels=channels)
    assert seen == [{"telegrm": {}, "telegram": {"token": 1, "proxy": {"host": "h"}}}]
    first, *lines = str(raised.value).splitlines()
    assert first == "5 settings are wrong:"
    places = ["AGENTD_X:", *(f"{file}:{line}:" for line in (2, 3, 5, 6))]
    assert [line.strip().split(" ")[0] for line in lines] == places


def test_secrets_are_never_shown(file: Path) -> None:
    file.write_text(
        '[channels.x]\nbot_token = "s3cret"\napi.KEY = ["s3cret"]\nkeys = { a = "s3cret" }\n'
        f'proxy = "http://ann:s3cret@host/x"\nnote = "see {TOKEN}"\nlists = [["http://:s3cret@host"]]\n'
        "max_tokens_per_day = 3\nkeyboard = true\nempty = {}\n"
    )
    settings = load({"AGENTD_CHANNELS__X__PASSWORD": "s3cret"}, config=file)
    shown = {row.key.removeprefix("channels.x."): row.value for row in origins(settings) if "channels" in row.key}
    assert shown == {
        "bot_token": MASK,
        "api.KEY": MASK,
        "keys.a": MASK,
        "password": MASK,
        "proxy": f"http://{MASK}@host/x",
        "note": f"see {MASK}",
        "lists": [[f"http://{MASK}@host"]],
        "max_tokens_per_day": MASK,
        "keyboard": True,
        "empty": {},
    }


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
    rows = re.findall(r"^\| `.*", DOCUMENTATION.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [_row(known) for known in known_keys()]


def test_the_example_in_the_documentation_is_a_configuration(file: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", DOCUMENTATION.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    file.write_text(example[1])
    settings = load({}, config=file)
    assert settings.agent.concurrency == 8
    assert settings.model.path == file.parent / "models" / "small.gguf"
    assert settings.model.sampling.temperature == 0.2
