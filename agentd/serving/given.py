"""What the daemon gives a channel when it builds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentd.serving.clients import Clients
from agentd.serving.door import Door


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A channel takes of it what it uses.

    `settings` is the channel's own table of the configuration, `sockets` are paths to serve with their modes. `door`
    says for whom the channel may ask, and looks at every request whether they may. `clients`, called once, makes what
    serves the channel's clients and delivers its answers to all who follow their sessions, over whatever channel: the
    one audience.
    """

    settings: Mapping[str, Any]
    sockets: Sequence[tuple[Path, int]]
    door: Door
    clients: Callable[[], Clients]
