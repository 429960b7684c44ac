"""Tells systemd how the daemon is: READY, STATUS, STOPPING, WATCHDOG (sd_notify(3)); does nothing without systemd."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping

log = logging.getLogger(__name__)


class Notifier:
    """Sends datagrams to the socket that `NOTIFY_SOCKET` names; without that variable nothing is sent."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self.watchdog_seconds = _watchdog_seconds(environ)

    def tell(self, *lines: str) -> None:
        """Send assignments such as `READY=1`; if the service manager does not listen, agentd goes on."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
            try:
                sender.sendto("\n".join(lines).encode(), self._address)
            except OSError as error:
                log.warning("cannot tell systemd %s: %s", lines[0], error)

    def ready(self, status: str) -> None:
        self.tell("READY=1", f"STATUS={_one_line(status)}")

    def status(self, status: str) -> None:
        self.tell(f"STATUS={_one_line(status)}")

    def stopping(self) -> None:
        self.tell("STOPPING=1", "STATUS=stopping: running turns end first")

    async def watchdog(self, check: Callable[[], Awaitable[bool]]) -> None:
        """Twice in each watchdog interval, tell systemd that we are alive, if `check` says that we are well.

        Runs until cancelled. If the event loop or the check hangs, or the check fails, nothing is sent, and systemd
        restarts us.
        """
        if self.watchdog_seconds is None:
            await asyncio.get_running_loop().create_future()
            return
        interval = self.watchdog_seconds / 2
        while True:
            if await check():
                self.tell("WATCHDOG=1")
            else:
                log.error("the health check failed; systemd is not told that we are alive")
            await asyncio.sleep(interval)


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """The interval that systemd expects, None if it expects nothing."""
    pid = environ.get("WATCHDOG_PID", "")
    if pid and pid != str(os.getpid()):
        return None
    try:
        return int(environ["WATCHDOG_USEC"]) / 1e6
    except (KeyError, ValueError):
        return None


def _one_line(text: str) -> str:
    return " ".join(text.split())
