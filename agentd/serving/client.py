"""The client of `agentd.serving.protocol`: what the REPL, `agentd ask` and programs of users talk to a daemon with.

async with await Client.connect(path) as client:
    session = await client.open(None)
    await client.post(session.session, "What is in my documents?")
    async for message in client.messages():
        if isinstance(message, protocol.Answer):
            await client.ack(message.id)
            break
"""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

from agentd.errors import (
    AgentdError,
    Busy,
    Forbidden,
    IdReused,
    ModelError,
    NotAccepted,
    NotFound,
    Stopping,
    Unauthorized,
    Unreachable,
    UsageError,
)
from agentd.records import Terms
from agentd.serving import protocol
from agentd.serving.carriers import Carrier, SocketCarrier, WebCarrier
from agentd.serving.live import LiveMessages

CONNECT_SECONDS = 5.0
REPLY_SECONDS = 60.0
COMMAND_SECONDS = 600.0
"""A slash command may load a model."""
MAX_REPLIES = 256
"""Replies to one request that are kept, the newest."""

_ERRORS: dict[str, type[AgentdError]] = {
    cls.code: cls
    for cls in (UsageError, NotAccepted, IdReused, Busy, Stopping, Forbidden, Unauthorized, NotFound, ModelError)
}

Reply = TypeVar("Reply", bound=protocol.ServerMessage)
Told = TypeVar("Told", bound=protocol.ToldData)


class Disconnected(Unreachable):
    """The connection ended; what was accepted is safe, connect again for its answer."""


class Client:
    """One connection; requests may be made from several tasks, live messages are read by one."""

    def __init__(self, carrier: Carrier, welcome: protocol.Welcome) -> None:
        self.welcome = welcome
        self._carrier = carrier
        self._replies: dict[str, asyncio.Queue[protocol.ServerMessage]] = {}
        self._live = LiveMessages()
        self._why = "the daemon closed the connection."
        self._ended = ""
        """Why no message comes any more, once that is so."""
        self._requests = 0
        self._task = asyncio.create_task(self._read(), name="client reader")

    @classmethod
    async def connect(cls, path: Path, *, name: str = "agentd.serving.client", acks: bool = True) -> Self:
        """Connect to the daemon's socket; `Unreachable` says why that failed, `Impostor` that it is somebody else's."""
        return await cls._greeted(SocketCarrier.connect(path), str(path), protocol.Hello(client=name, acks=acks))

    @classmethod
    async def connect_web(
        cls, address: str, token: str, *, name: str = "agentd.serving.client", acks: bool = True
    ) -> Self:
        """Connect to the gateway of a daemon, as in `http://127.0.0.1:24368`, with a token.

        `Unreachable` says why that failed, `Unauthorized` that the token is not known there.
        """
        return await cls._greeted(WebCarrier.connect(address, token), address, protocol.Hello(client=name, acks=acks))

    @classmethod
    async def _greeted(cls, connecting: Coroutine[None, None, Carrier], where: str, hello: protocol.Hello) -> Self:
        carrier: Carrier | None = None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                carrier = await connecting
                message = protocol.decode_server(await carrier.receive())
            if isinstance(message, protocol.Failure):
                raise UsageError(message.message)
            if not isinstance(message, protocol.Welcome) or message.v != protocol.VERSION:
                raise UsageError("it speaks another version of the protocol; update both sides")
        except (OSError, EOFError, TimeoutError, UsageError) as error:
            if carrier is not None:
                carrier.abort()
            reason = getattr(error, "strerror", None) or str(error) or "no answer in time"
            raise Unreachable(f"no daemon answers on {where} ({reason}); start one with `agentd run`.") from None
        client = cls(carrier, message)
        try:
            await client._send(hello)
        except Disconnected:
            await client.close()
            raise
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection once what was sent has left."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._carrier.close()

    # --- requests ---

    async def open(
        self,
        session: str | None = None,
        *,
        history: int = 0,
        after: protocol.Cursor | None = None,
        listed: bool = True,
    ) -> protocol.SessionOpened:
        """Follow a session: a new one (None), "last", one by id or by name; `listed` is for a new one."""
        with protocol.explained():
            request = protocol.Open(id=self._next_id(), session=session, history=history, after=after, listed=listed)
        return await self._ask(request, protocol.SessionOpened)

    async def post(
        self,
        session: str,
        text: str,
        *,
        message_id: str | None = None,
        reply: Literal["session", "request"] = "session",
        documents: int | None = None,
        terms: Terms | None = None,
        replaces: str = "",
    ) -> protocol.Accepted:
        """Durable when it returns. To be safe over a lost connection, post again with the same `message_id`.

        What `replaces` a turn takes its place: an edit of its question, or without a text the same for another answer.
        """
        message_id = message_id or new_message_id()
        with protocol.explained():
            post = protocol.Post(
                id=message_id,
                session=session,
                text=text,
                reply=reply,
                documents=documents,
                terms=terms,
                replaces=replaces,
            )
        return await self._ask(post, protocol.Accepted)

    async def close_session(self, session: str) -> None:
        """Follow a session no more."""
        with protocol.explained():
            request = protocol.Close(id=self._next_id(), session=session)
        await self._ask(request, protocol.Closed)

    async def stop(self, session: str) -> bool:
        """End the running turn; False when none runs."""
        return (await self._ask(protocol.Stop(id=self._next_id(), session=session), protocol.Stopped)).running

    async def status(self) -> protocol.StatusReport:
        """How the daemon is; for others than the owner only who answers, and whether all is well."""
        return await self._told(protocol.Get(id=self._next_id(), what="status"), protocol.StatusReport)

    async def sessions(self, *, limit: int = 50) -> protocol.SessionList:
        """The sessions that there are, newest first."""
        with protocol.explained():
            request = protocol.Get(id=self._next_id(), what="sessions", limit=limit)
        return await self._told(request, protocol.SessionList)

    async def session(self, session: str) -> protocol.ListedSession:
        """One session by its id, also if it is not listed."""
        with protocol.explained():
            request = protocol.Get(id=self._next_id(), what="sessions", session=session)
        return (await self._told(request, protocol.SessionList)).sessions[0]

    async def history(self, session: str, *, limit: int = 50) -> protocol.History:
        """The newest messages of a session, the newest last."""
        with protocol.explained():
            request = protocol.Get(id=self._next_id(), what="history", session=session, limit=limit)
        return await self._told(request, protocol.History)

    async def search(self, text: str, *, limit: int = 20) -> protocol.SessionsFound:
        """Sessions that have all words of a text in one message, or in their name and title."""
        with protocol.explained():
            request = protocol.Search(id=self._next_id(), text=text, limit=limit)
        return await self._told(request, protocol.SessionsFound)

    async def rename(self, session: str, name: str) -> protocol.ListedSession:
        """Give a session a name, or none ("")."""
        with protocol.explained():
            request = protocol.Rename(id=self._next_id(), session=session, name=name)
        return await self._told(request, protocol.ListedSession)

    async def delete(self, session: str) -> protocol.ListedSession:
        """Delete a session with all that was said in it; as it was."""
        with protocol.explained():
            request = protocol.Delete(id=self._next_id(), session=session)
        return await self._told(request, protocol.ListedSession)

    async def branches(self, session: str, *, limit: int = 50) -> protocol.BranchList:
        """The branches of a session, the one that was gone on with last first."""
        with protocol.explained():
            request = protocol.Get(id=self._next_id(), what="branches", session=session, limit=limit)
        return await self._told(request, protocol.BranchList)

    async def select(self, session: str, turn: str, *, before: bool = False) -> str:
        """Show the branch of a turn, or only what comes `before` it; the turn with which that ends."""
        with protocol.explained():
            request = protocol.Select(id=self._next_id(), session=session, turn=turn, before=before)
        return (await self._told(request, protocol.Selected)).turn

    async def export(
        self, session: str, form: Literal["markdown", "json"] = "markdown"
    ) -> AsyncIterator[protocol.Exported]:
        """All that was said in a session, as the pieces of a file; the last one has `finished`."""
        with protocol.explained():
            request = protocol.Export(id=self._next_id(), session=session, format=form)
        n = 0
        async for piece in self._each(request, protocol.Exported):
            if piece.n != n:
                raise Busy("the export came faster than it was read; ask for it again.")
            n += len(piece.text)
            yield piece
            if piece.finished:
                return

    async def command(self, text: str, *, session: str = "") -> protocol.CommandReply:
        """Run a slash command."""
        request = protocol.Command(id=self._next_id(), session=session, text=text)
        return await self._told(request, protocol.CommandReply, COMMAND_SECONDS)

    async def letters(self, *, limit: int = 200) -> protocol.LetterList:
        """What is pending and what is dead, the oldest first."""
        return await self._told(self._delivery("list", limit=limit), protocol.LetterList)

    async def letter(self, wanted: str) -> protocol.LetterShown:
        """One of them, by the id of the event or of its turn."""
        return await self._told(self._delivery("show", (wanted,)), protocol.LetterShown)

    async def retry(self, ids: Sequence[str] = (), *, older_than: float | None = None) -> protocol.Decided:
        """Make dead letters pending again; see `protocol.Delivery`."""
        return await self._told(self._delivery("retry", ids, older_than=older_than), protocol.Decided)

    async def drop(self, ids: Sequence[str] = (), *, older_than: float | None = None) -> protocol.Decided:
        """Delete dead letters for good; see `protocol.Delivery`."""
        return await self._told(self._delivery("drop", ids, older_than=older_than), protocol.Decided)

    def _delivery(
        self,
        what: Literal["list", "show", "retry", "drop"],
        ids: Sequence[str] = (),
        *,
        older_than: float | None = None,
        limit: int = 200,
    ) -> protocol.Delivery:
        with protocol.explained():
            return protocol.Delivery(id=self._next_id(), what=what, ids=tuple(ids), older_than=older_than, limit=limit)

    async def share(
        self, what: Literal["add", "remove", "list"], path: str = "", whom: str = ""
    ) -> protocol.SharedPaths:
        """Let others search documents, no longer, or list what is shared; see `protocol.Share`."""
        with protocol.explained():
            request = protocol.Share(id=self._next_id(), what=what, path=path, whom=whom)
        return await self._told(request, protocol.SharedPaths)

    async def hand_over(self) -> float:
        """Ask a daemon inside a command to end: the seconds that takes at most. `UsageError` from any other daemon."""
        return (await self._told(protocol.HandOver(id=self._next_id()), protocol.HandingOver)).seconds

    async def tokens(self, order: protocol.TokenOrder) -> protocol.TokenList:
        """All tokens, or the one that was made or revoked."""
        with protocol.explained():
            request = protocol.Tokens(id=self._next_id(), **asdict(order))
        return await self._told(request, protocol.TokenList)

    async def ticket(self) -> protocol.PageTicket:
        """What lets one browser in, and where the page is; `UsageError` if the daemon serves none."""
        return await self._told(protocol.Ticket(id=self._next_id()), protocol.PageTicket)

    async def ack(self, *outbound_ids: str) -> None:
        """Tell the daemon that these answers are safe here."""
        await self._send(protocol.Ack(ids=outbound_ids))

    async def ingest(self, paths: Sequence[Path]) -> AsyncIterator[protocol.IngestState]:
        """Bring documents up to date, with the progress; the last item has `finished`."""
        with protocol.explained():
            request = protocol.Ingest(id=self._next_id(), paths=tuple(map(str, paths)))
        async for state in self._each(request, protocol.IngestState):
            yield state
            if state.finished:
                return

    async def upload(self, name: str, data: bytes) -> AsyncIterator[protocol.IngestState]:
        """Read a document of one's own from its bytes, with the progress; the last item has `finished`."""
        with protocol.explained():
            encoded = base64.b64encode(data).decode()
            request = protocol.Upload(id=self._next_id(), name=name, data=encoded)
        async for state in self._each(request, protocol.IngestState):
            yield state
            if state.finished:
                return

    async def messages(self) -> AsyncIterator[protocol.ServerMessage]:
        """Everything that is not the reply to a request, as it comes; raises `Disconnected` at the end."""
        async for message in self._live:
            yield message
        raise Disconnected(self._ended)

    # --- the connection ---

    def _next_id(self) -> str:
        self._requests += 1
        return f"r{self._requests}"

    async def _ask(
        self,
        request: protocol.Request,
        kind: type[Reply],
        seconds: float | None = None,
    ) -> Reply:
        seconds = seconds or REPLY_SECONDS
        replies = self._replies[request.id] = asyncio.Queue(1)
        try:
            await self._send(request)
            async with asyncio.timeout(seconds):
                return _expect(await replies.get(), kind)
        except TimeoutError:
            raise Disconnected(f"the daemon did not reply within {seconds:g} s.") from None
        finally:
            del self._replies[request.id]

    async def _each(self, request: protocol.Request, kind: type[Reply]) -> AsyncIterator[Reply]:
        """Every reply to a request, for as long as the caller wants more."""
        replies = self._replies[request.id] = asyncio.Queue(MAX_REPLIES)
        try:
            await self._send(request)
            while True:
                yield _expect(await replies.get(), kind)
        finally:
            del self._replies[request.id]

    async def _told(self, request: protocol.Request, kind: type[Told], seconds: float | None = None) -> Told:
        data = (await self._ask(request, protocol.Told, seconds)).data
        with protocol.explained():
            return kind.model_validate(data)

    async def _send(self, message: protocol.ClientMessage) -> None:
        if self._ended:
            raise Disconnected(self._ended)
        try:
            await self._carrier.send(protocol.encode(message))
        except OSError:
            raise Disconnected("the daemon closed the connection.") from None

    async def _read(self) -> None:
        try:
            while True:
                line = await self._carrier.receive()
                with suppress(protocol.UnknownType):  # a newer daemon may have more to say
                    self._take(protocol.decode_server(line), len(line))
        except (OSError, EOFError):
            pass
        except UsageError as error:
            self._why = (
                f"the daemon sent a message that this client cannot read ({error}); update agentd on both sides."
            )
            self._carrier.abort()
        finally:
            self._end()

    def _take(self, message: protocol.ServerMessage, size: int) -> None:
        request = getattr(message, "re", "")
        if (replies := self._replies.get(request)) is not None:
            if replies.full():
                replies.get_nowait()
            replies.put_nowait(message)
        elif isinstance(message, protocol.Failure) and not request and message.code in (Busy.code, Unauthorized.code):
            self._why = message.message
        elif not request:
            self._live.put(message, size)

    def _end(self) -> None:
        self._ended = self._why
        self._live.end()
        gone = protocol.Failure(code="disconnected", message=self._why)
        for replies in self._replies.values():
            if replies.full():
                replies.get_nowait()
            replies.put_nowait(gone)


def new_message_id() -> str:
    """An id for a message; keep it until the message is accepted."""
    return uuid.uuid4().hex


def _expect(message: protocol.ServerMessage, kind: type[Reply]) -> Reply:
    if isinstance(message, kind):
        return message
    if isinstance(message, protocol.Failure):
        if message.code == "disconnected":
            raise Disconnected(message.message)
        raise _ERRORS.get(message.code, AgentdError)(message.message)
    raise Unreachable(f"the daemon replied {message.type} instead of {kind.__name__}.")
