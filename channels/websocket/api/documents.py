"""Documents: upload, list, look up, remove, and read folders of the daemon's machine."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Annotated, ClassVar

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import AwareDatetime, BaseModel, ConfigDict, FailFast, Field

from agentd.errors import AgentdError, NotFound
from agentd.serving import protocol
from agentd.serving.protocol.base import MAX_PATHS, MOST
from agentd.serving.visits import Visit
from channels.websocket.api.asking import ID, Asking, Ref, report
from channels.websocket.refusals import REFUSALS_OF_STREAMS

router = APIRouter(tags=["documents"])

Number = Annotated[int, Field(ge=0, le=MOST)]
BYTES = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class TooLong(AgentdError):
    """The document is longer than what is taken in one request."""

    code: ClassVar[str] = "too_large"

    def __init__(self) -> None:
        super().__init__(f"a document may have {protocol.MAX_UPLOAD_BYTES:,} bytes; split it.")


class NoDocument(AgentdError):
    """There is no text in it."""

    code: ClassVar[str] = "no_document"


class Uploaded(BaseModel):
    """What became of a document: one of these is 1. `chunks` are its passages."""

    added: int
    changed: int
    unchanged: int
    chunks: int


class Folders(BaseModel):
    """Absolute paths of files and folders on the daemon's machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paths: Annotated[tuple[str, ...], FailFast(), Field(min_length=1, max_length=MAX_PATHS)]


@router.get("/documents")
async def list_documents(
    visit: Asking,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[Number, Query(description="the smallest id of the page before this one")] = MOST,
) -> protocol.DocumentList:
    """One's documents, the one that was read last first; the owner sees those of all."""
    return await report(visit, protocol.ListDocuments(id=ID, before=before, limit=limit), protocol.DocumentList)


@router.put("/documents/{document}", openapi_extra=BYTES)
async def upload_document(
    document: Annotated[Ref, Path(description="the name of a file, whose end says what it is")],
    visit: Asking,
    request: Request,
) -> Uploaded:
    """Read a document of one's own from the bytes of the body; it replaces an earlier one of the same name."""
    data = await _body(visit, request)
    upload = protocol.Upload(id=ID, name=document, data=base64.b64encode(data).decode())
    async for state in visit.each(upload, protocol.IngestState):
        last = state
    if last.skipped:
        raise NoDocument(f"{document}: {last.skipped[0][1]}")
    return Uploaded(added=last.added, changed=last.changed, unchanged=last.unchanged, chunks=last.chunks)


async def _body(visit: Visit, request: Request) -> bytes:
    """All of it; what is too long is refused as soon as that is known."""
    if int(request.headers.get("content-length", 0)) > protocol.MAX_UPLOAD_BYTES:
        raise TooLong
    data = bytearray()
    async for piece in request.stream():
        if len(data) + len(piece) > protocol.MAX_UPLOAD_BYTES:
            raise TooLong
        await visit.arrive(len(piece))
        data += piece
    return bytes(data)


@router.delete("/documents/{document}")
async def remove_document(
    document: Annotated[Number, Path(description="its id in the list")], visit: Asking
) -> protocol.DocumentsRemoved:
    """Delete a document of one's own, so that it is found no more; the owner may delete those of others."""
    remove = protocol.RemoveDocuments(id=ID, documents=(document,))
    removed = await report(visit, remove, protocol.DocumentsRemoved)
    if not removed.removed:
        raise NotFound(f"there is no document {document} of yours; `GET /api/documents` lists them.")
    return removed


@router.get("/passage")
async def read_passage(
    visit: Asking,
    source: Annotated[str, Query(max_length=5000)],
    start: Annotated[Number, Query()],
    end: Annotated[Number, Query()],
    since: Annotated[AwareDatetime | None, Query(description="the time of the answer that cites it")] = None,
) -> protocol.PassageShown:
    """The text at a place that an answer cites, with what stands around it."""
    asked = protocol.Passage(id=ID, source=source, start=start, end=end, since=since)
    return await report(visit, asked, protocol.PassageShown)


async def reading(folders: Folders, visit: Asking) -> AsyncIterator[AsyncIterator[protocol.IngestState]]:
    """How far it is, begun before the response begins, so that what is wrong has a status."""
    states = visit.each(protocol.Ingest(id=ID, paths=folders.paths), protocol.IngestState)
    first = await anext(states)

    async def all_states() -> AsyncIterator[protocol.IngestState]:
        yield first
        async for state in states:
            yield state

    yield all_states()


@router.post("/documents/ingest", response_class=EventSourceResponse, responses=REFUSALS_OF_STREAMS)
async def ingest_folders(
    states: Annotated[AsyncIterator[protocol.IngestState], Depends(reading)],
) -> AsyncIterator[ServerSentEvent]:
    """Read files and folders of the daemon's machine; for the owner alone. Ends early if the client leaves."""
    async for state in states:
        yield ServerSentEvent(raw_data=state.model_dump_json(), event=state.type)
