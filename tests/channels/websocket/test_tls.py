"""The gateway behind TLS, and files that cannot be used."""

from __future__ import annotations

import os
import ssl
import subprocess
from pathlib import Path

import httpx2
import pytest

from agentd.errors import ConfigError
from channels.websocket.tls import Certificate
from tests.channels.websocket.web import web


def made(folder: Path, name: str = "127.0.0.1") -> tuple[Path, Path]:
    """A certificate of its own and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    files = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run([*command, *files], check=True, capture_output=True, timeout=60)
    key.chmod(0o600)
    return certificate, key


async def test_it_answers_over_tls_and_over_nothing_else(tmp_path: Path) -> None:
    certificate, key = made(tmp_path)
    settings = {"tls_certificate": str(certificate), "tls_key": str(key)}
    async with web(tmp_path, settings=settings) as gateway:
        assert gateway.address.startswith("https://127.0.0.1:")
        trusted = ssl.create_default_context(cafile=str(certificate))
        async with httpx2.AsyncClient(base_url=gateway.address, verify=trusted, trust_env=False) as http:
            assert (await http.get("/healthz")).status_code == 200
        async with httpx2.AsyncClient(base_url=gateway.address.replace("https", "http"), trust_env=False) as plain:
            with pytest.raises(httpx2.TransportError):
                await plain.get("/healthz")


def test_files_that_changed_are_read_again_and_bad_ones_leave_the_old_in_use(tmp_path: Path) -> None:
    certificate, key = made(tmp_path)
    used = Certificate(certificate, key)
    before = used._seen
    made(tmp_path)
    used.look()
    after = used._seen
    assert after != before
    certificate.write_text("nothing")
    used.look()
    assert used._seen == after


def test_what_is_wrong_with_the_files_is_told_at_the_start(tmp_path: Path) -> None:
    certificate, key = made(tmp_path)
    key.chmod(0o640)
    with pytest.raises(ConfigError, match=f"chmod 600 {key}"):
        Certificate(certificate, key)
    key.chmod(0o600)
    with pytest.raises(ConfigError, match="tls_certificate"):
        Certificate(tmp_path / "missing", key)
    os.truncate(key, 0)
    with pytest.raises(ConfigError, match="PEM"):
        Certificate(certificate, key)
