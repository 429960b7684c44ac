"""The certificate and its key, which are read again when their files change."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import stat
from pathlib import Path

from agentd.errors import ConfigError
from channels.websocket.settings import WebSocketSettings

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
"""How often to look whether the files have changed."""


class Certificate:
    """`context` is for the server; `ConfigError` if the files cannot be used."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._seen = self._state()
        self._load()

    @classmethod
    def of(cls, settings: WebSocketSettings) -> Certificate | None:
        """That of the settings, None if they name none."""
        if settings.tls_certificate is None or settings.tls_key is None:
            return None
        return cls(settings.tls_certificate, settings.tls_key)

    async def follow(self) -> None:
        """Read the files again whenever they change, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Read the files again if they have changed; what is wrong then is logged, and the old ones stay in use."""
        try:
            state = self._state()
            if state != self._seen:
                self._load()
                self._seen = state
                log.info("the certificate %s was read again", self._certificate)
        except ConfigError as error:
            log.error("the earlier certificate stays in use: %s", error)

    def _load(self) -> None:
        try:
            self.context.load_cert_chain(self._certificate, self._key, password=_no_password)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"channels.websocket.tls_certificate: {self._certificate} and {self._key} cannot be used: {error}; "
                "both must be PEM files that belong together, the key without a password."
            ) from None

    def _state(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_state(name, path) for name, path in (("certificate", self._certificate), ("key", self._key)))


def _state(name: str, path: Path) -> tuple[int, int, int]:
    """What changes with a file; `ConfigError` for one that is not there, or a key that others can read."""
    setting = f"channels.websocket.tls_{name}"
    try:
        found = os.stat(path)
    except OSError as error:
        raise ConfigError(f"{setting}: {path} cannot be read: {error.strerror}; name the file.") from None
    if name == "key" and found.st_mode & (stat.S_IRGRP | stat.S_IROTH | stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"{setting}: others can read {path}; type `chmod 600 {path}`, or make a new key.")
    return found.st_mtime_ns, found.st_ino, found.st_size


def _no_password() -> str:
    """OpenSSL would ask for it at the terminal."""
    raise ValueError("the key has a password")
