"""People see every key, its value and where that comes from; of a secret they see a mask."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from agentd.config.settings import load
from agentd.config.shown import origins
from agentd.host.secrets import MASK

TOKEN = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


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


class Mallory(BaseModel):
    host: str
    gate: SecretStr
    nested: dict[str, SecretStr] = {}


def test_what_a_channel_declares_is_masked_whatever_it_is_called(file: Path) -> None:
    file.write_text('[channels.m]\nbuild = "m:b"\nhost = "h"\ngate = "s3cret"\nnested = { a = "s3cret" }\nn = 5\n')
    settings = load({}, config=file)

    def shown(**models: type[BaseModel] | None) -> dict[str, object]:
        rows = origins(settings, models)
        return {row.key.removeprefix("channels.m."): row.value for row in rows if row.key.startswith("channels.")}

    assert shown(m=Mallory) == {"build": "m:b", "host": "h", "gate": MASK, "nested.a": MASK, "n": 5}
    assert shown(m=None)["gate"] == "s3cret", "nothing says that it is one"
    assert shown() == {"build": "m:b", "host": MASK, "gate": MASK, "nested.a": MASK, "n": 5}


def test_a_channel_that_declares_nothing_is_masked_by_names_and_shapes(file: Path) -> None:
    file.write_text(
        '[channels.m]\nhook = "S"\nbearer = "S"\nsigning = "S"\nwebhookUrl = "S"\nbotToken = "S"\npins = [1]\n'
        'note = "Zx81mq02kkd93jd82hd72hs62"\nx = ["sk-SECRET"]\nport = 80\nsigned = true\nkind = "plain"\n'
    )
    shown = {row.key.removeprefix("channels.m."): row.value for row in origins(load({}, config=file), {"m": None})}
    masks = dict.fromkeys(("hook", "bearer", "signing", "webhookUrl", "botToken", "pins", "note"), MASK)
    expected = {**masks, "x": [MASK], "port": 80, "signed": True, "kind": "plain"}
    assert {key: shown[key] for key in expected} == expected


def test_a_key_in_the_wrong_place_is_masked_by_its_shape() -> None:
    settings = load({"AGENTD_MODEL__SAMPLING__STOP": '["sk-SECRET"]', "AGENTD_MODEL__REMOTE__API_KEY": "a-key"})
    shown = {row.key: row.value for row in origins(settings)}
    assert shown["model.sampling.stop"] == [MASK]
    assert set(str(shown["model.remote.api_key"])) == {"*"}


def test_where_a_secret_is_kept_is_shown(file: Path) -> None:
    file.write_text('[model.remote]\napi_key = { file = "/etc/key" }\n')
    shown = {row.key: row.value for row in origins(load({}, config=file))}
    assert shown["model.remote.api_key"] == {"file": "/etc/key"}
    settings = load({"AGENTD_MODEL__REMOTE__API_KEY": '{"credential": "key"}'}, config=file)
    assert {row.key: row.value for row in origins(settings)}["model.remote.api_key"] == {"credential": "key"}
