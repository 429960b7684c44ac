"""The conversation on a terminal: typed lines go to `actions`, events come from `link`, both at any time."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from agentd.cli.repl.actions import Actions, is_command
from agentd.cli.repl.complete import CommandCompleter
from agentd.cli.repl.link import Connect, Link
from agentd.cli.repl.pages import Pages
from agentd.cli.repl.screen import Screen, TypedHistory, open_history
from agentd.cli.repl.transcript import Transcript
from agentd.errors import AgentdError
from agentd.serving.commands import parse
from agentd.text.plain import plain

LEAVING = "the running answer goes on; `agentd chat -c` shows it"
LEAVING_HERE = (
    "the running answer ends first (`agentd chat -c` shows it); Ctrl-C leaves at once, and the next start answers"
)
MAX_TYPED = 100
"""How many lines may wait until an earlier one is done."""


class Repl:
    """Implements `screen.Prompted`. Made before the first connection; see `link`."""

    def __init__(self, connect: Connect, history: Path) -> None:
        self._progress = ""
        self._pages = Pages(self._put, lambda: self._screen.width)
        self._transcript = Transcript(self._pages)
        self.link = Link(self._transcript, self._pages, connect)
        self._actions = Actions(self.link, self._pages, self._progressed, self._settled)
        self._history = open_history(history)
        self._screen = Screen(self, CommandCompleter(self.link.sessions, self.link.last_question), self._history)
        self._lines: asyncio.Queue[str] = asyncio.Queue(MAX_TYPED)
        self._interrupted = asyncio.Event()

    async def run(self, session: str | None) -> int:
        """Follow the session until the person leaves; returns the exit code."""
        if who := await self.link.who_answers():
            self._pages.note(who)
        opened = await self.link.follow(session)
        unanswered = "a conversation without an answer yet" if opened.running or opened.waiting else ""
        name = opened.name or opened.title or unanswered or "a new conversation"
        self._pages.note(f"{plain(name)} · /help lists the commands, Ctrl-D leaves")
        if waiting := await self.link.unread():
            self._pages.note(waiting)
        await self._pages.flush()
        tasks: list[asyncio.Task[int | None]] = [
            asyncio.create_task(self._screen.run(), name="prompt"),
            asyncio.create_task(self.link.run(), name="connection of the chat"),
            asyncio.create_task(self._perform(), name="what was typed"),
            asyncio.create_task(self._stop(), name="what is interrupted"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # The prompt ends by itself, so that it leaves the terminal as it was.
            self._screen.leave()
            for task in tasks[1:]:
                task.cancel()
            await asyncio.wait(tasks)
            if isinstance(self._history, TypedHistory):
                self._history.flush()
            await self._say_goodbye()
        return _outcome(tasks)

    async def _say_goodbye(self) -> None:
        """Say what happens to an answer that still runs, and why leaving may take a while."""
        if self._transcript.running and self.link.connected:
            here = self.link.client.welcome.pid == os.getpid()
            self._pages.note(LEAVING_HERE if here else LEAVING)
        await self._pages.flush()

    # --- what the prompt shows and tells ---

    def live(self, width: int, height: int) -> str:
        return self._pages.live(width, height)

    def status(self) -> str:
        doing = self._transcript.status
        if not self.link.connected:
            doing = "reconnecting…" + (" · what you typed is kept" if self.link.offering else "")
        elif self._transcript.running and not self._transcript.stopping:
            doing += " · Ctrl-C stops"
        return " · ".join(filter(None, (doing, self._progress)))

    def typed(self, text: str) -> None:
        if is_command(text):
            self._pages.commanded(text)
        try:
            self._lines.put_nowait(text)
        except asyncio.QueueFull:
            self._settled(text, False)
            self._pages.error("you typed too much at once; this line was not sent.")

    def interrupt(self) -> bool:
        """Say no to a question, or stop the running answer, once: who presses again wants to leave."""
        running = self.link.connected and self._transcript.running and not self._transcript.stopping
        if self._interrupted.is_set() or not (running or self._actions.asking):
            return False
        self._interrupted.set()
        return True

    async def _stop(self) -> None:
        """Stop at once, never after the lines that wait."""
        while True:
            await self._interrupted.wait()
            try:
                if not self._actions.dismiss():
                    await self.link.stop()
            except AgentdError as error:
                self._pages.error(plain(str(error)))
            await self._pages.flush()
            self._interrupted.clear()

    # --- what is typed ---

    async def _perform(self) -> None:
        """Perform the lines in order; reading documents and loading a model go on beside the next lines."""
        async with asyncio.TaskGroup() as beside:
            while True:
                line = await self._lines.get()
                if _takes_long(line):
                    beside.create_task(self._actions.perform(line), name="a command that takes long")
                elif not await self._actions.perform(line):
                    self._screen.leave()
                    return

    def _settled(self, line: str, taken: bool) -> None:
        if isinstance(self._history, TypedHistory):
            self._history.settle(line, taken)

    def _progressed(self, text: str) -> None:
        self._progress = text

    async def _put(self, text: str) -> None:
        await self._screen.put(text)


def _outcome(tasks: list[asyncio.Task[int | None]]) -> int:
    """The prompt's exit code; raises the error if one ended the conversation."""
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            raise error
    return tasks[0].result() or 0


def _takes_long(text: str) -> bool:
    try:
        invocation = parse(text)
    except AgentdError:
        return False
    return invocation is not None and invocation.command.name in ("docs", "model")
