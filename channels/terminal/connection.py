"""One client of the unix socket: its requests are answered in order, its session's events are sent as they happen."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from agentd.errors import AgentdError, Busy, NotFound, UsageError
from agentd.events import Address
from agentd.ports.bus import Gap, Subscription
from agentd.ports.channels import Caller, Inbox, Offer
from agentd.ports.documents import DocumentView
from agentd.ports.feed import Feed, Followed, Numbered
from agentd.ports.house import Control, DeliveryDesk, Status
from agentd.ports.sessions import SessionInfo, SessionView, StoredMessage
from agentd.serving import frames, protocol
from agentd.serving.budget import Budgets, Place
from channels.terminal.lines import Lines, TooLarge, TooSlow

log = logging.getLogger(__name__)

STUCK_SECONDS = 20.0
"""A client that does not read for so long is cut off; what it was owed stays owed."""
MAX_GARBAGE, ALL_GARBAGE = 20, 200
"""Messages that could not be understood, in a row and in all, before the connection is closed."""
PIECE_BYTES = 64 * 1024
"""Bytes that are written at once, so that what a client does not read is held once for all clients."""


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
    def status(self) -> Status: ...
    @property
    def control(self) -> Control: ...
    @property
    def letters(self) -> DeliveryDesk: ...
    @property
    def budgets(self) -> Budgets: ...

    def address(self, session_id: str, request: str = "") -> Address: ...
    def follows(self, connection: Connection, session_id: str) -> None: ...
    def acknowledged(self, connection: Connection, outbound_id: str) -> None: ...
    def hand_over(self, to: Caller) -> float: ...


class Connection:
    """`serve` until the client goes; `send` from any task."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, house: House, caller: Caller, greeting: str
    ) -> None:
        self._writer = writer
        self._house = house
        self._caller = caller
        self.principal = caller.principal
        self._greeting = greeting
        self._place: Place = house.budgets.admit(caller.principal, self.cut_off)
        self._lines = Lines(reader, self._place)
        self._lock = asyncio.Lock()
        self._followed: dict[str, Subscription[Numbered]] = {}
        self.acks = False
        writer.transport.set_write_buffer_limits(high=0)

    def follows(self, session_id: str) -> bool:
        return session_id in self._followed

    async def send(self, message: protocol.ServerMessage) -> None:
        """As `write`; what is longer than a client reads is cut, and says so."""
        await self.write(frames.fitting(message))

    async def write(self, frame: bytes) -> None:
        """Returns when the kernel has it; a client that does not read is cut off (`ConnectionError`)."""
        begun = False
        try:
            async with asyncio.timeout(STUCK_SECONDS), self._lock:
                begun = True
                for start in range(0, len(frame), PIECE_BYTES):
                    self._writer.write(frame[start : start + PIECE_BYTES])
                    await self._writer.drain()
                begun = False
        except TimeoutError:
            begun = True
            self._house.budgets.tell("a client that does not read was cut off", self._place.principal)
            raise ConnectionError("the client does not read") from None
        finally:
            if begun:  # what comes next could not be told from the rest of this
                self.abort()

    def abort(self) -> None:
        """Drop the connection and what was not sent."""
        self._writer.transport.abort()

    def cut_off(self, reason: str) -> None:
        """End the connection now; the client reads the reason if it reads at all."""
        if not self._lock.locked():
            self._writer.write(protocol.encode(protocol.Failure(code=Busy.code, message=reason)))
        self._lines.drop()
        self.abort()

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
            self._place.leave()
            self._lines.drop()
            self.abort()

    async def _requests(self, tasks: asyncio.TaskGroup) -> None:
        in_a_row = garbage = 0
        try:
            while (line := await self._lines.next()) is not None:
                try:
                    message = protocol.decode_client(line)
                    in_a_row = 0
                    await self._begin(message, tasks)
                except UsageError as error:
                    in_a_row, garbage = in_a_row + 1, garbage + 1
                    await self.send(protocol.Failure(code="bad_message", message=str(error)))
                    if in_a_row >= MAX_GARBAGE or garbage >= ALL_GARBAGE:
                        return
                self._place.done()
                await asyncio.sleep(0)  # however much this client sends, the others get their turn
        except (TooLarge, TooSlow) as error:
            await self.send(protocol.Failure(code=error.code, message=str(error)))

    async def _begin(self, message: protocol.ClientMessage, tasks: asyncio.TaskGroup) -> None:
        if not isinstance(message, protocol.Ingest | protocol.Command | protocol.Delivery):
            await self._answered(message, tasks)
            return
        # They may take long, and a later message must not wait for them.
        try:
            self._place.begin()
        except Busy as error:
            await self.send(protocol.Failure(re=message.id, code=error.code, message=str(error)))
            return
        tasks.create_task(self._beside(message, tasks), name=f"{message.type} for a client")

    async def _beside(self, message: protocol.ClientMessage, tasks: asyncio.TaskGroup) -> None:
        try:
            await self._answered(message, tasks)
        finally:
            self._place.end()

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
                running = await self._house.inbox.stop(message.session, self.principal)
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
                    self.principal, message.what, message.ids, older_than=message.older_than, limit=message.limit
                )
                await self.send(protocol.Told(re=message.id, data=dict(data)))
            case protocol.HandOver():
                seconds = self._house.hand_over(self._caller)
                await self.send(protocol.Told(re=message.id, data={"seconds": seconds}))
            case protocol.Command():
                reply = await self._house.control.run(message.text, self.principal, message.session)
                await self.send(protocol.Told(re=message.id, data=asdict(reply)))

    def _hello(self, message: protocol.Hello) -> None:
        if message.v != protocol.VERSION:
            raise UsageError(
                f"this client speaks protocol version {message.v}, the daemon version {protocol.VERSION}; "
                "use a client and a daemon of the same agentd."
            )
        self.acks = message.acks

    async def _open(self, message: protocol.Open, tasks: asyncio.TaskGroup) -> None:
        session = await self._house.sessions.open(self.principal, message.session)
        lines: tuple[protocol.Line, ...] = ()
        if message.history:
            stored = await self._house.sessions.history(self.principal, session.id, limit=message.history)
            lines = tuple(_line(line) for line in stored)
            await self._mark_read(session)
        self._place.follow(session.id)
        after = (message.after.epoch, message.after.n) if message.after else None
        followed = await self._follow(session.id, after, tasks)
        state = followed.state
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
        for question in followed.questions:
            if (asked := protocol.live_message(question, None)) is not None:
                await self.send(asked)
        if state.running and after is None:
            live = {"session": session.id, "turn": state.running, "attempt": state.attempt}
            await self.send(protocol.State(**live, state="running"))
            await self._send_chunk(protocol.Chunk(**live, n=0, text=str(state.said)))
        self._house.follows(self, session.id)

    async def _mark_read(self, session: SessionInfo) -> None:
        if session.unread:
            try:
                await self._house.sessions.mark_read(self.principal, session.id)
            except AgentdError as error:  # a full disk, for one: the history can be read all the same
                self._house.budgets.tell(f"a session stays marked as unread: {error}", self._place.principal)

    async def _follow(self, session_id: str, after: tuple[str, int] | None, tasks: asyncio.TaskGroup) -> Followed:
        followed = await self._house.feed.follow(self.principal, session_id, after)
        if (earlier := self._followed.pop(session_id, None)) is not None:
            earlier.close()
        self._followed[session_id] = followed.events
        tasks.create_task(self._forward(session_id, followed.events), name=f"feed of {session_id}")
        return followed

    async def _forward(self, session_id: str, events: Subscription[Numbered]) -> None:
        async for item in events:
            if isinstance(item, Gap):
                await self.send(protocol.Truncated(session=session_id))
                continue
            cursor = protocol.Cursor(epoch=self._house.feed.epoch, n=item.n)
            message = protocol.live_message(item.event, cursor)
            if isinstance(message, protocol.Chunk):
                await self._send_chunk(message)
            elif message is not None:
                await self.send(message)

    async def _send_chunk(self, chunk: protocol.Chunk) -> None:
        for piece in frames.pieces(chunk):
            await self.send(piece)

    async def _post(self, message: protocol.Post) -> None:
        if not self.follows(message.session):
            raise NotFound("open a session before posting to it.")
        request = message.id if message.reply == "request" else ""
        receipt = await self._house.inbox.accept(
            Offer(
                principal=self.principal,
                address=self._house.address(message.session, request),
                sender=self._caller.sender,
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
                return dict(await self._house.status.snapshot(self.principal))
            case "sessions":
                sessions = await self._house.sessions.list(self.principal, limit=message.limit)
                return {"sessions": [_session(session) for session in sessions]}
            case "history":
                stored = await self._house.sessions.history(self.principal, message.session, limit=message.limit)
                return {"messages": [_line(line).model_dump(mode="json") for line in stored]}

    async def _ingest(self, message: protocol.Ingest) -> None:
        paths = [Path(path) for path in message.paths]
        if relative := [str(path) for path in paths if not path.is_absolute()]:
            raise UsageError(f"{relative[0]} is not an absolute path; the daemon does not know your directory.")
        async for progress in self._house.documents.ingest(paths, self.principal):
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
