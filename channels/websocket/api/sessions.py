"""Sessions: list, read, search, rename, delete, export, stop, and mark the last answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from agentd.serving import protocol
from channels.websocket.api.asking import ID, Asking, Ref, known_session, report

TYPES: dict[str, str] = {"markdown": "text/markdown", "json": "application/json"}

router = APIRouter(tags=["sessions"])

Limit = Annotated[int, Query(ge=1, le=1000)]


class NewSession(BaseModel):
    """A session to begin, or to find again by its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Ref | None = None


class NewName(BaseModel):
    """ "" takes a session's name away."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: protocol.Id


class Shown(BaseModel):
    """The branch of this turn, up to where it was gone on with last, or only what comes `before` it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    turn: Ref
    before: bool = False


class Mark(BaseModel):
    """What somebody thinks of the last answer of a session."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mark: Literal["good", "bad"]
    note: str = Field(default="", max_length=1000)


class Marked(BaseModel):
    text: str


class Stopped(BaseModel):
    """Whether a turn ran, which ends now."""

    running: bool


class WholeSession(BaseModel):
    """An export as JSON; `messages` are all of them, the oldest first."""

    session: protocol.ListedSession
    messages: tuple[protocol.HistoryMessage, ...]


@router.get("/sessions")
async def list_sessions(visit: Asking, limit: Limit = 50) -> protocol.SessionList:
    """Sessions that have messages, the one with the newest message first."""
    return await report(visit, protocol.Get(id=ID, what="sessions", limit=limit), protocol.SessionList)


@router.post("/sessions", status_code=201)
async def begin_session(new: NewSession, visit: Asking) -> protocol.ListedSession:
    """Begin a session; one that has this name already is the same session."""
    opened = await visit.ask(protocol.Open(id=ID, session=new.name), protocol.SessionOpened)
    return await known_session(visit, opened.session)


@router.get("/search")
async def search_sessions(
    visit: Asking,
    text: Annotated[str, Query(max_length=protocol.MAX_ID, description="words, all of them in one message or a name")],
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> protocol.SessionsFound:
    """Sessions in which something was said."""
    return await report(visit, protocol.Search(id=ID, text=text, limit=limit), protocol.SessionsFound)


@router.get("/sessions/{session}")
async def read_session(session: Ref, visit: Asking) -> protocol.ListedSession:
    """One session, also if lists leave it out."""
    return await known_session(visit, session)


@router.get("/sessions/{session}/messages")
async def read_messages(session: Ref, visit: Asking, limit: Limit = 50) -> protocol.History:
    """The newest messages of a session, the newest last."""
    return await report(visit, protocol.Get(id=ID, what="history", session=session, limit=limit), protocol.History)


@router.get("/sessions/{session}/branches")
async def list_branches(session: Ref, visit: Asking, limit: Limit = 50) -> protocol.BranchList:
    """What was asked instead of something else, the branch that was gone on with last first."""
    return await report(visit, protocol.Get(id=ID, what="branches", session=session, limit=limit), protocol.BranchList)


@router.put("/sessions/{session}/branch")
async def show_branch(session: Ref, shown: Shown, visit: Asking) -> protocol.Selected:
    """Show another branch of a session, which goes on from there."""
    select = protocol.Select(id=ID, session=session, turn=shown.turn, before=shown.before)
    return await report(visit, select, protocol.Selected)


@router.patch("/sessions/{session}")
async def rename_session(session: Ref, new: NewName, visit: Asking) -> protocol.ListedSession:
    """Give a session a name, or none."""
    return await report(visit, protocol.Rename(id=ID, session=session, name=new.name), protocol.ListedSession)


@router.delete("/sessions/{session}")
async def delete_session(session: Ref, visit: Asking) -> protocol.ListedSession:
    """Delete a session with all that was said in it; 429 while a question in it has no answer yet."""
    return await report(visit, protocol.Delete(id=ID, session=session), protocol.ListedSession)


@router.post("/sessions/{session}/stop")
async def stop_turn(session: Ref, visit: Asking) -> Stopped:
    """End the running turn; what was said is kept."""
    return Stopped(running=(await visit.ask(protocol.Stop(id=ID, session=session), protocol.Stopped)).running)


@router.post("/sessions/{session}/mark")
async def mark_answer(session: Ref, mark: Mark, visit: Asking) -> Marked:
    """Mark the last answer as good or bad."""
    found = await known_session(visit, session)
    text = f"/{mark.mark} {' '.join(mark.note.split())}".rstrip()
    reply = await report(visit, protocol.Command(id=ID, session=found.id, text=text), protocol.CommandReply)
    return Marked(text=reply.text)


@router.get(
    "/sessions/{session}/export",
    response_class=StreamingResponse,
    responses={200: {"model": WholeSession, "content": {"text/markdown": {"schema": {"type": "string"}}}}},
)
async def export_session(
    session: Ref, visit: Asking, format: Literal["markdown", "json"] = "markdown"
) -> StreamingResponse:
    """All that was said in a session, as one file."""
    pieces = visit.each(protocol.Export(id=ID, session=session, format=format), protocol.Exported)
    first = await anext(pieces)  # what is wrong has a status

    async def text() -> AsyncIterator[str]:
        yield first.text
        async for piece in pieces:
            yield piece.text

    name = f"attachment; filename*=UTF-8''{quote(first.name)}"
    return StreamingResponse(text(), media_type=TYPES[format], headers={"Content-Disposition": name})
