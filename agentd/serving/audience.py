"""Who follows which session, over whatever carries it: an answer goes to all of them, and is taken when one has it.

One `Audience` stands behind all channels whose clients follow sessions, so that a page shows what was asked in the
terminal. What came over another channel, a chat of a platform for one, its followers get from the live feed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Literal

from agentd.errors import Wait
from agentd.events import OutboundEvent, SessionDeleted
from agentd.ports.bus import Gap, Subscription
from agentd.ports.channels import Deliveries, PartDone
from agentd.ports.feed import Followed, Numbered, Watched
from agentd.records import Address
from agentd.serving import frames, protocol
from agentd.serving.budget import Seat
from agentd.serving.outbox import Outbox

ALL = "*"
"""What a client follows that watches all sessions."""
ACCOUNT = "local"
"""Of every address that means the followers of a session."""


class Follower:
    """One client: the sessions that it follows, and the outbox that takes what it gets.

    With `acks` it acknowledges answers. `tasks` have its feeds, so that a failure in one ends the client.
    """

    def __init__(self, audience: Audience, outbox: Outbox, seat: Seat, tasks: asyncio.TaskGroup) -> None:
        self.outbox = outbox
        self.seat = seat
        self.acks = False
        self._audience = audience
        self._tasks = tasks
        self._feeds: dict[str, Followed] = {}
        self._watched: Subscription[Numbered] | None = None

    def follows(self, session_id: str) -> bool:
        return session_id in self._feeds

    def follow(self, session_id: str, followed: Followed) -> None:
        """From here on answers of the session come; its other events wait for `forward`."""
        if (earlier := self._feeds.pop(session_id, None)) is not None:
            earlier.events.close()
        self._feeds[session_id] = followed

    def forward(self, session_id: str) -> None:
        """Tell what happens in the session, until it is followed no more."""
        followed = self._feeds.get(session_id)
        if followed is not None:
            self._tasks.create_task(self._forward(session_id, followed), name=f"feed of {session_id}")
            self._audience.arrived(session_id)

    def watch(self, watched: Watched) -> None:
        """From here on tell what happens in all of these sessions but those that are followed."""
        self.seat.follow(ALL)
        if self._watched is not None:
            self._watched.close()
        self._watched = watched.events
        self._tasks.create_task(self._tell_all(watched), name="feed of all sessions")

    def unfollow(self, session_id: str) -> None:
        """Harmless if it is not followed."""
        if (followed := self._feeds.pop(session_id, None)) is not None:
            followed.events.close()
            self.seat.unfollow(session_id)
            self._audience.lost(self, session_id)

    def leave(self) -> None:
        """The client is gone."""
        for session_id in list(self._feeds):
            self.unfollow(session_id)
        if self._watched is not None:
            self._watched.close()
        self._audience.left(self)

    def acknowledge(self, outbound_ids: Iterable[str]) -> None:
        self._audience.acknowledged(self, outbound_ids)

    async def _forward(self, session_id: str, followed: Followed) -> None:
        told = protocol.conversation_message(session_id, followed.state)
        async for item in followed.events:
            if isinstance(item, Gap):
                await self.outbox.put(protocol.Truncated(session=session_id))
                continue
            if (message := self._message(item, self._cursor(item))) is not None:
                await self.outbox.put(message)
            now = protocol.conversation_message(session_id, followed.now())
            if now != told:
                told = now
                await self.outbox.put(now)
            if isinstance(item.event, SessionDeleted):
                self.unfollow(session_id)

    async def _tell_all(self, watched: Watched) -> None:
        told: dict[str, protocol.ConversationState] = {}
        async for item in watched.events:
            if isinstance(item, Gap):
                told.clear()
                await self.outbox.put(protocol.Truncated(session=""))
                continue
            session_id: str = getattr(item.event, "session_id", "")
            if session_id in self._feeds or (state := await watched.state(item.event)) is None:
                continue
            if (message := _watched_message(item, self._cursor(item))) is not None:
                await self.outbox.put(message)
            now = protocol.conversation_message(session_id, state)
            if now != told.get(session_id):
                await self.outbox.put(now)
            told[session_id] = now
            if state.idle:
                del told[session_id]

    def _cursor(self, item: Numbered) -> protocol.Cursor:
        return protocol.Cursor(epoch=self._audience.epoch, n=item.n)

    def _message(self, item: Numbered, cursor: protocol.Cursor) -> protocol.ServerMessage | None:
        if isinstance(item.event, OutboundEvent) and not self._audience.delivers(item.event.address.channel):
            return protocol.answer_message(item.event, cursor=cursor)
        return protocol.live_message(item.event, cursor)


def _watched_message(item: Numbered, cursor: protocol.Cursor) -> protocol.ServerMessage | None:
    """Answers too: who only watches gets none by delivery."""
    if isinstance(item.event, OutboundEvent):
        return protocol.answer_message(item.event, cursor=cursor)
    return protocol.live_message(item.event, cursor)


class Acknowledgement:
    """An answer on its way to its followers; implements `ports.Confirmation`.

    It is taken when one that sends no acknowledgements has it, or when one that sends them has acknowledged it.
    """

    def __init__(self, session_id: str, followers: Iterable[Follower], *, request: bool) -> None:
        self.session_id = session_id
        self._reached: set[Follower] = set(followers)
        self._request = request
        self._done: asyncio.Future[Literal["taken", "history"]] = asyncio.get_running_loop().create_future()
        self.begun = asyncio.Event()
        """Set when the first follower has it, or nobody is left."""

    @property
    def done(self) -> bool:
        return self._done.done()

    async def wait(self) -> Literal["taken", "history"]:
        return await asyncio.shield(self._done)

    def written(self, follower: Follower) -> None:
        self.begun.set()
        if not follower.acks:
            self._take()

    def acknowledged(self, follower: Follower) -> None:
        """Of a follower that was never sent it, this says nothing."""
        if follower in self._reached:
            self._take()

    def lost(self, follower: Follower) -> None:
        """The follower is gone, or follows the session no more."""
        self._reached.discard(follower)
        if self._reached or self.done:
            return
        if self._request:
            self._done.set_result("history")
        else:
            self._done.set_exception(Wait("nobody is connected to this session", until=None))
            self._done.exception()
        self.begun.set()

    def _take(self) -> None:
        if not self.done:
            self._done.set_result("taken")


class Audience:
    """`epoch` is the live feed's; `deliveries` hears when somebody arrives at a session."""

    def __init__(self, epoch: str, deliveries: Deliveries) -> None:
        self.epoch = epoch
        self.ending = "agentd stops"
        """What clients are told when the daemon stops."""
        self._deliveries = deliveries
        self._channels: dict[str, None] = {}
        self._followers: set[Follower] = set()
        self._awaited: dict[str, Acknowledgement] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- channels ---

    def serve(self, channel: str) -> None:
        """Answers to questions that come over this channel are delivered here."""
        self._channels[channel] = None

    def delivers(self, channel: str) -> bool:
        return channel in self._channels

    def address(self, channel: str, session_id: str, request: str = "") -> Address:
        """Where answers of a session go. A `request` is one whose client does not come back for its answer."""
        return Address(channel=channel, account=ACCOUNT, chat=session_id, thread=request)

    # --- followers ---

    def join(self, outbox: Outbox, seat: Seat, tasks: asyncio.TaskGroup) -> Follower:
        follower = Follower(self, outbox, seat, tasks)
        self._followers.add(follower)
        return follower

    def left(self, follower: Follower) -> None:
        self._followers.discard(follower)

    def arrived(self, session_id: str) -> None:
        """Whatever waits for this session may go now, whichever channel its question came over."""
        for channel in self._channels:
            self._deliveries.reachable(self.address(channel, session_id))

    def lost(self, follower: Follower, session_id: str) -> None:
        for outbound_id, awaited in list(self._awaited.items()):
            if awaited.session_id == session_id:
                awaited.lost(follower)
                self._forget(outbound_id)

    def acknowledged(self, follower: Follower, outbound_ids: Iterable[str]) -> None:
        for outbound_id in outbound_ids:
            if (awaited := self._awaited.get(outbound_id)) is not None:
                awaited.acknowledged(follower)
                self._forget(outbound_id)

    def _forget(self, outbound_id: str) -> None:
        if (awaited := self._awaited.get(outbound_id)) is not None and awaited.done:
            del self._awaited[outbound_id]

    # --- answers ---

    async def deliver(self, event: OutboundEvent, progress: PartDone) -> Acknowledgement | Literal["taken", "history"]:
        """Send an answer to all who follow its session; returns when the first one has it. See `ports.Channel.send`."""
        session_id, request = event.address.chat, event.address.thread != ""
        followers = [follower for follower in self._followers if follower.follows(session_id)]
        if not followers:
            if request:
                return "history"
            raise Wait("nobody is connected to this session", until=None)
        awaited = self._awaited[event.id] = Acknowledgement(session_id, followers, request=request)
        frame = frames.fitting(protocol.answer_message(event, repeat=progress.repeat))
        for follower in followers:
            task = asyncio.create_task(self._write(follower, event.id, frame, awaited), name=f"answer {event.id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await awaited.begun.wait()
        self._forget(event.id)
        return await awaited.wait() if awaited.done else awaited

    async def _write(self, follower: Follower, event_id: str, frame: bytes, awaited: Acknowledgement) -> None:
        try:
            await follower.outbox.deliver(frame)
        except ConnectionError:
            awaited.lost(follower)
        else:
            awaited.written(follower)
        self._forget(event_id)
