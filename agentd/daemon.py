"""The composition root: builds every part, starts it, and stops it within two deadlines."""

from __future__ import annotations

import asyncio
import logging
import pwd
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from agentd import __version__
from agentd.bus.bus import EventBus
from agentd.bus.feed import LiveFeed
from agentd.clock import SystemClock
from agentd.config import Settings, channel_table, with_secrets
from agentd.config.channels import channel_builder, channel_builders, channel_model, check_channels
from agentd.delivery import Policy
from agentd.errors import AgentdError
from agentd.events import ModelStateChanged
from agentd.host.imports import named
from agentd.host.lock import StateLock
from agentd.host.peers import Peer, peer
from agentd.host.threads import share
from agentd.ids import IdSource
from agentd.models.assembly import assemble, only
from agentd.models.choice import State as ModelState
from agentd.models.extractive import ExtractiveModel
from agentd.models.failover import FailoverModel
from agentd.models.library.shelf import Shelf
from agentd.pending import PendingDirectory
from agentd.ports.channels import Channel, Draining, Listening
from agentd.ports.generation import Limits, Sampling
from agentd.ports.models import ChatModel
from agentd.retrieval.ingest import DocumentIngest
from agentd.retrieval.search import KeywordSearch
from agentd.serving.budget import Budgets
from agentd.serving.control import DaemonControl
from agentd.serving.door import LOCAL, Door, Inside
from agentd.serving.inbox import DurableInbox
from agentd.serving.letters import Letters
from agentd.serving.offers import Offers
from agentd.status.channels import ChannelStates
from agentd.status.running import DaemonStatus
from agentd.status.usage import UsageTotals
from agentd.storage.marks import Marks
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.storage.summaries import Summaries
from agentd.storage.turns import Turns
from agentd.tools.registry import built_in
from agentd.turns.conversation import Conversations
from agentd.turns.preparation import Preparation
from agentd.turns.runner import TurnRunner
from agentd.turns.settings import TurnSettings
from agentd.turns.window import Memory

log = logging.getLogger(__name__)

CHANNELS = {"terminal": "channels.terminal.channel:build"}
"""Channel name -> what builds it. A third party's channel names its own as `build` under `[channels.NAME]`."""
AGENT_WORKER = "workers.agent:AgentWorker"
DELIVERY_WORKER = "workers.delivery:DeliveryWorker"
WARMER = "workers.warm:Warmer"
CHANNEL_SUPERVISOR = "workers.channels:ChannelSupervisor"
HOUSEKEEPING = "workers.housekeeping:Housekeeping"
SUMMARIES = "workers.summaries:BackgroundSummaries"
UNREAD = "workers.unread:UnreadMarks"

HEALTH_SECONDS = 10.0
CLOSING_SHARE = 0.2
"""Of the hard limit: kept for closing the files when everything else has ended, or was left behind."""
PROMPT_RESERVE = 64
"""Tokens of the context that neither the prompt nor the answer may take."""


class Daemon:
    """One daemon on one state directory. `channels` None runs all that the settings name, else only these.

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
        self._settings = with_secrets(settings)
        self._model = model
        self._peer = peer
        self._state_dir = state_dir
        self._sockets = sockets
        self._in_process = channels is not None
        builders = channel_builders(settings, CHANNELS)
        check_channels(settings, builders, channels)
        self._builders = {name: builders[name] for name in channels or builders}
        self._house: _House | None = None

    async def is_well(self) -> bool:
        """The event loop runs, the database answers and the disk takes what must be durable."""
        if self._house is None:
            return True
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                await self._house.sessions.last_id()
        except (TimeoutError, AgentdError):
            return False
        # Nothing that runs gets better by a restart when the disk is only full.
        return self._house.pending.healthy or self._house.pending.lacks_room

    async def refusals(self) -> list[str]:
        """Why no message is taken, or none can be answered; empty if all is well, or before it runs."""
        return [] if self._house is None else await self._house.status.refusals()

    async def run(self, *, stop: asyncio.Event, ready: Callable[[], None], fast: asyncio.Event | None = None) -> None:
        """Returns after `stop` was set and everything ended: running turns and deliveries first, for the grace period
        (or until `fast` is set), then by cancellation.

        Raises what keeps it from starting (`StateInUse`, `StateError`, `NewerVersion`, `ConfigError`), and whatever a
        core worker crashed with.
        """
        share()
        async with AsyncExitStack() as stack:
            stack.enter_context(StateLock(self._state_dir))
            house = await _House.open(
                stack, self._settings, self._state_dir, self._builders, self._in_process, self._model
            )
            self._house = house
            house.open_doors(self._builders, self._peer, self._hand_over(stop))
            house.build_channels(self._builders, self._sockets)
            for channel in house.channels.values():
                if isinstance(channel, Listening):
                    stack.callback(channel.close)
                    channel.listen()
            tasks = house.start()
            log.info("agentd %s runs on %s", __version__, self._state_dir)
            ready()
            try:
                await until_stopped(stop, tasks)
                log.info("stopping: %d sessions are busy", len(house.conversations.busy()))
                await house.drain(self._settings.daemon.grace, fast or asyncio.Event())
            finally:
                await end(tasks, (1 - CLOSING_SHARE) * self._settings.daemon.hard_limit)
        log.info("stopped")

    def _hand_over(self, stop: asyncio.Event) -> Callable[[], float] | None:
        """What ends a daemon inside a command for one of its own; None for that one."""
        if not self._in_process:
            return None
        limits = self._settings.daemon

        def hand_over() -> float:
            stop.set()
            return limits.grace + limits.hard_limit

        return hand_over


async def until_stopped(stop: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Returns when `stop` is set; raises what a task crashed with, for none of them may end before."""
    stopping = asyncio.create_task(stop.wait(), name="wait for stop")
    try:
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
    for task in tasks:
        if task in done:
            task.result()
            raise RuntimeError(f"the {task.get_name()} ended by itself")


async def end(tasks: Sequence[asyncio.Task[None]], limit: float) -> None:
    """Cancel what still runs; what has not ended after `limit` seconds is named in the log and left."""
    for task in tasks:
        task.cancel()
    _, stuck = await asyncio.wait(tasks, timeout=limit)
    for task in stuck:
        log.error("the %s did not end within %g s; leaving it behind", task.get_name(), limit)
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            log.error("the %s failed", task.get_name(), exc_info=error)


class _House:
    """Everything that lives as long as the daemon runs."""

    model: FailoverModel
    extractive: ExtractiveModel
    summaries: Any
    control: DaemonControl
    doors: Mapping[str, Door]
    stores: Sequence[Store]

    def __init__(
        self,
        settings: Settings,
        pending: PendingDirectory,
        sessions: Sessions,
        turns: Turns,
        conversations: Conversations,
        documents: Store,
        ids: IdSource,
        budgets: Budgets,
    ) -> None:
        self.settings = settings
        self.ids = ids
        self.pending = pending
        self.sessions = sessions
        self.turns = turns
        self.clock = SystemClock()
        self.search = KeywordSearch(documents)
        self.ingest = DocumentIngest(documents, self.clock, max_bytes=settings.retrieval.max_file_bytes)
        self.conversations = conversations
        self.feed = LiveFeed()
        self.usage = UsageTotals()
        self.budgets = budgets
        self.channel_states = ChannelStates()
        told = (self.conversations, self.feed, self.usage, self.budgets, self.channel_states)
        reducers = [part.apply for part in told]
        self.bus = EventBus(pending, reducers, ids=ids, clock=self.clock)
        self.channels: dict[str, Channel] = {}

    @classmethod
    async def open(
        cls,
        stack: AsyncExitStack,
        settings: Settings,
        state_dir: Path,
        channels: Mapping[str, str],
        in_process: bool,
        model: ChatModel | None,
    ) -> _House:
        """Open the stores and recover what an earlier process left; `stack` closes them."""
        clock, ids = SystemClock(), IdSource()
        options = settings.pending
        pending = await stack.enter_async_context(
            PendingDirectory(
                state_dir,
                clock=clock,
                threads=options.threads,
                min_free_bytes=options.min_free_bytes,
                allow_network_fs=options.allow_network_fs,
            )
        )
        await pending.tell_lost()
        store = await stack.enter_async_context(Store(state_dir / "agentd.db", load_migrations("agentd.storage")))
        conversations, budgets = Conversations(), Budgets()
        sessions = Sessions(store, ids, clock, unanswered=conversations.newest, followed=budgets.followed)
        marks = Marks(store, clock)
        documents = await stack.enter_async_context(
            Store(state_dir / "documents.db", load_migrations("agentd.retrieval"))
        )
        ids.seen(pending.last_id)
        ids.seen(await sessions.last_id())
        house = cls(settings, pending, sessions, Turns(store, clock), conversations, documents, ids, budgets)
        house.stores = (store, documents)
        house.extractive = ExtractiveModel(house.ingest, alone=lambda: house.model.name == ExtractiveModel.name)
        house.model = (
            only(model, settings.model, Shelf(state_dir), house._tell_model)
            if model is not None
            else assemble(settings.model, Shelf(state_dir), house.extractive, house._tell_model)
        )
        stack.push_async_callback(house.model.close)
        turn = turn_settings(settings)
        house.summaries = named(SUMMARIES)(
            Summaries(store, clock), sessions, house.model, budget=turn.prompt_tokens, limits=turn.limits
        )
        house._build(state_dir, channels, in_process)
        house.control = DaemonControl(
            sessions=sessions,
            turns=house.turns,
            marks=marks,
            inbox=house.inbox,
            documents=house.ingest,
            status=house.status,
            clock=clock,
            models=house.model,
        )
        return house

    def _tell_model(self, name: str, state: ModelState, reason: str) -> None:
        self.bus.announce(ModelStateChanged(model=name, state=state, reason=reason))

    def _build(self, state_dir: Path, channels: Mapping[str, str], in_process: bool) -> None:
        settings = self.settings
        turns = TurnRunner(
            preparation=Preparation(
                self.search,
                self.ingest,
                self.sessions,
                limit=settings.retrieval.limit,
                first_text=settings.model.first_text,
            ),
            model=lambda: self.model,
            memory=Memory(history=self.sessions, summaries=self.summaries),
            progress=self.pending,
            bus=self.bus,
            ids=self.ids,
            clock=self.clock,
            settings=turn_settings(settings),
            tools=built_in(documents=self.search, clock=self.clock),
            fallback=self.extractive if "extractive" in settings.model.order else None,
        )
        self.agent = named(AGENT_WORKER)(
            bus=self.bus,
            pending=self.pending,
            conversations=self.conversations,
            ended=self.turns,
            turns=turns,
            clock=self.clock,
            concurrency=settings.agent.concurrency,
            channels=frozenset(channels),
        )
        self.delivery = named(DELIVERY_WORKER)(
            self.pending,
            self.bus,
            self.channels,
            clock=self.clock,
            policy=delivery_policy(settings),
            leave_others=in_process,
        )
        self.unread = named(UNREAD)(self.bus, self.sessions)
        self.warmer = named(WARMER)(self.bus, self.model, lambda tools: turns.constant(tools=tools))
        self.inbox = DurableInbox(
            bus=self.bus,
            pending=self.pending,
            turns=self.turns,
            sessions=self.sessions,
            conversations=self.conversations,
            agent=self.agent,
            ids=self.ids,
            clock=self.clock,
            queue_limit=settings.agent.queue_limit,
            budgets=self.budgets,
        )
        self.supervisor = named(CHANNEL_SUPERVISOR)(self.bus, self.clock)
        self.status = DaemonStatus(
            state_dir=state_dir,
            in_process=in_process,
            pending=self.pending,
            conversations=self.conversations,
            documents=self.ingest,
            model=self.model,
            channels=self.channel_states,
            delivery=self.delivery,
            usage=self.usage,
            stores=self.stores,
        )
        self.letters = Letters(
            self.pending,
            self.turns,
            bus=self.bus,
            clock=self.clock,
            holding=self.inbox.holding,
            channels=frozenset(channels),
        )
        self.housekeeping = named(HOUSEKEEPING)(
            self.turns, self.pending, dead_retention_days=settings.delivery.dead_retention_days
        )

    def open_doors(
        self, channels: Iterable[str], peer: Callable[[socket.socket], Peer], hand_over: Callable[[], float] | None
    ) -> None:
        inside = Inside(
            owners=[pwd.getpwnam(name).pw_uid for name in self.settings.daemon.owners],
            peer=peer,
            inbox=self.inbox,
            sessions=self.sessions,
            documents=self.ingest,
            feed=self.feed,
            conversations=self.conversations,
            deliveries=self.delivery,
            status=self.status,
            control=self.control,
            letters=self.letters,
            hand_over=hand_over,
        )
        self.doors = {name: Door(name, inside) for name in channels}

    def build_channels(self, builders: Mapping[str, str], sockets: Sequence[tuple[Path, int]]) -> None:
        for name, builder in builders.items():
            table = channel_table(self.settings, name, channel_model(name, builder))
            door = self.doors[name]
            self.channels[name] = channel_builder(name, builder)(
                Offers(
                    version=__version__,
                    settings=table,
                    sockets=sockets if name == LOCAL else (),
                    principals=door,
                    sessions=door,
                    documents=door,
                    feed=door,
                    deliveries=door,
                    status=door,
                    control=door,
                    letters=door,
                    budgets=self.budgets,
                    hand_over=door.hand_over,
                )
            )

    def start(self) -> list[asyncio.Task[None]]:
        """Workers first, then channels, so that nobody takes in what nobody answers."""
        return [
            asyncio.create_task(self.delivery.run(), name="delivery worker"),
            asyncio.create_task(self.unread.run(), name="marker of unread answers"),
            asyncio.create_task(self.agent.run(), name="agent worker"),
            asyncio.create_task(self.housekeeping.run(), name="housekeeping"),
            asyncio.create_task(self.summaries.run(), name="summaries"),
            asyncio.create_task(self.warmer.run(), name="warm beginnings"),
            *(
                asyncio.create_task(self.supervisor.run(channel, self.doors[name]), name=f"channel {name}")
                for name, channel in self.channels.items()
            ),
        ]

    async def drain(self, grace: float, fast: asyncio.Event) -> None:
        """Take nothing in; let what runs end, for `grace` seconds or until `fast`."""
        self.inbox.close("it was asked to stop")
        work = asyncio.create_task(self._finish_work(grace), name="drain")
        hurry = asyncio.create_task(fast.wait(), name="fast stop")
        try:
            await asyncio.wait([work, hurry], timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, hurry):
                task.cancel()
            await asyncio.wait([work, hurry])

    async def _finish_work(self, grace: float) -> None:
        for channel in self.channels.values():
            if isinstance(channel, Draining):
                await channel.stop_receiving()
        await self.agent.drain()
        await self.delivery.drain(grace)


def turn_settings(settings: Settings) -> TurnSettings:
    """How turns are run, as the settings say it."""
    sampling = Sampling(**settings.model.sampling.model_dump())
    return TurnSettings(
        prompt_tokens=max(0, settings.model.context - sampling.max_tokens - PROMPT_RESERVE),
        sampling=sampling,
        limits=Limits(**settings.model.limits.model_dump()),
        instructions=settings.model.instructions.strip(),
    )


def delivery_policy(settings: Settings) -> Policy:
    """How hard to try, as the settings say it."""
    return Policy(**settings.delivery.model_dump(exclude={"dead_retention_days"}))
