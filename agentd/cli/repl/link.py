"""Follows a session over broken connections: offers what was typed until it is accepted, shows what was missed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Literal

from agentd.cli.repl.display import Display
from agentd.cli.repl.transcript import RECENT, Transcript
from agentd.delivery.backoff import Backoff
from agentd.errors import AgentdError, Busy, ConfigError, NewerVersion, NotFound, Stopping, Unreachable
from agentd.serving import protocol
from agentd.serving.choosing import TITLE_WIDTH, label
from agentd.serving.client import Client, Disconnected, new_message_id
from agentd.status.text import answers_line, daemon_line
from agentd.text.plain import plain

Connect = Callable[[], AbstractAsyncContextManager[Client]]
Settled = Callable[[bool], None]
"""Called once with whether the daemon took what was typed."""

LISTED = 1000
"""How many conversations are known by name here; the numbers of /sessions are among them."""
LOOKED_AT = 200
"""In how many of the newest conversations an unread answer is looked for."""
MISSED = 50
"""How many messages of the history are searched for what was missed."""
MAX_OFFERED = 100
"""How many messages may wait to be accepted while the daemon is away."""
WAITS = Backoff(first=0.1, longest=5.0)
"""Seconds between two attempts to reach a daemon."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Typed:
    session: str
    text: str
    settled: Settled
    documents: int | None
    replaces: str
    id: str = field(default_factory=new_message_id)


class Link:
    """Made with the first connection; `run` keeps it up. The other methods raise `Unreachable` while it is down."""

    def __init__(self, transcript: Transcript, display: Display, connect: Connect) -> None:
        self._transcript = transcript
        self._display = display
        self._connect = connect
        self._connection = AsyncExitStack()
        self._client: Client | None = None
        self._cursor: protocol.Cursor | None = None
        self._offered: deque[_Typed] = deque()
        self._typed = asyncio.Event()
        self._settled = asyncio.Event()
        """Cleared while a session is being opened, so that its first events wait for that."""
        self._settled.set()
        self.session = ""
        self._deleting = ""
        """The session that is being deleted from here, so that its deletion is not reported as news."""
        self.documents: int | None = None
        """How many passages to answer from at most; None for what the settings say."""

    @property
    def connected(self) -> bool:
        return self._client is not None

    @property
    def offering(self) -> bool:
        """Whether something that was typed is not accepted yet."""
        return bool(self._offered)

    @property
    def client(self) -> Client:
        if self._client is None:
            raise Unreachable("agentd cannot be reached at the moment; this chat keeps trying.")
        return self._client

    async def connect(self) -> Client:
        """Make the first connection; raises what prevents it."""
        self._client = await self._connection.enter_async_context(self._connect())
        return self._client

    async def close(self) -> None:
        """End the connection, and the daemon if it runs in this process."""
        self._client = None
        await self._connection.aclose()

    # --- what the person does ---

    @property
    def idle(self) -> bool:
        """Whether every question has been answered."""
        return self._transcript.idle

    def show_usage(self, shown: bool) -> None:
        """Set whether each answer is followed by what it took."""
        self._transcript.shows_usage = shown

    def post(self, text: str, settled: Settled = lambda taken: None, *, replaces: str = "") -> None:
        """Offer a message to the session until it is accepted, over as many connections as necessary.

        What `replaces` a turn takes its place.
        """
        if len(self._offered) >= MAX_OFFERED:
            raise Busy(f"{MAX_OFFERED} messages are waiting to be accepted, so this one was not sent; try again later.")
        typed = _Typed(session=self.session, text=text, settled=settled, documents=self.documents, replaces=replaces)
        self._offered.append(typed)
        self._transcript.typed(typed.id, text)
        self._typed.set()

    async def follow(self, session: str | None) -> protocol.SessionOpened:
        """Follow this session: a new one (None), "last", or one by its id or name. Shows its last messages."""
        self._settled.clear()
        try:
            opened = await self.client.open(session, history=RECENT)
            self.session, self._cursor = opened.session, None
            self._transcript.opened(opened)
        finally:
            self._settled.set()
        return opened

    async def stop(self) -> bool:
        """End the running answer; False if none runs."""
        return await self.client.stop(self.session)

    async def history(self, limit: int) -> tuple[protocol.HistoryMessage, ...]:
        """The newest messages of the session, oldest first."""
        return (await self.client.history(self.session, limit=limit)).messages

    async def last_question(self) -> str:
        """What was asked last in the branch that is shown; "" if nothing was."""
        asked = [message.text for message in await self.history(MISSED) if message.role == "user"]
        return asked[-1] if asked else ""

    async def delete(self, session: str) -> protocol.ListedSession:
        """Delete a conversation; if it is the one that is followed, follow a new one."""
        self._deleting = session
        try:
            deleted = await self.client.delete(session)
        except AgentdError:
            self._deleting = ""
            raise
        if session == self.session:
            await self.follow(None)
        return deleted

    def export(self, form: Literal["markdown", "json"]) -> AsyncIterator[protocol.Exported]:
        """The whole conversation, piece by piece."""
        return self.client.export(self.session, form)

    async def command(self, text: str) -> protocol.CommandReply:
        """What the daemon says to a slash command."""
        return await self.client.command(text, session=self.session)

    async def who_answers(self) -> str:
        """Whose daemon it is, which model answers, and from how many documents; "" if the daemon does not say."""
        status = await self.client.status()
        return plain(f"{daemon_line(status)}\n{answers_line(status)}") if status.model.name else ""

    async def unread(self) -> str:
        """Which other conversation has an answer that nobody has seen, and how to open it; "" if there is none."""
        newest = (await self.client.sessions(limit=LOOKED_AT)).sessions
        waiting = [one for one in newest if one.unread and not one.whose and one.id != self.session]
        if not waiting:
            return ""
        first, more = waiting[0], len(waiting) - 1
        others = f"; {more} more in /sessions" if more else ""
        called = first.name or first.id
        title = label(first, TITLE_WIDTH)
        return plain(f'an answer waits unread in "{title}": /resume {called} opens it{others}')

    async def sessions(self) -> Sequence[protocol.ListedSession]:
        """All conversations, newest first."""
        return (await self.client.sessions(limit=LISTED)).sessions

    async def one(self, session: str) -> protocol.ListedSession:
        """One conversation by its id, also if lists leave it out."""
        return await self.client.session(session)

    def ingest(self, paths: Sequence[Path]) -> AsyncIterator[protocol.IngestState]:
        return self.client.ingest(paths)

    # --- the connection ---

    async def run(self) -> None:
        """Receive events and keep the connection up until cancelled; raises errors that waiting cannot mend."""
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._take_in(self.client), name="what happens in the session")
                    tasks.create_task(self._offer(self.client), name="offer what was typed")
            except* Disconnected:
                self._display.note("the connection to agentd was lost; reconnecting…")
            await self._leave()
            await self._return()

    async def _take_in(self, client: Client) -> None:
        async for message in client.messages():
            await self._settled.wait()
            try:
                await self._handle(client, message)
            except Disconnected:
                raise
            except AgentdError as error:
                self._display.error(plain(str(error)))
            await self._display.flush()

    async def _handle(self, client: Client, message: protocol.ServerMessage) -> None:
        here = getattr(message, "session", "") == self.session
        if isinstance(message, protocol.Truncated) and here:
            await self._catch_up(client)
        elif isinstance(message, protocol.Failure) and here:
            await self._deleted(message)
        elif isinstance(message, protocol.BranchShown) and here:
            self._cursor = message.cursor or self._cursor
            self._transcript.branched((await client.history(self.session, limit=RECENT)).messages)
        elif isinstance(message, protocol.Closing):
            self._display.note(f"{plain(message.reason)}; unfinished work goes on when it is back.")
        elif here:
            self._cursor = getattr(message, "cursor", None) or self._cursor
            self._transcript.happened(message)
        elif isinstance(message, protocol.Answer):
            self._display.note(f"there is an answer in another conversation: /resume {plain(message.session)}")
        if isinstance(message, protocol.Answer):
            await self._display.flush()
            await client.ack(message.id)

    async def _deleted(self, news: protocol.Failure) -> None:
        """Somebody deleted the session that is followed here."""
        if news.session != self._deleting:
            self._display.error(plain(f"{news.message} This is a new one."))
            await self.follow(None)

    async def _catch_up(self, client: Client, after: protocol.Cursor | None = None, *, restarted: bool = False) -> None:
        self._transcript.reopened(await client.open(self.session, history=MISSED, after=after), restarted=restarted)

    async def _offer(self, client: Client) -> None:
        while True:
            while self._offered:
                try:
                    await self._offer_one(client, self._offered[0])
                except Stopping:
                    return  # the next daemon is offered it
            self._typed.clear()
            await self._typed.wait()

    async def _offer_one(self, client: Client, typed: _Typed) -> None:
        try:
            accepted = await client.post(
                typed.session, typed.text, message_id=typed.id, documents=typed.documents, replaces=typed.replaces
            )
            typed.settled(True)
            if typed.session == self.session:
                self._transcript.accepted(accepted)
        except (Disconnected, Stopping):
            raise
        except AgentdError as error:
            typed.settled(False)
            self._transcript.refused(typed.id, plain(str(error)))
        self._offered.popleft()
        await self._display.flush()

    async def _leave(self) -> None:
        """Give up the connection; if a daemon in this process failed, say why."""
        connection, self._connection = self._connection, AsyncExitStack()
        self._client = None
        try:
            await connection.aclose()
        except AgentdError as error:
            self._display.error(plain(str(error)))
        await self._display.flush()

    async def _return(self) -> None:
        """Connect again, no matter how long it takes."""
        told = ""
        for attempt in count():
            try:
                await self._resume()
            except (ConfigError, NewerVersion):
                raise
            except AgentdError as error:
                if str(error) != told:
                    told = str(error)
                    self._display.error(plain(told))
                    await self._display.flush()
                await asyncio.sleep(WAITS.ceiling(attempt))
            else:
                self._display.note(await self._who_is_back())
                await self._display.flush()
                return

    async def _who_is_back(self) -> str:
        """Which daemon answers now, and with which model."""
        try:
            who = await self.who_answers()
        except AgentdError:  # it went away again; that is shown next
            who = ""
        return f"connected again: {who}" if who else "connected again"

    async def _resume(self) -> None:
        async with AsyncExitStack() as connection:
            client = await connection.enter_async_context(self._connect())
            same = self._cursor is not None and self._cursor.epoch == client.welcome.epoch
            try:
                await self._catch_up(client, self._cursor if same else None, restarted=not same)
            except NotFound as error:
                self._display.error(plain(f"{error} This is a new conversation."))
                opened = await client.open(None)
                self.session, self._cursor = opened.session, None
                self._transcript.opened(opened)
            for session in {typed.session for typed in self._offered} - {self.session}:
                with suppress(NotFound):  # then the message is refused, which is shown
                    await client.open(session)
            self._client, self._connection = client, connection.pop_all()
