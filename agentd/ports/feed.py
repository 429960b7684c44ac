"""What happens in a session, live, with the state that it starts from."""

from __future__ import annotations

from collections.abc import Sequence
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
    questions come as events.
    """

    state: Conversation
    questions: Sequence[InboundEvent]
    events: Subscription[Numbered]
