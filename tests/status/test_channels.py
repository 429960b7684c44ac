from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from agentd.events import ChannelStateChanged
from agentd.status.channels import ChannelStates


def _changed(channel: str, state: Literal["connected", "down"], reason: str = "") -> ChannelStateChanged:
    return ChannelStateChanged(
        id="e", time=datetime(2026, 1, 1, tzinfo=UTC), channel=channel, state=state, reason=reason
    )


def test_the_last_word_about_each_channel_counts() -> None:
    states = ChannelStates()
    assert not states.latest
    for event in (_changed("a", "connected"), _changed("b", "connected"), _changed("a", "down", "no network")):
        states.apply(event)
    assert {name: (said.state, said.reason) for name, said in states.latest.items()} == {
        "a": ("down", "no network"),
        "b": ("connected", ""),
    }
