"""What the daemon offers a channel when it builds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentd.ports.channels import Deliveries, Principals
from agentd.ports.documents import DocumentIntake
from agentd.ports.feed import Feed
from agentd.ports.house import Control
from agentd.ports.letters import DeliveryDesk
from agentd.ports.sessions import SessionDesk
from agentd.ports.status import Status
from agentd.serving.clients import Clients


@dataclass(frozen=True, kw_only=True, slots=True)
class Offers:
    """What the daemon offers a channel when it builds it; a channel takes the few that it uses.

    `settings` is the channel's own table of the configuration, `sockets` are paths to serve with their modes.
    `principals` says for whom the channel may ask; every other part looks whether they may do what is asked.
    `clients`, called once, makes what serves the channel's clients and delivers its answers to all who follow their
    sessions, over whatever channel: the one audience.
    """

    settings: Mapping[str, Any]
    sockets: Sequence[tuple[Path, int]]
    principals: Principals
    sessions: SessionDesk
    documents: DocumentIntake
    feed: Feed
    deliveries: Deliveries
    status: Status
    control: Control
    letters: DeliveryDesk
    clients: Callable[[], Clients]
