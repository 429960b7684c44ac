"""The dead letters on the disk: what each one is, why it was given up, and what a retry would start from."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from agentd.errors import NewerVersion, NotFound, StateError
from agentd.events import InboundEvent, OutboundEvent
from agentd.host.files import Files, NotOurs
from agentd.ids import is_id
from agentd.pending.file import Damaged, Header, decode_file, decode_header
from agentd.pending.log import Line, after, lines_of
from agentd.pending.moves import Layout, reason_of
from agentd.ports.work import DeadLetter, Entry

log = logging.getLogger(__name__)


class DeadLetters:
    """Reads the directory of dead letters; `Moves` changes it."""

    def __init__(self, layout: Layout, files: Files) -> None:
        self._at = layout
        self._files = files
        self._told: set[str] = set()
        """Files that the log has already called unreadable."""

    def all(self) -> list[DeadLetter]:
        """In the order of their ids; a file that cannot be read is logged and left out."""
        return list(self._letters())

    def event(self, dead_id: str) -> InboundEvent | OutboundEvent:
        path = self._at.dead_event(dead_id)
        return decode_file(self._read(dead_id), path)

    def lines(self, dead_id: str) -> list[Line]:
        return list(lines_of(self._log(dead_id), dead_id))

    def entry(self, dead_id: str, now: datetime) -> Entry:
        """The entry for a retry: parts that were confirmed stay confirmed, and it has all its attempts again."""
        header = decode_header(self._read(dead_id), self._at.dead_event(dead_id))
        found = self._entry(header, self._log(dead_id))
        return replace(
            found, starts=0, running=False, starts_alone=0, attempts=0, not_before=None, last_error="", retried=now
        )

    def _letters(self) -> Iterator[DeadLetter]:
        for name in sorted(self._files.names(self._at.dead)):
            dead_id, _, suffix = name.rpartition(".")
            if suffix != "event" or not is_id(dead_id):
                continue
            path = self._at.dead_event(dead_id)
            try:
                header = decode_header(self._files.read(path), path)
                letter = self._letter(header)
            except FileNotFoundError:
                continue
            except (Damaged, NewerVersion, OSError) as error:
                self._tell(path, error)
                continue
            yield letter

    def _tell(self, path: str, error: Exception) -> None:
        """Log it once: the letters are listed again and again."""
        if path not in self._told:
            self._told.add(path)
            log.error("%s cannot be read: %s", path, error)

    def _letter(self, header: Header) -> DeadLetter:
        lines = self._log(header.event_id)
        reason, time = reason_of(lines, header.event_id)
        return DeadLetter(
            id=header.event_id,
            kind="inbound" if header.answers is None else "outbound",
            turn_id=header.turn_id,
            session_id=header.session_id,
            address=header.address,
            reason=reason,
            time=time,
            attempts=self._entry(header, lines).attempts,
            size=header.size,
        )

    def _entry(self, header: Header, lines: bytes) -> Entry:
        return after(header.entry(), lines_of(lines, header.event_id))

    def _log(self, dead_id: str) -> bytes:
        path = self._at.dead_log(dead_id)
        try:
            return self._files.read(path)
        except FileNotFoundError:
            return b""
        except NotOurs as error:
            self._tell(path, error)
            return b""

    def _read(self, dead_id: str) -> bytes:
        if not is_id(dead_id):
            raise NotFound(f"{dead_id!r} is not the id of an event; `agentd delivery list` shows them.")
        try:
            return self._files.read(self._at.dead_event(dead_id))
        except FileNotFoundError:
            raise NotFound(
                f"there is no dead letter {dead_id}; `agentd delivery list` shows those that there are."
            ) from None


def damaged(what: str, error: Damaged) -> StateError:
    """The error that tells a person about a damaged file."""
    return StateError(
        f"{what} is damaged: {error}. Look at its file, or remove the dead letter with `agentd delivery drop`."
    )
