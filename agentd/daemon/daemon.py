"""One daemon: has the house built, starts it, and stops it within two deadlines."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from agentd import __version__
from agentd.bus.bus import EventBus
from agentd.config import Settings, with_secrets
from agentd.config.channels import channel_builders, check_channels, is_enabled
from agentd.daemon.floors import (
    CHANNEL_SUPERVISOR,
    CHANNELS,
    CLOCK,
    Entrance,
    Plan,
    Workers,
    build_channels,
    connect,
    employ,
    furnish,
    open_disk,
    open_doors,
    open_library,
    token_desk,
)
from agentd.errors import AgentdError, ConfigError
from agentd.host.imports import named
from agentd.host.lock import StateLock
from agentd.host.peers import Peer, peer
from agentd.host.tasks import end, until_stopped
from agentd.host.threads import share
from agentd.pending import PendingDirectory
from agentd.ports.channels import Addressed, Channel, Draining, Listening
from agentd.ports.models import ChatModel
from agentd.serving.audience import Audience
from agentd.serving.door import Door
from agentd.serving.gate import LOCAL, WEB
from agentd.status.running import DaemonStatus
from agentd.storage.sessions import Sessions

log = logging.getLogger(__name__)

HEALTH_SECONDS = 10.0
CLOSING_SHARE = 0.2
"""Of the hard limit: kept for closing the files when everything else has ended, or was left behind."""


class Daemon:
    """One daemon on one state directory. `channels` None runs all that the settings do not switch off, else only these.

    With `channels` given, what other channels have pending is left to a daemon that runs them. `model` answers
    instead of the one that the settings name, and `peer` tells who connects instead of the kernel.
    """

    def __init__(
        self,
        settings: Settings,
        state_dir: Path,
        *,
        sockets: Sequence[tuple[Path, int]],
        channels: Sequence[str] | None = None,
        model: ChatModel | None = None,
        peer: Callable[[socket.socket], Peer] = peer,
    ) -> None:
        builders = channel_builders(settings, CHANNELS)
        check_channels(settings, builders, channels)
        runs = channels or [name for name in builders if is_enabled(settings, name)]
        if LOCAL not in runs:
            raise ConfigError(f"channels.{LOCAL}.enabled cannot be false: agentd's own commands use that channel.")
        self._plan = Plan(
            settings=with_secrets(settings),
            state_dir=state_dir,
            builders={name: builders[name] for name in runs},
            entrance=Entrance(sockets=sockets, peer=peer),
            in_process=channels is not None,
            model=model,
        )
        self._health: Health | None = None
        self.addresses: Mapping[str, str] = {}
        """Where channels are found on this machine, by the channel's name; known when it is ready."""

    async def is_well(self) -> bool:
        """The event loop runs, the database answers and the disk takes what must be durable."""
        return self._health is None or await self._health.is_well()

    async def refusals(self) -> list[str]:
        """Why no message is taken, or none can be answered; empty if all is well, or before it runs."""
        return [] if self._health is None else await self._health.status.refusals()

    async def run(self, *, stop: asyncio.Event, ready: Callable[[], None], fast: asyncio.Event | None = None) -> None:
        """Returns after `stop` was set and everything ended: running turns and deliveries first, for the grace period
        (or until `fast` is set), then by cancellation.

        Raises what keeps it from starting (`StateInUse`, `StateError`, `NewerVersion`, `ConfigError`), and whatever a
        core worker crashed with.
        """
        share()
        plan, limits = self._plan, self._plan.settings.daemon
        async with AsyncExitStack() as stack:
            stack.enter_context(StateLock(plan.state_dir))
            disk = await open_disk(stack, plan)
            hub = connect(plan, disk)
            library = open_library(stack, plan, disk, hub)
            tokens = token_desk(disk, hub)
            workers = employ(plan, disk, hub, library, tokens)
            desk = furnish(plan, disk, hub, library, workers, tokens)
            self._health = Health(disk.pending, library.sessions, desk.status)
            doors = open_doors(plan, hub, library, desk, workers.delivery, self._hand_over(stop))
            channels = build_channels(plan, doors, hub.budgets, Audience(hub.feed.epoch, workers.delivery))
            listen(stack, channels)
            self.addresses = {name: each.address for name, each in channels.items() if isinstance(each, Addressed)}
            tokens.address = self.addresses.get(WEB, "")
            tasks = start(workers, hub.bus, channels, doors)
            log.info("agentd %s runs on %s", __version__, plan.state_dir)
            ready()
            try:
                await until_stopped(stop, tasks)
                log.info("stopping: %d sessions are busy", len(hub.conversations.busy()))
                desk.inbox.close("it was asked to stop")
                await drain(workers, channels, limits.grace, fast or asyncio.Event())
            finally:
                await end(tasks, (1 - CLOSING_SHARE) * limits.hard_limit)
        log.info("stopped")

    def _hand_over(self, stop: asyncio.Event) -> Callable[[], float] | None:
        """What ends a daemon inside a command for one of its own; None for that one."""
        if not self._plan.in_process:
            return None
        limits = self._plan.settings.daemon

        def hand_over() -> float:
            stop.set()
            return limits.grace + limits.hard_limit

        return hand_over


def listen(stack: AsyncExitStack, channels: Mapping[str, Channel]) -> None:
    """What channels bind, they bind before anybody is told that the daemon runs."""
    for channel in channels.values():
        if isinstance(channel, Listening):
            stack.callback(channel.close)
            channel.listen()


def start(
    workers: Workers, bus: EventBus, channels: Mapping[str, Channel], doors: Mapping[str, Door]
) -> list[asyncio.Task[None]]:
    """Workers first, then channels, so that nobody takes in what nobody answers."""
    supervisor = named(CHANNEL_SUPERVISOR)(bus, CLOCK)
    running = {
        "delivery worker": workers.delivery.run(channels),
        "agent worker": workers.agent.run(),
        **{name: worker.run() for name, worker in workers.background.items()},
        **{f"channel {name}": supervisor.run(channel, doors[name].sessions) for name, channel in channels.items()},
    }
    return [asyncio.create_task(run, name=name) for name, run in running.items()]


async def drain(workers: Workers, channels: Mapping[str, Channel], grace: float, fast: asyncio.Event) -> None:
    """Let what runs end, for `grace` seconds or until `fast`."""
    work = asyncio.create_task(_finish(workers, channels, grace), name="drain")
    hurry = asyncio.create_task(fast.wait(), name="fast stop")
    try:
        await asyncio.wait([work, hurry], timeout=grace, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (work, hurry):
            task.cancel()
        await asyncio.wait([work, hurry])


async def _finish(workers: Workers, channels: Mapping[str, Channel], grace: float) -> None:
    for channel in channels.values():
        if isinstance(channel, Draining):
            await channel.stop_receiving()
    await workers.agent.drain()
    await workers.delivery.drain(grace)


@dataclass(frozen=True, slots=True)
class Health:
    """What says whether the daemon is well."""

    pending: PendingDirectory
    sessions: Sessions
    status: DaemonStatus

    async def is_well(self) -> bool:
        """See `Daemon.is_well`."""
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                await self.sessions.last_id()
        except (TimeoutError, AgentdError):
            return False
        # Nothing that runs gets better by a restart when the disk is only full.
        return self.pending.healthy or self.pending.lacks_room
