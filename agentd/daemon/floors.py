"""The floors of the house, from the ground up: each is built on the ones below it.

disk      the pending directory and the databases, with the ids that go on after theirs
hub       the bus, and what is told of every event before anybody else
library   what there is to answer from, and what answers
workers   who answers, delivers, and works in the background
desk      what clients ask for
doors     one for each channel, which look who asks for what
channels  each with its door
"""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agentd import __version__
from agentd.bus.bus import EventBus
from agentd.bus.feed import LiveFeed
from agentd.clock import SystemClock
from agentd.config import Settings, channel_table
from agentd.config.channels import channel_builder, channel_model
from agentd.delivery import Policy
from agentd.events import ModelStateChanged
from agentd.host.imports import named
from agentd.host.peers import Peer
from agentd.ids import IdSource
from agentd.models.assembly import assemble, only
from agentd.models.choice import State as ModelState
from agentd.models.extractive import ExtractiveModel
from agentd.models.failover import FailoverModel
from agentd.models.library.shelf import Shelf
from agentd.pending import PendingDirectory
from agentd.ports import sessions as ports
from agentd.ports.channels import Channel, Deliveries
from agentd.ports.generation import Limits, Sampling
from agentd.ports.models import ChatModel
from agentd.ports.status import DaemonFigures
from agentd.retrieval.ingest import DocumentIngest
from agentd.retrieval.search import KeywordSearch
from agentd.retrieval.shares import Shares
from agentd.serving.audience import Audience
from agentd.serving.budget import Allowance, Budgets
from agentd.serving.changes import Changes
from agentd.serving.clients import Clients
from agentd.serving.control import ConversationCommands, DaemonControl, HouseCommands
from agentd.serving.door import DocumentDoor, Door, HouseDoor, SessionDoor, TokenDoor
from agentd.serving.gate import LOCAL, Gate
from agentd.serving.given import Given
from agentd.serving.inbox import DurableInbox
from agentd.serving.letters import Letters
from agentd.serving.recall import Recall
from agentd.serving.receipts import Receipts
from agentd.serving.tokens import TokenDesk
from agentd.status.channels import ChannelStates
from agentd.status.running import DaemonStatus, Told
from agentd.status.stored import Stored
from agentd.status.usage import UsageTotals
from agentd.storage.marks import Marks
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.storage.summaries import Summaries
from agentd.storage.tokens import Tokens
from agentd.storage.turns import TurnRecords
from agentd.tools.registry import built_in
from agentd.turns.chronicle import Chronicle
from agentd.turns.conversation import Conversations
from agentd.turns.factory import TurnFactory
from agentd.turns.preparation import Preparation
from agentd.turns.settings import TurnSettings
from agentd.turns.turn import Answerers
from agentd.turns.window import Memory

CHANNELS = {"terminal": "channels.terminal.channel:build", "websocket": "channels.websocket.channel:build"}
"""Channel name -> what builds it. A third party's channel names its own as `build` under `[channels.NAME]`."""
AGENT_WORKER = "workers.agent:AgentWorker"
TURN_LEDGER = "workers.agent:Ledger"
DELIVERY_WORKER = "workers.delivery:DeliveryWorker"
WARMER = "workers.warm:Warmer"
CHANNEL_SUPERVISOR = "workers.channels:ChannelSupervisor"
HOUSEKEEPING = "workers.housekeeping:Housekeeping"
RECUT = "workers.recut:Recut"
SUMMARIES = "workers.summaries:BackgroundSummaries"
TOKENS = "workers.tokens:TokenWatch"
TRIMMING = "workers.trimming:Trimming"
UNREAD = "workers.unread:UnreadMarks"

CLOCK = SystemClock()
PROMPT_RESERVE = 64
"""Tokens of the context that neither the prompt nor the answer may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entrance:
    """Where clients of this machine come in: `sockets` with their modes, at which `peer` tells who connects."""

    sockets: Sequence[tuple[Path, int]]
    peer: Callable[[socket.socket], Peer]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be built: `builders` by the channel's name; `model`, if any, answers instead of the settings'."""

    settings: Settings
    state_dir: Path
    builders: Mapping[str, str]
    entrance: Entrance
    in_process: bool
    model: ChatModel | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Disk:
    pending: PendingDirectory
    agentd: Store
    documents: Store
    ids: IdSource


async def open_disk(stack: AsyncExitStack, plan: Plan) -> Disk:
    """Open what is stored and recover what an earlier process left; `stack` closes it."""
    options = plan.settings.pending
    pending = await stack.enter_async_context(
        PendingDirectory(
            plan.state_dir,
            clock=CLOCK,
            threads=options.threads,
            min_free_bytes=options.min_free_bytes,
            allow_network_fs=options.allow_network_fs,
        )
    )
    await pending.tell_lost()
    agentd = await stack.enter_async_context(Store(plan.state_dir / "agentd.db", load_migrations("agentd.storage")))
    documents = await stack.enter_async_context(
        Store(plan.state_dir / "documents.db", load_migrations("agentd.retrieval"))
    )
    ids = IdSource()
    ids.seen(pending.last_id)
    ids.seen(await Sessions(agentd, ids, CLOCK).last_id())
    return Disk(pending=pending, agentd=agentd, documents=documents, ids=ids)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hub:
    bus: EventBus
    conversations: Conversations
    feed: LiveFeed
    usage: UsageTotals
    budgets: Budgets
    channels: ChannelStates


def connect(plan: Plan, disk: Disk) -> Hub:
    """The bus, and what is told first."""
    first = Conversations(), LiveFeed(), UsageTotals(), budgets_of(plan.settings), ChannelStates()
    bus = EventBus(disk.pending, [part.apply for part in first], ids=disk.ids, clock=CLOCK)
    conversations, feed, usage, budgets, channels = first
    return Hub(bus=bus, conversations=conversations, feed=feed, usage=usage, budgets=budgets, channels=channels)


@dataclass(frozen=True, kw_only=True, slots=True)
class Library:
    sessions: Sessions
    changes: Changes
    ended: TurnRecords
    documents: DocumentIngest
    model: FailoverModel
    extractive: ExtractiveModel


def open_library(stack: AsyncExitStack, plan: Plan, disk: Disk, hub: Hub) -> Library:
    """Conversations and documents, and the models, of which the preferred one begins to load; `stack` closes them."""
    settings, shelf = plan.settings, Shelf(plan.state_dir)
    documents = DocumentIngest(disk.documents, CLOCK, max_bytes=settings.retrieval.max_file_bytes)

    def tell(name: str, state: ModelState, reason: str) -> None:
        hub.bus.announce(ModelStateChanged(model=name, state=state, reason=reason))

    extractive = ExtractiveModel(documents)
    if plan.model is not None:
        model = only(plan.model, settings.model, shelf, tell)
    else:
        model = assemble(settings.model, shelf, extractive, tell)
    stack.push_async_callback(model.close)
    followed = hub.budgets.followed
    sessions = Sessions(
        disk.agentd,
        disk.ids,
        CLOCK,
        unanswered=hub.conversations.newest,
        followed=followed,
        undelivered=disk.pending.undelivered,
    )
    return Library(
        sessions=sessions,
        changes=Changes(sessions, disk.pending, hub.conversations, hub.bus, followed=followed),
        ended=TurnRecords(disk.agentd, CLOCK),
        documents=documents,
        model=model,
        extractive=extractive,
    )


def token_desk(disk: Disk, hub: Hub) -> TokenDesk:
    """Who gives tokens out, and knows them."""
    return TokenDesk(Tokens(disk.agentd, CLOCK), hub.bus.announce, CLOCK, hub.budgets.tokens)


@dataclass(frozen=True, kw_only=True, slots=True)
class Workers:
    """`background` by what each is called."""

    agent: Any
    delivery: Any
    background: Mapping[str, Any]


def employ(plan: Plan, disk: Disk, hub: Hub, library: Library, tokens: TokenDesk) -> Workers:
    """Who works as long as the daemon runs."""
    settings, bus, turn = plan.settings, hub.bus, turn_settings(plan.settings)
    summaries = named(SUMMARIES)(
        Summaries(disk.agentd, CLOCK), library.sessions, library.model, budget=turn.prompt_tokens, limits=turn.limits
    )
    turns = turn_factory(plan, disk, hub, library, summaries)
    ledger = named(TURN_LEDGER)(disk.pending, library.ended, bus, CLOCK, frozenset(plan.builders))
    agent = named(AGENT_WORKER)(
        bus, hub.conversations, ledger, turns, clock=CLOCK, concurrency=settings.agent.concurrency
    )
    delivery = named(DELIVERY_WORKER)(
        disk.pending,
        bus,
        clock=CLOCK,
        policy=delivery_policy(settings, leave_others=plan.in_process),
    )
    retained = {
        "dead letters": (disk.pending, settings.delivery.dead_retention_days),
        "unlisted sessions": (library.changes, settings.agent.unlisted_days),
    }
    background = {
        "marker of unread answers": named(UNREAD)(bus, library.sessions),
        "housekeeping": named(HOUSEKEEPING)(library.ended, retained),
        "recutting of documents": named(RECUT)(library.documents),
        "summaries": summaries,
        "tokens": named(TOKENS)(tokens),
        "trimming of memory": named(TRIMMING)(),
        "warm beginnings": named(WARMER)(bus, library.model, turns.constant),
    }
    return Workers(agent=agent, delivery=delivery, background=background)


def turn_factory(plan: Plan, disk: Disk, hub: Hub, library: Library, summaries: ports.Summaries) -> TurnFactory:
    """What every turn uses."""
    settings = plan.settings
    search = KeywordSearch(disk.documents)
    fallback = library.extractive.standing_in() if "extractive" in settings.model.order else None
    return TurnFactory(
        chronicle=Chronicle(hub.bus, disk.pending, disk.ids, CLOCK),
        preparation=Preparation(
            search,
            library.documents,
            library.sessions,
            limit=settings.retrieval.limit,
            first_text=settings.model.first_text,
        ),
        memory=Memory(history=library.sessions, summaries=summaries),
        answerers=Answerers(model=library.model, fallback=fallback),
        settings=turn_settings(settings),
        tools=built_in(documents=search, clock=CLOCK),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    inbox: DurableInbox
    status: DaemonStatus
    control: DaemonControl
    letters: Letters
    tokens: TokenDesk
    sharing: Shares


def furnish(plan: Plan, disk: Disk, hub: Hub, library: Library, workers: Workers, tokens: TokenDesk) -> Desk:
    """What clients ask for."""
    inbox = DurableInbox(
        bus=hub.bus,
        receipts=Receipts(disk.pending, library.ended),
        sessions=library.sessions,
        conversations=hub.conversations,
        queue_limit=plan.settings.agent.queue_limit,
        budgets=hub.budgets,
    )
    status = DaemonStatus(
        daemon=DaemonFigures(
            version=__version__, pid=os.getpid(), in_process=plan.in_process, state_dir=str(plan.state_dir)
        ),
        stored=Stored(plan.state_dir, disk.pending, (disk.agentd, disk.documents)),
        told=Told(conversations=hub.conversations, channels=hub.channels, usage=hub.usage),
        documents=library.documents,
        model=library.model,
        delivery=workers.delivery,
    )
    conversations = ConversationCommands(
        sessions=library.sessions,
        changes=library.changes,
        recall=Recall(library.sessions, library.ended, library.documents),
        marks=Marks(disk.agentd, CLOCK),
        inbox=inbox,
        clock=CLOCK,
    )
    house = HouseCommands(documents=library.documents, status=status, models=library.model)
    letters = Letters(
        disk.pending,
        library.ended,
        bus=hub.bus,
        clock=CLOCK,
        holding=inbox.holding,
        channels=frozenset(plan.builders),
    )
    control = DaemonControl(conversations, house)
    sharing = Shares(disk.documents, CLOCK)
    return Desk(inbox=inbox, status=status, control=control, letters=letters, tokens=tokens, sharing=sharing)


def open_doors(
    plan: Plan,
    hub: Hub,
    library: Library,
    desk: Desk,
    deliveries: Deliveries,
    hand_over: Callable[[], float] | None,
) -> dict[str, Door]:
    """One for each channel; what lies behind them is the same."""
    settings = plan.settings.daemon
    owners = [pwd.getpwnam(name).pw_uid for name in settings.owners]

    def door(channel: str) -> Door:
        gate = Gate(channel, owners, settings.owner_names, plan.entrance.peer, desk.tokens)
        return Door(
            principals=gate,
            sessions=SessionDoor(gate, library.sessions, desk.inbox, library.changes, hub.feed, hub.conversations),
            documents=DocumentDoor(gate, library.documents, desk.sharing, hub.budgets),
            house=HouseDoor(gate, desk.status, desk.control, desk.letters, deliveries, hand_over),
            tokens=TokenDoor(gate, desk.tokens),
        )

    return {channel: door(channel) for channel in plan.builders}


def build_channels(plan: Plan, doors: Mapping[str, Door], budgets: Budgets, audience: Audience) -> dict[str, Channel]:
    """Each with its door; only the local one gets the sockets."""

    def given(name: str, builder: str) -> Given:
        return Given(
            settings=channel_table(plan.settings, name, channel_model(name, builder)),
            sockets=plan.entrance.sockets if name == LOCAL else (),
            door=doors[name],
            clients=partial(Clients, doors[name], audience, budgets, __version__),
        )

    return {name: channel_builder(name, builder)(given(name, builder)) for name, builder in plan.builders.items()}


def turn_settings(settings: Settings) -> TurnSettings:
    """How turns are run, as the settings say it."""
    sampling = Sampling(**settings.model.sampling.model_dump())
    return TurnSettings(
        prompt_tokens=max(0, settings.model.context - sampling.max_tokens - PROMPT_RESERVE),
        sampling=sampling,
        limits=Limits(**settings.model.limits.model_dump()),
        instructions=settings.model.instructions.strip(),
    )


def budgets_of(settings: Settings) -> Budgets:
    """What each principal may hold, as the settings say it."""
    said = settings.budgets
    owner, other = (Allowance(**each.model_dump()) for each in (said.owner, said.other))
    return Budgets(owner, other, said.others_together)


def delivery_policy(settings: Settings, *, leave_others: bool = False) -> Policy:
    """How hard to try, as the settings say it."""
    return Policy(**settings.delivery.model_dump(exclude={"dead_retention_days"}), leave_others=leave_others)
