"""Channels that a daemon builds from its configuration and a test holds in its hand."""

from __future__ import annotations

from agentd.config import Settings
from agentd.ports import Offers
from agentd.testing.channel import FakeChannel

HELD: dict[str, FakeChannel] = {}


def build(offers: Offers) -> FakeChannel:
    return HELD[str(offers.settings["name"])]


def configured(*channels: FakeChannel) -> Settings:
    """Settings of a daemon that runs these channels besides its own."""
    HELD.update({channel.name: channel for channel in channels})
    tables = {channel.name: {"build": "tests.built_channels:build", "name": channel.name} for channel in channels}
    return Settings(channels=tables)
