"""The inbox: refuses a message, recognises it, or accepts it; accepted means that it is on disk."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from pydantic import ValidationError

from agentd.errors import Busy, NotFound, Stopping, UsageError
from agentd.events import UNSTAMPED, InboundEvent, StopRequested, fault_of
from agentd.host.holding import Holding
from agentd.ports.bus import Bus
from agentd.ports.channels import Offer, Receipt
from agentd.ports.sessions import SessionView
from agentd.records import MOST_TERMS, Principal, Terms
from agentd.serving.budget import Budgets, size_of
from agentd.serving.changes import UNANSWERED
from agentd.serving.protocol import MAX_TEXT_BYTES
from agentd.serving.receipts import Receipts
from agentd.text.plain import plain
from agentd.turns.conversation import Conversations
from agentd.turns.terms import resumed


def dedupe_key(offer: Offer) -> str:
    """What makes two offers the same message: channel, account, session and the platform's id of it (32 hex digits).

    One that brings its whole conversation along counts by its principal: each offer of it comes in another session.
    """
    place = offer.session_id
    if offer.terms is not None and not offer.terms.continues:
        place = f"{offer.principal.kind} {offer.principal.id}"
    return _digest(offer.address.channel, offer.address.account, place, offer.message_id)


def content_digest(offer: Offer) -> str:
    """Tells the same message from another one under the same id."""
    terms = () if offer.terms is None else (offer.terms.model_dump_json(),)
    if offer.replaces:
        return _digest(offer.text, offer.kind, offer.agent, offer.replaces, *terms)
    plain_message = offer.kind == "message" and not offer.agent and not terms
    return _digest(offer.text) if plain_message else _digest(offer.text, offer.kind, offer.agent, *terms)


def _digest(*fields: str) -> str:
    joined = "".join(f"{len(field)}:{field}" for field in fields)
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _check_size(terms: Terms) -> None:
    if (size := len(terms.model_dump_json())) > MOST_TERMS:
        raise UsageError(
            f"the conversation, the tools and what else comes with the message have {size:,} bytes, the limit is "
            f"{MOST_TERMS:,}; leave out what is old."
        )


class DurableInbox:
    """Implements `ports.Remembering`: the bus makes durable what was not accepted before, as `receipts` tell."""

    def __init__(
        self,
        *,
        bus: Bus,
        receipts: Receipts,
        sessions: SessionView,
        conversations: Conversations,
        queue_limit: int,
        budgets: Budgets | None = None,
    ) -> None:
        self._bus = bus
        self._receipts = receipts
        self._sessions = sessions
        self._conversations = conversations
        self._queue_limit = queue_limit
        self._budgets = budgets or Budgets()
        self.holding = Holding()
        """The messages that are just being accepted, by their dedupe keys."""
        self._closed = ""

    def close(self, reason: str) -> None:
        """Refuse every later message with this reason."""
        self._closed = reason

    async def accept(self, offer: Offer) -> Receipt:
        """Durable when it returns. The same message offered twice, even at the same time, is one turn.

        Raises `UsageError` for an empty or too long message and for what nobody here can carry out, `NotFound` if what
        it replaces is not there, `Busy` for a full queue and for what replaces a turn while another one has no answer,
        `IdReused` for a known id with other content, `NotAccepted` if the disk did not take it. An accept that has
        begun completes even if its caller is cancelled.
        """
        self._check(offer)
        key, content = dedupe_key(offer), content_digest(offer)
        return await self.holding.run(key, lambda: self._accept(offer, key, content))

    async def receipt(self, turn_id: str) -> Receipt:
        """For whoever has found out that it is theirs: its session tells."""
        if (found := await self._receipts.named(turn_id)) is None:
            raise NotFound(f"there is no turn {turn_id:.60}, or its answer is not kept any more.")
        return found

    async def stop(self, session_id: str, principal: Principal) -> bool:
        """Stop the running turn of a session of this principal; False when none runs."""
        await self._sessions.history(principal, session_id, limit=1)
        state = self._conversations.of(session_id)
        turn_id = state.running or state.placed
        if not turn_id or state.stopping:
            return False
        self._bus.announce(StopRequested(turn_id=turn_id, session_id=session_id))
        return True

    def _check(self, offer: Offer) -> None:
        if self._closed:
            raise Stopping(f"agentd is stopping ({self._closed}); offer the message again when it runs.")
        if offer.kind != "message":
            raise UsageError(f"this version of agentd cannot carry out a {offer.kind}; offer a message.")
        goes_on = offer.replaces or (offer.terms is not None and offer.terms.resumes)
        if not plain(offer.text).strip() and (offer.text or not goes_on):
            raise UsageError("the message is empty; say something.")
        size = len(offer.text.encode("utf-8", "surrogatepass"))
        if size > MAX_TEXT_BYTES:
            raise UsageError(
                f"the message has {size:,} bytes, the limit is {MAX_TEXT_BYTES:,}; "
                "put long text into a file and read it with `agentd ingest FILE`."
            )
        if offer.terms is not None:
            _check_size(offer.terms)

    async def _accept(self, offer: Offer, key: str, content: str) -> Receipt:
        known = await self._receipts.of(key, content)
        if known is not None:
            return known
        waiting = len(self._conversations.of(offer.session_id).waiting)
        if offer.kind == "message" and waiting >= self._queue_limit:
            raise Busy(f"{waiting} messages already wait in this session; wait for an answer or stop the running one.")
        offer = await self._resumed(offer)
        regenerates, text = await self._again(offer) if offer.replaces else (False, offer.text)
        asked = replace(offer, text=text)
        self._budgets.check_question(offer.principal, size_of(asked))
        event = self._event(asked, key, content, regenerates=regenerates)
        await self._bus.publish(event)
        return Receipt(id=event.id, session_id=event.session_id, duplicate=False)

    async def _again(self, offer: Offer) -> tuple[bool, str]:
        """Whether an earlier question is asked once more as it was, and what is asked in its place."""
        question = await self._sessions.question(offer.principal, offer.session_id, offer.replaces)
        if not self._conversations.of(offer.session_id).idle:
            raise Busy(UNANSWERED.format("ask in another way"))
        return plain(offer.text) in ("", question), offer.text or question

    async def _resumed(self, offer: Offer) -> Offer:
        """With what the turn has told that handed calls back, if the offer brings their results."""
        terms = offer.terms
        if terms is None or not terms.resumes:
            return offer
        found = await self._receipts.named(terms.resumes)
        answer = None if found is None else found.answer
        if answer is None or answer.session_id != offer.session_id or answer.outcome != "calls":
            raise NotFound(f"turn {terms.resumes:.60} handed no calls back in this session; tell the conversation.")
        try:
            text, terms = resumed(offer.text, terms, answer)
        except ValidationError as error:
            raise UsageError(f"these terms do not go on with turn {answer.turn_id}: {fault_of(error)}") from None
        _check_size(terms)
        return replace(offer, text=text, terms=terms)

    def _event(self, offer: Offer, key: str, content: str, *, regenerates: bool) -> InboundEvent:
        """What begins a turn, with an id that is also the turn's."""
        event = InboundEvent(
            id="",
            time=UNSTAMPED,
            turn_id="",
            session_id=offer.session_id,
            kind=offer.kind,
            agent=offer.agent,
            principal=offer.principal,
            address=offer.address,
            sender=offer.sender,
            message_id=offer.message_id,
            dedupe_key=key,
            content_digest=content,
            text=offer.text,
            documents=offer.documents,
            terms=offer.terms,
            replaces=offer.replaces,
            regenerates=regenerates,
        )
        stamped = self._bus.stamped(event)
        return stamped.model_copy(update={"turn_id": stamped.id})
