"""What one client asks, and what it is told: a message in, replies out, whatever carries them.

Who asks is what the core said of the connection; nothing that a message holds changes that.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from agentd.errors import AgentdError, NotFound, TooOften, UsageError
from agentd.ports.channels import Caller, Offer
from agentd.ports.documents import IngestProgress, SharedPath
from agentd.ports.sessions import SessionInfo
from agentd.records import Citation, Scope
from agentd.rights import NEEDED, within
from agentd.serving import exports, protocol, told
from agentd.serving.audience import Audience, Follower
from agentd.serving.commands import is_for_the_owner
from agentd.serving.door import Door
from agentd.serving.rates import Rates

log = logging.getLogger(__name__)

BESIDE = (protocol.Ingest, protocol.Command, protocol.Delivery, protocol.Search, protocol.Export)
"""Requests that may take long, so that a later one need not wait for them."""
AROUND = 1000
"""Characters of a document that are shown before and after a place."""
_EVER = datetime.max.replace(tzinfo=UTC)
Reported = (
    protocol.Get
    | protocol.Search
    | protocol.Passage
    | protocol.ListDocuments
    | protocol.RemoveDocuments
    | protocol.Rename
    | protocol.Delete
    | protocol.Select
    | protocol.Share
    | protocol.Command
    | protocol.Delivery
    | protocol.HandOver
    | protocol.Tokens
    | protocol.Ticket
)
"""Requests that have one report."""


class Requests:
    """The requests of one client; `follower` gets what happens in the sessions that it opens.

    With `rates`, what is asked too often is refused.
    """

    def __init__(
        self, door: Door, audience: Audience, caller: Caller, follower: Follower, rates: Rates | None = None
    ) -> None:
        self._door = door
        self._audience = audience
        self._caller = caller
        self._who = caller.principal
        self._follower = follower
        self._rates = rates or Rates()

    async def replies(self, message: protocol.ClientMessage) -> AsyncIterator[protocol.ServerMessage]:
        """What is to be told at once, in order; a request that fails is told as a `Failure`."""
        request = getattr(message, "id", "")
        try:
            if not isinstance(message, protocol.Hello | protocol.Ack):
                self._rates.check_request(self._caller)
            async for reply in self.answers(message):
                yield reply
        except AgentdError as error:
            wait = error.seconds if isinstance(error, TooOften) else None
            yield protocol.Failure(re=request, code=error.code, message=str(error), retry_after=wait)
        except ConnectionError:
            raise
        except Exception:
            log.exception("a client's %s request failed", message.type)
            failure = "something went wrong inside agentd; its log has the details"
            yield protocol.Failure(re=request, code="internal", message=failure)

    def answers(self, message: protocol.ClientMessage) -> AsyncIterator[protocol.ServerMessage]:
        """The same, but a request that fails raises, one outside of the caller's scopes at once."""
        if isinstance(message, protocol.Request):
            within(self._caller.scopes, _scope_of(message))
        match message:
            case protocol.Open():
                return self._open(message)
            case protocol.Post():
                return self._post(message)
            case protocol.Fetch():
                return self._fetch(message)
            case protocol.Export():
                return self._export(message)
            case protocol.Ingest():
                return self._ingest(message)
            case protocol.Upload():
                return self._upload(message)
            case _:
                return self._one(message)

    async def _one(self, message: protocol.ClientMessage) -> AsyncIterator[protocol.ServerMessage]:
        """Requests that have one reply, or none."""
        match message:
            case protocol.Hello():
                self._hello(message)
            case protocol.Ack():
                self._follower.acknowledge(message.ids)
            case protocol.Watch():
                watched = self._door.sessions.watch(self._who, everybody=message.everybody)
                self._follower.watch(watched)
                yield protocol.Watching(re=message.id)
            case protocol.Close():
                self._follower.unfollow(message.session)
                yield protocol.Closed(re=message.id, session=message.session)
            case protocol.Stop():
                running = await self._door.sessions.stop(message.session, self._who)
                yield protocol.Stopped(re=message.id, running=running)
            case _ if isinstance(message, Reported):
                yield protocol.told(message.id, await self._report(message))

    def _hello(self, message: protocol.Hello) -> None:
        if message.v != protocol.VERSION:
            raise UsageError(
                f"this client speaks protocol version {message.v}, the daemon version {protocol.VERSION}; "
                "use a client and a daemon of the same agentd."
            )
        self._follower.acks = message.acks

    # --- what has one report ---

    async def _report(self, message: Reported) -> protocol.ToldData:
        match message:
            case protocol.Get():
                return await self._get(message)
            case protocol.Search():
                found = await self._door.sessions.search(self._who, message.text, limit=message.limit)
                return protocol.SessionsFound(sessions=tuple(told.found(hit, self._who) for hit in found))
            case protocol.Passage():
                return await self._passage(message)
            case protocol.ListDocuments():
                known = await self._door.documents.newest(self._who, before=message.before, limit=message.limit)
                return protocol.DocumentList(documents=tuple(map(told.document, known)))
            case protocol.RemoveDocuments():
                removed = await self._door.documents.remove(self._who, message.documents)
                return protocol.DocumentsRemoved(removed=tuple(removed))
            case protocol.Rename():
                renamed = await self._door.sessions.rename(self._who, message.session, message.name)
                return told.listed(renamed, self._who)
            case protocol.Delete():
                return told.listed(await self._door.sessions.delete(self._who, message.session), self._who)
            case protocol.Select():
                end = await self._door.sessions.select(self._who, message.session, message.turn, before=message.before)
                return protocol.Selected(turn=end)
            case protocol.Share():
                return protocol.SharedPaths(shares=tuple(await self._share(message)))
            case protocol.Command():
                return await self._door.house.run(message.text, self._who, message.session)
            case protocol.Delivery():
                return await self._decide(message)
            case protocol.HandOver():
                return self._hand_over()
            case protocol.Tokens():
                return await self._door.tokens.tokens(self._who, message.order)
            case protocol.Ticket():
                return self._door.tokens.ticket(self._who)

    async def _get(self, message: protocol.Get) -> protocol.ToldData:
        match message.what:
            case "status":
                return await self._door.house.snapshot(self._who)
            case "sessions" if message.session:
                session = await self._door.sessions.session(self._who, message.session)
                return protocol.SessionList(sessions=(told.listed(session, self._who),))
            case "sessions":
                sessions = await self._door.sessions.list(self._who, limit=message.limit)
                return protocol.SessionList(sessions=tuple(told.listed(session, self._who) for session in sessions))
            case "history":
                stored = await self._door.sessions.history(self._who, message.session, limit=message.limit)
                return protocol.History(messages=tuple(map(told.message, stored)))
            case "branches":
                ways = await self._door.sessions.branches(self._who, message.session, limit=message.limit)
                return protocol.BranchList(branches=tuple(map(told.branch, ways)))

    async def _decide(self, message: protocol.Delivery) -> protocol.ToldData:
        ids = message.ids
        match message.what:
            case "list":
                return await self._door.house.letters(self._who, limit=message.limit)
            case "show" if len(ids) == 1:
                return await self._door.house.letter(self._who, ids[0])
            case "show":
                raise UsageError("one event is shown at a time; give its id.")
            case "retry":
                return await self._door.house.retry(self._who, ids, older_than=message.older_than)
            case "drop":
                return await self._door.house.drop(self._who, ids, older_than=message.older_than)

    def _hand_over(self) -> protocol.HandingOver:
        seconds = self._door.house.hand_over(self._who)
        self._audience.ending = f"`agentd run` takes over ({self._caller.sender.name})"
        return protocol.HandingOver(seconds=seconds)

    # --- sessions ---

    async def _open(self, message: protocol.Open) -> AsyncIterator[protocol.ServerMessage]:
        session = await self._door.sessions.open(self._who, message.session, listed=message.listed)
        history: tuple[protocol.HistoryMessage, ...] = ()
        if message.history:
            stored = await self._door.sessions.history(self._who, session.id, limit=message.history)
            history = tuple(map(told.message, stored))
            await self._mark_read(session)
        self._follower.seat.follow(session.id)
        after = (message.after.epoch, message.after.n) if message.after else None
        followed = await self._door.sessions.follow(self._who, session.id, after)
        self._follower.follow(session.id, followed)
        state = followed.state
        yield protocol.SessionOpened(
            re=message.id,
            session=session.id,
            name=session.name,
            title=session.title,
            running=state.running,
            waiting=state.waiting,
            history=history,
        )
        for question in followed.questions:
            if (asked := protocol.live_message(question, None)) is not None:
                yield asked
        if state.running and after is None:
            live = {"session": session.id, "turn": state.running, "attempt": state.attempt}
            yield protocol.State(**live, state="running")
            yield protocol.Chunk(**live, n=0, text=str(state.said))
        self._follower.forward(session.id)

    async def _mark_read(self, session: SessionInfo) -> None:
        if session.unread:
            try:
                await self._door.sessions.mark_read(self._who, session.id)
            except AgentdError as error:  # a full disk, for one: the history can be read all the same
                self._follower.seat.tell(f"a session stays marked as unread: {error}")

    async def _post(self, message: protocol.Post) -> AsyncIterator[protocol.ServerMessage]:
        if not self._follower.follows(message.session):
            raise NotFound("open a session before posting to it.")
        self._rates.check_question(message.session)
        request = message.id if message.reply == "request" else ""
        receipt = await self._door.sessions.accept(
            Offer(
                principal=self._who,
                address=self._audience.address(self._door.channel, message.session, request),
                sender=self._caller.sender,
                session_id=message.session,
                message_id=message.id,
                text=message.text,
                documents=message.documents,
                terms=message.terms,
                replaces=message.replaces,
            )
        )
        yield protocol.Accepted(re=message.id, session=receipt.session_id, turn=receipt.id, duplicate=receipt.duplicate)
        if receipt.answer is not None:
            yield protocol.answer_message(receipt.answer, repeat=True)

    async def _fetch(self, message: protocol.Fetch) -> AsyncIterator[protocol.ServerMessage]:
        sessions = self._door.sessions
        receipt = await sessions.receipt(message.turn, self._who)
        yield protocol.Fetched(
            re=message.id,
            session=receipt.session_id,
            turn=receipt.id,
            state=sessions.state(receipt),
            time=told.asked_at(receipt.id),
        )
        if receipt.answer is not None:
            yield protocol.answer_message(receipt.answer, repeat=True)

    async def _export(self, message: protocol.Export) -> AsyncIterator[protocol.ServerMessage]:
        session = await self._door.sessions.session(self._who, message.session)
        pages = self._door.sessions.pages(self._who, session.id)
        async for piece in exports.exported(session, pages, message.format, re=message.id):
            yield piece

    # --- documents ---

    async def _passage(self, message: protocol.Passage) -> protocol.PassageShown:
        begin = max(0, message.start - AROUND)
        end = min(max(message.start, message.end), message.start + protocol.MAX_PASSAGE)
        place = Citation(n=0, title="", source=message.source, start=begin, end=end + AROUND)
        text = await self._door.documents.passage(place, self._who, message.since or _EVER)
        if text is None:
            raise NotFound("this document was changed or removed since, and its earlier text is not kept.")
        return protocol.PassageShown(
            before=text[: message.start - begin],
            text=text[message.start - begin : end - begin],
            after=text[end - begin :],
        )

    async def _share(self, message: protocol.Share) -> Sequence[SharedPath]:
        match message.what:
            case "list":
                return await self._door.documents.shares(self._who)
            case "add":
                return [await self._door.documents.share(_absolute(message.path), message.whom, self._who)]
            case "remove":
                return await self._door.documents.unshare(_absolute(message.path), message.whom, self._who)

    async def _ingest(self, message: protocol.Ingest) -> AsyncIterator[protocol.ServerMessage]:
        paths = [_absolute(path) for path in message.paths]
        async for progress in self._door.documents.ingest(paths, self._who):
            yield _ingest_state(message.id, progress)

    async def _upload(self, message: protocol.Upload) -> AsyncIterator[protocol.ServerMessage]:
        try:
            data = base64.b64decode(message.data, validate=True)
        except (binascii.Error, ValueError):
            raise UsageError("the data of a document is not base64; encode its bytes.") from None
        if len(data) > protocol.MAX_UPLOAD_BYTES:
            raise UsageError(f"a document may have {protocol.MAX_UPLOAD_BYTES:,} bytes; split it.")
        async for progress in self._door.documents.upload(message.name, data, self._who):
            yield _ingest_state(message.id, progress)


def _scope_of(message: protocol.Request) -> Scope:
    """What is not in the table needs the most."""
    if isinstance(message, protocol.Command) and is_for_the_owner(message.text):
        return "admin"
    return NEEDED.get(message.type, "admin")


def _absolute(path: str) -> Path:
    if not os.path.isabs(path):
        raise UsageError(f"{path} is not an absolute path; the daemon does not know your directory.")
    return Path(path)


def _ingest_state(request: str, progress: IngestProgress) -> protocol.IngestState:
    return protocol.IngestState(
        re=request,
        found=progress.found,
        done=progress.done,
        added=progress.added,
        changed=progress.changed,
        unchanged=progress.unchanged,
        removed=progress.removed,
        chunks=progress.chunks,
        skipped=progress.skipped if progress.finished else (),
        current=progress.current,
        finished=progress.finished,
    )
