"""A problem names its place and key, and quotes only what can be no secret."""

from __future__ import annotations

import pytest

from agentd.config.problems import config_error, origin_of, said_aloud
from agentd.config.settings import load
from agentd.errors import ConfigError


def told(**environ: str) -> str:
    with pytest.raises(ConfigError) as raised:
        load({f"AGENTD_{name}": value for name, value in environ.items()})
    return str(raised.value)


def test_a_short_wrong_value_is_quoted() -> None:
    assert told(AGENT__CONCURRENCY="two").endswith("unable to parse string as an integer, not 'two'.")


@pytest.mark.parametrize("value", ["sk-SECRET", "Zx81mq02kkd93jd82hd72hs62", "http://ann:SECRET@h", '["SECRET"]'])
@pytest.mark.parametrize("name", ["MODEL__REMOTE__RETRIES", "MODEL__REMOTE__DIALECT", "AGENT__CONCURRENCY"])
def test_a_secret_in_the_wrong_place_is_not_quoted(name: str, value: str) -> None:
    text = told(**{name: value})
    assert "SECRET" not in text and "Zx81" not in text and name in text


def test_the_place_is_that_of_the_key_or_of_what_holds_it() -> None:
    origins = {("a", "b"): "file:2", ("c",): "file:3"}
    assert [origin_of(key, origins) for key in (("a", "b", "c"), ("a",), ("c", "d"), ("e",))] == [
        "file:2: ",
        "file:2: ",
        "file:3: ",
        "",
    ]


def test_a_secret_in_an_option_is_told_with_what_to_do() -> None:
    text = said_aloud(("model", "remote", "api_key"), keeps=True)
    assert "AGENTD_MODEL__REMOTE__API_KEY" in text and '{"file": "/a/path"}' in text
    assert "kept" not in said_aloud(("channels", "x", "hook"), keeps=False)


def test_several_problems_are_one_error() -> None:
    assert str(config_error(["one."])) == "one."
    assert str(config_error(["one.", "two."])) == "2 settings are wrong:\n  one.\n  two."
