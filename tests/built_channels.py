"""Channels that a daemon builds from its configuration and a test holds in its hand."""

from __future__ import annotations

from typing import Any

from agentd.config import Settings
from agentd.ports.channels import Receipt
from agentd.records import Address
from agentd.serving.given import Given
from agentd.testing.channel import FakeChannel
from agentd.testing.clients import MemoryChannel
from tests.builders import offer

HELD: dict[str, FakeChannel] = {}
GIVEN: dict[str, Given] = {}
"""What each channel was given of the house."""


def build(given: Given) -> FakeChannel:
    name = str(given.settings["name"])
    GIVEN[name] = given
    return HELD[name]


async def say(channel: FakeChannel, text: str, *, chat: str = "1", **changes: Any) -> Receipt:
    """Somebody writes in a chat of this channel, in the one conversation that the chat has."""
    given = GIVEN[channel.name]
    principal = given.door.principals.chat(chat)
    session = await given.door.sessions.open(principal, "main")
    address = Address(channel=channel.name, account="bot", chat=chat)
    values = {"principal": principal, "session_id": session.id, "address": address, **changes}
    return await channel.receive(offer(text, **values))


def configured(*channels: FakeChannel) -> Settings:
    """Settings of a daemon that runs these channels besides its own."""
    HELD.update({channel.name: channel for channel in channels})
    tables = {channel.name: {"build": "tests.built_channels:build", "name": channel.name} for channel in channels}
    return Settings(channels=tables)


MEMORY: dict[str, MemoryChannel] = {}


def build_memory(given: Given) -> MemoryChannel:
    return MEMORY[str(given.settings["name"])].build(given)


def in_memory(*channels: MemoryChannel) -> Settings:
    """Settings of a daemon with these channels; one that is called `terminal` takes the place of the sockets."""
    MEMORY.update({channel.name: channel for channel in channels})
    tables = {
        channel.name: {"build": "tests.built_channels:build_memory", "name": channel.name} for channel in channels
    }
    return Settings(channels=tables)
