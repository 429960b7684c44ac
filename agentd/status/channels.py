"""The state of each channel, according to the last event about it."""

from __future__ import annotations

from collections.abc import Mapping

from agentd.events import ChannelStateChanged, Event


class ChannelStates:
    """The bus feeds it as one of its reducers; a channel that never said anything is not in `latest`."""

    def __init__(self) -> None:
        self._latest: dict[str, ChannelStateChanged] = {}

    @property
    def latest(self) -> Mapping[str, ChannelStateChanged]:
        return self._latest

    def apply(self, event: Event) -> None:
        if isinstance(event, ChannelStateChanged):
            self._latest[event.channel] = event
