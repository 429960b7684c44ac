"""A channel for the proof: its people are a socket that offers messages, its platform a file that logs what arrives.

`[channels.log]` takes `build = "tests.prove.log_channel:build"`, `feed` (the path of the socket) and `log` (the file).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Sequence
from typing import Any, Literal

from agentd.errors import NotAccepted, Retry
from agentd.events import OutboundEvent
from agentd.ports.channels import Inbox, Offer, PartDone, Report
from agentd.records import Address, Sender
from agentd.serving.given import Given

PART_CHARACTERS = 300
FAILURES = 0.04
"""Share of the sends that the platform refuses for now."""
SLOWEST_SECONDS = 0.01
"""How long the platform takes at most before it takes a part, and again before it says so."""


class LogChannel:
    """Implements `ports.Channel`; an arrival is a whole line in the log, synced before the send goes on."""

    name = "log"

    def __init__(self, given: Given) -> None:
        self._principals = given.door.principals
        self._sessions = given.door.sessions
        self._feed = str(given.settings["feed"])
        self._log = os.open(str(given.settings["log"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._rng = random.Random()
        self._writer: asyncio.StreamWriter | None = None

    async def run(self, inbox: Inbox, report: Report) -> None:
        reader, self._writer = await asyncio.open_unix_connection(self._feed)
        report.connected()
        async with asyncio.TaskGroup() as group:
            async for line in reader:
                message = json.loads(line)
                group.create_task(self._receive(inbox, message), name=f"receive {message['id']}")

    async def _receive(self, inbox: Inbox, message: dict[str, str]) -> None:
        chat = message["chat"]
        principal = self._principals.chat(chat)
        session = await self._sessions.open(principal, "main")
        offer = Offer(
            principal=principal,
            address=Address(channel=self.name, account="prove", chat=chat),
            sender=Sender(id=chat),
            session_id=session.id,
            message_id=message["id"],
            text=message["text"],
        )
        try:
            receipt = await inbox.accept(offer)
        except NotAccepted as error:
            self._tell({"refused": message["id"], "chat": chat, "why": str(error)})
            return
        self._tell({"accepted": message["id"], "chat": chat, "turn": receipt.id, "duplicate": receipt.duplicate})

    async def send(self, event: OutboundEvent, progress: PartDone) -> Literal["taken"]:
        if self._rng.random() < FAILURES:
            raise Retry("503: the platform is busy")
        if len(event.text) <= PART_CHARACTERS:
            await self._arrive(event, progress, [event.text], 0)
            return "taken"
        split = [event.text[at : at + PART_CHARACTERS] for at in range(0, len(event.text), PART_CHARACTERS)]
        parts, first = await progress.begin(split)
        for n in range(first, len(parts)):
            await self._arrive(event, progress, parts, n)
            await progress.part(n)
        return "taken"

    async def _arrive(self, event: OutboundEvent, progress: PartDone, parts: Sequence[str], n: int) -> None:
        line: dict[str, Any] = {
            "chat": event.address.chat,
            "message": event.in_reply_to,
            "turn": event.turn_id,
            "out": event.id,
            "outcome": event.outcome,
            "part": n,
            "parts": len(parts),
            "text": parts[n],
            "repeat": progress.repeat,
        }
        await asyncio.sleep(self._rng.uniform(0, SLOWEST_SECONDS))
        # Between two line breaks, so that a line that a kill cuts off spoils no other.
        await asyncio.to_thread(self._append, b"\n%b\n" % json.dumps(line).encode())
        self._tell({"look": event.address.chat})
        await asyncio.sleep(self._rng.uniform(0, SLOWEST_SECONDS))

    def _append(self, data: bytes) -> None:
        os.write(self._log, data)
        os.fdatasync(self._log)

    def _tell(self, line: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(json.dumps(line).encode() + b"\n")


def build(given: Given) -> LogChannel:
    return LogChannel(given)
