"""What a channel is, what it gives to the core and what the core gives to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from agentd.events import Kind, OutboundEvent
from agentd.records import SCOPES, Address, Principal, Scope, Sender, Terms


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A message as a channel received it, before it has an id of ours."""

    principal: Principal
    address: Address
    sender: Sender
    session_id: str
    message_id: str
    text: str
    kind: Kind = "message"
    agent: str = ""
    """The agent that it is for; "" for the one that answers in its session."""
    documents: int | None = None
    """At most so many passages of the documents are used: 0 means none, None what the settings say."""
    terms: Terms | None = None
    """What its caller brings along; None for somebody who only asks."""
    replaces: str = ""
    """The turn whose place it takes: with another `text` as an edit of its question, without one to ask it again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """Proof that a message is durable; a duplicate's `answer` is there when its turn has ended already."""

    id: str
    session_id: str
    duplicate: bool
    answer: OutboundEvent | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who asks, as the core says it: `principal` decides what they may do, `sender` is what people are told.

    Outside of `scopes` they may do nothing. `token` is the id of the token or of the page's cookie that they came with.
    """

    principal: Principal
    sender: Sender
    scopes: frozenset[Scope] = SCOPES
    token: str = ""


class Stoppable(Protocol):
    async def stop(self, session_id: str, principal: Principal) -> bool:
        """Stop the running turn of a session and keep what it said, without waiting for it; False if none runs."""
        ...


class Inbox(Stoppable, Protocol):
    async def accept(self, offer: Offer) -> Receipt:
        """The message is durable when this returns. `NotAccepted` (also `IdReused`, `Busy`) if nothing was stored.

        `NotFound` if the session is somebody else's, `UsageError` if the address is another channel's.
        """
        ...


class Remembering(Inbox, Protocol):
    """An inbox that also knows what it accepted before."""

    async def receipt(self, turn_id: str) -> Receipt:
        """The receipt of a message that was accepted, by the id of its turn; `NotFound` if there is none (any more)."""
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


class Report(Protocol):
    """What a channel says about itself while it runs. Until then it is starting, and nothing is sent over it."""

    def connected(self) -> None:
        """It receives, and it can send."""
        ...

    def degraded(self, reason: str) -> None:
        """It works, but not as it should."""
        ...


class Channel(Protocol):
    name: str

    async def run(self, inbox: Inbox, report: Report) -> None:
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
class Addressed(Protocol):
    """A channel that people and programs find at an address of this machine."""

    @property
    def address(self) -> str:
        """What they open, from `Listening.listen` on."""
        ...


@runtime_checkable
class Draining(Protocol):
    """A channel that can stop taking in before it stops sending."""

    async def stop_receiving(self) -> None: ...


class Deliveries(Protocol):
    """What a channel tells the delivery worker of its own accord."""

    def reachable(self, address: Address) -> None:
        """Somebody is there now: try again what waits for this address."""
        ...
