"""What is asked becomes a turn: in the session that the request names, or in one of its own."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

from agentd.serving import protocol
from agentd.serving.told import asked_at
from agentd.serving.visits import Visit
from channels.websocket.openai.asked import Asked
from channels.websocket.openai.models import AGENTD, known_model
from channels.websocket.openai.side import is_side_request
from channels.websocket.openai.turned import Turned, fetched


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A request that asks something. `session` is one that goes on, `previous` a response after which it goes on.

    With `key`, the same request is one turn however often it comes. `stays` says that the turn goes on when the client
    has left, because somebody will come back for the answer.
    """

    asked: Asked
    session: str = ""
    previous: str = ""
    key: str = ""
    stays: bool = False


async def posted(visit: Visit, order: Order) -> Turned:
    """The turn is durable when this returns, and `visit` hears of it. Raises why it was refused."""
    order, went_back = await _understood(visit, order), False
    if order.previous:
        order, went_back = await _after(visit, order)
    session = await _opened(visit, order.session)
    asked = order.asked
    accepted = await visit.ask(
        protocol.Post(
            id=order.key or uuid.uuid4().hex,
            session=session,
            text=asked.text,
            reply="request",
            documents=asked.documents,
            terms=asked.terms,
        ),
        protocol.Accepted,
    )
    if accepted.session != session:  # the same request came before
        await visit.ask(protocol.Delete(id="unused", session=session), protocol.Told)
        await visit.ask(protocol.Open(id="asked", session=accepted.session), protocol.SessionOpened)
        # It may have been answered before the session was followed.
        await visit.ask(protocol.Fetch(id="turn", turn=accepted.turn), protocol.Fetched)
    elif accepted.duplicate and went_back:  # from this very turn, which is shown again
        await visit.ask(protocol.Select(id="again", session=session, turn=accepted.turn), protocol.Told)
    return Turned(
        turn=accepted.turn,
        session=accepted.session,
        model=asked.model,
        created=int(asked_at(accepted.turn).timestamp()),
        sources=asked.sources,
    )


async def _understood(visit: Visit, order: Order) -> Order:
    """Who is to answer, and whether a session goes on; a side request of a front end belongs to none."""
    if is_side_request(order.asked):
        return replace(order, asked=order.asked.plain(), session="", previous="")
    asked = order.asked
    if asked.model != AGENTD:
        asked = replace(asked.plain(), model=(await known_model(visit, asked.model)).id)
    return replace(order, asked=asked.continuing() if order.session or order.previous else asked)


async def _opened(visit: Visit, session: str) -> str:
    """The id of the session, which is followed from here on; a new one if none is named."""
    open_it = protocol.Open(id="session", session=session or None, listed=bool(session))
    return (await visit.ask(open_it, protocol.SessionOpened)).session


async def _after(visit: Visit, order: Order) -> tuple[Order, bool]:
    """In the session of the earlier response, which goes on after that; whether it had gone on already."""
    found = await fetched(visit, order.previous)
    turn = found.turn
    answer = await visit.hear() if found.state == "ended" else None
    asked, went_back = order.asked, False
    if isinstance(answer, protocol.Answer) and answer.outcome == "calls":
        asked = replace(asked, terms=asked.terms.model_copy(update={"resumes": turn}))
    elif answer is not None:
        went_back = await _go_back(visit, found.session, turn)
    return replace(order, asked=asked, session=found.session, previous=""), went_back


async def _go_back(visit: Visit, session: str, turn: str) -> bool:
    """The session shows what was said up to this turn; whether more came later, which stays as a branch of its own."""
    shown = await _shown(visit, session)
    if turn not in shown:
        await visit.ask(protocol.Select(id="branch", session=session, turn=turn), protocol.Told)
        shown = await _shown(visit, session)
    later = shown[shown.index(turn) + 1 :]
    if later:
        select = protocol.Select(id="back", session=session, turn=later[0], before=True)
        await visit.ask(select, protocol.Told)
    return bool(later)


async def _shown(visit: Visit, session: str) -> list[str]:
    """The turns of the branch that is shown."""
    get = protocol.Get(id="history", what="history", session=session, limit=1000)
    told = await visit.ask(get, protocol.Told)
    return list(dict.fromkeys(message.turn for message in protocol.History.model_validate(told.data).messages))
