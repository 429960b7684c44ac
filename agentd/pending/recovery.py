"""Repairs what an earlier process left in the pending directory: runs at every start, safe to be cut off anywhere.

First it reads and judges everything, and touches nothing. Then it makes all of it durable as it is, because a killed
process may have left names and data that are only in memory. Only then does it remove anything.
"""

from __future__ import annotations

import gc
import logging
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count, zip_longest

from agentd.errors import NewerVersion, StateError
from agentd.host.files import A_DIRECTORY, A_LINK, Files, explain, synced_directory
from agentd.ids import ID_PATTERN, NO_ID, is_id
from agentd.pending.aside import UNREADABLE, remove, set_aside
from agentd.pending.file import Damaged, Header, read_header, salvage
from agentd.pending.log import after, lines_of
from agentd.pending.moves import Layout
from agentd.ports.work import PendingTurn
from agentd.records import Address

log = logging.getLogger(__name__)

_UNFINISHED = re.compile(rf"({ID_PATTERN.pattern}|\.probe)\.\d+\.tmp")
"""The suffix of the file that an interrupted write leaves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovered:
    """What is pending, in id order; the names that have a log; the greatest id found; the files that were set aside.
    `lost` are the events whose files were set aside, if anything could be read of them.
    """

    turns: dict[str, PendingTurn]
    logs: frozenset[str]
    last_id: str
    set_aside: tuple[str, ...]
    lost: tuple[PendingTurn, ...]


@dataclass(slots=True)
class _Found:
    """What the directories contain. `aside` is file name -> why it goes to corrupt/, `dead_aside` that for dead/."""

    headers: dict[str, Header] = field(default_factory=dict)
    logs: set[str] = field(default_factory=set)
    unfinished: list[str] = field(default_factory=list)
    aside: dict[str, str] = field(default_factory=dict)
    lost: dict[str, PendingTurn] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    dead_logs: set[str] = field(default_factory=set)
    dead_aside: dict[str, str] = field(default_factory=dict)


@contextmanager
def _collector_off() -> Iterator[None]:
    """Recovery makes many records and no garbage; the collector would walk all of them again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def recover(layout: Layout, files: Files) -> Recovered:
    """Raises `NewerVersion` before it touches anything, and OSError if the disk cannot be used at all."""
    _make_directories(layout, files)
    with _collector_off():
        found = _scan(layout, files)
        last_id = max([NO_ID, *found.dead, *found.headers, *(header.event_id for header in found.headers.values())])
        gone = _settle(layout, files, found)
        turns = {name: _turn(layout, files, header, found) for name, header in found.headers.items()}
    if found.headers or gone or found.aside or found.dead_aside:
        files.sync_all(layout.pending)
    for directory, aside in ((layout.pending, found.aside), (layout.dead, found.dead_aside)):
        if aside:
            set_aside(files, directory, layout.corrupt, aside)
    _clean(layout, files, found, gone)
    return Recovered(
        turns=turns,
        logs=frozenset(found.logs & turns.keys()),
        last_id=last_id,
        set_aside=(*found.aside, *found.dead_aside),
        lost=tuple(found.lost.values()),
    )


def _make_directories(layout: Layout, files: Files) -> None:
    """Directories that were just made or removed, even by a process that was killed, must stay so."""
    _make_way(layout, files)
    for path in (layout.pending, layout.dead, layout.corrupt):
        files.make_directory(path)
    if len({files.device(path) for path in (layout.pending, layout.dead, layout.corrupt)}) > 1:
        raise StateError(
            f"pending, dead and corrupt in {layout.state} are on different file systems; put all three on one."
        )
    for path in (layout.pending, layout.dead, layout.state):
        with synced_directory(files, path):
            pass
    with suppress(PermissionError), synced_directory(files, os.path.dirname(layout.state)):
        pass


def _make_way(layout: Layout, files: Files) -> None:
    """If something else has the name corrupt/, it is kept under another name; a link leads to what may not be ours."""
    files.make_directory(layout.state)
    taken, odd = set(files.names(layout.state)), files.odd(layout.state)
    for path in (layout.pending, layout.dead):
        if odd.get(os.path.basename(path)) == A_LINK:
            raise StateError(
                f"{path} is a link, and agentd changes only what lies in its state directory: remove the link, or move "
                "the directory that it leads to here."
            )
    if "corrupt" not in taken or odd.get("corrupt") == A_DIRECTORY:
        return
    target = next(name for n in count(1) if (name := f"corrupt.{n}") not in taken)
    log.error("%s is not a directory; it is kept as %s", layout.corrupt, target)
    files.rename(layout.corrupt, f"{layout.state}/{target}")


# --- Reading -----------------------------------------------------------------------------------------------------


def _scan(layout: Layout, files: Files) -> _Found:
    found = _Found()
    odd, addresses = files.odd(layout.pending), dict[tuple[str, ...], Address]()
    for file_name in sorted(files.names(layout.pending)):
        name, _, suffix = file_name.rpartition(".")
        if file_name in odd:
            found.aside[file_name] = f"it is {odd[file_name]}"
        elif suffix == "event" and is_id(name):
            _judge(layout, files, name, found, addresses)
        elif suffix == "log" and is_id(name):
            found.logs.add(name)
        elif _UNFINISHED.fullmatch(file_name):
            found.unfinished.append(file_name)
        elif file_name != ".reserve":
            found.aside[file_name] = "its name is not one of ours"
    _scan_dead(layout, files, found)
    return found


def _scan_dead(layout: Layout, files: Files, found: _Found) -> None:
    odd = files.odd(layout.dead)
    for file_name in sorted(files.names(layout.dead)):
        name, _, suffix = file_name.rpartition(".")
        if file_name in odd:
            found.dead_aside[file_name] = f"it is {odd[file_name]}"
        elif suffix == "event" and is_id(name):
            _judge_dead(layout, files, name, found)
        elif suffix == "log" and is_id(name):
            found.dead_logs.add(name)
        else:
            found.dead_aside[file_name] = "its name is not one of ours"
    for name in found.dead_logs:
        if f"{name}.event" in found.dead_aside:
            found.dead_aside[f"{name}.log"] = "its event was set aside"


def _judge(layout: Layout, files: Files, name: str, found: _Found, addresses: dict[tuple[str, ...], Address]) -> None:
    path = layout.event(name)
    try:
        try:
            header = read_header(files.blocks(path), path, addresses)
        except Damaged as error:
            found.aside[f"{name}.event"] = str(error)
            if (left := salvage(files.blocks(path), name)) is not None:
                found.lost[name] = left
            return
    except OSError as error:
        found.aside[f"{name}.event"] = _unreadable(error)
        return
    if header.name == name:
        found.headers[name] = header
    else:
        found.aside[f"{name}.event"] = f"it contains the event of {header.name}"


def _judge_dead(layout: Layout, files: Files, dead_id: str, found: _Found) -> None:
    path = layout.dead_event(dead_id)
    try:
        header = read_header(files.blocks(path), path)
    except NewerVersion:
        found.dead.add(dead_id)  # It waits for the agentd that can read it.
    except Damaged as error:
        found.dead_aside[f"{dead_id}.event"] = str(error)
    except OSError as error:
        found.dead_aside[f"{dead_id}.event"] = _unreadable(error)
    else:
        if header.event_id == dead_id:
            found.dead.add(dead_id)
        else:
            found.dead_aside[f"{dead_id}.event"] = f"it contains the event {header.event_id}"


def _unreadable(error: OSError) -> str:
    """Why one file cannot be read; raises the error if it concerns the whole process or disk."""
    if error.errno not in UNREADABLE:
        raise error
    return f"it cannot be read: {error.strerror}"


def _settle(layout: Layout, files: Files, found: _Found) -> list[str]:
    """Leave in `found.headers` what is pending, and return the names of the others, which can go.

    These can go: what is among the dead letters already, and a question that is answered. So can the earlier of two
    questions with the same key: its sender was told that it was refused, or there would be no second one, but its
    removal did not reach the disk.
    """
    dead = [name for name, header in found.headers.items() if _is_dead(layout, files, name, header.event_id, found)]
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
            found.aside[f"{name}.log"] = "its event was set aside"
    return gone


def _is_dead(layout: Layout, files: Files, name: str, event_id: str, found: _Found) -> bool:
    """Whether this event is among the dead letters, too; if another event has its id there, that file is set aside."""
    if event_id not in found.dead:
        return False
    both = (files.blocks(layout.event(name)), files.blocks(layout.dead_event(event_id)))
    if all(one == other for one, other in zip_longest(*both)):
        return True
    found.dead.discard(event_id)
    found.dead_aside[f"{event_id}.event"] = f"it is not the event {event_id}, which is pending"
    return False


def _turn(layout: Layout, files: Files, header: Header, found: _Found) -> PendingTurn:
    turn = header.turn()
    if turn.id not in found.logs:
        return turn
    try:
        return after(turn, lines_of(files.blocks(layout.log(turn.id)), header.event_id))
    except OSError as error:
        found.aside[f"{turn.id}.log"] = f"{_unreadable(error)}; what agentd had done for {turn.id} is unknown"
        found.logs.discard(turn.id)
        return turn


# --- Putting right -----------------------------------------------------------------------------------------------


def _clean(layout: Layout, files: Files, found: _Found, gone: list[str]) -> None:
    """Logs come last: a log means nothing without its event, but an event can do without its log."""
    if gone or found.unfinished:
        with synced_directory(files, layout.pending):
            _remove_all(files, layout.pending, [*(f"{name}.event" for name in gone), *found.unfinished])
    left = [f"{name}.log" for name in found.logs - found.headers.keys()]
    _remove_all(files, layout.pending, [name for name in left if name not in found.aside])
    left = [f"{name}.log" for name in found.dead_logs - found.dead]
    _remove_all(files, layout.dead, [name for name in left if name not in found.dead_aside])


def _remove_all(files: Files, directory: str, names: Iterable[str]) -> None:
    for name in names:
        try:
            remove(files, f"{directory}/{name}")
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise
            log.error("%s/%s is no longer needed, but cannot be removed: %s", directory, name, explain(error))
