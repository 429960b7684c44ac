"""A server of the client protocol for tests of clients: it answers exactly what the test tells it to.

async with ScriptedServer(folder / "agentd.sock") as server:
    ...                                  # a client connects, opens a session and posts
    turn = await server.next_turn()
    await turn.say("Hello ")
    await turn.answer("Hello there.")
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from agentd.errors import UsageError
from agentd.ids import IdSource
from agentd.records import Citation, TurnUsage
from agentd.serving import protocol

DEADLINE = 60.0
"""A wait of a test fails after this many seconds."""


@dataclass(slots=True)
class ServedSession:
    """A session on the server; tests may write its history."""

    id: str
    name: str = ""
    title: str = ""
    history: list[protocol.HistoryMessage] = field(default_factory=list)
    running: str = ""
    waiting: list[str] = field(default_factory=list)
    owed: dict[str, protocol.Answer] = field(default_factory=dict)
    """Answers that no client has acknowledged; everybody who opens the session gets them again."""


class ServedTurn:
    """One accepted message; nothing happens to it unless the test calls for it."""

    def __init__(self, server: ScriptedServer, session: ServedSession, post: protocol.Post, turn_id: str) -> None:
        self._server = server
        self._session = session
        self.said = ""
        self.post = post
        self.id = turn_id
        self.attempt = 0
        self.stopped = asyncio.Event()
        """A client has asked to stop it."""

    @property
    def text(self) -> str:
        return self.post.text

    async def start(self) -> None:
        """Start the first or the next attempt of the turn."""
        self.attempt += 1
        self.said = ""
        self._session.running = self.id
        if self.id in self._session.waiting:
            self._session.waiting.remove(self.id)
        await self.state("running", attempt=self.attempt)

    async def state(self, state: str, **fields: object) -> None:
        """Send any `protocol.State` of this turn."""
        await self._send(protocol.State.model_validate({**self._about(), "state": state, **fields}))

    async def found(self, *citations: Citation) -> None:
        await self._send(protocol.Found.model_validate({**self._about(), "citations": citations}))

    async def think(self, text: str) -> None:
        await self._started()
        await self._chunk(0, text, reasoning=True)

    async def read(self, done: int, total: int, seconds: float | None = None) -> None:
        """Say how far the prompt is read."""
        await self._started()
        reading = {**self._about(), "attempt": self.attempt, "done": done, "total": total, "seconds": seconds}
        await self._send(protocol.Reading.model_validate(reading))

    async def say(self, text: str) -> None:
        """Send the next piece of the answer; starts the turn if necessary."""
        await self._started()
        n, self.said = len(self.said), self.said + text
        await self._chunk(n, text, reasoning=False)

    async def _started(self) -> None:
        if not self.attempt:
            await self.start()

    async def _chunk(self, n: int, text: str, *, reasoning: bool) -> None:
        chunk = {**self._about(), "attempt": self.attempt, "n": n, "text": text, "reasoning": reasoning}
        await self._send(protocol.Chunk.model_validate(chunk))

    async def answer(
        self,
        text: str | None = None,
        *,
        citations: Sequence[Citation] = (),
        outcome: str = "answer",
        error_code: str = "",
        usage: TurnUsage | None = None,
    ) -> protocol.Answer:
        """End the turn with this text or, without one, with what was said."""
        text = self.said if text is None else text
        answer = protocol.Answer.model_validate(
            {
                **self._about(),
                "id": self._server.ids.next(),
                "answers": (self.id,),
                "in_reply_to": self.post.id,
                "outcome": outcome,
                "text": text,
                "citations": tuple(citations),
                "error_code": error_code,
                "usage": usage,
            }
        )
        now = datetime.now(UTC)
        interrupted = outcome == "interrupted"
        self._session.history += [
            protocol.HistoryMessage(turn=self.id, role="user", text=self.text, time=now),
            protocol.HistoryMessage(
                turn=self.id,
                role="assistant",
                text=text,
                time=now,
                citations=tuple(citations),
                interrupted=interrupted,
            ),
        ]
        self._session.running = ""
        self._session.owed[answer.id] = answer
        await self.state("done")
        await self._send(answer)
        return answer

    def _about(self) -> dict[str, object]:
        return {"session": self._session.id, "turn": self.id}

    async def _send(self, message: protocol.ServerMessage) -> None:
        await self._server.send(self._session.id, message)


class ScriptedServer:
    """Serves sessions from memory. `replies` is the whole text of a slash command -> its reply. If `accepting` is
    False, posts arrive but get no reply, as if the daemon had died before it could send one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lives = 0
        self._n = 0
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.StreamWriter, set[str]] = {}
        self._turns: asyncio.Queue[ServedTurn] = asyncio.Queue(1000)
        self._news = asyncio.Event()
        self.ids = IdSource()
        self.accepting = True
        self.refusal = ""
        """Why posts are refused; "" if they are accepted."""
        self.sessions: dict[str, ServedSession] = {}
        self.turns: dict[str, ServedTurn] = {}
        """Accepted messages by their own ids."""
        self.posts: list[protocol.Post] = []
        self.commands: list[str] = []
        self.replies: dict[str, protocol.CommandReply] = {}
        self.acks: list[str] = []
        self.status: dict[str, object] = {"documents": {"documents": 1, "chunks": 1}}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.die()

    async def start(self) -> None:
        """Listen, as a daemon that has just started."""
        self._lives += 1
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._path.unlink(missing_ok=True)
            listener.bind(f"/proc/self/fd/{directory}/{self._path.name}")
        finally:
            os.close(directory)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=protocol.MAX_FRAME_BYTES)

    async def die(self) -> None:
        """Drop every connection at once, like a killed daemon; sessions and undelivered answers stay."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._clients):
            writer.transport.abort()
        async with asyncio.timeout(DEADLINE):
            await self._until(lambda: not self._clients)

    def session(self, name: str = "", *, title: str = "") -> ServedSession:
        """Make a session."""
        session = ServedSession(id=self.ids.next(), name=name, title=title)
        self.sessions[session.id] = session
        return session

    async def next_turn(self) -> ServedTurn:
        """The next message that is accepted."""
        async with asyncio.timeout(DEADLINE):
            return await self._turns.get()

    async def connected(self) -> None:
        """Returns when a client follows a session."""
        async with asyncio.timeout(DEADLINE):
            await self._until(lambda: any(self._clients.values()))

    async def acknowledged(self, answer: protocol.Answer) -> None:
        """Returns when a client has acknowledged this answer."""
        async with asyncio.timeout(DEADLINE):
            await self._until(lambda: answer.id in self.acks)

    async def received(self, posts: int) -> None:
        """Returns when this many posts have arrived in all."""
        async with asyncio.timeout(DEADLINE):
            await self._until(lambda: len(self.posts) >= posts)

    async def _until(self, condition: object) -> None:
        assert callable(condition)
        while not condition():
            self._news.clear()
            await self._news.wait()

    async def send(self, session_id: str, message: protocol.ServerMessage) -> None:
        """Send a live message to everybody who follows the session."""
        self._n += 1
        cursor = protocol.Cursor(epoch=self._epoch, n=self._n)
        data = protocol.encode(message.model_copy(update={"cursor": cursor} if hasattr(message, "cursor") else {}))
        for writer, followed in list(self._clients.items()):
            if session_id in followed:
                writer.write(data)

    @property
    def _epoch(self) -> str:
        return f"life {self._lives}"

    # --- one client ---

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients[writer] = set()
        self._tell(writer, protocol.Welcome(server="scripted", epoch=self._epoch, pid=os.getpid()))
        try:
            while line := await reader.readline():
                self._request(writer, protocol.decode_client(line))
                self._news.set()
        except (ConnectionError, UsageError):
            writer.transport.abort()
        finally:
            del self._clients[writer]
            self._news.set()
            writer.close()

    def _tell(self, writer: asyncio.StreamWriter, *messages: protocol.ServerMessage) -> None:
        for message in messages:
            writer.write(protocol.encode(message))

    def _request(self, writer: asyncio.StreamWriter, message: protocol.ClientMessage) -> None:
        match message:
            case protocol.Open():
                self._open(writer, message)
            case protocol.Post():
                self._post(writer, message)
            case protocol.Stop():
                turn = self._running(message.session)
                if turn is not None:
                    turn.stopped.set()
                self._tell(writer, protocol.Stopped(re=message.id, running=turn is not None))
            case protocol.Ack():
                self.acks += message.ids
                for session in self.sessions.values():
                    for answer_id in message.ids:
                        session.owed.pop(answer_id, None)
            case protocol.Get():
                self._tell(writer, protocol.Told(re=message.id, data=self._get(message)))
            case protocol.Command():
                self.commands.append(message.text)
                reply = self.replies.get(message.text) or protocol.CommandReply(text=f"done: {message.text}")
                self._tell(writer, protocol.Told(re=message.id, data=reply.model_dump()))
            case protocol.Ingest():
                done = dict.fromkeys(("found", "done", "added"), len(message.paths))
                rest = dict.fromkeys(("changed", "unchanged", "removed", "chunks"), 0)
                self._tell(writer, protocol.IngestState(re=message.id, **done, **rest, finished=True))

    def _open(self, writer: asyncio.StreamWriter, message: protocol.Open) -> None:
        session = self._find(message.session)
        self._clients[writer].add(session.id)
        opened = protocol.SessionOpened(
            re=message.id,
            session=session.id,
            name=session.name,
            title=session.title,
            running=session.running,
            waiting=tuple(session.waiting),
            history=tuple(session.history[-message.history :] if message.history else ()),
        )
        self._tell(writer, opened)
        if message.after is not None and message.after.epoch != self._epoch:
            self._tell(writer, protocol.Truncated(session=session.id))
        self._tell(writer, *(answer.model_copy(update={"repeat": True}) for answer in session.owed.values()))

    def _find(self, reference: str | None) -> ServedSession:
        known = [s for s in self.sessions.values() if reference in (s.id, s.name) or reference == "last"]
        return known[-1] if reference and known else self.session(reference or "")

    def _post(self, writer: asyncio.StreamWriter, post: protocol.Post) -> None:
        self.posts.append(post)
        if not self.accepting:
            return
        if self.refusal:
            self._tell(writer, protocol.Failure(re=post.id, code="busy", message=self.refusal))
            return
        known = self.turns.get(post.id)
        if known is None:
            session = self.sessions[post.session]
            known = self.turns[post.id] = ServedTurn(self, session, post, self.ids.next())
            self._turns.put_nowait(known)
            accepted = protocol.Accepted(re=post.id, session=post.session, turn=known.id)
            self._tell(writer, accepted)
            if session.running:
                session.waiting.append(known.id)
                queued = {"session": session.id, "turn": known.id, "state": "queued", "position": len(session.waiting)}
                self._tell(writer, protocol.State.model_validate(queued))
        else:
            self._tell(writer, protocol.Accepted(re=post.id, session=post.session, turn=known.id, duplicate=True))

    def _running(self, session_id: str) -> ServedTurn | None:
        running = self.sessions[session_id].running
        return next((turn for turn in self.turns.values() if turn.id == running), None)

    def _get(self, message: protocol.Get) -> dict[str, object]:
        match message.what:
            case "status":
                return dict(self.status)
            case "sessions":
                return protocol.SessionList(sessions=tuple(map(_listed, self.sessions.values()))).as_json()
            case "history":
                lines = self.sessions[message.session].history[-message.limit :]
                return {"messages": [line.model_dump(mode="json") for line in lines]}
            case "branches":
                return {"branches": []}


def _listed(session: ServedSession) -> protocol.ListedSession:
    now = datetime.now(UTC)
    return protocol.ListedSession(
        id=session.id,
        name=session.name,
        title=session.title,
        created=now,
        updated=now,
        messages=len(session.history),
        unread=0,
    )
