"""A real pseudo-terminal with a program in it, and an emulator that knows what is on its screen and above it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pexpect
import pyte

from agentd.testing.server import ScriptedServer

DEADLINE = 60.0
SYNC_BEGIN, SYNC_END = b"\x1b[?2026h", b"\x1b[?2026l"
"""What a program writes around a change that a terminal should show as one."""


class _Scrollback(pyte.Screen):
    """A screen that keeps the lines that leave it at its top, exactly as they were."""

    def __init__(self, columns: int, lines: int) -> None:
        super().__init__(columns, lines)
        self.above: list[str] = []

    def index(self) -> None:
        if self.cursor.y == (self.margins.bottom if self.margins else self.lines - 1):
            self.above.append(self.display[0].rstrip())
        super().index()


class Terminal:
    """Runs a program on a terminal of `columns` x `rows`; the wait functions fail with what is on the screen."""

    def __init__(self, command: list[str], *, columns: int, rows: int = 24, environment: dict[str, str]) -> None:
        self._screen = _Scrollback(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._changed = asyncio.Event()
        self.raw = b""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AGENTD_", "NO_COLOR", "XDG_"))}
        self.process: Any = pexpect.spawn(
            command[0],
            command[1:],
            dimensions=(rows, columns),
            env={**inherited, "TERM": "xterm-256color", "LANG": "C.UTF-8", **environment},
            timeout=DEADLINE,
        )
        self._ended = False
        self._updating = False

    async def __aenter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self.process.child_fd, self._read)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._ended:
            asyncio.get_running_loop().remove_reader(self.process.child_fd)
        if self.process.isalive():
            self.process.kill(signal.SIGKILL)
            self.process.wait()
        self.process.close(force=True)

    def _read(self) -> None:
        try:
            data = os.read(self.process.child_fd, 65536)
        except OSError:  # the program has ended
            data = b""
        if not data:
            self._ended = True
            asyncio.get_running_loop().remove_reader(self.process.child_fd)
        self.raw += data
        self._updating = self.raw.rfind(SYNC_BEGIN) > self.raw.rfind(SYNC_END)
        self._stream.feed(data)
        self._changed.set()

    # --- what is seen ---

    @property
    def lines(self) -> list[str]:
        """The lines of the screen."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def everything(self) -> str:
        """All that was ever printed and not erased: what scrolled away, then the screen."""
        return "\n".join([*self._screen.above, *self.lines]).rstrip()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                while self._updating or not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"not on the screen within {DEADLINE:g} s: {what}\n{self.everything}") from None

    async def shows(self, text: str) -> None:
        """Returns when the text is in a line of the screen."""
        await self.until(lambda: any(text in line for line in self.lines), text)

    async def has_printed(self, text: str) -> None:
        """Returns when the text is on the screen or above it."""
        await self.until(lambda: text in self.everything, text)

    async def hides(self, text: str) -> None:
        """Returns when no line of the screen has the text."""
        await self.until(lambda: not any(text in line for line in self.lines), f"without {text}")

    # --- what is done ---

    def type(self, text: str) -> None:
        self.process.send(text)

    def enter(self, text: str) -> None:
        self.process.send(text + "\r")

    def paste(self, text: str) -> None:
        """As a terminal pastes in bracketed mode."""
        self.process.send(f"\x1b[200~{text}\x1b[201~")

    async def ends(self) -> int:
        """The exit code of the program."""
        await self.until(lambda: self._ended, "the end of the program")
        await asyncio.to_thread(self.process.wait)
        code = self.process.exitstatus
        assert isinstance(code, int), f"ended by signal {self.process.signalstatus}"
        return code


def chat(
    folder: Path, *arguments: str, columns: int = 80, rows: int = 24, environment: Mapping[str, str] | None = None
) -> Terminal:
    """`agentd chat` with its state below `folder`; it looks for a daemon at `folder`/agentd.sock first."""
    command = [sys.executable, "-m", "agentd", "--state-dir", str(folder / "state"), "chat", *arguments]
    socket = {"AGENTD_SOCKET": str(folder / "agentd.sock"), "HOME": str(folder)}
    return Terminal(command, columns=columns, rows=rows, environment={**socket, **(environment or {})})


def ask(folder: Path, *arguments: str, columns: int = 80) -> Terminal:
    """`agentd ask`, as `chat` is run."""
    command = [sys.executable, "-m", "agentd", "--state-dir", str(folder / "state"), "ask", *arguments]
    socket = {"AGENTD_SOCKET": str(folder / "agentd.sock"), "HOME": str(folder)}
    return Terminal(command, columns=columns, environment=socket)


@asynccontextmanager
async def talking(
    folder: Path, *arguments: str, columns: int = 80, rows: int = 24, environment: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[ScriptedServer, Terminal]]:
    async with ScriptedServer(folder / "agentd.sock") as server:
        async with chat(folder, *arguments, columns=columns, rows=rows, environment=environment) as terminal:
            await terminal.shows("Ctrl-D leaves")
            yield server, terminal
