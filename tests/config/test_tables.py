"""A channel gets its own table with its secrets; what is wrong there is told with its place and without any value."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr

from agentd.config.settings import Settings, load
from agentd.config.tables import channel_table, table_problems, unknown_channels
from agentd.errors import ConfigError
from tests.problems import check_problems

TOKEN = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


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
    told = table_problems(settings, "telegram", Telegram)
    check_problems(
        told,
        (f"{file}:2", " channels.telegram.token ", "required"),
        ("AGENTD_CHANNELS__TELEGRAM__POLL_SECONDS", " channels.telegram.poll_seconds ", " integer"),
        (f"{file}:3", " channels.telegram.chats.0 ", " integer"),
        (f"{file}:2", " key channels.telegram.tokne;", " channels.telegram.token?"),
    )
    assert TOKEN not in "".join(told)


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


def test_a_secret_is_cleaned_and_a_wrong_one_is_told_without_it(file: Path) -> None:
    file.write_text('[channels.telegram]\ntoken = " 12345:abc\\r\\n"\n')
    assert channel_table(load({}, config=file), "telegram", Telegram) == {"token": "12345:abc"}
    settings = load({"AGENTD_CHANNELS__TELEGRAM__TOKEN": "12345\u200babc"}, config=file)
    told = "AGENTD_CHANNELS__TELEGRAM__TOKEN: channels.telegram.token: "
    (problem,) = table_problems(settings, "telegram", Telegram)
    assert problem.startswith(told) and "12345" not in problem
    with pytest.raises(ConfigError, match=r"channels\.telegram\.token: .* place 6 "):
        channel_table(settings, "telegram", Telegram)


def test_what_a_channel_calls_a_key_is_cleaned_if_it_declares_nothing(file: Path) -> None:
    file.write_text('[channels.x]\nbuild = "m:b"\nhook = "a\\n"\nnested = { password = "p\\n", host = "h\\n" }\n')
    table = channel_table(load({}, config=file), "x", None)
    assert table == {"hook": "a", "nested": {"password": "p", "host": "h\n"}}
    (problem,) = table_problems(load({"AGENTD_CHANNELS__X__SIGNING": "sec\nret"}, config=file), "x", None)
    told = "AGENTD_CHANNELS__X__SIGNING: channels.x.signing: has more than one line"
    assert problem.startswith(told) and "ret" not in problem


class Deep(BaseModel):
    tokens: dict[str, SecretStr] = {}
    accounts: list[Telegram] = []
    auth: dict[str, str] = {}


def test_a_secret_is_read_from_where_it_is_kept(file: Path, tmp_path: Path) -> None:
    (tmp_path / "one").write_text("file-secret\n")
    (tmp_path / "two").write_text("credential-secret")
    file.write_text(
        f'[channels.deep]\ntokens = {{ a = {{ file = "{tmp_path}/one" }} }}\nauth = {{ file = "own" }}\n'
        '[[channels.deep.accounts]]\ntoken = { credential = "two" }\n'
    )
    settings = load({"CREDENTIALS_DIRECTORY": str(tmp_path)}, config=file)
    assert table_problems(settings, "deep", Deep) == []
    assert channel_table(settings, "deep", Deep) == {
        "tokens": {"a": "file-secret"},
        "auth": {"file": "own"},
        "accounts": [{"token": "credential-secret"}],
    }
    (tmp_path / "one").unlink()
    (problem,) = table_problems(settings, "deep", Deep)
    told = f"{file}:2: channels.deep.tokens.a: its file {tmp_path}/one cannot be read: No such file or directory."
    assert problem == told


def test_a_table_of_a_channel_that_declares_nothing_stays_as_it_is(file: Path) -> None:
    file.write_text('[channels.x]\nauth = { file = "/own/file" }\n')
    assert channel_table(load({}, config=file), "x", None) == {"auth": {"file": "/own/file"}}


class Hooked(BaseModel):
    hook: SecretStr = SecretStr("")
    limit: int = 0


def test_an_option_may_say_where_a_secret_is_but_not_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("secret")
    settings = load({}, overrides={"channels.h.limit": "3", "channels.h.hook": f'{{"file": "{tmp_path}/hook"}}'})
    assert channel_table(settings, "h", Hooked) == {"hook": "secret", "limit": "3"}

    class Named(BaseModel):
        gate: SecretStr

    (problem,) = table_problems(load({}, overrides={"channels.h.gate": "S3CRET"}), "h", Named)
    assert problem.startswith("--set channels.h.gate: ")
    assert "AGENTD_CHANNELS__H__GATE" in problem and "S3CRET" not in problem


def test_a_place_in_a_higher_layer_is_not_mixed_with_that_of_a_lower_one(file: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from the service")
    file.write_text('[channels.h.hook]\nfile = "/nowhere"\n')
    environ = {"AGENTD_CHANNELS__H__HOOK": '{"credential": "key"}', "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert channel_table(load(environ, config=file), "h", Hooked) == {"hook": "from the service"}
    assert channel_table(load({"AGENTD_CHANNELS__H__HOOK": "text"}, config=file), "h", Hooked) == {"hook": "text"}
    (problem,) = table_problems(load({"AGENTD_CHANNELS__H__HOOK__CREDENTIAL": "k"}, config=file), "h", Hooked)
    assert problem.endswith(" not both.") and " channels.h.hook: " in problem
