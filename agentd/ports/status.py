"""Is the house well, and if not, what to do: the figures of `agentd status`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Protocol

from pydantic import ConfigDict, FailFast, PlainSerializer

from agentd.ports.house import ToldData
from agentd.records import Principal, TurnUsage

Moment = Annotated[datetime, PlainSerializer(datetime.isoformat, return_type=str, when_used="json")]
"""A time as JSON has had it since the first clients: with an offset, not with a Z."""


class DaemonFigures(ToldData):
    """The process, without a pid if none runs; `state_dir` and `free_mb` are for the owner."""

    version: str = ""
    pid: int | None = None
    in_process: bool = False
    state_dir: str = ""
    free_mb: int | None = None


class ModelFigures(ToldData):
    """The model that answers, and how it is; tokens per second are None as long as they are not known."""

    name: str = ""
    note: str = ""
    read_tps: float | None = None
    write_tps: float | None = None


class DocumentFigures(ToldData):
    documents: int
    chunks: int


class TurnFigures(ToldData):
    running: int
    waiting: int


class UsageFigures(TurnUsage):
    """What so many answers of this process took together."""

    model_config = ConfigDict(extra="ignore")

    answers: int = 0


class PendingFigures(ToldData):
    """What is not done with; `accepts` is false while messages are refused, `oldest_age` is in seconds."""

    accepts: bool = True
    unanswered: int
    undelivered: int
    deferred: int
    oldest_age: float | None
    dead: int
    corrupt: int = 0
    dead_by_reason: Mapping[str, int]


class DeliveryFigures(ToldData):
    """What is owed over one channel, and how it went last; `oldest_age` is in seconds."""

    waiting: int = 0
    in_flight: int = 0
    unconfirmed: int = 0
    deferred: int = 0
    oldest_age: float | None = None
    breaker_open: bool = False
    last_delivered: Moment | None = None
    last_failed: Moment | None = None
    last_error: str = ""


class ChannelFigures(ToldData):
    name: str
    state: str
    reason: str
    address: str = ""
    delivery: DeliveryFigures


class StatusReport(ToldData):
    """What `agentd status` shows. What is None or empty by default is told to the owner alone.

    `yours` are the documents of the principal who asks, unless that is the owner.
    """

    daemon: DaemonFigures = DaemonFigures()
    model: ModelFigures = ModelFigures()
    documents: DocumentFigures | None = None
    yours: DocumentFigures | None = None
    turns: TurnFigures | None = None
    usage: UsageFigures | None = None
    pending: PendingFigures | None = None
    channels: Annotated[tuple[ChannelFigures, ...], FailFast()] = ()
    problems: Annotated[tuple[str, ...], FailFast()] = ()

    def as_json(self) -> dict[str, Any]:
        """Without the members that are not told."""
        return self.model_dump(mode="json", exclude_unset=True)


class Status(Protocol):
    """Is it well, and if not, what to do."""

    async def snapshot(self, principal: Principal) -> StatusReport:
        """For others than the owner only who answers, from how many documents of theirs, and whether all is well."""
        ...

    async def refusals(self) -> list[str]:
        """Why messages are refused or cannot be answered at the moment; empty if all is well."""
        ...
