"""What an earlier process left in the pending directory, made whole: run at every start, safe to be cut off anywhere.

First everything is read and judged, and nothing is touched. Then it is made durable as it is, for a process that was
killed may have left names and data that are only in memory. Only then is anything taken away.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from agentd.events import Address
from agentd.files import Files, synced_directory
from agentd.ids import NO_ID, is_id
from agentd.pending.file import Damaged, Header, decode_header
from agentd.pending.log import apply, lines_of
from agentd.pending.moves import Layout, remove
from agentd.ports import Entry

log = logging.getLogger(__name__)


_UNREADABLE = (errno.EIO, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EBADMSG)
"""Errors of one file, not of the process or the disk as a whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovered:
    """What is pending, in id order; the names that have a log; the greatest id found; the files that were set aside."""

    entries: dict[str, Entry]
    logs: frozenset[str]
    last_id: str
    set_aside: tuple[str, ...]


@dataclass(slots=True)
class _Found:
    """What lies in the pending directory. `aside` is file name -> why it goes to corrupt/."""

    headers: dict[str, Header] = field(default_factory=dict)
    logs: set[str] = field(default_factory=set)
    unfinished: list[str] = field(default_factory=list)
    aside: dict[str, str] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    dead_logs: set[str] = field(default_factory=set)


def recover(layout: Layout, files: Files) -> Recovered:
    """Raises `NewerVersion` before anything is touched, and OSError where the disk cannot be used at all."""
    for path in (layout.pending, layout.dead, layout.corrupt):
        files.make_directory(path)
    _keep_directories(layout, files)
    found = _scan(layout, files)
    last_id = max([NO_ID, *found.dead, *found.headers, *(header.event_id for header in found.headers.values())])
    gone = _settle(found)
    if found.headers or gone or found.aside:
        files.sync_all(layout.pending)
    _set_aside(layout, files, found.aside)
    _clean(layout, files, found, gone)
    entries = {name: _entry(layout, files, header, name in found.logs) for name, header in found.headers.items()}
    return Recovered(
        entries=entries,
        logs=frozenset(found.logs & entries.keys()),
        last_id=last_id,
        set_aside=tuple(found.aside),
    )


def _keep_directories(layout: Layout, files: Files) -> None:
    """What was just made or taken away, also by a process that was killed, must stay so."""
    for path in (layout.pending, layout.dead, layout.state):
        with synced_directory(files, path):
            pass
    with suppress(PermissionError), synced_directory(files, os.path.dirname(layout.state)):
        pass


# --- Reading -----------------------------------------------------------------------------------------------------


def _scan(layout: Layout, files: Files) -> _Found:
    found = _Found()
    lanes: dict[tuple[str, ...], Address] = {}
    for file_name in sorted(files.names(layout.pending)):
        name, _, suffix = file_name.rpartition(".")
        if suffix == "event" and is_id(name):
            _judge(layout, files, name, found, lanes)
        elif suffix == "log" and is_id(name):
            found.logs.add(name)
        elif suffix == "tmp":
            found.unfinished.append(file_name)
        elif file_name != ".reserve":
            found.aside[file_name] = "its name is not one of ours"
    for file_name in files.names(layout.dead):
        name, _, suffix = file_name.rpartition(".")
        if is_id(name) and suffix in ("event", "log"):
            (found.dead if suffix == "event" else found.dead_logs).add(name)
    return found


def _judge(layout: Layout, files: Files, name: str, found: _Found, lanes: dict[tuple[str, ...], Address]) -> None:
    path = layout.event(name)
    try:
        header = decode_header(files.read(path), path, lanes)
    except Damaged as error:
        found.aside[f"{name}.event"] = str(error)
        return
    except OSError as error:
        if error.errno not in _UNREADABLE:
            raise
        found.aside[f"{name}.event"] = f"it cannot be read: {error.strerror}"
        return
    if header.name == name:
        found.headers[name] = header
    else:
        found.aside[f"{name}.event"] = f"it holds the event of {header.name}"


def _settle(found: _Found) -> list[str]:
    """Leave in `found.headers` what is pending; returns the names of the others, which can go.

    A dead letter goes, and a question that is answered. So does the earlier of two questions with the same key: it was
    refused to its sender, or there would be no second one, but its removal did not reach the disk.
    """
    dead = [name for name, header in found.headers.items() if header.event_id in found.dead]
    answered = [
        turn_id
        for name, header in found.headers.items()
        for turn_id in header.answers or ()
        if turn_id != name and turn_id in found.headers and found.headers[turn_id].answers is None
    ]
    gone = [name for name in {*dead, *answered} if found.headers.pop(name, None) is not None]
    newest: dict[str, str] = {}
    for name, header in list(found.headers.items()):
        if header.answers is None and header.dedupe_key:
            if (earlier := newest.get(header.dedupe_key)) is not None:
                del found.headers[earlier]
                found.aside[f"{earlier}.event"] = f"it was refused, and accepted later as {name}"
            newest[header.dedupe_key] = name
    for name in found.logs:
        if f"{name}.event" in found.aside:
            found.aside[f"{name}.log"] = "it belongs to an event that is set aside"
    return gone


def _entry(layout: Layout, files: Files, header: Header, logged: bool) -> Entry:
    entry = header.entry()
    if logged:
        try:
            lines = files.read(layout.log(entry.id))
        except OSError as error:
            if error.errno not in _UNREADABLE:
                raise
            log.error("the log of %s cannot be read (%s); what was done for it is not known", entry.id, error)
            return entry
        for line in lines_of(lines, header.event_id):
            apply(entry, line)
    return entry


# --- Putting right -----------------------------------------------------------------------------------------------


def _set_aside(layout: Layout, files: Files, aside: dict[str, str]) -> None:
    """Into corrupt/, under a name that is free there."""
    if not aside:
        return
    taken = set(files.names(layout.corrupt))
    with synced_directory(files, layout.corrupt):
        for file_name, why in aside.items():
            target = _free_name(file_name, taken)
            log.error("%s/%r is set aside as %s/%r: %s", layout.pending, file_name, layout.corrupt, target, why)
            _copy_name(files, f"{layout.pending}/{file_name}", f"{layout.corrupt}/{target}")
            taken.add(target)
    with synced_directory(files, layout.pending):
        for file_name in aside:
            remove(files, f"{layout.pending}/{file_name}")


def _free_name(name: str, taken: Iterable[str]) -> str:
    n, free = 0, name
    while free in taken:
        n += 1
        free = f"{name}.{n}"
    return free


def _copy_name(files: Files, source: str, target: str) -> None:
    try:
        files.link(source, target)
    except PermissionError:
        # A directory has one name only.
        files.rename(source, target)


def _clean(layout: Layout, files: Files, found: _Found, gone: list[str]) -> None:
    """Logs last: without its event a log means nothing, but not the other way round."""
    if gone or found.unfinished:
        with synced_directory(files, layout.pending):
            for file_name in [*(f"{name}.event" for name in gone), *found.unfinished]:
                remove(files, f"{layout.pending}/{file_name}")
    for name in found.logs - found.headers.keys():
        remove(files, layout.log(name))
    for dead_id in found.dead_logs - found.dead:
        remove(files, layout.dead_log(dead_id))
