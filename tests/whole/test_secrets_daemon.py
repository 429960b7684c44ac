"""A secret that a daemon was given is in nothing that people see, whatever a channel does with it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from agentd.cli import main
from agentd.serving.client import Client
from tests.daemons import DaemonProcess

LEAKY = """
import logging
from agentd.errors import Permanent
from pydantic import BaseModel, SecretStr

class SETTINGS(BaseModel):
    gate: SecretStr

class Leaky:
    name = "leaky"
    def __init__(self, gate):
        self.gate = gate
    async def run(self, inbox, report):
        logging.getLogger("leaky").warning("asking https://platform.test/%s", self.gate)
        raise RuntimeError(f"https://platform.test/{self.gate} said 401")
    async def send(self, event, progress):
        raise Permanent(self.gate)

def build(given):
    return Leaky(given.settings["gate"])
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Of a daemon with a channel that quotes its secret wherever it can."""
    (tmp_path / "leaky.py").write_text(LEAKY)
    (tmp_path / "gate").write_text("OPEN-SESAME\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = f"{tmp_path}:{Path(__file__).parents[2]}"
    return {
        "PYTHONPATH": path,
        "AGENTD_CHANNELS__LEAKY__BUILD": "leaky:build",
        "AGENTD_CHANNELS__LEAKY__GATE": json.dumps({"credential": "gate"}),
        "CREDENTIALS_DIRECTORY": str(tmp_path),
    }


async def _channels(client: Client) -> str:
    """The states of the channels, once the leaky one has crashed."""
    async with asyncio.timeout(30):
        while '"down"' not in (told := json.dumps((await client.status()).as_json()["channels"])):  # noqa: ASYNC110 - status is asked
            await asyncio.sleep(0.02)
    return told


async def test_a_channel_that_quotes_its_secret_does_not_show_it(tmp_path: Path, environment: dict[str, str]) -> None:
    async with DaemonProcess(tmp_path / "s", environment=environment) as daemon, daemon.client() as client:
        told = await _channels(client)
        assert "https://platform.test/******** said 401" in told
    log = daemon.log.read_text()
    assert "asking https://platform.test/********" in log and "Traceback" in log
    assert "SESAME" not in log + told


def test_check_and_show_know_what_a_channel_declares(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["config", "check", "--config", "/dev/null"]) == 0
    monkeypatch.setenv("AGENTD_CHANNELS__LEAKY__GATE", "OPEN-SESAME")
    assert main(["config", "show", "--config", "/dev/null"]) == 0
    shown = capsys.readouterr().out
    assert 'channels.leaky.gate = "********"' in shown and "SESAME" not in shown
    monkeypatch.setenv("AGENTD_CHANNELS__LEAKY__GATE", "OPEN\nSESAME")
    assert main(["config", "check", "--config", "/dev/null"]) == 78
    told = capsys.readouterr().err
    assert "AGENTD_CHANNELS__LEAKY__GATE: channels.leaky.gate: " in told
    assert "SESAME" not in told
    monkeypatch.delenv("AGENTD_CHANNELS__LEAKY__GATE")
    assert main(["config", "check", "--config", "/dev/null", "--set", "channels.leaky.gate=OPEN-SESAME"]) == 78
    assert "command line" in (told := capsys.readouterr().err) and "SESAME" not in told
