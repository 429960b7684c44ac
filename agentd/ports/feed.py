"""What happens in a session, live, with the state that it starts from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agentd.events import Event, InboundEvent
from agentd.ports.bus import Subscription
from agentd.ports.conversation import Conversation


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbered:
    """An event of a session with its number in this daemon's life, for resuming."""

    n: int
    event: Event


@dataclass(frozen=True, kw_only=True, slots=True)
class Followed:
    """A session as it is now, and what happens in it from now on.

    `questions` are the newest without an answer, the oldest of them first; the text of a long one is cut. Later
    questions come as events. `now` gives its state at any later moment.
    """

    state: Conversation
    questions: Sequence[InboundEvent]
    events: Subscription[Numbered]
    now: Callable[[], Conversation]


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """All sessions that somebody watches: `state` is that of an event's session, None for one that is not theirs."""

    events: Subscription[Numbered]
    state: Callable[[Event], Awaitable[Conversation | None]]
