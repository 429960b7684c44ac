"""How much of the daemon each principal may hold at once, in one place for every channel.

A connection takes a `Seat` and gives it back when it ends. If seats are short, one that is held without use gives way
to who comes, always one of the same principal first, so that nobody is locked out by what is silent or half said. The
seat of a visit, which is one request, is kept until the visit is over. If none can give way, the one who comes is
refused (`Busy`).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from agentd.errors import AgentdError, Busy, Unauthorized
from agentd.events import Buried, Event, InboundEvent, OutboundEvent, TokenEnded
from agentd.ports.channels import Offer
from agentd.records import Principal

log = logging.getLogger(__name__)

MIB = 1024 * 1024
FOLLOWED = 64
"""Sessions that one connection may follow."""
OTHERS = 64
"""Connections of all principals but the owner together: the rest is kept for the owner."""
REMEMBERED = 1000
"""Principals whose arrivals are counted, before those are forgotten who did not come for a second."""
ENDED = 1000
"""Tokens that ended last, with which nobody is let in any more who is on the way in."""
TOOL = 4096
"""A tool that a caller brings counts as so many characters."""
TELL_SECONDS = 60.0
"""What was refused or cut off is logged so often at most, with how often it happened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """What one principal may have at a time: `newcomers` are connections that are made within a second, `requests` are
    worked on beside others, `arriving` are bytes of messages that are not done with, `questions` have no answer yet and
    `question_bytes` of text; `documents` were uploaded, and have `document_bytes`.
    """

    connections: int
    newcomers: int
    requests: int
    arriving: int
    followed: int
    questions: int
    question_bytes: int
    documents: int
    document_bytes: int


OWNER = Allowance(
    connections=192,
    newcomers=10_000,
    requests=64,
    arriving=32 * MIB,
    followed=2048,
    questions=10_000,
    question_bytes=1024 * MIB,
    documents=1_000_000,
    document_bytes=64 * 1024 * MIB,
)
OTHER = Allowance(
    connections=16,
    newcomers=100,
    requests=8,
    arriving=16 * MIB,
    followed=128,
    questions=200,
    question_bytes=32 * MIB,
    documents=1000,
    document_bytes=64 * MIB,
)


class Seat:
    """What one connection holds. `cut_off` ends the connection at once, and tells it why. It came with this `token`."""

    def __init__(
        self,
        budgets: Budgets,
        principal: Principal,
        cut_off: Callable[[AgentdError], None],
        *,
        kept: bool,
        token: str,
    ) -> None:
        self.principal = principal
        self.token = token
        self.kept = kept
        """It does not give way."""
        self.greeted = False
        """A whole message has come."""
        self.arriving = 0
        self.unfinished = 0
        """When the message that is coming in began, in the order of all that happened; 0 if none is."""
        self.requests = 0
        self.followed: set[str] = set()
        self.used = budgets.now()
        self._budgets = budgets
        self._cut_off = cut_off

    @property
    def usefulness(self) -> tuple[bool, bool, bool, int]:
        """Who has the least gives way first."""
        return self.greeted, self.requests > 0, bool(self.followed), self.used

    async def arrive(self, count: int) -> None:
        """So many more bytes of a message come in; returns when there is room for them."""
        if not self.unfinished:
            self.unfinished = self._budgets.now()
        self.arriving += count
        await self._budgets.make_room(self)

    def arrived(self) -> None:
        """The message is whole, and is worked on."""
        self.greeted, self.unfinished, self.used = True, 0, self._budgets.now()

    def done(self) -> None:
        """Nothing of what came in is needed any more."""
        self.arriving = 0
        self._budgets.freed.set()

    def begin(self) -> None:
        """Something is worked on beside other requests; `Busy` if too much is."""
        most = self._budgets.allowance(self.principal).requests
        if sum(seat.requests for seat in self._budgets.of(self.principal)) >= most:
            self._budgets.tell("a request was refused", self.principal)
            raise Busy(f"{most} requests of yours are already running; wait for one of them.")
        self.requests += 1

    def end(self) -> None:
        """It is done."""
        self.requests -= 1

    def follow(self, session_id: str) -> None:
        """Live events of this session go to the connection; `Busy` if it, or its principal, follows too many."""
        if session_id in self.followed:
            return
        if len(self.followed) >= FOLLOWED:
            raise Busy(f"one connection may follow {FOLLOWED} sessions; close one, or open another connection.")
        most = self._budgets.allowance(self.principal).followed
        if sum(len(seat.followed) for seat in self._budgets.of(self.principal)) >= most:
            raise Busy(f"your connections follow {most} sessions already; close some of them.")
        self.followed.add(session_id)

    def unfollow(self, session_id: str) -> None:
        """Harmless if it was not followed."""
        self.followed.discard(session_id)

    def tell(self, what: str) -> None:
        """Note in the log what became of this client."""
        self._budgets.tell(what, self.principal)

    def give_way(self, reason: str) -> None:
        """End the connection, so that somebody else finds room."""
        self._budgets.tell(reason, self.principal)
        self.end_now(Busy(f"{reason}; connect again."))

    def end_now(self, why: AgentdError) -> None:
        """End the connection."""
        cut_off = self._cut_off
        self.leave()
        cut_off(why)

    def leave(self) -> None:
        """Give everything back; harmless when that was done."""
        self._cut_off = _nobody
        self._budgets.remove(self)


class Budgets:
    """The seats of all connections, and the questions of each principal; a reducer of the bus."""

    def __init__(self, owner: Allowance = OWNER, other: Allowance = OTHER, others: int = OTHERS) -> None:
        self.freed = asyncio.Event()
        self._owner = owner
        self._other = other
        self._others = others
        self._seats: dict[Principal, list[Seat]] = {}
        self._ended: dict[str, str] = {}
        self._came: dict[Principal, _Arrivals] = {}
        self._questions: dict[Principal, dict[str, int]] = {}
        self._asked_by: dict[str, Principal] = {}
        self._moments = itertools.count(1)
        self._refused: Counter[tuple[str, Principal]] = Counter()
        self._told = -TELL_SECONDS

    def now(self) -> int:
        """Grows with each call."""
        return next(self._moments)

    def allowance(self, principal: Principal) -> Allowance:
        return self._owner if principal.kind == "owner" else self._other

    def of(self, principal: Principal) -> list[Seat]:
        return self._seats.get(principal, [])

    # --- connections ---

    def greet(self, principal: Principal) -> None:
        """Somebody connects; `Busy` if this principal connects too often to be served each time."""
        most, now = self.allowance(principal).newcomers, time.monotonic()
        if len(self._came) > REMEMBERED:
            self._came = {whose: arrivals for whose, arrivals in self._came.items() if not arrivals.are_over(now)}
        if not self._came.setdefault(principal, _Arrivals(most, now)).one_more(now):
            self.tell("a connection was refused", principal)
            raise Busy(f"you connected more than {most:,} times within a second; wait a second, then connect again.")

    def admit(
        self, principal: Principal, cut_off: Callable[[AgentdError], None], *, kept: bool = False, token: str = ""
    ) -> Seat:
        """A seat for a connection; the least useful one of the same principal gives way if there are too many.

        `Busy` if all of them are kept, `Unauthorized` if the token has just ended.
        """
        if token in self._ended:
            raise Unauthorized(self._ended[token])
        if len(mine := self.of(principal)) >= self.allowance(principal).connections:
            self._least_useful(mine).give_way(f"{len(mine)} connections of yours are open, and a new one came")
        elif principal.kind != "owner" and sum(map(len, self._strangers())) >= self._others:
            self._least_useful(max(self._strangers(), key=len)).give_way(
                "too many connections are open, and a new one came"
            )
        seat = Seat(self, principal, cut_off, kept=kept, token=token)
        self._seats.setdefault(principal, []).append(seat)
        return seat

    def _least_useful(self, seats: list[Seat]) -> Seat:
        """Of those that may give way."""
        able = [seat for seat in seats if not seat.kept]
        if not able:
            self.tell("a connection was refused", seats[0].principal)
            raise Busy(f"{len(seats)} requests are already being answered; wait for one of them.")
        return min(able, key=lambda seat: seat.usefulness)

    def _strangers(self) -> list[list[Seat]]:
        return [seats for principal, seats in self._seats.items() if principal.kind != "owner"]

    def remove(self, seat: Seat) -> None:
        seats = self.of(seat.principal)
        if seat in seats:
            seats.remove(seat)
        if not seats:
            self._seats.pop(seat.principal, None)
        seat.followed.clear()
        seat.done()

    def followed(self) -> set[str]:
        """The sessions that somebody follows."""
        return {session for seats in self._seats.values() for seat in seats for session in seat.followed}

    def tokens(self) -> set[str]:
        """The tokens that those who are here came with."""
        return {seat.token for seats in self._seats.values() for seat in seats if seat.token}

    def _end(self, token: str, reason: str) -> None:
        if len(self._ended) >= ENDED:
            del self._ended[next(iter(self._ended))]
        self._ended[token] = f"{reason}; come with another one."
        for seat in [seat for seats in self._seats.values() for seat in seats if seat.token == token]:
            seat.end_now(Unauthorized(self._ended[token]))

    # --- bytes ---

    async def make_room(self, seat: Seat) -> None:
        """The oldest unfinished message of the same principal gives way; what is whole is waited for."""
        most = self.allowance(seat.principal).arriving
        while seat in (seats := self.of(seat.principal)) and sum(each.arriving for each in seats) > most:
            halves = [each for each in seats if each.unfinished and each.arriving and each is not seat]
            if halves:
                oldest = min(halves, key=lambda each: each.unfinished)
                oldest.give_way(f"{most:,} bytes of yours are on their way in, and this message is not whole yet")
                continue
            self.freed.clear()
            await self.freed.wait()

    # --- questions ---

    def check_question(self, principal: Principal, size: int) -> None:
        """`Busy` if so many questions of this principal have no answer yet that one more has no room."""
        waiting, most = self._questions.get(principal, {}), self.allowance(principal)
        if len(waiting) >= most.questions or sum(waiting.values()) + size > most.question_bytes:
            self.tell("a question was refused", principal)
            raise Busy(f"{len(waiting):,} questions of yours have no answer yet; wait for some of the answers.")

    def check_document(self, principal: Principal, held: tuple[int, int], size: int) -> None:
        """`Busy` if one more document of so many bytes has no room beside those that this principal has."""
        documents, taken = held
        most = self.allowance(principal)
        if documents >= most.documents or taken + size > most.document_bytes:
            self.tell("a document was refused", principal)
            raise Busy(
                f"you have {documents:,} documents ({taken / MIB:.1f} MiB); {most.documents:,} and "
                f"{most.document_bytes // MIB:,} MiB are the limits. Upload shorter ones under the same names."
            )

    def apply(self, event: Event) -> None:
        match event:
            case InboundEvent(kind="message"):
                self._asked_by[event.turn_id] = event.principal
                self._questions.setdefault(event.principal, {})[event.turn_id] = size_of(event)
            case OutboundEvent():
                for turn_id in event.answers:
                    self._answered(turn_id)
            case Buried():
                self._answered(event.dead_id)
            case TokenEnded():
                self._end(event.token, event.reason)

    def _answered(self, turn_id: str) -> None:
        if (principal := self._asked_by.pop(turn_id, None)) is not None:
            waiting = self._questions[principal]
            del waiting[turn_id]
            if not waiting:
                del self._questions[principal]

    # --- the log ---

    def tell(self, what: str, principal: Principal) -> None:
        """One line for all that was refused in a while, however much it was."""
        self._refused[what, principal] += 1
        if time.monotonic() < self._told + TELL_SECONDS:
            return
        for (said, whose), count in self._refused.most_common(5):
            log.warning("%s (%s): %d times", said, f"{whose.kind} {whose.id}".strip(), count)
        self._refused.clear()
        self._told = time.monotonic()


class _Arrivals:
    """Those of one second: a count that begins anew when the second is over."""

    def __init__(self, most: int, now: float) -> None:
        self._most = most
        self._began = now
        self._count = 0

    def are_over(self, now: float) -> bool:
        return now >= self._began + 1

    def one_more(self, now: float) -> bool:
        """Whether there is room for it."""
        if self.are_over(now):
            self._began, self._count = now, 0
        self._count += 1
        return self._count <= self._most


def size_of(question: Offer | InboundEvent) -> int:
    """The characters that a question and what its caller brings along have."""
    terms = question.terms
    if terms is None:
        return len(question.text)
    said = (*terms.before, *terms.after)
    calls = sum(len(call.arguments) for each in said for call in each.calls)
    return len(question.text) + sum(len(each.text) for each in said) + calls + len(terms.tools) * TOOL


def _nobody(why: AgentdError) -> None:
    """The connection is gone, and is not kept in memory for its seat."""
