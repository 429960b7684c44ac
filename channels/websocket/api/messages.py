"""Ask a session something, look up what became of it, and say that answers have arrived."""

from __future__ import annotations

import asyncio
import re
import uuid
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, BackgroundTasks, Header, Request, Response
from pydantic import BaseModel, ConfigDict, FailFast, Field

from agentd.records import Terms
from agentd.serving import protocol
from agentd.serving.protocol.base import MAX_IDS
from agentd.serving.visits import Visit
from channels.websocket.api.asking import ID, Asking, House, Ref, Told, heard
from channels.websocket.authentication import Visiting
from channels.websocket.gateway import Gateway

MOST_WAIT = 600
"""Seconds that a request waits for an answer at most."""
_WAIT = re.compile(r"\bwait\s*=\s*(\d{1,6})\b")

router = APIRouter(tags=["messages"])


class NewMessage(BaseModel):
    """Something to ask. `id` is the message's own: the same request with it is one turn, however often it comes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    session: Ref | None = Field(
        default=None, description='an id, a name, which is made if there is none, or "last"; null for a new session'
    )
    id: Ref = Field(default_factory=lambda: uuid.uuid4().hex)
    text: str = Field(default="", description="what is asked; it may be left out if the same is asked again")
    replaces: Ref | None = Field(
        default=None,
        description="the turn whose place it takes, on another branch: with a text as an edit of its question, without "
        "one for another answer",
    )
    documents: int | None = Field(
        default=None, ge=0, le=protocol.MAX_PASSAGES, description="passages of the documents to answer from, at most"
    )
    reply: Literal["session", "request"] | None = Field(
        default=None,
        description='"session": the answer waits for who follows the session; "request": it is in the history and '
        "at /api/turns. By default the first, or the second for a request that waits",
    )
    wait: bool = Field(default=False, description=f"answer this request with the answer, for {MOST_WAIT} s at most")


class Asked(BaseModel):
    """The message is on disk. `answer` is null until there is one."""

    session: str
    turn: str
    duplicate: bool
    answer: protocol.Answer | None = None


class Turn(BaseModel):
    """A turn as it is now; it was asked at `time`, and has an answer when it has ended."""

    session: str
    turn: str
    state: Literal["queued", "running", "ended"]
    time: datetime
    answer: protocol.Answer | None = None


class Acknowledged(BaseModel):
    """Ids of answers that are safe with the client."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ids: Annotated[tuple[Ref, ...], FailFast(), Field(max_length=MAX_IDS)]


@router.post("/messages", status_code=202, responses={200: {"model": Asked, "description": "The answer is there"}})
async def ask(
    message: NewMessage,
    visit: Asking,
    gateway: House,
    request: Request,
    response: Response,
    background: BackgroundTasks,
    prefer: Annotated[str | None, Header(max_length=200, description="`wait=SECONDS` waits for the answer")] = None,
) -> Asked:
    """Ask a session something. 202 says that the message is on disk; 200 comes with the answer."""
    seconds = _seconds(message, prefer)
    accepted = await _posted(visit, message, "request" if seconds else "session")
    asked = Asked(session=accepted.session, turn=accepted.turn, duplicate=accepted.duplicate)
    if not seconds or (answer := await _answer(visit, asked, request, gateway, seconds)) is None:
        return asked
    if not await request.is_disconnected():
        background.add_task(_taken, visit, answer)
    response.status_code = 200
    return asked.model_copy(update={"answer": answer})


def _seconds(message: NewMessage, prefer: str | None) -> int:
    wanted = _WAIT.search(prefer or "")
    if wanted is not None:
        return min(int(wanted[1]), MOST_WAIT)
    return MOST_WAIT if message.wait else 0


async def _posted(visit: Visit, message: NewMessage, reply: Literal["session", "request"]) -> protocol.Accepted:
    """The turn is durable when this returns, and `visit` hears of it."""
    opened = await visit.ask(protocol.Open(id=ID, session=message.session), protocol.SessionOpened)
    post = protocol.Post(
        id=message.id,
        session=opened.session,
        text=message.text,
        replaces=message.replaces or "",
        documents=message.documents,
        reply=message.reply or reply,
        # The first message of a session has its whole conversation, so it is the same turn when it comes again.
        terms=Terms() if message.session is None else None,
    )
    accepted = await visit.ask(post, protocol.Accepted)
    if accepted.session != opened.session:
        await visit.ask(protocol.Delete(id=ID, session=opened.session), protocol.Told)
        await visit.ask(protocol.Open(id=ID, session=accepted.session), protocol.SessionOpened)
    return accepted


async def _answer(
    visit: Visit, asked: Asked, request: Request, gateway: Gateway, seconds: int
) -> protocol.Answer | None:
    """None if it does not come in time, or if nobody waits for it any more."""
    over = asyncio.create_task(_over(request, gateway, seconds), name="end of a request that waits")
    try:
        async for message in heard(visit, over):
            if isinstance(message, protocol.Answer) and asked.turn in message.answers:
                return message
    finally:
        over.cancel()
    return None


async def _over(request: Request, gateway: Gateway, seconds: int) -> None:
    tasks = [
        asyncio.create_task(_gone(request), name="the client of a request leaves"),
        asyncio.create_task(gateway.ending.wait(), name="end of all requests"),
    ]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _taken(visit: Visit, answer: protocol.Answer) -> None:
    visit.taken(answer)


@router.get("/turns/{turn}")
async def read_turn(turn: Ref, visit: Asking) -> Turn:
    """How a turn is, and its answer when it has ended, for as long as its session and its answer are kept."""
    found = await visit.ask(protocol.Fetch(id=ID, turn=turn), protocol.Fetched)
    answer = await visit.hear() if found.state == "ended" else None
    assert answer is None or isinstance(answer, protocol.Answer)
    return Turn(session=found.session, turn=found.turn, state=found.state, time=found.time, answer=answer)


@router.post("/acks", status_code=204)
async def acknowledge(acknowledged: Acknowledged, visitor: Visiting, streams: Told) -> None:
    """These answers, which came as events, are safe with the client, and need not come again."""
    streams.acknowledge(visitor.caller.principal, acknowledged.ids)
