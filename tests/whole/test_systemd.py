"""The unit files: accepted by systemd, and true to the settings that they rely on."""

from __future__ import annotations

import os
import shutil
import subprocess
from configparser import RawConfigParser
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from agentd.config import Settings
from agentd.errors import ConfigError, UsageError

UNITS = sorted((Path(__file__).parents[2] / "systemd").glob("*.service"))


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


def test_the_unit_for_the_machine_is_hardened() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    path = UNITS[0].with_name("agentd.service")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=13", "--no-pager", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_addresses_that_are_allowed_are_all_but_those_of_the_link_and_of_groups() -> None:
    allowed = [ip_network(text) for text in lists("agentd.service", "IPAddressAllow")]
    for address in ("127.0.0.1", "10.1.2.3", "192.168.1.5", "169.253.255.255", "169.255.0.1", "172.16.0.1", "1.1.1.1"):
        assert any(ip_address(address) in network for network in allowed), address
    for address in ("::1", "2001:db8::1", "fd12::1"):
        assert any(ip_address(address) in network for network in allowed), address
    for address in ("169.254.169.254", "224.0.0.251", "255.255.255.255", "fe80::1", "ff02::1"):
        assert not any(ip_address(address) in network for network in allowed), address


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_what_the_code_calls_is_not_refused(path: Path) -> None:
    """What strace saw of a daemon with a real model, and is not in the plainest sets."""
    filters = lines_of(path, "SystemCallFilter")
    assert filters == ["@system-service", "~@privileged @resources", "setpriority sched_setscheduler"]
    assert unit(path)["Service"]["OOMPolicy"] == "continue"
    assert "PrivateUsers" not in unit(path)["Service"], "everybody would be nobody"
    assert "ProcSubset" not in unit(path)["Service"], "free memory would not be known"


def lines_of(path: Path, key: str) -> list[str]:
    """All values of a key that may be there several times."""
    return [line.split("=", 1)[1] for line in path.read_text().splitlines() if line.startswith(f"{key}=")]


def lists(name: str, key: str) -> list[str]:
    return [word for line in lines_of(UNITS[0].with_name(name), key) for word in line.split()]
