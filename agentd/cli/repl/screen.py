"""The prompt: one line editor for the whole conversation; above it are a live region and the printed text.

`actions.KEYS` lists the keys and their meaning. Build it only if standard input and output are a terminal.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import Completer
from prompt_toolkit.data_structures import Size
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples, to_formatted_text
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input.typeahead import store_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.styles import Style

from agentd.cli.repl.ahead import typed_ahead
from agentd.cli.say import warn
from agentd.text.characters import whole

LEAVE_SECONDS = 2.0
"""Pressing Ctrl-C twice within this time leaves."""
LEAVE_HINT = "Ctrl-C again leaves"
REDRAW_SECONDS = 0.05
LIVE_LINES = 12
"""Maximum lines of the live region; on a small terminal it is a part of the height."""
INTERRUPTED = 130
MAX_UNSETTLED = 200
"""How many lines may be undecided at once; no more than this can wait to be accepted or performed."""

_SYNC_BEGIN, _SYNC_END = "\x1b[?2026h", "\x1b[?2026l"
"""Synchronized output: terminals that know it show what is between the two as one change, others ignore it
(https://gist.github.com/christianparpart/d8a62cc1ab659194337d73e399004036)."""

_STYLE = Style.from_dict({"prompt": "ansicyan bold", "status": "ansibrightblack"})


class Prompted(Protocol):
    """What the prompt shows, and who gets its input."""

    def live(self, width: int, height: int) -> str:
        """Lines with colours for the live region, "" for none."""
        ...

    def status(self) -> str:
        """One line that says what is going on, "" for none."""
        ...

    def typed(self, text: str) -> None:
        """Something was sent off with Enter, "" for a blank line."""
        ...

    def interrupt(self) -> bool:
        """Ctrl-C: stop what runs; False if there is nothing to stop."""
        ...


class TypedHistory(FileHistory):
    """The history in a file that only its owner may read, without lines that begin with a blank or were refused.

    A typed line can be recalled at once. It is written when `settle` says that it was taken, or by `flush`.
    """

    def __init__(self, path: Path) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        super().__init__(str(path))
        self._unsettled: deque[str] = deque(maxlen=MAX_UNSETTLED)

    def load_history_strings(self) -> Iterable[str]:
        try:
            return super().load_history_strings()
        except OSError:
            return []

    def store_string(self, string: str) -> None:
        self._unsettled.append(string)

    def settle(self, string: str, taken: bool) -> None:
        """Say whether a typed line was taken; a line that was not typed is ignored."""
        if string in self._unsettled:
            self._unsettled.remove(string)
            if taken:
                self._write(string)

    def flush(self) -> None:
        """Write the undecided lines, because the conversation ends."""
        while self._unsettled:
            self._write(self._unsettled.popleft())

    def _write(self, string: str) -> None:
        if string.startswith(" "):
            return
        try:
            super().store_string(whole(string))
        except OSError as error:
            # A full disk must not end the conversation; until that ends, the line is still known.
            warn(f"agentd: cannot write {self.filename!s}: {error.strerror}")


def open_history(path: Path) -> History:
    """The history in this file, or one in memory if the file cannot be used."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return TypedHistory(path)
    except OSError:
        return InMemoryHistory()


class _Output(Vt100_Output):
    """An output that can hold text back, so that it reaches the terminal in one piece."""

    _held = False

    @contextmanager
    def in_one_piece(self) -> Iterator[None]:
        self._held = True
        self.write_raw(_SYNC_BEGIN)
        try:
            yield
        finally:
            self.write_raw(_SYNC_END)
            self._held = False
            self.flush()

    def flush(self) -> None:
        if not self._held:
            super().flush()


class Screen:
    """`run` shows the prompt until the person leaves; `put` prints above it."""

    def __init__(self, prompted: Prompted, completer: Completer, history: History) -> None:
        self._prompted = prompted
        self._interrupted_at = -LEAVE_SECONDS
        self._tab_waits = False
        self._editor_closed = asyncio.Event()
        self._editor_closed.set()
        self._output = _Output(
            sys.stdout,
            _size_of(sys.stdout.fileno()),
            term=os.environ.get("TERM"),
            default_color_depth=ColorDepth.from_env(),
            # If the terminal is asked nothing, it sends only what the person types.
            enable_cpr=False,
        )
        self._session: PromptSession[int] = PromptSession(
            message=self._message,
            multiline=True,
            prompt_continuation="… ",
            history=history,
            completer=completer,
            complete_while_typing=Condition(_is_command),
            reserve_space_for_menu=6,
            enable_suspend=True,
            tempfile_suffix=".md",
            style=_STYLE,
            erase_when_done=True,
            key_bindings=self._keys(),
            output=self._output,
        )
        self._session.app.min_redraw_interval = REDRAW_SECONDS
        self._session.default_buffer.on_completions_changed += self._completions_changed
        self._session.default_buffer.on_text_changed += self._text_changed

    @property
    def width(self) -> int:
        return self._output.get_size().columns

    async def run(self) -> int:
        """Returns the exit code when the person leaves."""
        terminal = self._session.input
        try:
            with terminal.raw_mode(), patch_stdout(raw=True):
                store_typeahead(terminal, typed_ahead(terminal))
                return await self._session.prompt_async()
        except EOFError:
            return 0

    def leave(self, code: int = 0) -> None:
        if self._session.app.is_running and not self._session.app.is_done:
            self._session.app.exit(result=code)

    async def put(self, text: str) -> None:
        """Print whole lines above the prompt ("" only draws it anew); waits while an editor has the terminal."""
        await self._editor_closed.wait()
        app = self._session.app
        if not app.is_running or app.is_done:
            self._output.write_raw(text.replace("\n", "\r\n"))
            self._output.flush()
        elif text:
            with self._output.in_one_piece():
                app.renderer.erase()
                self._output.write_raw(text.replace("\n", "\r\n"))
                app.render_counter += 1  # the key of the caches for drawing
                app.renderer.render(app, app.layout)
        else:
            app.invalidate()

    # --- what is drawn ---

    def _message(self) -> StyleAndTextTuples:
        size = self._output.get_size()
        live = self._prompted.live(size.columns, max(2, min(LIVE_LINES, size.rows // 2 - 1)))
        shown: StyleAndTextTuples = to_formatted_text(ANSI(live + "\n")) if live else []
        hint = LEAVE_HINT if self._leaving else ""
        if status := hint or self._prompted.status():
            shown = [*shown, ("class:status", status[: size.columns - 1] + "\n")]
        return [*shown, ("class:prompt", "> ")]

    @property
    def _leaving(self) -> bool:
        return time.monotonic() - self._interrupted_at < LEAVE_SECONDS

    # --- keys ---

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        here = has_focus(DEFAULT_BUFFER)
        keys.add("enter", filter=here)(self._enter)
        keys.add("escape", "enter", filter=here)(_new_line)
        keys.add("c-j", filter=here)(_new_line)
        keys.add("c-c", filter=here)(self._interrupt)
        keys.add(Keys.SIGINT)(self._interrupt)
        keys.add("c-d", filter=here & Condition(lambda: not get_app().current_buffer.text))(self._end_of_input)
        keys.add("c-x", "c-e", filter=here)(self._edit)
        keys.add("tab", filter=here)(self._complete)
        return keys

    def _enter(self, event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion is not None:
            buffer.complete_state = None
        elif buffer.document.is_cursor_at_the_end and buffer.text.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        elif buffer.text.strip():
            text = buffer.text
            buffer.append_to_history()
            buffer.reset()
            self._prompted.typed(text)
        else:
            buffer.reset()
            self._prompted.typed("")

    def _interrupt(self, event: KeyPressEvent) -> None:
        if self._prompted.interrupt():
            return
        if self._leaving:
            event.app.exit(result=INTERRUPTED)
            return
        event.app.current_buffer.reset()
        self._interrupted_at = time.monotonic()
        asyncio.get_running_loop().call_later(LEAVE_SECONDS, event.app.invalidate)

    def _end_of_input(self, event: KeyPressEvent) -> None:
        event.app.exit(result=0)

    def _complete(self, event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.completions:
            buffer.complete_next()
        else:
            # If completions are being looked for already, they are shown when they are there.
            self._tab_waits = True
            buffer.start_completion(insert_common_part=True)

    def _completions_changed(self, buffer: Buffer) -> None:
        state = buffer.complete_state
        if self._tab_waits and state is not None and state.completions and state.complete_index is None:
            self._tab_waits = False
            buffer.complete_next()

    def _text_changed(self, buffer: Buffer) -> None:
        self._tab_waits = False

    async def _edit(self, event: KeyPressEvent) -> None:
        self._editor_closed.clear()
        try:
            await event.current_buffer.open_in_editor()
        finally:
            self._editor_closed.set()


def _size_of(fd: int) -> Callable[[], Size]:
    def size() -> Size:
        columns, rows = os.get_terminal_size(fd)
        return Size(rows=rows or 24, columns=columns or 80)

    return size


def _is_command() -> bool:
    text = get_app().current_buffer.text
    return text.startswith("/") and not text.startswith("//") and "\n" not in text


def _new_line(event: KeyPressEvent) -> None:
    event.current_buffer.insert_text("\n")
