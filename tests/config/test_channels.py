"""The channels that the settings name."""

from __future__ import annotations

from typing import Any

from agentd.config import Settings
from agentd.config.channels import channel_builders, channel_problems, is_enabled
from agentd.daemon import CHANNELS as OWN


def test_a_third_party_channel_is_one_string_in_the_configuration() -> None:
    settings = Settings(channels={"mine": {"build": "my.package:build", "key": "value"}})
    assert channel_builders(settings, OWN)["mine"] == "my.package:build"


def test_a_channel_that_is_switched_off_is_not_even_imported() -> None:
    table: dict[str, Any] = {"build": "no.such.package:build", "enabled": "false"}
    settings = Settings(channels={"mine": table, "terminal": {"enabled": "perhaps"}})
    builders = channel_builders(settings, OWN)
    assert [is_enabled(settings, name) for name in ("mine", "websocket")] == [False, True]
    assert channel_problems(settings, builders) == ["channels.terminal.enabled must be true or false."]


def test_every_problem_of_the_channels_is_told_at_once() -> None:
    tables: dict[str, dict[str, Any]] = {
        "termnal": {},
        "terminal": {"colour": "blue"},
        "mine": {"build": "no.such.package:build"},
        "plain": {"build": "tests.built_channels:build", "name": "plain"},
    }
    settings = Settings(channels=tables)
    unknown, key, build = channel_problems(settings, channel_builders(settings, OWN))
    assert unknown == "unknown channel termnal; did you mean channels.terminal?"
    assert key.startswith("unknown key channels.terminal.colour")
    assert build.startswith("channels.mine.build ") and "'no.such.package:build'" in build
    assert channel_problems(settings, channel_builders(settings, OWN), ("terminal",)) == [unknown, key]
