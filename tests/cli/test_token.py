"""`agentd token`, beside a daemon and without one, and `agentd open`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from agentd.cli import main
from agentd.cli.open import FILE, has_browser, here
from agentd.cli.token import listed
from agentd.records import OWNER, Principal
from agentd.serving.protocol import Token
from tests.daemons import WEBSOCKET, DaemonProcess

PORT = "AGENTD_CHANNELS__WEBSOCKET__PORT"
NOW = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)


def agentd(state: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentd", *arguments, "--state-dir", str(state)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environment}
    )


def told(state: Path, *arguments: str) -> Any:
    done = agentd(state, "token", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_without_a_daemon_a_token_is_made_in_the_state_directory(tmp_path: Path) -> None:
    state = tmp_path / "s"
    made = agentd(state, "token", "create", "laptop")
    secret = made.stdout.removesuffix("\n")
    assert made.returncode == 0 and secret.startswith("agentd_") and "\n" not in secret
    assert "laptop" in made.stderr and secret not in made.stderr
    assert agentd(state, "token", "create", "laptop").returncode == 2
    [token] = told(state, "list")["tokens"]
    assert (token["name"], token["scopes"], token["principal"]["kind"]) == ("laptop", ["chat"], "owner")
    assert secret not in json.dumps(token)


async def test_beside_a_daemon_tokens_are_made_used_and_revoked_and_no_secret_is_logged(tmp_path: Path) -> None:
    state = tmp_path / "s"
    gateway = {WEBSOCKET: "true", PORT: "0"}
    async with DaemonProcess(state, "--log-level", "debug", environment=gateway) as daemon:
        assert agentd(state, "token", "create", "nobody", "--principal", "").returncode == 2
        made = told(state, "create", "phone", "--principal", "ann", "--scope", "chat", "--scope", "events")
        assert (made["principal"], made["scopes"]) == ({"kind": "person", "id": "ann"}, ["chat", "events"])
        shown = agentd(state, "open", "--print").stdout.removesuffix("\n")
        address, _, ticket = shown.partition("/#ticket=")
        bearer = {"Authorization": f"Bearer {made['secret']}"}
        assert httpx2.get(f"{address}/healthz", headers=bearer, trust_env=False).status_code == 200
        assert httpx2.post(f"{address}/api/ticket", json={"ticket": ticket}, trust_env=False).status_code == 204
        phone, page = told(state, "list")["tokens"]
        assert (phone["name"], phone["way"], page["way"]) == ("phone", "token", "page")
        assert agentd(state, "token", "revoke", "phone").returncode == 0
        assert agentd(state, "token", "revoke", "phone").returncode == 1
        log = daemon.log.read_text()
    assert made["secret"] not in log and ticket not in log


def test_without_a_daemon_there_is_no_page_to_open(tmp_path: Path) -> None:
    done = agentd(tmp_path / "s", "open")
    assert (done.returncode, done.stdout) == (3, "") and "agentd run" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["create"],
        ["create", "a", "--scope", "everything"],
        ["create", "a", "--expires", "0"],
        ["create", "a", "--expires", "9999"],
        ["create", ""],
        ["revoke"],
        ["list", "a"],
    ],
    ids=str,
)
def test_wrong_usage_exits_with_2(arguments: list[str], tmp_path: Path) -> None:
    assert main(["token", *arguments, "--state-dir", str(tmp_path / "s")]) == 2


def test_the_list_says_for_whom_and_how_long_each_is() -> None:
    day = timedelta(days=1)
    ann = Principal(kind="person", id="ann")
    owners: dict[str, Any] = {"way": "token", "principal": OWNER, "scopes": ("chat", "admin"), "created": NOW}
    tokens = [
        Token(id="1", name="laptop", **owners),
        Token(id="2", name="old", **owners, used=NOW, expires=NOW),
        Token(id="3", name="new", **{**owners, "principal": ann, "scopes": ("chat",)}, expires=NOW + day),
        Token(id="4", name="page-1", **{**owners, "way": "page"}, revoked=NOW),
    ]
    lines = [" ".join(line.split()) for line in listed(tokens, NOW)]
    assert lines[1:] == [
        "laptop the owner chat,admin 2026-05-01 12:30Z never never",
        "old the owner chat,admin 2026-05-01 12:30Z 2026-05-01 12:30Z expired 2026-05-01 12:30Z",
        "new person ann chat 2026-05-01 12:30Z never 2026-05-02 12:30Z",
        "page-1 the owner chat,admin 2026-05-01 12:30Z never revoked 2026-05-01 12:30Z",
    ]
    assert len(listed([], NOW)) == 1


# --- a browser ---


def test_the_address_is_one_of_this_machine() -> None:
    assert here("http://0.0.0.0:24368") == "http://127.0.0.1:24368"
    assert here("https://[::]:24368") == "https://[::1]:24368"
    assert here("http://192.168.0.10:24368") == "http://192.168.0.10:24368"


def test_a_browser_is_only_used_if_it_can_have_a_window() -> None:
    assert has_browser({"DISPLAY": ":0"}) and has_browser({"WAYLAND_DISPLAY": "wayland-0"})
    assert has_browser({"BROWSER": "firefox"})
    assert sys.platform == "darwin" or not has_browser({"DISPLAY": ""})


async def test_a_browser_gets_the_ticket_from_a_file_that_only_its_user_may_read(tmp_path: Path) -> None:
    state, seen = tmp_path / "s", tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$@" > {seen}\n')
    browser.chmod(0o700)
    async with DaemonProcess(state, environment={WEBSOCKET: "true", PORT: "0"}):
        done = agentd(state, "open", BROWSER=f"{browser} %s")
    page = (state / FILE).read_text()
    ticket = page.partition("#ticket=")[2].partition('"')[0]
    assert done.returncode == 0 and len(ticket) >= 32
    assert seen.read_text().strip() == (state / FILE).as_uri()
    assert ticket not in done.stdout + done.stderr
    assert (state / FILE).stat().st_mode & 0o777 == 0o600
