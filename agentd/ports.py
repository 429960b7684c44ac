"""The small protocols through which the rooms of the house know each other; each has a fake in `agentd.testing`."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

from agentd.budget import Budgets
from agentd.conversation import Conversation
from agentd.events import (
    Address,
    Citation,
    Event,
    InboundEvent,
    OutboundEvent,
    Passage,
    Principal,
    Sender,
)
from agentd.generation import Delta, Limits, ModelRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Item = TypeVar("Item", covariant=True)
Arguments = TypeVar("Arguments", bound=BaseModel)


class Clock(Protocol):
    """The time of day for people and records, the monotonic one for every wait."""

    def now(self) -> datetime:
        """The present, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow."""
        ...


# --- Unfinished work -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Entry:
    """What the pending directory's index keeps in memory of one unfinished turn; bodies stay on disk.

    `id` is the turn's id and the file's name. `outbound_id` is "" until the turn is answered. `starts` counts the
    times that the turn was started, `running` says that the last of them was neither ended nor parked, and `alone`
    how many starts in a row were alone after an unclean end; `sending`
    says that a send was begun and not ended; `parts` is the rendered split once it is fixed, `parts_done` how many
    of those the platform has confirmed.
    """

    id: str
    session_id: str
    dedupe_key: str
    lane: Address
    outbound_id: str = ""
    starts: int = 0
    running: bool = False
    alone: int = 0
    sending: bool = False
    parts: tuple[str, ...] = ()
    parts_done: int = 0
    attempts: int = 0
    not_before: datetime | None = None
    last_error: str = ""
    retried: datetime | None = None
    """When a person took it back out of the dead letters: its age counts from then."""


Ended = Callable[[BaseException | None], None]
"""Called once, on the event loop, with what came of a move: None when it is durable, else why it is not."""


class Pending(Protocol):
    """The moves of the pending directory; each is durable when it has ended; `NotAccepted` or `StateError`."""

    def begin(self, event: InboundEvent | OutboundEvent, ended: Ended) -> None:
        """Accept or answer; it goes on by itself, `ended` may be called before this returns, and this never raises.

        Accept: ID.event appears, an inbound, or a notice, which starts as an answer. Answer: the files of the turns
        that an outbound answers become this one.
        """
        ...

    async def ack(self, turn_id: str) -> None:
        """Nothing is owed any more: the file and its log go."""
        ...

    async def defer(
        self, turn_id: str, *, until: datetime | None, attempt: int, error: str, uncertain: bool = False
    ) -> None:
        """Not sent this time, which need not survive a crash; or perhaps sent (`uncertain`), which must."""
        ...

    async def bury(self, turn_id: str, reason: str, notice: OutboundEvent | None = None) -> None:
        """Given up: into the dead letters with its log and reason, and `notice`, if any, becomes pending."""
        ...

    async def set_aside(self, turn_id: str, why: str) -> None:
        """Its file is `Unreadable`: into corrupt/ with its log, and a notice for its address becomes pending."""
        ...


class Progress(Protocol):
    """The log beside an event: lines that survive a crash."""

    async def started(self, turn_id: str, *, alone: bool) -> None: ...

    async def held(self, turn_id: str) -> None:
        """A suspect waits to run alone: a death of the process until then is not its doing."""
        ...

    async def parked(self, turn_id: str) -> None:
        """The process ends in good order while this turn runs: the turn is not to blame. Need not survive a crash."""
        ...

    async def sending(self, turn_id: str, parts: Sequence[str] | None = None) -> None:
        """A send begins; `parts`, given once, fixes the rendered split for every later attempt."""
        ...

    async def part_done(self, turn_id: str, n: int) -> None: ...


class WorkList(Protocol):
    """The index of what is unfinished, in id order, and the bodies when they are due."""

    def entries(self) -> Mapping[str, Entry]: ...

    async def load(self, turn_id: str) -> InboundEvent | OutboundEvent:
        """`Unreadable` if its file is damaged or gone; another `StateError` may pass."""
        ...


# --- Bus -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A subscriber was too slow: `missed` events were dropped; look at the state again."""

    missed: int


class Subscription(Protocol[Item]):
    """An own bounded queue of events; iterate it until `close`."""

    def __aiter__(self) -> AsyncIterator[Item | Gap]: ...

    def close(self) -> None: ...


class Bus(Protocol):
    async def publish(self, event: Event) -> None:
        """Make a durable event durable first, then hand it to every subscriber."""
        ...

    def subscribe(self, *types: type[Event], name: str, size: int = 256) -> Subscription[Event]: ...


# --- What a channel is and what it is given --------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A message as a channel received it, before it has an id of ours."""

    principal: Principal
    address: Address
    sender: Sender
    session_id: str
    message_id: str
    text: str
    documents: int | None = None
    """Passages of the documents to answer from at most: 0 for none, None for what the settings say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """Proof that a message is durable; a duplicate's `answer` is there when its turn has ended already."""

    id: str
    session_id: str
    duplicate: bool
    answer: OutboundEvent | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who asks, as the core says it: `principal` decides what they may do, `sender` is what people are told."""

    principal: Principal
    sender: Sender


class Principals(Protocol):
    """Says whose a request is. No other principal is taken of a channel, at any port."""

    def local(self, connection: socket.socket, *, group: int | None) -> Caller | None:
        """Who connected to a unix socket that is shared with `group`; None for somebody who may not come in.

        `UsageError` for a channel that does not serve the sockets of this machine.
        """
        ...

    def token(self, name: str) -> Principal:
        """Who shows a token that the channel knows by this name."""
        ...

    def chat(self, chat: str) -> Principal:
        """Who writes in this chat of the channel's platform."""
        ...


class Stoppable(Protocol):
    async def stop(self, session_id: str) -> bool:
        """End the running turn of a session and keep what it said; False when none runs."""
        ...


class Inbox(Protocol):
    async def accept(self, offer: Offer) -> Receipt:
        """Durable when it returns. `NotAccepted` (also `IdReused`, `Busy`) when nothing was stored.

        `NotFound` for a session of somebody else, `UsageError` for an address of another channel.
        """
        ...

    async def stop(self, session_id: str, principal: Principal) -> bool:
        """Stop the running turn of a session, never waiting behind it; False when none runs."""
        ...


class PartDone(Protocol):
    """What a channel tells the delivery worker while it sends a long message."""

    @property
    def repeat(self) -> bool:
        """Whether the platform may have it already: its reply was lost, or we ended before we could note it."""
        ...

    async def begin(self, parts: Sequence[str]) -> tuple[Sequence[str], int]:
        """Fix the split before the first part is sent; the split to use and the first part not yet confirmed."""
        ...

    async def part(self, n: int) -> None:
        """The platform confirmed part `n`, counted from 0."""
        ...


class Confirmation(Protocol):
    """A message was written and its acknowledgement is awaited, while later ones may go."""

    async def wait(self) -> Literal["taken", "history"]:
        """How it was taken; raises Retry, Wait or Permanent like `send`."""
        ...


class Channel(Protocol):
    name: str

    async def run(self, inbox: Inbox) -> None:
        """Receive until cancelled; a return or an exception is a crash that restarts it with back-off."""
        ...

    async def send(self, event: OutboundEvent, progress: PartDone) -> Confirmation | Literal["taken", "history"]:
        """Send one event; raises `Retry`, `Wait` or `Permanent`."""
        ...


@runtime_checkable
class Listening(Protocol):
    """A channel that binds something before it runs, so that its errors are errors of the start."""

    def listen(self) -> None: ...

    def close(self) -> None:
        """Give up what `listen` bound; harmless when that is done already."""
        ...


@runtime_checkable
class Draining(Protocol):
    """A channel that can stop taking in before it stops sending."""

    async def stop_receiving(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbered:
    """An event of a session with its number in this daemon's life, for resuming."""

    n: int
    event: Event


@dataclass(frozen=True, kw_only=True, slots=True)
class Followed:
    """A session as it is now, and what happens in it from now on.

    `questions` are the newest without an answer, oldest first; the text of a long one is cut. Later ones come as
    events.
    """

    state: Conversation
    questions: Sequence[InboundEvent]
    events: Subscription[Numbered]


class Feed(Protocol):
    """Live events of one session, with a bounded replay."""

    @property
    def epoch(self) -> str: ...

    async def follow(self, principal: Principal, session_id: str, after: tuple[str, int] | None = None) -> Followed:
        """Events after `(epoch, n)`, or from now on; a Gap where they are no longer all there. `NotFound`."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionInfo:
    id: str
    principal: Principal
    name: str
    title: str
    created: datetime
    updated: datetime
    messages: int
    unread: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredMessage:
    """One line of a conversation's history."""

    turn_id: str
    role: Literal["user", "assistant"]
    text: str
    time: datetime
    citations: tuple[Citation, ...] = ()
    interrupted: bool = False
    unread: bool = False


class SessionView(Protocol):
    """Sessions as their principal sees them; the owner sees all."""

    async def open(self, principal: Principal, ref: str | None) -> SessionInfo:
        """A new session (None), the latest ("last"), one by id, or one by name, made when there is none."""
        ...

    async def list(self, principal: Principal, *, limit: int = 50) -> Sequence[SessionInfo]: ...

    async def history(self, principal: Principal, session_id: str, *, limit: int = 50) -> Sequence[StoredMessage]: ...

    async def mark_read(self, principal: Principal, session_id: str) -> None:
        """Somebody has seen the session up to its newest message."""
        ...


class Deliveries(Protocol):
    """What a channel tells the delivery worker of its own accord."""

    def reachable(self, address: Address) -> None:
        """Somebody is there now: try again what waits for this address."""
        ...


# --- Documents -------------------------------------------------------------------------------------------------------


class Documents(Protocol):
    async def search(self, question: str, principal: Principal, *, limit: int = 8) -> Sequence[Passage]:
        """The passages that fit a question best, best first, numbered from 1; empty when nothing fits."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestProgress:
    """How far an ingest is; `skipped` names each file that was left out with the reason."""

    found: int
    done: int
    added: int
    changed: int
    unchanged: int
    removed: int
    chunks: int
    skipped: tuple[tuple[str, str], ...]
    current: str = ""
    finished: bool = False


class Counted(Protocol):
    async def counts(self, principal: Principal) -> tuple[int, int]:
        """How many documents and chunks there are."""
        ...


class DocumentView(Counted, Protocol):
    def ingest(self, paths: Sequence[Path], principal: Principal) -> AsyncIterator[IngestProgress]:
        """Bring the documents under `paths` up to date, telling the progress; the last item has `finished`.

        `UsageError` for anybody but the owner.
        """
        ...

    async def passage(self, citation: Citation, principal: Principal, since: datetime) -> str | None:
        """The text at a place that was cited; None if the document is gone or has changed since that time."""
        ...


# --- Models ----------------------------------------------------------------------------------------------------------


class ChatModel(Protocol):
    @property
    def name(self) -> str: ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """Generate; ends with `Finish`, raises `ModelError`. Closing the iterator cancels."""
        ...

    async def count_tokens(self, request: ModelRequest) -> int:
        """Tokens of the rendered prompt."""
        ...


@runtime_checkable
class ToolUser(Protocol):
    """A model that may be offered tools; one that is no `ToolUser` never is."""

    @property
    def tools(self) -> bool:
        """Whether it can call them at the moment."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """A model with a context of its own; for one that is not `Bounded`, or does not know it, the settings' counts."""

    async def context(self, limits: Limits) -> int | None:
        """Tokens that a prompt and its answer may have together; None where that is not known.

        Waits until the model is loaded, after which `tools` is certain too; raises like `ChatModel.stream`.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How fast a model reads a prompt and writes an answer here, in tokens per second; 0 if that is not known."""

    read: float
    write: float


@runtime_checkable
class Paced(Protocol):
    """A model that knows how fast it is on this machine."""

    @property
    def pace(self) -> Pace | None:
        """None as long as nothing was measured."""
        ...


@runtime_checkable
class Warmable(Protocol):
    """A model that can read ahead what its prompts begin with."""

    async def warm(self, request: ModelRequest) -> int:
        """Read, while nothing else is to do, what every prompt begins with that has these messages and tools first.

        Waits until that is done, for the limit of a turn at most; so many tokens are in the cache then, 0 if it cannot.
        Raises like `ChatModel.stream`. To be called again when the model was loaded anew.
        """
        ...


@runtime_checkable
class Citer(Protocol):
    """A model that may be told how to cite; one that is not a `Citer` is told nothing, and agentd cites for it."""

    @property
    def cites(self) -> bool:
        """Whether it was seen to put the numbers of passages behind what it takes from them."""
        ...


@runtime_checkable
class Writer(Protocol):
    """A model that writes what it is told to, a summary for one; one that is no `Writer` only answers questions."""

    @property
    def writes(self) -> bool: ...


class Embedder(Protocol):
    """Makes vectors of texts, near each other where the texts mean the same."""

    @property
    def name(self) -> str:
        """Another one wherever the vectors would be others."""
        ...

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """(texts, dimension), each of length 1. A `query` looks for texts, and somebody waits for it."""
        ...


# --- Tools -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolContext:
    """For whom a tool runs, and how what it finds can be cited.

    `sources` gives the passages that the model has; `cite` gives passages the numbers by which the answer may cite
    them from now on.
    """

    principal: Principal
    session_id: str
    turn_id: str
    call_id: str
    sources: Callable[[], Sequence[Passage]]
    cite: Callable[[Sequence[Passage]], Sequence[Passage]]


class Tool(Protocol[Arguments]):
    """Something that a model may call by `name`. What `run` returns is data that nobody trusts."""

    @property
    def name(self) -> str:
        """Letters, digits and underscores."""
        ...

    @property
    def description(self) -> str:
        """What it is for and when to use it, for the model."""
        ...

    @property
    def arguments(self) -> type[Arguments]:
        """What `run` takes; the model is told of it as a JSON schema."""
        ...

    @property
    def side_effects(self) -> bool:
        """Whether a call changes or sends anything, and so must never be repeated unasked."""
        ...

    async def run(self, arguments: Arguments, context: ToolContext) -> str:
        """The result as text; an `AgentdError` is told to the model. Cancelled when its time is over."""
        ...


class Status(Protocol):
    """Is it well, and if not, what to do."""

    async def snapshot(self, principal: Principal) -> Mapping[str, Any]:
        """What `agentd status` shows, as JSON values; for others than the owner only who answers and whether all is
        well.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandReply:
    """What a command says; `session`, if any, is the one that the channel should go on with.

    `ask`, if any, is a message that the channel should now offer as if the person had sent it.
    """

    text: str
    session: str = ""
    ask: str = ""


class Control(Protocol):
    """What a slash command of `agentd.commands` does."""

    async def run(self, text: str, principal: Principal, session_id: str) -> CommandReply:
        """Do what `text` commands; `UsageError`, `NotFound` or another `AgentdError` says why it could not be done."""
        ...


Decision = Literal["list", "show", "retry", "drop"]


class DeliveryDesk(Protocol):
    """What the owner may ask, and decide, about what is pending and what is dead."""

    async def tell(
        self,
        principal: Principal,
        what: Decision,
        ids: Sequence[str] = (),
        *,
        older_than: float | None = None,
        limit: int = 200,
    ) -> Mapping[str, Any]:
        """As JSON values; ages are in seconds.

        list: the oldest `pending` and `dead`, at most `limit` each, and `counts` of all. show: one `letter`, its
        `event` and its `log`; `NotFound`. retry and drop: the dead letters of these ids, or, without any, those given
        up at least `older_than` ago: `done`, `failed` (id -> why), and whether there are `more`. `UsageError` for
        anybody but the owner.
        """
        ...


class ModelChoice(Protocol):
    """A model can be chosen while the daemon runs."""

    async def use(self, path: Path | None) -> str:
        """Answer with the model in this GGUF file from now on, with None without one in a file; what a person is told.

        `ModelError` if it cannot, and then nothing has changed.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Offers:
    """What the daemon offers a channel when it builds it; a channel takes the few that it uses.

    `settings` is the channel's own table of the configuration, `sockets` are paths to serve with their modes.
    `principals` says for whom the channel may ask; every other part looks whether they may do what is asked.
    `budgets` gives each connection its place, and says what a principal may have at a time.
    `hand_over` ends a daemon that lives inside a command and returns the seconds that this takes at most; `UsageError`
    for anybody but the owner, and from a daemon of its own.
    """

    version: str
    settings: Mapping[str, Any]
    sockets: Sequence[tuple[Path, int]]
    principals: Principals
    sessions: SessionView
    documents: DocumentView
    feed: Feed
    deliveries: Deliveries
    status: Status
    control: Control
    letters: DeliveryDesk
    budgets: Budgets
    hand_over: Callable[[Principal], float]
