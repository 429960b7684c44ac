"""`agentd delivery`, beside a daemon and without one."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentd.cli import main
from agentd.cli.delivery import age, decided, listed, shown
from agentd.events import OutboundEvent
from agentd.pending import PendingDirectory
from agentd.records import Address
from agentd.serving.protocol import Decided, LetterList, LetterShown
from tests.builders import inbound, outbound
from tests.daemons import DaemonProcess

GONE = Address(channel="gone", account="bot", chat="4711", thread="9")


def delivery(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentd", "delivery", *arguments, "--state-dir", str(state)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def told(state: Path, *arguments: str) -> Any:
    done = delivery(state, *arguments, "--json")
    assert done.stderr == ""
    return json.loads(done.stdout)


async def fill(state: Path, *, dead: int = 1, pending: int = 1) -> list[OutboundEvent]:
    """Answers for a channel that nobody runs: first the pending ones, then the dead ones."""
    events = []
    async with PendingDirectory(state) as directory:
        for n in range(pending + dead):
            asked = inbound(address=GONE)
            await directory.accept(asked)
            events.append(outbound(asked, f"answer {n}"))
            await directory.answer(events[-1])
            if n >= pending:
                await directory.bury(asked.id, "Forbidden: \x1b[31mblocked")
    return events


async def test_without_a_daemon_the_list_moves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "s"
    waiting, dead = await fill(state)
    files = sorted(path.name for path in state.rglob("*-*"))
    done = delivery(state, "list")
    assert done.returncode == 0 and done.stderr == ""
    assert waiting.id in done.stdout and dead.id in done.stdout and "gone 4711 9" in done.stdout
    assert "Forbidden: blocked" in done.stdout and "\x1b" not in done.stdout
    assert sorted(path.name for path in state.rglob("*-*")) == files
    found = told(state, "list")
    assert (found["pending"][0]["id"], found["dead"][0]["id"]) == (waiting.id, dead.id)


def test_nothing_to_list_is_said_in_words(tmp_path: Path) -> None:
    done = delivery(tmp_path / "s", "list")
    assert done.returncode == 0 and done.stdout.startswith("nothing ") and done.stdout.count("\n") == 1


async def test_one_event_is_shown_whole(tmp_path: Path) -> None:
    _, dead = await fill(tmp_path / "s")
    done = delivery(tmp_path / "s", "show", dead.id)
    assert "answer 1" in done.stdout and "Forbidden: blocked" in done.stdout and "buried" in done.stdout
    assert told(tmp_path / "s", "show", dead.id)["event"]["text"] == "answer 1"
    missing = delivery(tmp_path / "s", "show", "../lock")
    assert missing.returncode == 1 and "agentd delivery list" in missing.stderr


async def test_without_a_daemon_letters_are_retried_and_dropped(tmp_path: Path) -> None:
    _, one, two, three = await fill(tmp_path / "s", dead=3)
    done = delivery(tmp_path / "s", "retry", one.id)
    assert (done.returncode, done.stdout) == (0, "1 pending again\n")
    done = delivery(tmp_path / "s", "drop", two.id, one.id)
    assert done.returncode == 1 and "1 dropped" in done.stdout and f"{one.id}: " in done.stdout
    assert told(tmp_path / "s", "drop", "--all", "--older-than", "7d") == {"done": [], "failed": {}}
    assert told(tmp_path / "s", "drop", "--all")["done"] == [three.id]
    counts = told(tmp_path / "s", "list")["counts"]
    assert counts == {"pending": 2, "dead": 0}


async def test_beside_a_daemon_the_daemon_is_asked(tmp_path: Path) -> None:
    state = tmp_path / "s"
    _, one, two = await fill(state, dead=2)
    async with DaemonProcess(state):
        assert told(state, "list")["counts"] == {"pending": 1, "dead": 2}
        assert told(state, "show", one.id)["letter"]["error"] == "Forbidden: blocked"
        assert told(state, "retry", one.id) == {"done": [one.id], "failed": {}}
        assert told(state, "drop", "--all") == {"done": [two.id], "failed": {}}
        assert told(state, "list")["counts"] == {"pending": 2, "dead": 0}


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "an-id"],
        ["show"],
        ["show", "a", "b"],
        ["retry"],
        ["drop", "a", "--all"],
        ["drop", "a", "--older-than", "1d"],
        ["drop", "--older-than", "1d"],
        ["list", "--all"],
        ["list", "--limit", "0"],
        ["drop", "--all", "--older-than", "soon"],
        ["burn"],
    ],
)
def test_what_is_not_meant_is_refused_before_anything_is_touched(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["delivery", *arguments, "--state-dir", str(tmp_path / "s")]) == 2
    assert capsys.readouterr().err and not (tmp_path / "s").exists()


def test_ages_have_a_unit() -> None:
    assert [age(text) for text in ("90s", "30m", "1.5h", "7d", "2w")] == [90, 1800, 5400, 604800, 1209600]
    with pytest.raises(argparse.ArgumentTypeError, match="7d"):
        age("7")


LETTER = {
    "id": "i",
    "state": "pending",
    "kind": "outbound",
    "turn": "t",
    "session": "s",
    "address": {"channel": "c", "account": "a", "chat": "1", "thread": ""},
    "age": 7200.0,
    "attempts": 4,
    "next_try": "2026-01-02T03:04:05.678901Z",
    "error": "no\nroute",
    "dead_age": None,
}


def test_the_table_has_one_line_for_each_letter_and_says_what_it_leaves_out() -> None:
    found = {"pending": [LETTER], "dead": [], "counts": {"pending": 9, "dead": 0}}
    title, head, row = listed(LetterList.model_validate(found))
    assert title == "9 pending, the oldest 1 are shown"
    assert head.split() == ["id", "what", "where", "age", "tries", "next", "try", "last", "error"]
    assert row.split() == ["i", "answer", "c", "1", "2", "h", "4", "2026-01-02", "03:04:05Z", "no", "route"]


def test_what_was_noted_is_shown_in_order() -> None:
    log = [{"line": "sending", "parts": ["a"]}, {"line": "deferred", "until": None, "attempt": 1, "error": "no route"}]
    lines = shown(LetterShown.model_validate({"letter": LETTER, "event": {"text": "one\ntwo"}, "log": log}))
    assert lines[-2:] == ['  sending parts=["a"]', "  deferred until=null attempt=1 error=no route"]
    assert "  two" in lines


def test_what_failed_is_named_with_its_reason() -> None:
    assert decided(Decided(done=("a", "b"), failed={"c": "gone"}), "dropped") == ["2 dropped", "c: gone"]
