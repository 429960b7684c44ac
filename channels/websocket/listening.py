"""The socket that the gateway listens on, and who has its port if it is taken."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from agentd.errors import ConfigError
from agentd.host.peers import user_name

QUEUE = 128
"""Clients that may wait until they are accepted."""
UNREAD_MS = 30_000
"""How long the kernel keeps a connection whose other side takes nothing of what was sent (TCP_USER_TIMEOUT)."""
SENT_BYTES = 256 * 1024
"""What the kernel keeps of what was sent and not taken, so that those who do not read hold little memory."""
LISTENS = "0A"
"""The state of a socket that listens, in /proc/net/tcp; see proc_net(5)."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; `ConfigError` says who has the port, or what else is wrong."""
    family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
    # asyncio sends at once (TCP_NODELAY) only on connections of a socket that names its protocol.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Each connection inherits it. Without it, one that is not read stays for as long as its peer's kernel answers.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_BYTES)
        listener.bind((host, port))
        listener.listen(QUEUE)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ConfigError(_why(host, port, error)) from None
    return listener


def _why(host: str, port: int, error: OSError) -> str:
    at = f"port {port} of {host}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"channels.websocket.port: {at} is taken by {holder(port)}. Stop that, set another port "
            "(`--set channels.websocket.port=PORT`), or do without: `--set channels.websocket.enabled=false`."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"channels.websocket.host: no interface of this machine has the address {host}; `ip address` lists them."
    if error.errno == errno.EACCES:
        return f"channels.websocket.port: {at} may be used by root alone; set a port above 1023."
    return f"channels.websocket: cannot listen on {at}: {error.strerror}; set another host or port."


def holder(port: int) -> str:
    """Who listens on a port of this machine, for people: as much as may be known of them."""
    for uid, inode in _listeners(port):
        if (process := _process(inode)) is not None:
            return process
        return f"a process of {user_name(uid)}"
    return "another process"


def _listeners(port: int) -> list[tuple[int, str]]:
    """The user and the inode of each socket that listens there."""
    found = []
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    found.append((int(fields[7]), fields[9]))
    return found


def _process(inode: str) -> str | None:
    """The process that has this socket; None if it is not one that we may look at."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            if any(_is_socket(link, inode) for link in (entry / "fd").iterdir()):
                return f"{(entry / 'comm').read_text().strip()} (pid {entry.name})"
    return None


def _is_socket(link: Path, inode: str) -> bool:
    with suppress(OSError):
        return os.readlink(link) == f"socket:[{inode}]"
    return False
