"""One client of the unix socket: its requests are answered in order, its session's events are sent as they happen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from agentd import protocol
from agentd.conversation import Conversations
from agentd.errors import AgentdError, NotFound, UsageError
from agentd.events import OWNER, Address, Sender
from agentd.ports import (
    Control,
    DeliveryDesk,
    DocumentView,
    Feed,
    Gap,
    Inbox,
    Numbered,
    Offer,
    SessionInfo,
    SessionView,
    Status,
    StoredMessage,
    Subscription,
)

log = logging.getLogger(__name__)

STUCK_SECONDS = 20.0
"""A client that does not read for so long is cut off; what it was owed stays owed."""
MAX_GARBAGE = 20
"""Messages in a row that could not be understood before the connection is closed."""
TOO_LARGE = f"a message may have {protocol.MAX_FRAME_BYTES:,} bytes; put long text into a file and ingest that."
MAX_FOLLOWED = 64
"""Sessions that one connection may follow."""


class House(Protocol):
    """What a connection needs of the daemon."""

    @property
    def inbox(self) -> Inbox: ...
    @property
    def sessions(self) -> SessionView: ...
    @property
    def documents(self) -> DocumentView: ...
    @property
    def feed(self) -> Feed: ...
    @property
    def conversations(self) -> Conversations: ...
    @property
    def status(self) -> Status: ...
    @property
    def control(self) -> Control: ...
    @property
    def letters(self) -> DeliveryDesk: ...

    def address(self, session_id: str, request: str = "") -> Address: ...
    def follows(self, connection: Connection, session_id: str) -> None: ...
    def acknowledged(self, connection: Connection, outbound_id: str) -> None: ...
    def hand_over(self, to: Sender) -> float: ...


class Connection:
    """`serve` until the client goes; `send` from any task."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, house: House, sender: Sender, greeting: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._house = house
        self._sender = sender
        self._greeting = greeting
        self._lock = asyncio.Lock()
        self._followed: dict[str, Subscription[Numbered]] = {}
        self.acks = False
        writer.transport.set_write_buffer_limits(high=0)

    def follows(self, session_id: str) -> bool:
        return session_id in self._followed

    async def send(self, message: protocol.ServerMessage) -> None:
        """Returns when the kernel has it; a client that does not read is cut off (`ConnectionError`)."""
        try:
            async with asyncio.timeout(STUCK_SECONDS), self._lock:
                self._writer.write(protocol.encode(message))
                await self._writer.drain()
        except TimeoutError:
            self.abort()
            raise ConnectionError("the client does not read") from None

    def abort(self) -> None:
        """Drop the connection and what was not sent."""
        self._writer.transport.abort()

    async def serve(self, pid: int) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                await self.send(protocol.Welcome(server=self._greeting, epoch=self._house.feed.epoch, pid=pid))
                await self._requests(tasks)
                for subscription in self._followed.values():
                    subscription.close()
                raise _Gone
        except* (_Gone, ConnectionError):
            log.debug("a client left")
        finally:
            self._followed.clear()
            self.abort()

    async def _requests(self, tasks: asyncio.TaskGroup) -> None:
        garbage = 0
        async for line in self._lines():
            try:
                message = protocol.decode_client(line)
            except UsageError as error:
                garbage += 1
                await self.send(protocol.Failure(code="bad_message", message=str(error)))
                if garbage >= MAX_GARBAGE:
                    return
                continue
            garbage = 0
            if isinstance(message, protocol.Ingest | protocol.Command | protocol.Delivery):
                # They may take long, and a later message must not wait for them.
                tasks.create_task(self._answered(message, tasks), name=f"{message.type} for a client")
            else:
                await self._answered(message, tasks)

    async def _lines(self) -> AsyncIterator[bytes]:
        while True:
            try:
                yield await self._reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                await self.send(protocol.Failure(code="too_large", message=TOO_LARGE))
                return

    async def _answered(self, message: protocol.ClientMessage, tasks: asyncio.TaskGroup) -> None:
        request = getattr(message, "id", "")
        try:
            await self._answer(message, tasks)
        except AgentdError as error:
            await self.send(protocol.Failure(re=request, code=error.code, message=str(error)))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("a client's %s request failed", message.type)
            failure = "something went wrong inside agentd; its log has the details"
            await self.send(protocol.Failure(re=request, code="internal", message=failure))

    async def _answer(self, message: protocol.ClientMessage, tasks: asyncio.TaskGroup) -> None:
        match message:
            case protocol.Hello():
                self._hello(message)
            case protocol.Open():
                await self._open(message, tasks)
            case protocol.Post():
                await self._post(message)
            case protocol.Stop():
                running = await self._house.inbox.stop(message.session, OWNER)
                await self.send(protocol.Stopped(re=message.id, running=running))
            case protocol.Ack():
                for outbound_id in message.ids:
                    self._house.acknowledged(self, outbound_id)
            case protocol.Get():
                await self.send(protocol.Told(re=message.id, data=await self._tell(message)))
            case protocol.Ingest():
                await self._ingest(message)
            case protocol.Delivery():
                data = await self._house.letters.tell(
                    OWNER, message.what, message.ids, older_than=message.older_than, limit=message.limit
                )
                await self.send(protocol.Told(re=message.id, data=dict(data)))
            case protocol.HandOver():
                seconds = self._house.hand_over(self._sender)
                await self.send(protocol.Told(re=message.id, data={"seconds": seconds}))
            case protocol.Command():
                reply = await self._house.control.run(message.text, OWNER, message.session)
                await self.send(protocol.Told(re=message.id, data=asdict(reply)))

    def _hello(self, message: protocol.Hello) -> None:
        if message.v != protocol.VERSION:
            raise UsageError(
                f"this client speaks protocol version {message.v}, the daemon version {protocol.VERSION}; "
                "use a client and a daemon of the same agentd."
            )
        self.acks = message.acks

    async def _open(self, message: protocol.Open, tasks: asyncio.TaskGroup) -> None:
        session = await self._house.sessions.open(OWNER, message.session)
        lines: tuple[protocol.Line, ...] = ()
        if message.history:
            stored = await self._house.sessions.history(OWNER, session.id, limit=message.history)
            lines = tuple(_line(line) for line in stored)
            await self._mark_read(session)
        if not self.follows(session.id) and len(self._followed) >= MAX_FOLLOWED:
            raise UsageError(f"one connection may follow {MAX_FOLLOWED} sessions; open another connection.")
        after = (message.after.epoch, message.after.n) if message.after else None
        state = self._house.conversations.of(session.id)
        self._follow(session.id, after, tasks)
        await self.send(
            protocol.SessionOpened(
                re=message.id,
                session=session.id,
                name=session.name,
                title=session.title,
                running=state.running,
                waiting=state.waiting,
                history=lines,
            )
        )
        for question in self._house.feed.questions(session.id):
            if (asked := protocol.live_message(question, None)) is not None:
                await self.send(asked)
        if state.running and after is None:
            live = {"session": session.id, "turn": state.running, "attempt": state.attempt}
            await self.send(protocol.State(**live, state="running"))
            await self.send(protocol.Chunk(**live, n=0, text=state.said))
        self._house.follows(self, session.id)

    async def _mark_read(self, session: SessionInfo) -> None:
        if session.unread:
            try:
                await self._house.sessions.mark_read(OWNER, session.id)
            except AgentdError as error:  # a full disk, for one: the history can be read all the same
                log.warning("session %s stays marked as unread: %s", session.id, error)

    def _follow(self, session_id: str, after: tuple[str, int] | None, tasks: asyncio.TaskGroup) -> None:
        if (earlier := self._followed.pop(session_id, None)) is not None:
            earlier.close()
        events = self._followed[session_id] = self._house.feed.follow(session_id, after)
        tasks.create_task(self._forward(session_id, events), name=f"feed of {session_id}")

    async def _forward(self, session_id: str, events: Subscription[Numbered]) -> None:
        async for item in events:
            if isinstance(item, Gap):
                await self.send(protocol.Truncated(session=session_id))
                continue
            cursor = protocol.Cursor(epoch=self._house.feed.epoch, n=item.n)
            if (message := protocol.live_message(item.event, cursor)) is not None:
                await self.send(message)

    async def _post(self, message: protocol.Post) -> None:
        if not self.follows(message.session):
            raise NotFound("open a session before posting to it.")
        request = message.id if message.reply == "request" else ""
        receipt = await self._house.inbox.accept(
            Offer(
                principal=OWNER,
                address=self._house.address(message.session, request),
                sender=self._sender,
                session_id=message.session,
                message_id=message.id,
                text=message.text,
                documents=message.documents,
            )
        )
        await self.send(
            protocol.Accepted(re=message.id, session=receipt.session_id, turn=receipt.id, duplicate=receipt.duplicate)
        )
        if receipt.answer is not None:
            await self.send(protocol.answer_message(receipt.answer, repeat=True))

    async def _tell(self, message: protocol.Get) -> dict[str, object]:
        match message.what:
            case "status":
                return dict(await self._house.status.snapshot())
            case "sessions":
                sessions = await self._house.sessions.list(OWNER, limit=message.limit)
                return {"sessions": [_session(session) for session in sessions]}
            case "history":
                stored = await self._house.sessions.history(OWNER, message.session, limit=message.limit)
                return {"messages": [_line(line).model_dump(mode="json") for line in stored]}

    async def _ingest(self, message: protocol.Ingest) -> None:
        paths = [Path(path) for path in message.paths]
        if relative := [str(path) for path in paths if not path.is_absolute()]:
            raise UsageError(f"{relative[0]} is not an absolute path; the daemon does not know your directory.")
        async for progress in self._house.documents.ingest(paths, OWNER):
            await self.send(
                protocol.IngestState(
                    re=message.id,
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
            )


class _Gone(Exception):
    """The client closed its side; ends the group of the connection's tasks."""


def _line(stored: StoredMessage) -> protocol.Line:
    return protocol.Line(
        turn=stored.turn_id,
        role=stored.role,
        text=stored.text,
        time=stored.time,
        citations=stored.citations,
        interrupted=stored.interrupted,
        unread=stored.unread,
    )


def _session(session: SessionInfo) -> dict[str, object]:
    return {
        "id": session.id,
        "name": session.name,
        "title": session.title,
        "created": session.created.isoformat(),
        "updated": session.updated.isoformat(),
        "messages": session.messages,
        "unread": session.unread,
    }
