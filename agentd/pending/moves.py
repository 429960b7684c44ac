"""The moves of the pending directory on the disk: synchronous, and safe to be cut off at any operation.

For each turn, one thread at a time makes a move. The move is durable when it returns; if it raises OSError, it may be
made again. The order of the operations is the protocol: content is synced before its name, and a name is removed only
after what replaces it is durable.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from itertools import count

from agentd.errors import NotAccepted, NotFound
from agentd.events import InboundEvent, OutboundEvent
from agentd.host.files import Files, read_all, synced_directory, write_all
from agentd.pending.aside import remove, set_aside
from agentd.pending.disk import Disk
from agentd.pending.file import decode_file, encode_file, header_of
from agentd.pending.log import LogLine, buried, encode_line, event_id_of, kept, lines_of, state
from agentd.ports.work import PendingTurn


class Layout:
    """The paths of the directories and files under a state directory."""

    def __init__(self, state_dir: str) -> None:
        self.state = state_dir
        self.pending = f"{state_dir}/pending"
        self.dead = f"{state_dir}/dead"
        self.corrupt = f"{state_dir}/corrupt"

    def event(self, name: str) -> str:
        return f"{self.pending}/{name}.event"

    def log(self, name: str) -> str:
        return f"{self.pending}/{name}.log"

    def dead_event(self, dead_id: str) -> str:
        return f"{self.dead}/{dead_id}.event"

    def dead_log(self, dead_id: str) -> str:
        return f"{self.dead}/{dead_id}.log"


class Moves:
    """The moves over one `Layout`; `logs` are the names that already have a log."""

    def __init__(self, layout: Layout, files: Files, disk: Disk, logs: Iterable[str]) -> None:
        self._at = layout
        self._files = files
        self._disk = disk
        self._logs = dict.fromkeys(logs, True)
        """Name -> whether the directory entry of its log is durable."""
        self._ragged: set[str] = set()
        """Names whose log had a failed write: the next line begins a new file."""
        self._attempts = count()

    def load(self, name: str) -> InboundEvent | OutboundEvent:
        """`Damaged` if the file is not what was written."""
        path = self._at.event(name)
        return decode_file(read_all(self._files, path), path)

    def lines(self, name: str, event_id: str) -> list[LogLine]:
        """The lines of the log about one event; none if there is no log."""
        return self._lines(self._at.log(name), event_id)

    def _lines(self, path: str, event_id: str) -> list[LogLine]:
        try:
            return list(lines_of(self._files.blocks(path), event_id))
        except FileNotFoundError:
            return []

    def _kept(self, turn: PendingTurn, path: str) -> bytes:
        """The first lines of a log that is written anew: the state of the turn, and what the turn has done."""
        return b"".join(map(encode_line, (state(turn), *kept(self._lines(path, event_id_of(turn))))))

    def accept(self, event: InboundEvent | OutboundEvent) -> None:
        """2 syncs. FileExistsError if the name is taken, `NotAccepted` if new messages are refused at the moment."""
        if isinstance(event, InboundEvent) and (reason := self._disk.refusal()):
            raise NotAccepted(f"the message was not stored: {reason}. Then send it again.")
        data, path = encode_file(event), self._at.event(header_of(event).name)

        def create() -> None:
            with synced_directory(self._files, self._at.pending):
                self._disk.write(path, data)

        try:
            self._disk.attempt(create)
        except FileExistsError:
            raise
        except OSError:
            # A refused message must not come back after a crash; if it is offered again, it would be answered twice.
            with suppress(OSError):
                remove(self._files, path)
                with synced_directory(self._files, self._at.pending):
                    pass
            raise

    def answer(self, event: OutboundEvent) -> None:
        """2 syncs, one more if it answers several turns."""
        data, name = encode_file(event), header_of(event).name
        others = [turn_id for turn_id in event.answers if turn_id != name]
        self._disk.insist(lambda: self._replace(name, data))
        if others:
            self._disk.insist(lambda: self._remove(others))

    def append(self, turn: PendingTurn, line: LogLine, *, durable: bool) -> None:
        """1 sync if it is to be durable, 2 for the first line of a log. A log with a failed write is replaced, and the
        new one keeps what the turn has done.
        """
        data, name = encode_line(line), turn.id
        if name not in self._ragged:
            try:
                self._disk.attempt(lambda: self._append(name, data, durable=durable))
                return
            except OSError as error:
                self._ragged.add(name)
                self._disk.make_room(error)
        kept = self._kept(turn, self._at.log(name))
        self._disk.attempt(lambda: self._renew_log(name, kept + data))
        self._ragged.discard(name)

    def ack(self, name: str) -> None:
        """1 sync."""
        self._disk.insist(lambda: self._remove([name]))

    def bury(
        self, name: str, event_id: str, reason: str, time: datetime, notice: OutboundEvent | None, *, noticed: bool
    ) -> None:
        """4 syncs, 2 more with a notice, which is written first unless it is pending already (`noticed`)."""
        if notice is not None and not noticed:
            data, notice_name = encode_file(notice), header_of(notice).name
            self._disk.insist(lambda: self._notice(notice_name, data))
        last = encode_line(buried(event_id, reason, time))
        self._disk.insist(lambda: self._write_dead_log(name, event_id, last))
        self._disk.insist(lambda: self._link_dead(name, event_id))
        self._disk.insist(lambda: self._remove([name]))

    def set_aside(self, name: str, why: str, notice: OutboundEvent | None) -> None:
        """3 syncs, 2 more with a notice, which is written first: the event and its log go to corrupt/."""
        if notice is not None:
            data, notice_name = encode_file(notice), header_of(notice).name
            self._disk.insist(lambda: self._notice(notice_name, data))
        aside = {f"{name}.{suffix}": why for suffix in ("event", "log") if suffix == "event" or name in self._logs}
        self._disk.insist(lambda: set_aside(self._files, self._at.pending, self._at.corrupt, aside))
        self._logs.pop(name, None)
        self._ragged.discard(name)

    def retry(self, dead_id: str, turn: PendingTurn) -> None:
        """4 syncs: makes `turn` pending again, in the state that it has here, and removes its dead letter."""
        try:
            self._disk.insist(lambda: self._link_back(dead_id, turn))
            self._disk.insist(lambda: self._remove_dead(dead_id))
        except OSError:
            with suppress(OSError):
                if f"{dead_id}.event" in self._files.names(self._at.dead):
                    self._remove([turn.id])
            raise

    def drop(self, dead_id: str) -> None:
        """1 sync. `NotFound` if there is no such dead letter."""
        if f"{dead_id}.event" not in self._files.names(self._at.dead):
            raise NotFound(f"there is no dead letter {dead_id}; `agentd delivery list` shows them.")
        self._disk.insist(lambda: self._remove_dead(dead_id))

    def _beside(self, name: str, data: bytes) -> str:
        path = f"{self._at.pending}/{name}.{next(self._attempts)}.tmp"
        self._disk.write(path, data)
        return path

    def _replace(self, name: str, data: bytes) -> None:
        with synced_directory(self._files, self._at.pending):
            self._put(self._beside(name, data), self._at.event(name))

    def _put(self, beside: str, path: str) -> None:
        try:
            self._files.rename(beside, path)
        except OSError:
            with suppress(OSError):
                self._files.unlink(beside)
            raise

    def _remove(self, names: list[str]) -> None:
        with synced_directory(self._files, self._at.pending):
            for name in names:
                remove(self._files, self._at.event(name))
        for name in names:
            if name in self._logs:
                # A log means nothing without its event, and the next start removes it.
                with suppress(OSError):
                    self._files.unlink(self._at.log(name))
                del self._logs[name]
                self._ragged.discard(name)

    def _append(self, name: str, data: bytes, *, durable: bool) -> None:
        path, named = self._at.log(name), self._logs.setdefault(name, False)
        if not durable or named:
            self._write_line(path, data, durable=durable)
            return
        with synced_directory(self._files, self._at.pending):
            self._write_line(path, data, durable=True)
        self._logs[name] = True

    def _write_line(self, path: str, data: bytes, *, durable: bool) -> None:
        fd = self._files.append(path)
        try:
            write_all(self._files, fd, data)
            if durable:
                self._files.sync(fd)
        finally:
            self._files.close(fd)

    def _renew_log(self, name: str, data: bytes) -> None:
        with synced_directory(self._files, self._at.pending):
            self._put(self._beside(name, data), self._at.log(name))
        self._logs[name] = True

    def _notice(self, name: str, data: bytes) -> None:
        path = self._at.event(name)
        with synced_directory(self._files, self._at.pending):
            try:
                self._disk.write(path, data)
            except FileExistsError:
                # An attempt that failed later left it; nobody knows whether it is durable.
                self._put(self._beside(name, data), path)

    def _write_dead_log(self, name: str, event_id: str, last: bytes) -> None:
        try:
            log = read_all(self._files, self._at.log(name)) if name in self._logs else b""
        except FileNotFoundError:
            log = b""  # there was no room for its first line
        with synced_directory(self._files, self._at.dead):
            remove(self._files, self._at.dead_log(event_id))
            self._disk.write(self._at.dead_log(event_id), log + last)

    def _link_dead(self, name: str, event_id: str) -> None:
        with synced_directory(self._files, self._at.dead):
            try:
                self._files.link(self._at.event(name), self._at.dead_event(event_id))
            except FileExistsError:
                pass  # an earlier attempt got this far
            except FileNotFoundError:
                if f"{event_id}.event" not in self._files.names(self._at.dead):
                    raise

    def _link_back(self, dead_id: str, turn: PendingTurn) -> None:
        kept = self._kept(turn, self._at.dead_log(dead_id))
        with synced_directory(self._files, self._at.pending):
            remove(self._files, self._at.log(turn.id))
            self._disk.write(self._at.log(turn.id), kept)
            with suppress(FileExistsError):
                self._files.link(self._at.dead_event(dead_id), self._at.event(turn.id))
        self._logs[turn.id] = True

    def _remove_dead(self, dead_id: str) -> None:
        with synced_directory(self._files, self._at.dead):
            remove(self._files, self._at.dead_event(dead_id))
        with suppress(OSError):
            self._files.unlink(self._at.dead_log(dead_id))


def reason_of(lines: Iterable[LogLine]) -> tuple[str, datetime | None]:
    """Why and when a dead letter was given up, according to its log."""
    for line in lines:
        if line["line"] == "buried":
            return line["reason"], datetime.fromisoformat(line["time"])
    return "agentd ended while it gave this up, before it wrote the reason", None
