"""Setting aside: a damaged or foreign file goes to corrupt/, and the sender of its message is told."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Collection, Mapping
from datetime import datetime

from agentd.events import OutboundEvent
from agentd.host.files import Files, explain, synced_directory
from agentd.ids import following
from agentd.ports.work import PendingTurn
from agentd.records import Principal

log = logging.getLogger(__name__)

UNREADABLE = (errno.EIO, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EBADMSG)
"""Errors that concern one file, not the process or the disk as a whole."""
LONGEST_NAME = 240
"""Maximum bytes of a name, so that there is still room for a number."""
MOST_TOLD = 50
"""How many files the log names one by one; the rest are counted."""


def set_aside(files: Files, directory: str, corrupt: str, aside: Mapping[str, str]) -> list[str]:
    """Move these files (name -> why) and return the names that are gone; a file that cannot be moved stays."""
    moved = []
    taken = set(files.names(corrupt))
    with synced_directory(files, corrupt):
        for n, (name, why) in enumerate(aside.items()):
            target = _free_name(name, taken)
            try:
                _copy_name(files, f"{directory}/{name}", f"{corrupt}/{target}")
            except OSError as error:
                if error.errno not in (*UNREADABLE, errno.ENOENT):
                    raise
                log.error("%s/%r cannot be set aside (%s), although %s", directory, name, explain(error), why)
                continue
            moved.append(name)
            taken.add(target)
            if n < MOST_TOLD:
                log.error("%s/%r is set aside as %s/%r: %s", directory, name, corrupt, target, why)
    if len(aside) > MOST_TOLD:
        log.error("%s: %d more files are set aside", directory, len(aside) - MOST_TOLD)
    with synced_directory(files, directory):
        for name in moved:
            remove(files, f"{directory}/{name}")
    return moved


def remove(files: Files, path: str) -> None:
    """Unlink it if it is there."""
    try:
        files.unlink(path)
    except FileNotFoundError:
        log.debug("%s is gone already", path)


def _free_name(name: str, taken: Collection[str]) -> str:
    short = os.fsdecode(os.fsencode(name)[:LONGEST_NAME])
    n, free = 0, short
    while free in taken:
        n += 1
        free = f"{short}.{n}"
    return free


def _copy_name(files: Files, source: str, target: str) -> None:
    try:
        files.link(source, target)
    except PermissionError:
        # A directory has one name only, and some kernels forbid links to the files of other users.
        files.rename(source, target)


def notice(turn: PendingTurn, time: datetime) -> OutboundEvent | None:
    """The notice to the address of an event whose file was set aside; None if that event was such a notice itself."""
    if turn.outbound_id == turn.id:
        return None
    lost = "The answer to your message" if turn.outbound_id else "Your message"
    end = "was not delivered; ask once more" if turn.outbound_id else "was not answered; send it once more"
    return OutboundEvent(
        id=following(turn.id),
        time=time,
        turn_id=turn.id,
        session_id=turn.session_id,
        # It belongs to nobody in particular: the file no longer says whose it was.
        principal=Principal(kind="chat", id=turn.address.chat),
        address=turn.address,
        answers=(),
        outcome="error",
        text=f"{lost} could not be read from the disk and {end}. The file is kept as corrupt/{turn.id}.event.",
        error_code="damaged",
    )
