"""Reaching the unix socket of a daemon: under a long path, past a full queue, and never that of somebody else."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from agentd.errors import Impostor
from agentd.host.peers import is_trusted, peer, user_name
from agentd.serving.protocol import MAX_FRAME_BYTES

FULL_SECONDS = 0.05
"""Until the next try, if too many others connect at the moment."""


def refuse_impostor(path: Path, writer: asyncio.StreamWriter) -> None:
    """Whoever could put a socket there would read what people ask, and be believed what it answers."""
    uid = peer(writer.get_extra_info("socket")).uid
    if not is_trusted(uid, path.parent, os.geteuid()):
        writer.transport.abort()
        raise Impostor(
            f"{path} is served by {user_name(uid)}, who is neither you nor root nor the owner of that directory; "
            "nothing was sent. Remove that socket, or name another one in AGENTD_SOCKET."
        )


async def open_socket(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect. A path that is longer than the kernel takes (107 bytes) is reached through its directory."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while True:
            reader, writer = await asyncio.open_unix_connection(
                f"/proc/self/fd/{directory}/{path.name}", limit=MAX_FRAME_BYTES
            )
            if _is_connected(writer):
                return reader, writer
            writer.transport.abort()
            await asyncio.sleep(FULL_SECONDS)
    finally:
        os.close(directory)


def _is_connected(writer: asyncio.StreamWriter) -> bool:
    """False if so many connections wait to be accepted that this one does not even wait.

    The kernel says EAGAIN then (connect(2), of Unix sockets), which asyncio takes for "soon".
    """
    try:
        writer.get_extra_info("socket").getpeername()
    except OSError:
        return False
    return True
