"""The dead letters on the disk: what each one is, why it was given up, and what a retry would start from."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from agentd.errors import NewerVersion, NotFound, StateError
from agentd.events import InboundEvent, OutboundEvent
from agentd.host.files import Files, NotOurs, read_all
from agentd.ids import is_id
from agentd.pending.file import Damaged, Header, decode_file, read_header
from agentd.pending.log import LogLine, after, lines_of
from agentd.pending.moves import Layout, reason_of
from agentd.ports.work import DeadLetter, PendingTurn

log = logging.getLogger(__name__)

_EVENT = ".event"


class DeadLetters:
    """Reads the directory of dead letters; `Moves` changes it, after which `changed` is called.

    Each letter is read once, because anybody may ask how many there are, again and again.
    """

    def __init__(self, layout: Layout, files: Files) -> None:
        self._at = layout
        self._files = files
        self._told: set[str] = set()
        """Files that the log has already called unreadable."""
        self._known: dict[str, DeadLetter] = {}
        self._changes = 0

    def changed(self, dead_id: str) -> None:
        """What was read of this letter is no longer true."""
        self._changes += 1
        self._known.pop(dead_id, None)

    def all(self) -> list[DeadLetter]:
        """In the order of their ids; a file that cannot be read is logged and left out. In one thread at a time."""
        there = [name[: -len(_EVENT)] for name in sorted(self._files.names(self._at.dead)) if name.endswith(_EVENT)]
        known, before = self._known, self._changes
        found = {dead_id: known.get(dead_id) or self._letter(dead_id) for dead_id in there if is_id(dead_id)}
        letters = {dead_id: letter for dead_id, letter in found.items() if letter is not None}
        if self._changes == before:
            self._known = letters
        return list(letters.values())

    def event(self, dead_id: str) -> InboundEvent | OutboundEvent:
        path = self._path(dead_id)
        with _known(dead_id):
            return decode_file(read_all(self._files, path), path)

    def lines(self, dead_id: str) -> list[LogLine]:
        return list(self._lines(dead_id))

    def reopened(self, dead_id: str, now: datetime) -> PendingTurn:
        """The turn that a retry begins with: parts that were confirmed stay so, and it has all its attempts again."""
        path = self._path(dead_id)
        with _known(dead_id):
            header = read_header(self._files.blocks(path), path)
        found = after(header.turn(), self._lines(header.event_id))
        return replace(
            found, starts=0, running=False, starts_alone=0, attempts=0, not_before=None, last_error="", retried=now
        )

    def _letter(self, dead_id: str) -> DeadLetter | None:
        path = self._at.dead_event(dead_id)
        try:
            return self._read_letter(read_header(self._files.blocks(path), path))
        except FileNotFoundError:
            return None
        except (Damaged, NewerVersion, OSError) as error:
            self._tell(path, error)
            return None

    def _tell(self, path: str, error: Exception) -> None:
        """Log it once: the letters are listed again and again."""
        if path not in self._told:
            self._told.add(path)
            log.error("%s cannot be read: %s", path, error)

    def _read_letter(self, header: Header) -> DeadLetter:
        # What the turn has done may be long, and says nothing about the letter.
        lines = [line for line in self._lines(header.event_id) if line["line"] != "steps"]
        reason, time = reason_of(lines)
        return DeadLetter(
            id=header.event_id,
            kind="inbound" if header.answers is None else "outbound",
            turn_id=header.turn_id,
            session_id=header.session_id,
            address=header.address,
            reason=reason,
            time=time,
            attempts=after(header.turn(), lines).attempts,
            size=header.size,
        )

    def _lines(self, dead_id: str) -> Iterator[LogLine]:
        path = self._at.dead_log(dead_id)
        try:
            yield from lines_of(self._files.blocks(path), dead_id)
        except FileNotFoundError:
            return
        except NotOurs as error:
            self._tell(path, error)

    def _path(self, dead_id: str) -> str:
        if not is_id(dead_id):
            raise NotFound(f"{dead_id!r} is not the id of an event; `agentd delivery list` shows them.")
        return self._at.dead_event(dead_id)


@contextmanager
def _known(dead_id: str) -> Iterator[None]:
    """Say it in words if a dead letter is not there."""
    try:
        yield
    except FileNotFoundError:
        raise NotFound(f"there is no dead letter {dead_id}; `agentd delivery list` shows them.") from None


def damaged(what: str, error: Damaged) -> StateError:
    """The error that tells a person about a damaged file."""
    return StateError(
        f"{what} is damaged: {error}. Look at its file, or remove the dead letter with `agentd delivery drop`."
    )
