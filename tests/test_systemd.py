"""The unit files: accepted by systemd, and true to the settings that they rely on."""

from __future__ import annotations

import os
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from agentd.config import Settings
from agentd.errors import ConfigError, UsageError

UNITS = sorted((Path(__file__).parent.parent / "systemd").glob("*.service"))


class _Unit(RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr


def unit(path: Path) -> _Unit:
    parser = _Unit(strict=False, comment_prefixes=("#",), delimiters=("=",))
    parser.read(path)
    return parser


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_accepts_the_unit(path: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    program = tmp_path / "agentd"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = path.read_text()
    start = unit(path)["Service"]["ExecStart"]
    copy = tmp_path / path.name
    copy.write_text(text.replace(start.split()[0], str(program)))
    scope = ["--user"] if "user" in path.name else []
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        ["systemd-analyze", *scope, "--man=no", "verify", str(copy)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_waits_longer_than_both_deadlines_and_does_not_retry_what_stays_wrong(path: Path) -> None:
    service = unit(path)["Service"]
    daemon = Settings().daemon
    assert float(service["TimeoutStopSec"].removesuffix("s")) > daemon.grace + daemon.hard_limit
    never = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert never == {ConfigError.exit_code, UsageError.exit_code}
    assert (service["Type"], service["KillMode"]) == ("notify", "mixed")
